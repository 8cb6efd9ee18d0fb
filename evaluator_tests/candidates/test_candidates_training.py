"""Cases that a candidate saw in training are found by id, values, day and file, and left out."""

from collections.abc import Iterable, Iterator
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from evaluator.candidates import TrainedOn, build_evaluation_set
from evaluator.candidates._evaluation_set import EvaluationSet
from evaluator.errors import EvidenceError, IntakeError
from evaluator.scorecard import TrainingFacts
from evaluator.spec import AuditSpec

OLD, NEW = "2024-01-31", "2024-02-01"
COLUMNS = {
    "case": {"type": "integer"},
    "late": {"type": "boolean"},
    "x": {"type": "float"},
    "place": {"type": "category"},
    "at": {"type": "timestamp", "time_zone": "America/New_York"},
    "weight": {"type": "float"},
}


def spec_with(
    *trained: dict[str, Any] | None, candidate: dict[str, Any] | None = None, **data: Any
) -> AuditSpec:
    """Declare candidates `one` and `two`, by what each says that it was trained on."""
    kind = candidate or {"path": "m.skops", "features": ["x"]}
    return AuditSpec.model_validate(
        {
            "data": {
                "files": "{date}.csv",
                "first_day": "2024-01-01",
                "id": "case",
                "columns": COLUMNS,
                **data,
            },
            "label": {"column": "late", "positive": True},
            "candidates": [
                {"name": name, "training": training, **kind}
                for name, training in zip(("one", "two"), trained, strict=False)
            ],
        }
    )


def rows(first: int = 0, count: int = 40) -> pa.Table:
    """Make cases of which no two have the same values."""
    ids = range(first, first + count)
    return pa.table(
        {
            "case": pa.array(ids, pa.int64()),
            "late": [number % 3 == 0 for number in ids],
            "x": [number / 8 for number in ids],
            "place": pa.array(["nsw"[number % 3] for number in ids]).dictionary_encode(),
            # Seven in the evening of the day before in New York.
            "at": pa.array(
                [1_706_745_600_000_000 + number for number in ids],
                pa.timestamp("us", tz="America/New_York"),
            ),
            "weight": [1.0] * count,
        }
    )


def known(frames: Iterable[Any], problem: str | None = None, unread: int = 0) -> TrainedOn:
    """Stand for files of these rows."""
    tables = (pl.DataFrame(frame) for frame in frames)
    return TrainedOn(
        files={"t.csv": "0" * 64}, rows=((frame, unread) for frame in tables), problem=problem
    )


def built(
    spec: AuditSpec, *trained: TrainedOn, came_as: dict[str, list[str]] | None = None
) -> EvaluationSet:
    names = ("one", "two")
    return build_evaluation_set(
        {OLD: rows(), NEW: rows(first=40)},
        spec,
        trained_on=dict(zip(names, trained, strict=False)),
        came_as=came_as or {},
    )


def facts_of(found: EvaluationSet, name: str = "one") -> TrainingFacts:
    assert found.seen is not None
    return found.seen.facts[name]


def seen_by(found: EvaluationSet, name: str = "one") -> list[str]:
    assert found.seen is not None
    return [row["id"] for row in found.seen.table.to_pylist() if row["candidate"] == name]


ROWS = pl.DataFrame(pl.from_arrow(rows().select(["case", "x", "place", "at"]))).with_columns(
    pl.col("place").cast(pl.String)
)


def test_cases_are_found_by_id_and_by_values_however_rows_are_bundled() -> None:
    same_id = ROWS[3:5].with_columns(x=pl.lit(-1.0))
    same_values = ROWS[4:7].with_columns(case=pl.col("case") + 1000)
    bundles = [same_id, same_values[:1], same_values[1:], ROWS[:0]]
    found = built(spec_with({"files": "t.csv"}), known(bundles, unread=2))
    facts = facts_of(found)
    assert (facts.by_id, facts.by_content, facts.found) == (2, 3, 4)
    assert seen_by(found) == ["3", "4", "5", "6"]
    assert (facts.rows, facts.unread, facts.columns) == (5, 8, ("x", "place", "at"))
    assert (facts.cases, facts.evaluated, facts.left_out, facts.remaining) == (80, 80, 0, 4)
    assert facts.looks == ["id", "content"]
    assert found.cases.num_rows == 80


def test_a_missing_value_is_equal_to_a_missing_value_and_a_missing_id_to_none() -> None:
    holes = rows().set_column(2, "x", pa.array([None, *[0.5] * 39], pa.float64()))
    train = pl.DataFrame({"case": [None], "x": [None], "place": ["n"], "at": ROWS["at"][:1]})
    train = train.cast({"case": pl.Int64, "x": pl.Float64})
    found = build_evaluation_set(
        {OLD: holes}, spec_with({"files": "t.csv"}), trained_on={"one": known([train])}
    )
    assert (facts_of(found).by_id, facts_of(found).by_content) == (0, 1)
    assert seen_by(found) == ["0"]


def test_what_is_left_out_is_left_out_for_all_and_counted_for_each() -> None:
    spec = spec_with({"files": "t.csv", "seen": "leave_out"}, {"files": "t.csv", "seen": "refuse"})
    ids = ROWS.select("case")
    found = built(spec, known([ids[:10]]), known([ids[5:20]]))
    assert found.cases["id"].to_pylist() == [*range(10, 80)]
    one, two = facts_of(found, "one"), facts_of(found, "two")
    assert (one.found, one.left_out, one.remaining, one.evaluated) == (10, 10, 0, 70)
    assert (two.found, two.left_out, two.remaining, two.evaluated) == (15, 5, 10, 70)
    assert two.cases == 80
    assert found.seen is not None
    table = found.seen.table.to_pandas()
    assert table.groupby("candidate")["left_out"].sum().to_dict() == {"one": 10, "two": 5}
    assert set(table["day"]) == {OLD}


