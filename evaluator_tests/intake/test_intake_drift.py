import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import false_discovery_control, wasserstein_distance

from evaluator.intake import Content, Profile, ingest, reference_content
from evaluator.intake._drift import content_drift, correct, jensen_shannon, stability_index
from evaluator.intake._schema_drift import similarity
from evaluator.spec import DataSpec
from evaluator_tests.intake.conftest import Take, declare

COLUMNS = {
    "id": {"type": "string"},
    "place": {"type": "category"},
    "kind": {"type": "category", "required": True},
    "value": {"type": "float"},
    "day": {"type": "date"},
}


def make(
    folder: Path, data: DataSpec, rows: int, *, seed: int, shift: float = 0.0, kinds: str = "ab"
) -> Path:
    """Type rows of two places; only place `x` is shifted."""
    random = np.random.default_rng(seed)
    places = random.choice(["x", "y"], rows)
    values = random.normal(0, 1, rows) + np.where(places == "x", shift, 0)
    chosen = random.choice(list(kinds), rows)
    lines = [
        f"r{n},{places[n]},{chosen[n]},{values[n]:.6f},2013-11-{1 + seed:02d}\n"
        for n in range(rows)
    ]
    source = folder / f"day-{seed}.csv"
    source.write_text("id,place,kind,value,day\n" + "".join(lines))
    return ingest(source, data, into=folder / f"out-{seed}").typed_path


def drift(data: DataSpec, day: Path, reference: Any) -> Any:
    return content_drift(day, data, reference, ("place",))


def test_two_samples_of_one_distribution_have_not_drifted(tmp_path: Path) -> None:
    data = declare(COLUMNS)
    reference = [make(tmp_path, data, 500, seed=1), make(tmp_path, data, 500, seed=2)]
    found = drift(data, make(tmp_path, data, 500, seed=3), reference)
    assert (found.drifted, found.slices) == ((), ())
    assert found.slices_compared == 2


def test_a_shift_in_one_slice_is_found_there(tmp_path: Path) -> None:
    data = declare(COLUMNS)
    reference = [make(tmp_path, data, 2_000, seed=1)]
    found = drift(data, make(tmp_path, data, 2_000, seed=2, shift=1.5), reference)
    assert [part.slice for part in found.slices] == [{"place": "x"}]
    assert set(found.slices[0].columns) == {"value"}
    assert found.columns["value"].wasserstein > 0.25


def test_new_and_vanished_categories_are_named(tmp_path: Path) -> None:
    data = declare(COLUMNS)
    reference = [make(tmp_path, data, 1_000, seed=1, kinds="ab")]
    found = drift(data, make(tmp_path, data, 1_000, seed=2, kinds="bc"), reference)
    kind = found.columns["kind"]
    assert (list(kind.new), kind.vanished) == (["c"], ("a",))
    assert "stability_index" in kind.drifted


def test_a_measure_that_a_column_has_not_is_not_stored(take: Take) -> None:
    content = b"id,n,t\n" + b"".join(b"r%d,%d,x\n" % (n, n) for n in range(9))
    taken = take(content)
    again = take(content, reference=reference_content([taken.result.typed_path], declare()))
    stored = json.loads(again.profile.to_json())["drift"]["columns"]
    assert stored["n"].keys() - stored["t"].keys() == {"wasserstein"}
    assert stored["t"].keys() - stored["n"].keys() == {"new", "new_count", "vanished"}
    assert Profile.from_json(again.profile.to_json()) == again.profile


def test_a_change_of_the_missing_share_is_drift(take: Take, tmp_path: Path) -> None:
    full = b"id,n,t\n" + b"".join(b"r%d,1,x\n" % n for n in range(300))
    holes = b"id,n,t\n" + b"".join(b"r%d,%s,x\n" % (n, b"" if n % 5 else b"1") for n in range(300))
    reference = take(full).result.typed_path.rename(tmp_path / "reference.parquet")
    measures = take(holes, reference=[reference]).profile.drift.columns["n"]
    assert measures.drifted == ("missing_share",)
    assert measures.missing_change == pytest.approx(0.8, abs=0.002)
    assert (measures.missing_before, measures.missing_share) == (0, 0.8)


