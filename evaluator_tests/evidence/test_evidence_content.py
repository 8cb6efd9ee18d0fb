"""Equal data have equal content versions, and other data have others."""

import hashlib
import io
import struct
from datetime import UTC
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings, strategies as st

from evaluator.evidence import content_version

TYPES = {
    "count": pa.int32(),
    "amount": pa.float64(),
    "share": pa.float32(),
    "is_new": pa.bool_(),
    "name": pa.large_string(),
    "day": pa.date32(),
    "moment": pa.timestamp("us", "UTC"),
    "price": pa.decimal128(12, 2),
}
VALUES = {
    "count": st.integers(-(2**31), 2**31 - 1),
    "amount": st.floats(),
    "share": st.floats(width=32),
    "is_new": st.booleans(),
    "name": st.text(max_size=5),
    "day": st.dates(),
    "moment": st.datetimes(timezones=st.just(UTC)),
    "price": st.decimals(-1_000, 1_000, places=2),
}
SCHEMA = pa.schema([("key", pa.int64()), *TYPES.items()])


@st.composite
def tables(draw: st.DrawFn, *, min_size: int = 0) -> pa.Table:
    """Draw a table with a key that identifies a row and a column of each type, some missing."""
    row = st.fixed_dictionaries({name: st.none() | VALUES[name] for name in TYPES})
    rows = draw(st.lists(row, min_size=min_size, max_size=12))
    keys = draw(st.permutations(range(len(rows))))
    return pa.Table.from_pylist(
        [{"key": key, **values} for key, values in zip(keys, rows, strict=True)], schema=SCHEMA
    )


def in_chunks(table: pa.Table, cuts: list[int]) -> pa.Table:
    ends = sorted({min(cut, table.num_rows) for cut in cuts} | {table.num_rows})
    starts = [0, *ends[:-1]]
    parts = [table.slice(start, end - start) for start, end in zip(starts, ends, strict=True)]
    return pa.concat_tables(parts)


@settings(max_examples=60, derandomize=True)
@given(tables(), st.lists(st.integers(0, 12), max_size=5))
def test_chunks_do_not_count(table: pa.Table, cuts: list[int]) -> None:
    assert content_version(in_chunks(table, cuts)) == content_version(table)


@settings(max_examples=60, derandomize=True)
@given(tables(), st.integers(0, 4), st.integers(0, 4))
def test_what_lies_outside_a_slice_does_not_count(table: pa.Table, before: int, after: int) -> None:
    filler = pa.Table.from_pylist([{"key": 99, "name": "outside"}], schema=SCHEMA)
    padded = pa.concat_tables([*[filler] * before, table, *[filler] * after]).combine_chunks()

    part = padded.slice(before, table.num_rows)

    assert content_version(part) == content_version(table)


