import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import false_discovery_control, wasserstein_distance

from evaluator.intake import Profile, ingest, reference_content
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
    assert measures.missing_change == pytest.approx(0.8)


def test_few_rows_are_never_called_drift(tmp_path: Path) -> None:
    data = declare(COLUMNS)
    reference = [make(tmp_path, data, 1_000, seed=1)]
    found = drift(data, make(tmp_path, data, 50, seed=2, shift=9), reference)
    assert found.drifted == ()
    assert "nothing is called drift" in found.notes[0]


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