def test_few_rows_are_never_called_drift(tmp_path: Path) -> None:
    data = declare(COLUMNS)
    reference = [make(tmp_path, data, 1_000, seed=1)]
    found = drift(data, make(tmp_path, data, 50, seed=2, shift=9), reference)
    assert found.drifted == ()
    assert "nothing is called drift" in found.notes[0]
    assert found.too_few[0].columns == ("place", "kind", "value")
    assert [few.slice for few in found.too_few[1:]] == [{"place": "x"}, {"place": "y"}]


def test_a_kept_reference_gives_what_its_files_give(tmp_path: Path) -> None:
    data = declare(COLUMNS)
    files = [make(tmp_path, data, 600, seed=1)]
    day = make(tmp_path, data, 600, seed=2, shift=2)
    kept = reference_content(files, data, ("place",))
    assert drift(data, day, kept) == drift(data, day, files)


def test_dates_ids_and_columns_that_say_so_are_not_compared(tmp_path: Path) -> None:
    columns = {**COLUMNS, "value": {"type": "float", "drift": False}}
    data = declare(columns)
    path = make(tmp_path, data, 300, seed=1)
    assert set(drift(data, path, [path]).columns) == {"place", "kind"}


def test_p_values_stand_beside_the_effects_and_decide_nothing(tmp_path: Path) -> None:
    data = declare(COLUMNS, drift={"test": "holm", "per_slice": False})
    reference = [make(tmp_path, data, 20_000, seed=1)]
    found = drift(data, make(tmp_path, data, 20_000, seed=2, shift=0.12), reference)
    assert found.columns["value"].p_value < 0.01
    assert found.drifted == ()


def test_the_wasserstein_distance_is_near_the_exact_one(tmp_path: Path) -> None:
    data = declare(COLUMNS, drift={"per_slice": False})
    first = make(tmp_path, data, 3_000, seed=1)
    second = make(tmp_path, data, 3_000, seed=2, shift=1)
    one, two = (pd.read_parquet(path)["value"] for path in (first, second))
    spread = max(float(np.subtract(*np.quantile(one, [0.75, 0.25]))), float(one.std(ddof=0)))
    measured = drift(data, second, [first]).columns["value"].wasserstein
    assert measured == pytest.approx(wasserstein_distance(one, two) / spread, rel=0.02)


def test_the_jensen_shannon_distance_is_scipy_s_but_for_chance() -> None:
    first, second = np.array([5e8, 3e8, 2e8]), np.array([2e8, 3e8, 5e8])
    assert jensen_shannon(first, second) == pytest.approx(
        jensenshannon(first, second, base=2), abs=1e-6
    )
    assert jensen_shannon(np.array([9.0, 0.0]), np.array([0.0, 9.0])) == pytest.approx(1.0)


COUNTS = st.lists(st.integers(0, 10_000), min_size=2, max_size=12)


@given(COUNTS, COUNTS)
def test_distances_are_symmetric_bounded_and_zero_for_the_same(
    one: list[int], two: list[int]
) -> None:
    size = min(len(one), len(two))
    first, second = np.array(one[:size], float) + 1, np.array(two[:size], float) + 1
    assert stability_index(first, first) == 0
    assert jensen_shannon(first, first) == 0
    assert stability_index(first, second) == pytest.approx(stability_index(second, first))
    assert 0 <= jensen_shannon(first, second) <= 1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_corrected_p_values_are_those_of_scipy_and_never_smaller(values: list[float]) -> None:
    corrected = correct(values, "benjamini_hochberg")
    assert corrected == pytest.approx(false_discovery_control(values, method="bh").tolist())
    holm = correct(values, "holm")
    assert all(after >= before for after, before in zip(holm, values, strict=True))
    assert max(holm) <= 1