@settings(max_examples=60, derandomize=True)
@given(tables(), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_count_where_a_column_identifies_them(
    table: pa.Table, random: Any
) -> None:
    order = list(range(table.num_rows))
    random.shuffle(order)
    shuffled = table.take(pa.array(order, pa.int64()))

    expected = content_version(table, order_by=["key"])

    assert content_version(shuffled, order_by=["key"]) == expected


@settings(max_examples=40, derandomize=True)
@given(tables())
def test_the_encoding_of_texts_does_not_count(table: pa.Table) -> None:
    place = table.column_names.index("name")
    versions = set()
    for column in (
        table["name"],
        table["name"].dictionary_encode(),
        table["name"].cast(pa.string()),
        table["name"].cast(pa.string_view()),
        table["name"].cast(pa.string()).dictionary_encode(),
    ):
        encoded = table.set_column(place, "name", column)
        versions |= {content_version(encoded), content_version(encoded, order_by=["name", "key"])}

    assert versions == {content_version(table), content_version(table, order_by=["name", "key"])}


@settings(max_examples=40, derandomize=True)
@given(
    tables(),
    st.sampled_from(["none", "snappy", "zstd"]),
    st.sampled_from([["name"], False]),
    st.integers(1, 12),
    st.sampled_from(["1.0", "2.0"]),
)
def test_a_parquet_file_of_any_settings_gives_the_data_back(
    table: pa.Table, compression: str, dictionary: Any, group: int, pages: str
) -> None:
    file = io.BytesIO()
    pq.write_table(
        table,
        file,
        compression=compression,
        use_dictionary=dictionary,
        row_group_size=group,
        data_page_version=pages,
    )

    plain = pq.read_table(pa.BufferReader(file.getvalue()))
    encoded = pq.read_table(pa.BufferReader(file.getvalue()), read_dictionary=["name"])

    assert content_version(plain) == content_version(table)
    assert content_version(encoded) == content_version(table)


@settings(max_examples=80, derandomize=True)
@given(tables(min_size=1), st.data())
def test_any_other_value_gives_another_version(table: pa.Table, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(list(TYPES)))
    place = data.draw(st.integers(0, table.num_rows - 1))
    values = table[name].to_pylist()
    # A float column stores what fits; the comparison is of what is stored.
    drawn = data.draw(st.none() | VALUES[name])
    changed = pa.array([*values[:place], drawn, *values[place + 1 :]], TYPES[name])
    before, after = table[name][place].as_py(), changed[place].as_py()
    same = before == after or (before != before and after != after)  # noqa: PLR0124 - NaN alone is not itself

    other = table.set_column(table.column_names.index(name), name, changed)

    assert (content_version(other) == content_version(table)) is same


@settings(max_examples=40, derandomize=True)
@given(tables(min_size=1), st.data())
def test_a_row_less_or_a_row_twice_gives_another_version(
    table: pa.Table, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, table.num_rows - 1))
    less = pa.concat_tables([table.slice(0, place), table.slice(place + 1)])
    twice = pa.concat_tables([table, table.slice(place, 1)])

    versions = {content_version(t, order_by=["key"]) for t in (table, less, twice)}

    assert len(versions) == 3


def test_another_name_type_or_order_of_columns_gives_another_version() -> None:
    base = pa.table({"a": pa.array([1, 2], pa.int64()), "b": pa.array([3, 4], pa.int64())})
    others = [
        base.rename_columns(["a", "c"]),
        base.rename_columns(["b", "a"]),
        base.select(["b", "a"]),
        base.select(["a"]),
        base.set_column(0, "a", base["a"].cast(pa.int32())),
        base.set_column(0, "a", base["a"].cast(pa.uint64())),
        base.set_column(0, "a", base["a"].cast(pa.float64())),
        base.set_column(0, "a", base["a"].cast(pa.string())),
        base.append_column("c", base["a"]),
    ]

    versions = {content_version(table) for table in (base, *others)}

    assert len(versions) == len(others) + 1


def test_without_a_column_that_identifies_rows_their_order_counts() -> None:
    assert content_version(pa.table({"a": [1, 2]})) != content_version(pa.table({"a": [2, 1]}))


def test_texts_are_not_run_together() -> None:
    versions = {
        content_version(pa.table({"text": texts}))
        for texts in (["ab", "c"], ["a", "bc"], ["abc", ""], ["", "abc"], ["a\x00b", "c"])
    }

    assert len(versions) == 5


def test_columns_are_not_run_together() -> None:
    one = pa.table({"a": ["x"], "b": ["yz"]})
    other = pa.table({"a": ["xy"], "b": ["z"]})

    assert content_version(one) != content_version(other)


def test_both_zeros_are_one_and_all_nans_are_one() -> None:
    payload = np.array([0x7FF8000000000001, 0xFFF8000000000123], dtype=np.uint64).view(np.float64)
    usual = pa.table({"a": pa.array([0.0, float("nan"), float("nan")])})
    unusual = pa.table({"a": pa.array([-0.0, *payload], pa.float64())})

    assert content_version(usual) == content_version(unusual)


@pytest.mark.parametrize("order_by", [(), ("a",)])
def test_a_missing_number_is_neither_zero_nor_nan(order_by: tuple[str, ...]) -> None:
    tables_ = [
        pa.table({"a": pa.array([value], pa.float64())}) for value in (None, 0.0, float("nan"))
    ]

    assert len({content_version(table, order_by=order_by) for table in tables_}) == 3


