"""The evaluation set is the labelled rows of all days, the same in whatever order they come."""

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from evaluator.candidates import build_evaluation_set, task_knowing_labels
from evaluator.candidates._evaluation_set import data_columns
from evaluator.errors import IntakeError
from evaluator.spec import AuditSpec
from evaluator_tests.candidates.conftest import spec_of

SPEC = spec_of()
# Which values the label has on the days that are drawn.
DRAWN = spec_of(label={"column": "truth", "positive": 1, "negative": [0, 3]})
SCHEMA = pa.schema(
    [
        ("case", pa.int64()),
        ("place", pa.dictionary(pa.int32(), pa.string())),
        ("kind", pa.dictionary(pa.int32(), pa.string())),
        ("x", pa.float64()),
        ("y", pa.float64()),
        ("truth", pa.int64()),
    ]
)


def day(frame: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(frame, schema=SCHEMA, preserve_index=False)


def rows(*values: tuple[int, str, str, int | None]) -> pd.DataFrame:
    """Make rows of case, place, kind and truth."""
    frame = pd.DataFrame(values, columns=["case", "place", "kind", "truth"])
    return frame.assign(
        x=frame["case"] * 1.5, y=frame["case"] * -2.0, truth=frame["truth"].astype("Int64")
    )


def drawn_days(seed: int) -> dict[str, pd.DataFrame]:
    generator = np.random.default_rng(seed)
    n = int(generator.integers(5, 40))
    frame = pd.DataFrame(
        {
            "case": generator.permutation(n),
            "place": generator.choice(["A", "B"], n),
            "kind": generator.choice(["p", "q"], n),
            "x": generator.normal(size=n),
            "y": generator.normal(size=n),
            "truth": pd.array(generator.choice([0, 1, 3], n), "Int64"),
        }
    )
    frame.loc[generator.random(n) < 0.3, "truth"] = pd.NA
    frame.loc[0, "truth"] = 1
    days = generator.integers(1, 4, n)
    return {f"2026-01-0{number}": frame[days == number] for number in (1, 2, 3)}


@settings(max_examples=30, derandomize=True)
@given(st.integers(0, 10_000))
def test_it_is_what_pandas_makes_of_the_same_rows(seed: int) -> None:
    days = drawn_days(seed)

    built = build_evaluation_set({name: day(frame) for name, frame in days.items()}, DRAWN)

    joined = pd.concat([frame.assign(day=name) for name, frame in days.items()])
    labelled = joined[joined["truth"].notna()].sort_values(["place", "kind", "case"])
    expected = pd.DataFrame(
        {
            "id": labelled["case"].tolist(),
            "geography": labelled["place"].tolist(),
            "segment": labelled["kind"].tolist(),
            "label": (labelled["truth"] == 1).astype(int).tolist(),
            "day": labelled["day"].tolist(),
        }
        | {f"data.{name}": labelled[name].tolist() for name in SPEC.data.columns}
    )
    pd.testing.assert_frame_equal(built.cases.to_pandas(), expected, check_dtype=False)
    for record in built.without_label.to_dict("records"):
        alike = joined[
            (joined["place"] == record["geography"]) & (joined["kind"] == record["segment"])
        ]
        assert record["rows"] == len(alike)
        assert record["without_label"] == alike["truth"].isna().sum()


@settings(max_examples=30, derandomize=True)
@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_neither_the_order_of_days_nor_of_rows_counts(seed: int, random: Any) -> None:
    days = drawn_days(seed)
    names = list(days)
    random.shuffle(names)
    other = {name: day(days[name].iloc[::-1]) for name in names}

    built = build_evaluation_set({name: day(frame) for name, frame in days.items()}, DRAWN)
    again = build_evaluation_set(other, DRAWN)

    assert again.cases.to_pylist() == built.cases.to_pylist()
    pd.testing.assert_frame_equal(again.without_label, built.without_label)


def test_rows_without_a_label_are_left_out_and_counted_for_every_declared_slice() -> None:
    frame = rows((1, "A", "p", 1), (2, "A", "p", None), (3, "A", "q", None), (4, "B", "p", 0))

    built = build_evaluation_set({"2026-01-01": day(frame)}, SPEC)

    assert built.cases["id"].to_pylist() == [1, 4]
    assert built.without_label.to_dict("list") == {
        "geography": ["A", "A", "B", "B"],
        "segment": ["p", "q", "p", "q"],
        "rows": [2, 1, 1, 0],
        "without_label": [1, 1, 0, 0],
    }


def test_an_id_of_two_days_is_refused_with_an_example() -> None:
    days = {
        "2026-01-01": day(rows((1, "A", "p", 1), (2, "A", "p", 1))),
        "2026-01-02": day(rows((2, "B", "q", 0), (3, "A", "p", 1))),
    }

    with pytest.raises(IntakeError, match="1 ids stand in more than one row, such as 2") as caught:
        build_evaluation_set(days, SPEC)

    assert "unique over all days" in caught.value.fix


def test_an_id_whose_label_became_known_a_day_later_is_no_repetition() -> None:
    days = {
        "2026-01-01": day(rows((1, "A", "p", None))),
        "2026-01-02": day(rows((1, "A", "p", 1))),
    }

    built = build_evaluation_set(days, SPEC)

    assert built.cases.select(["id", "label", "day"]).to_pylist() == [
        {"id": 1, "label": 1, "day": "2026-01-02"}
    ]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_no_labelled_row_at_all_is_refused(count: int) -> None:
    days = {f"2026-01-0{n + 1}": day(rows((n, "A", "p", None))) for n in range(count)}

    with pytest.raises(IntakeError, match=f"no labelled row in {count} accepted days") as caught:
        build_evaluation_set(days, SPEC)

    assert "'truth'" in caught.value.fix


def test_a_day_without_rows_adds_nothing() -> None:
    days = {"2026-01-01": day(rows((1, "A", "p", 1))), "2026-01-02": SCHEMA.empty_table()}

    assert build_evaluation_set(days, SPEC).cases.num_rows == 1


@pytest.mark.parametrize(
    ("column", "values", "positive", "expected"),
    [
        ({"type": "boolean"}, pa.array([True, False, None]), True, [1, 0]),
        ({"type": "boolean"}, pa.array([True, False, None]), 1, [1, 0]),
        ({"type": "boolean"}, pa.array([True, False, None]), 0, [0, 1]),
        ({"type": "integer"}, pa.array([1, 0, None]), True, [1, 0]),
        ({"type": "integer"}, pa.array([1, 7, None], pa.int8()), 7, [0, 1]),
        ({"type": "float"}, pa.array([1.0, 0.5, None]), 1, [1, 0]),
        ({"type": "string"}, pa.array(["late", "Late", None]), "late", [1, 0]),
        ({"type": "string"}, pa.array(["1", "01", None], pa.large_string()), "1", [1, 0]),
        (
            {"type": "category"},
            pa.array(["b", "a", None]).dictionary_encode(),
            "a",
            [0, 1],
        ),
    ],
)
def test_a_label_of_any_type_becomes_1_0_or_missing(
    column: dict[str, Any], values: pa.Array, positive: Any, expected: list[int]
) -> None:
    spec = spec_of(columns={"truth": column}, label={"column": "truth", "positive": positive})
    table = day(rows((1, "A", "p", 1), (2, "A", "p", 1), (3, "A", "p", 1)))
    table = table.set_column(table.column_names.index("truth"), "truth", values)

    cases = build_evaluation_set({"2026-01-01": table}, spec).cases

    assert cases["id"].to_pylist() == [1, 2]
    assert cases["label"].to_pylist() == expected
    assert cases["label"].type == pa.int8()


def labelled_day(*labels: Any) -> pa.Table:
    """Make a day of one slice whose cases have these labels."""
    table = day(rows(*((case, "A", "p", 1) for case in range(len(labels)))))
    return table.set_column(table.column_names.index("truth"), "truth", pa.array(labels))


TEXT, NUMBER = {"type": "string"}, {"type": "integer"}
DELAYS = {"type": "category", "allowed": ["late", "on time"], "severity": "warn"}


UNTOLD = "(positive), and nothing says which other value is negative"


@pytest.mark.parametrize(
    ("labels", "column", "told", "count", "what"),
    [
        # Nothing says which of several others is negative.
        (
            ["late", "on time", "on time", None, "Late"], TEXT, {"positive": "late"},
            "3 of 4", f"not 'late' {UNTOLD} ('on time' in 2, 'Late' in 1)",
        ),
        ([5, 4, 3, 5], NUMBER, {"positive": 5}, "2 of 4", f"not 5 {UNTOLD} (4 in 1, 3 in 1)"),
        # A positive value that never occurs would make everything negative.
        (
            ["LATE", "on time", "on time"], TEXT, {"positive": "late"},
            "3 of 3", f"not 'late' {UNTOLD} ('on time' in 2, 'LATE' in 1)",
        ),
        # No other spelling is meant.
        (
            ["yes", "no", "no", "y", "TRUE", "1", "Yes"], TEXT,
            {"positive": "yes", "negative": "no"}, "4 of 7",
            ("neither 'yes' (positive) nor 'no' (negative)"
            " ('y' in 1, 'TRUE' in 1, '1' in 1, 'Yes' in 1)"),
        ),
        # The column's own list is known, also where it only warns of what is not in it.
        (
            ["late", "on time", "Late", "Late"], DELAYS, {"positive": "late"},
            "2 of 4", "neither 'late' (positive) nor 'on time' (negative) ('Late' in 2)",
        ),
        # Beside 1 there is 0.
        (
            [1, 0, 0, 2, 2, -9], NUMBER, {"positive": 1},
            "3 of 6", "neither 1 (positive) nor 0 (negative) (2 in 2, -9 in 1)",
        ),
        (
            [5, 4, 3, 1], NUMBER, {"positive": 5, "negative": [4, 3]},
            "1 of 4", "neither 5 (positive) nor 4 or 3 (negative) (1 in 1)",
        ),
    ],
)  # fmt: skip
def test_a_label_that_is_neither_positive_nor_negative_is_refused_with_count_and_examples(
    labels: list[Any], column: dict[str, Any], told: dict[str, Any], count: str, what: str
) -> None:
    spec = spec_of(columns={"truth": column}, label={"column": "truth", **told})
    # What is refused may stand on a day of its own.
    days = {"2026-01-01": labelled_day(*labels[:-1]), "2026-01-02": labelled_day(labels[-1])}

    with pytest.raises(IntakeError) as caught:
        build_evaluation_set(days, spec)

    assert caught.value.what == f"{count} labels in 'truth' are {what}"
    assert "`label.negative`" in caught.value.fix


@pytest.mark.parametrize(
    ("labels", "column", "told", "expected", "known"),
    [
        (["late", "on time"], TEXT, {"positive": "late"}, [1, 0], ("on time",)),
        (["late", "late"], TEXT, {"positive": "late"}, [1, 1], None),
        (["late", "late"], DELAYS, {"positive": "late"}, [1, 1], ("on time",)),
        (["a", "b", "c"], TEXT, {"positive": "a", "negative": ["b", "c"]}, [1, 0, 0], ("b", "c")),
        (
            ["a", "b", "c"], {"type": "string", "allowed": ["c", "b", "a"]}, {"positive": "a"},
            [1, 0, 0], ("c", "b"),
        ),
        ([2, 1, None], NUMBER, {"positive": 1}, [0, 1], (2,)),
        ([0, 0], NUMBER, {"positive": 1}, [0, 0], (0,)),
        ([True, False], {"type": "boolean"}, {"positive": 1}, [1, 0], (False,)),
        ([1.0, 0.5], {"type": "float"}, {"positive": 1}, [1, 0], (0.5,)),
        (
            [Decimal("1.00"), Decimal("0.00")], {"type": "decimal"}, {"positive": 1}, [1, 0], (0,),
        ),
    ],
)  # fmt: skip
def test_the_negative_value_is_declared_or_the_one_other_that_the_whole_set_has(
    labels: list[Any], column: dict[str, Any], told: dict[str, Any], expected: Any, known: Any
) -> None:
    spec = spec_of(columns={"truth": column}, label={"column": "truth", **told})

    cases = build_evaluation_set({"2026-01-01": labelled_day(*labels)}, spec).cases

    assert cases["label"].to_pylist() == expected
    found = task_knowing_labels(spec, cases).label.negative
    assert (found if found is None or isinstance(found, tuple) else (found,)) == known


def test_the_set_holds_every_declared_column_whoever_is_judged_by_it() -> None:
    one = spec_of(candidates=[{"name": "one", "path": "1.skops", "features": ["y"]}])
    two = spec_of(candidates=[{"name": "two", "path": "2.skops", "features": ["x", "place"]}])
    table = day(rows((1, "A", "p", 1)))

    first = build_evaluation_set({"2026-01-01": table}, one).cases
    second = build_evaluation_set({"2026-01-01": table}, two).cases

    own = ["id", "geography", "segment", "label", "day"]
    assert first.column_names == [*own, *(f"data.{name}" for name in one.data.columns)]
    assert first.equals(second)


def test_ids_and_geographies_may_be_categories_and_features_by_those_very_names() -> None:
    columns = {
        "id": {"type": "category", "required": True, "unique": True},
        "geography": {"type": "category", "required": True, "allowed": ["A", "B"]},
    }
    spec = spec_of(
        columns=columns,
        geography="geography",
        candidates=[{"name": "one", "path": "1.skops", "features": ["geography", "x", "id"]}],
        data={**spec_dump(columns), "id": "id"},
    )
    tables = {
        f"2026-01-0{n}": pa.table(
            {
                "id": pa.array(ids).dictionary_encode(),
                "geography": pa.array(["B", "A"]).dictionary_encode(),
                "kind": ["p", "p"],
                "x": [1.0, 2.0],
                "truth": [1, 0],
                **{name: [None, None] for name in ("case", "place", "y")},
            }
        )
        for n, ids in ((1, ["d", "b"]), (2, ["a", "c"]))
    }

    cases = build_evaluation_set(tables, spec).cases

    assert cases["id"].to_pylist() == ["b", "c", "a", "d"]
    assert cases["geography"].to_pylist() == ["A", "A", "B", "B"]
    assert cases["data.x"].to_pylist() == [2.0, 2.0, 1.0, 1.0]


def spec_dump(columns: dict[str, Any]) -> dict[str, Any]:
    """Return the data of the small audit, with further columns."""
    data = SPEC.data.model_dump(mode="json", exclude_unset=True)
    return {**data, "columns": {**data["columns"], **columns}}


def test_an_audit_without_candidates_has_no_evaluation_set() -> None:
    bare = AuditSpec.model_validate({"data": SPEC.data.model_dump(exclude_unset=True)})

    with pytest.raises(ValueError, match="without candidates"):
        build_evaluation_set({}, bare)


def test_a_feature_may_be_called_as_the_set_calls_its_own_columns() -> None:
    cases = pd.DataFrame(
        {"id": ["a", "b"], "label": [0, 1], "data.label": [0.25, 0.75], "data.id": ["a", "b"]}
    )
    assert data_columns(cases, ["label", "id"]).to_dict("list") == {
        "label": [0.25, 0.75],
        "id": ["a", "b"],
    }


def depending(**declared: str) -> AuditSpec:
    """Declare what the small audit's cases are clustered and weighted by."""
    return spec_of(data={**SPEC.data.model_dump(mode="json", exclude_unset=True), **declared})


def three_days(**columns: list[Any]) -> dict[str, pa.Table]:
    """Make three days of two rows each, of which the last has no label."""
    frame = rows(*((number, "A", "p", None if number == 6 else 1) for number in range(1, 7)))
    frame = frame.assign(**columns)
    return {f"2026-01-0{n + 1}": day(frame.iloc[2 * n : 2 * n + 2]) for n in range(3)}


def test_cases_without_a_cluster_are_refused_with_count_examples_and_fix() -> None:
    kinds = ["p", "p", "q", "q", "p", "p"]
    days = three_days(kind=kinds, x=[1.0, None, 1.0, None, 1.0, None])
    spec = spec_of(data={**spec_dump({"x": {"type": "integer"}}), "cluster": "x"})

    with pytest.raises(IntakeError, match="2 labelled rows have no 'x'") as caught:
        build_evaluation_set(days, spec)

    # The sixth has no label, and is no case.
    assert caught.value.what.endswith(": 2 of 2026-01-01, 4 of 2026-01-02")
    assert "`required: true` at `data.columns.x`" in caught.value.fix
    assert "quarantine" in caught.value.fix


def test_every_case_has_the_day_of_its_file_as_its_cluster() -> None:
    days = three_days()

    plain, by_day = (build_evaluation_set(days, spec) for spec in (SPEC, depending(cluster="day")))

    assert by_day.cases.equals(plain.cases)


@pytest.mark.parametrize("wrong", [None, np.inf, -np.inf, -1e-9])
def test_weights_that_are_missing_negative_or_infinite_are_refused(wrong: float | None) -> None:
    days = three_days(x=[1.0, wrong, 0.0, 2.5, wrong, wrong])

    with pytest.raises(IntakeError, match="2 labelled rows have no 'x' that is finite") as caught:
        build_evaluation_set(days, depending(weight="x"))

    assert caught.value.what.endswith(": 2 of 2026-01-01, 5 of 2026-01-03")
    assert "`required: true, minimum: 0` at `data.columns.x`" in caught.value.fix


def test_of_many_rows_that_cannot_be_weighed_the_first_are_named() -> None:
    frame = rows(*((number, "A", "p", 1) for number in range(9))).assign(y=-1.0)

    with pytest.raises(IntakeError, match="9 labelled rows") as caught:
        build_evaluation_set({"2026-01-01": day(frame)}, depending(weight="y"))

    assert caught.value.what.endswith("3 of 2026-01-01, 4 of 2026-01-01, ...")


def test_cases_of_weight_zero_are_left_out_and_counted() -> None:
    days = three_days(x=[1.0, 0.0, 0.0, 2.5, 3.0, 0.0])

    built = build_evaluation_set(days, depending(weight="x"))

    assert built.cases["id"].to_pylist() == [1, 4, 5]
    # A row without a label is none that was weighed.
    assert built.of_weight_zero == 2
    assert built.without_label["rows"].sum() == 6
    assert build_evaluation_set(days, SPEC).of_weight_zero == 0


def test_decimals_and_whole_numbers_are_weights_too() -> None:
    spec = spec_of(
        data={**spec_dump({"x": {"type": "decimal"}, "y": {"type": "integer"}}), "weight": "x"}
    )
    table = day(rows((1, "A", "p", 1), (2, "A", "p", 0)))
    decimals = pa.array([Decimal("0.50"), Decimal("0.00")], pa.decimal128(18, 2))
    table = table.set_column(table.column_names.index("x"), "x", decimals)

    built = build_evaluation_set({"2026-01-01": table}, spec)

    assert built.cases["data.x"].to_pylist() == [Decimal("0.50")]
    whole = spec.data.model_copy(update={"weight": "y"})
    again = build_evaluation_set(
        {"2026-01-01": table.set_column(table.column_names.index("y"), "y", pa.array([2, 0]))},
        spec.model_copy(update={"data": whole}),
    )
    assert again.cases["id"].to_pylist() == [1]


def test_where_nothing_weighs_anything_there_is_nothing_to_evaluate() -> None:
    with pytest.raises(IntakeError, match="all 5 labelled rows have a 'x' of 0"):
        build_evaluation_set(three_days(x=[0.0] * 6), depending(weight="x"))