def rows(random: np.random.Generator, size: int, *, moved: bool = False) -> pl.DataFrame:
    """Draw a day of every kind of column; where it moved, as little as must be seen."""
    normal = random.normal(size=size)
    tied = np.where(random.random(size) < 0.1, np.median(normal), normal)
    web = 0.62 if moved else 0.4
    return pl.DataFrame(
        {
            "id": [f"r{number}" for number in range(size)],
            "flag": random.random(size) < (0.2 if moved else 0.1),
            "holes": pl.Series(normal).set(
                pl.Series(random.random(size) < (0.14 if moved else 0.1)), None
            ),
            "tied": tied if moved else normal,
            "shifted": random.normal(0.3 if moved else 0.0, size=size),
            "channel": random.choice(
                ["web", "shop", "phone"], size, p=[web, (1 - web) * 0.7, (1 - web) * 0.3]
            ),
            "heavy": random.standard_cauchy(size),
            "few": random.poisson(1.0 if moved else 0.7, size),
            "rare": pl.Series(random.integers(0, 300, size)).cast(pl.String),
            "seldom": random.random(size) < 0.01,
            "place": random.choice(list("xyz"), size),
            "kind": random.choice(list("pqr"), size),
        }
    )


KINDS = declare(
    {
        "id": {"type": "string"},
        "flag": {"type": "boolean"},
        **{name: {"type": "float"} for name in ("holes", "tied", "shifted", "heavy")},
        "channel": {"type": "category"},
        "few": {"type": "integer"},
        "rare": {"type": "category"},
        "seldom": {"type": "boolean"},
        "place": {"type": "category"},
        "kind": {"type": "category"},
    }
)


def written(folder: Path, name: str, frame: pl.DataFrame) -> Path:
    path = folder / f"{name}.parquet"
    frame.write_parquet(path)
    return path


def reference_of(
    folder: Path, random: np.random.Generator, days: int, size: int, by: tuple[str, ...] = ()
) -> Content:
    files = [written(folder, f"day-{n}", rows(random, size)) for n in range(days)]
    return reference_content(files, KINDS, by)


@pytest.mark.parametrize(
    ("days", "of_reference", "of_day"), [(1, 200, 200), (7, 250, 2_250), (12, 2_250, 2_250)]
)
def test_of_days_on_which_nothing_moved_at_most_one_in_twenty_is_called_drift(
    tmp_path: Path, days: int, of_reference: int, of_day: int
) -> None:
    random = np.random.default_rng(20)
    by = ("place", "kind")
    called = 0
    for _ in range(4):
        reference = reference_of(tmp_path, random, days, of_reference, by)
        for _ in range(10):
            path = written(tmp_path, "new", rows(random, of_day))
            found = content_drift(path, KINDS, reference, by)
            called += bool(found.drifted or found.slices)
    assert called <= 2


@pytest.mark.parametrize("days", [7, 14])
def test_small_moves_are_seen_in_many_rows_and_told_with_before_and_after(
    tmp_path: Path, days: int
) -> None:
    random = np.random.default_rng(30)
    reference = reference_of(tmp_path, random, days, 5_000)
    path = written(tmp_path, "new", rows(random, 5_000, moved=True))
    found = content_drift(path, KINDS, reference, ())
    assert found.drifted == ("flag", "holes", "tied", "shifted", "channel", "few")
    channel, flag, holes = (found.columns[name] for name in ("channel", "flag", "holes"))
    assert (channel.moved, channel.value, flag.value) == ("share", "web", "true")
    assert (channel.before, channel.after) == pytest.approx((0.4, 0.62), abs=0.02)
    assert (flag.before, flag.after) == pytest.approx((0.1, 0.2), abs=0.02)
    assert (holes.missing_before, holes.missing_share) == pytest.approx((0.1, 0.14), abs=0.01)


def test_what_reference_days_differ_by_among_themselves_is_not_drift(tmp_path: Path) -> None:
    random = np.random.default_rng(40)

    def day(level: float) -> pl.DataFrame:
        return rows(random, 1_000).with_columns(pl.col("shifted") + level)

    levels = random.normal(0, 0.5, 24)
    files = [written(tmp_path, f"day-{n}", day(level)) for n, level in enumerate(levels)]
    many, few = reference_content(files[:12], KINDS), reference_content(files[:9], KINDS)
    called = {
        name: sum(bool(content_drift(path, KINDS, past, ()).drifted) for path in files[12:])
        for name, past in (("many", many), ("few", few))
    }
    assert called["many"] == 0
    assert called["few"] > 6
    far = content_drift(written(tmp_path, "far", day(4)), KINDS, many, ())
    assert far.drifted == ("shifted",)