def test_where_nothing_is_left_it_says_whose_training_that_was() -> None:
    spec = spec_with({"last_day": "2024-03-01", "seen": "leave_out"})
    with pytest.raises(IntakeError, match="all 80 labelled cases were seen in training by one"):
        built(spec, known([]))


@pytest.mark.parametrize(
    ("last_day", "count"), [("2024-01-30", 0), ("2024-01-31", 40), ("2024-02-01", 80)]
)
def test_cases_up_to_the_last_day_may_be_among_what_was_trained_on(
    last_day: str, count: int
) -> None:
    found = built(spec_with({"last_day": last_day}), known([]))
    assert facts_of(found).by_day == facts_of(found).found == count
    assert facts_of(found).looks == ["day"]


def test_a_month_counts_from_its_first_day_on() -> None:
    spec = spec_with({"last_day": "2024-02-10"}, files="{month}.csv")
    found = build_evaluation_set(
        {"2024-02-01": rows(), "2024-03-01": rows(first=40)}, spec, trained_on={"one": known([])}
    )
    assert facts_of(found).by_day == 40


def test_the_day_of_a_moment_is_that_of_its_own_time_zone() -> None:
    spec = spec_with({"last_day": "2024-01-31", "day": "at"}, files="all.csv", first_day=None)
    found = build_evaluation_set({"snapshot": rows()}, spec, trained_on={"one": known([])})
    assert facts_of(found).by_day == 40
    before = spec_with({"last_day": "2024-01-30", "day": "at"}, files="all.csv", first_day=None)
    found = build_evaluation_set({"snapshot": rows()}, before, trained_on={"one": known([])})
    assert facts_of(found).by_day == 0


def test_a_day_is_known_by_the_digest_of_any_of_its_files() -> None:
    spec = spec_with({"digests": ["a" * 64, "b" * 64]})
    found = built(spec, known([]), came_as={OLD: ["c" * 64, "b" * 64], NEW: ["d" * 64]})
    assert (facts_of(found).by_file, facts_of(found).digests) == (40, 2)
    assert seen_by(found) == [str(number) for number in range(40)]


def test_values_that_many_cases_share_by_chance_are_told_and_do_not_count() -> None:
    few = rows().set_column(2, "x", pa.array([number % 2 / 2 for number in range(40)]))
    spec = spec_with({"files": "t.csv", "columns": ["x", "place"]})
    train = pl.DataFrame({"case": range(100, 140), "x": [0.0, 0.5] * 20, "place": ["n"] * 40})
    found = build_evaluation_set({OLD: few}, spec, trained_on={"one": known([train])})
    facts = facts_of(found)
    matching = sum(place == "n" for place in few["place"].to_pylist())
    assert facts.by_content == matching
    # 40 rows of values of which one in six is equal: next to none is left without an equal.
    assert facts.by_chance == pytest.approx(40 * (1 - (5 / 6) ** 40), rel=0.01)
    assert not facts.content_identifies
    assert (facts.looks, facts.found, seen_by(found)) == (["id"], 0, [])


def test_values_are_compared_only_where_the_features_are_among_them() -> None:
    found = built(spec_with({"files": "t.csv"}), known([ROWS.drop("x")]))
    assert (facts_of(found).by_id, facts_of(found).by_content) == (40, None)
    # A recording may have been given anything.
    recorded = {"kind": "recorded", "path": "r.csv"}
    spec = spec_with({"files": "t.csv"}, candidate=recorded)
    assert facts_of(built(spec, known([ROWS]))).by_content is None
    whole = ROWS.with_columns(weight=pl.lit(1.0))
    assert facts_of(built(spec, known([whole]))).by_content == 40
    with_weight = spec_with({"files": "t.csv"}, weight="weight")
    assert facts_of(built(with_weight, known([ROWS]))).by_content == 40
    chosen = spec_with({"files": "t.csv", "columns": []})
    assert facts_of(built(chosen, known([ROWS]))).by_content is None


def test_files_that_tell_no_case_are_a_reason_and_no_pass() -> None:
    found = built(spec_with({"files": "t.csv"}), known([ROWS.select("place")]))
    assert facts_of(found).problem == (
        "its training files: they have neither the id (case) nor all of x"
    )
    assert facts_of(found).looks == []
    absent = built(
        spec_with({"files": "t.csv", "last_day": OLD}), known([], problem="t.csv: it is gone")
    )
    assert (facts_of(absent).problem, facts_of(absent).by_day) == ("t.csv: it is gone", 40)


def _failing(error: Exception) -> Iterator[tuple[pl.DataFrame, int]]:
    yield ROWS, 0
    raise error


def test_a_fault_of_the_file_is_told_and_one_of_the_machine_is_raised() -> None:
    spec = spec_with({"files": "t.csv"})
    broken = IntakeError("the file is empty", culprit="t.csv", fix="write it")
    facts = facts_of(built(spec, TrainedOn(files={}, rows=_failing(broken))))
    assert (facts.problem, facts.by_id) == ("t.csv: the file is empty", None)
    lost = EvidenceError("the disk is gone", culprit="t.csv", fix="mount it")
    with pytest.raises(EvidenceError):
        built(spec, TrainedOn(files={}, rows=_failing(lost)))


def test_an_audit_in_which_nobody_says_what_it_was_trained_on_has_no_such_facts() -> None:
    assert build_evaluation_set({OLD: rows()}, spec_with(None)).seen is None