def test_a_missing_text_is_not_an_empty_one() -> None:
    missing, empty = (pa.table({"a": pa.array([v], pa.string())}) for v in (None, ""))

    assert content_version(missing) != content_version(empty)


@pytest.mark.parametrize(
    ("kind", "value"),
    [(pa.int64(), 7), (pa.float64(), 7.5), (pa.bool_(), True), (pa.date32(), 12_000)],
)
def test_the_bytes_that_lie_under_missing_values_do_not_count(
    kind: pa.DataType, value: float
) -> None:
    clean = pa.array([None, None, value], kind if kind != pa.date32() else pa.int32())
    full = pa.array([value, value, value], clean.type)
    dirty = pa.Array.from_buffers(full.type, 3, [clean.buffers()[0], full.buffers()[1]])
    if kind == pa.date32():
        clean, dirty = clean.view(kind), dirty.view(kind)
    assert dirty.equals(clean)
    assert dirty.buffers()[1].to_pybytes() != clean.buffers()[1].to_pybytes()

    assert content_version(pa.table({"a": dirty})) == content_version(pa.table({"a": clean}))


def test_the_text_that_lies_under_a_missing_value_does_not_count() -> None:
    full = pa.array(["secret", "b"], pa.large_string())
    validity = pa.array([None, "b"], pa.large_string()).buffers()[0]
    dirty = pa.Array.from_buffers(full.type, 2, [validity, *full.buffers()[1:]])
    assert dirty.to_pylist() == [None, "b"]

    expected = content_version(pa.table({"a": pa.array([None, "b"], pa.large_string())}))

    assert content_version(pa.table({"a": dirty})) == expected


@pytest.mark.parametrize("kind", [*TYPES.values(), pa.dictionary(pa.int8(), pa.string())])
def test_an_empty_column_has_a_version_with_or_without_a_chunk(kind: pa.DataType) -> None:
    no_chunk = pa.table({"a": pa.chunked_array([], kind)})
    one_chunk = pa.table({"a": pa.array([], kind)})

    versions = {
        content_version(table, order_by=order)
        for table in (no_chunk, one_chunk)
        for order in ([], ["a"])
    }

    assert len(versions) == 1


def test_rows_are_ordered_by_categories_of_different_dictionaries() -> None:
    first = pa.array(["b", "a", None]).dictionary_encode()
    second = pa.array(["c", "a2"]).dictionary_encode()
    encoded = pa.table({"key": pa.chunked_array([first, second]), "n": [1, 2, 3, 4, 5]})
    plain = pa.table({"key": ["a", "a2", "b", "c", None], "n": [2, 5, 1, 4, 3]})

    assert content_version(encoded, order_by=["key"]) == content_version(plain, order_by=["key"])


def test_the_version_is_the_digest_of_bytes_that_can_be_written_by_hand() -> None:
    table = pa.table(
        {
            "id": pa.array(["b", "aé", None], pa.string()),
            "n": pa.array([1, None, -3], pa.int16()),
            "x": pa.array([0.5, None, -0.0], pa.float64()),
            "ok": pa.array([True, None, False]),
        }
    )
    by_hand = b"".join(
        [
            b"3\n",
            # A column's name and type, which rows have a value (a bit each), and the values.
            b'["id","large_string"]\n', b"\xc0", struct.pack("<3q", 3, 1, 0), "aéb".encode(),
            b'["n","int16"]\n', b"\x60", struct.pack("<3h", 0, 1, -3),
            b'["x","double"]\n', b"\x60", struct.pack("<3d", 0.0, 0.5, 0.0),
            b'["ok","bool"]\n', b"\x60", b"\x40",
        ]
    )  # fmt: skip

    # Evidence on disk is compared with it: another digest makes all older evidence outdated.
    assert content_version(table, order_by=["id"]) == hashlib.sha256(by_hand).hexdigest()