@pytest.mark.parametrize("value", [-1_000_000.0, 4.999, 5.001, 6.0])
def test_a_constant_that_moves_is_drift_whichever_way_and_however_far(
    take: Take, tmp_path: Path, value: float
) -> None:
    def constant(number: float) -> bytes:
        return b"id,n,t\n" + b"".join(b"r%d,%r,x\n" % (n, number) for n in range(300))

    data = declare({"id": {"type": "string"}, "n": {"type": "float"}, "t": {"type": "string"}})
    still = take(constant(5.0), data).result.typed_path.rename(tmp_path / "reference.parquet")
    taken = take(constant(value), data, reference=[still])
    assert set(taken.profile.drift.columns["n"].drifted) == {
        "stability_index", "jensen_shannon", "wasserstein",
    }  # fmt: skip
    direction = "up" if value > 5 else "down"
    assert f"n: median 5 to {value:.6g} ({direction})" in taken.result.report
    assert take(constant(5.0), data, reference=[still]).profile.drift.drifted == ()


def test_names_that_are_frequent_by_luck_do_not_bias_the_rest(tmp_path: Path) -> None:
    data = declare({"id": {"type": "string"}, "name": {"type": "category"}})
    random = np.random.default_rng(50)

    def draw(name: str, size: int, of: int) -> Path:
        names = pl.Series("name", random.integers(0, of, size)).cast(pl.String)
        return written(tmp_path, name, names.to_frame())

    for of in (30, 300):
        indices = [
            content_drift(draw("day", 400, of), data, [draw("reference", 400, of)], ())
            .columns["name"]
            .stability_index
            for _ in range(60)
        ]
        assert np.mean(indices) < 0.02


def test_a_report_says_for_what_there_is_too_little(take: Take, tmp_path: Path) -> None:
    full = b"id,n,t\n" + b"".join(b"r%d,%d,x\n" % (n, n) for n in range(300))
    empty = b"id,n,t\n" + b"".join(b"r%d,,%s\n" % (n, b"y" if n < 9 else b"x") for n in range(300))
    reference = take(full).result.typed_path.rename(tmp_path / "reference.parquet")
    report = take(empty, reference=[reference], slices=("t",)).result.report
    assert "too few: n; y; n in x" in report
    assert "missing 0.0% to 100.0% (up)" in report


def test_a_declared_limit_holds_for_every_kind(tmp_path: Path) -> None:
    random = np.random.default_rng(60)
    data = KINDS.model_copy(
        update={
            "drift": KINDS.drift.model_copy(
                update={
                    "stability_index": 1.0,
                    "jensen_shannon": 1.0,
                    "wasserstein": 1.0,
                    "missing_share": 0.5,
                }
            )
        }
    )
    reference = reference_of(tmp_path, random, 1, 5_000)
    path = written(tmp_path, "new", rows(random, 5_000, moved=True))
    assert content_drift(path, data, reference, ()).drifted == ()


def test_columns_are_compared_with_the_last_accepted_day_too(take: Take) -> None:
    before = take(b"id,n,t,old\na,1,x,1\n").profile
    changes = take(b"t,id,n,fresh\nx,a,1,1\n", last_accepted=before).profile.schema_drift
    found = {(change.change, change.against) for change in changes}
    assert found >= {
        ("reordered", "declared"),
        ("reordered", "last accepted day"),
        ("added", "last accepted day"),
        ("removed", "last accepted day"),
    }


def test_a_retyped_column_is_told_with_a_suggestion(take: Take) -> None:
    taken = take(b"id,n,t\na,1.5,x\nb,2.5,x\nc,3,x\n")
    change = next(c for c in taken.profile.schema_drift if c.change == "retyped")
    assert change.suggestion == "columns.n.type: float"


def test_names_are_alike_whatever_their_case_and_separators() -> None:
    assert similarity("Customer Segment", "customer_segment") == 1
    assert similarity("price", "region") < 0.6
