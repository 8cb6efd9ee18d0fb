"""Labels in files of their own: which case gets which, which are too young, and what is odd."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pytest

from evaluator.candidates import build_evaluation_set
from evaluator.candidates._evaluation_set import EvaluationSet
from evaluator.errors import IntakeError
from evaluator.spec import AuditSpec

OLD, NEW = "2024-01-05", "2024-02-20"
Rows = Mapping[str, Sequence[tuple[Any, ...]]]


def spec_with(files: str = "{date}.csv", **labels: Any) -> AuditSpec:
    """Declare cases and the labels that come later; data of a day each, or as `files` says."""
    dated = {"first_day": "2024-01-01"} if "{" in files else {}
    return AuditSpec.model_validate(
        {
            "data": {
                "files": files,
                **dated,
                "id": "case",
                "columns": {"case": {"type": "string"}, "x": {"type": "float"}},
            },
            "labels": {
                "files": "labels-{date}.csv",
                "first_day": "2024-01-01",
                "id": "order",
                "column": "paid",
                "columns": {"order": {"type": "category"}, "paid": {"type": "integer"}},
                **labels,
            },
            "label": {"column": "paid", "negative": 0},
            "candidates": [{"name": "one", "path": "one.skops", "features": ["x"]}],
        }
    )


def built(spec: AuditSpec, cases: Mapping[str, Sequence[str]], labels: Rows) -> EvaluationSet:
    """Freeze what is given: by day the cases' ids, and ids with labels."""
    days = {
        day: pa.table({"case": pa.array(ids, pa.string()), "x": [0.5] * len(ids)})
        for day, ids in cases.items()
    }
    late = {
        day: pa.table(
            {
                "order": pa.array([id_ for id_, _ in rows], pa.string()).dictionary_encode(),
                "paid": pa.array([label for _, label in rows], pa.int64()),
            }
        )
        for day, rows in labels.items()
    }
    return build_evaluation_set(days, spec, late)


def labels_of(found: EvaluationSet) -> dict[str, int]:
    return dict(zip(found.cases["id"].to_pylist(), found.cases["label"].to_pylist(), strict=True))


def facts_of(found: EvaluationSet) -> Any:
    assert found.late is not None
    return found.late.facts


def examples_of(found: EvaluationSet, finding: str) -> list[str]:
    assert found.late is not None
    rows = found.late.examples.to_pylist()
    return [row["id"] for row in rows if row["finding"] == finding]


def test_a_case_gets_its_label_by_id_whichever_day_that_came_on() -> None:
    found = built(
        spec_with(),
        {OLD: ["a", "b"], NEW: ["c", "d"]},
        {"2024-02-01": [("c", 1), ("a", 0)], "2024-02-20": [("b", 1)]},
    )
    assert labels_of(found) == {"a": 0, "b": 1, "c": 1}
    assert found.without_label["without_label"].tolist() == [1]
    facts = facts_of(found)
    assert (facts.mature, facts.labelled, facts.too_young) == (4, 3, 0)
    assert (facts.unknown, facts.repeated, facts.conflicting) == (0, 0, 0)
    # The label as it came stands among the declared columns, as that of one file would.
    assert found.cases["data.paid"].to_pylist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("mature_after", "newest", "taken"),
    [
        (46, NEW, "a"),
        (47, NEW, ""),
        (47, "2024-02-21", "a"),
        (0, NEW, "ab"),
        (1, "2024-02-21", "ab"),
    ],
)
def test_a_case_is_taken_once_its_day_is_old_enough_on_the_newest_accepted_day(
    mature_after: int, newest: str, taken: str
) -> None:
    spec = spec_with(mature_after=mature_after)
    cases = {OLD: ["a"], NEW: ["b"]}
    labels = {newest: [("a", 1), ("b", 0)]}
    if not taken:
        with pytest.raises(IntakeError, match="no case is 47 days old on 2024-02-20"):
            built(spec, cases, labels)
        return
    found = built(spec, cases, labels)
    assert "".join(labels_of(found)) == taken
    facts = facts_of(found)
    assert (facts.newest_day, facts.mature, facts.too_young) == (newest, len(taken), 2 - len(taken))
    # Who is too young is not called without a label.
    assert found.without_label["rows"].tolist() == [len(taken)]


def test_a_month_is_as_old_as_its_last_day_is() -> None:
    spec = spec_with("{month}.csv", mature_after=29)
    cases = {"2024-01-01": ["a"], "2024-02-01": ["b"]}
    # 29 February is the end of the newest month, and the labels' file is older than that.
    found = built(spec, cases, {"2024-02-20": [("a", 1), ("b", 0)]})
    assert labels_of(found) == {"a": 1}
    assert facts_of(found).newest_day == "2024-02-29"


def test_cases_of_no_day_have_no_age_and_are_all_taken() -> None:
    found = built(spec_with("cases.csv"), {"snapshot": ["a", "b"]}, {OLD: [("a", 1)]})
    assert labels_of(found) == {"a": 1}
    assert facts_of(found).newest_day is None
    assert found.late is not None
    assert found.late.by_age.to_pylist() == [
        {"from_days": None, "to_days": None, "cases": 2, "labelled": 1}
    ]


def test_a_label_that_comes_again_counts_once_and_one_of_no_case_is_told() -> None:
    found = built(
        spec_with(),
        {OLD: ["a", "b"]},
        {OLD: [("a", 1), ("z", 1)], NEW: [("a", 1), ("b", None), ("y", 0)]},
    )
    assert labels_of(found) == {"a": 1}
    facts = facts_of(found)
    assert (facts.repeated, facts.unknown, facts.conflicting) == (1, 2, 0)
    assert examples_of(found, "repeated") == ["a"]
    assert examples_of(found, "unknown") == ["y", "z"]


@pytest.mark.parametrize(
    ("conflicts", "labels"), [("refuse", {"b": 1}), ("latest", {"a": 0, "b": 1})]
)
def test_of_labels_that_contradict_each_other_none_counts_or_the_latest(
    conflicts: str, labels: dict[str, int]
) -> None:
    found = built(
        spec_with(conflicts=conflicts),
        {OLD: ["a", "b"]},
        # In whatever order the days are given.
        {NEW: [("a", 0)], OLD: [("a", 1), ("b", 1)]},
    )
    assert labels_of(found) == labels
    assert facts_of(found).conflicting == 1
    assert facts_of(found).labelled == len(labels)
    assert examples_of(found, "conflicting") == ["a"]


def test_cases_are_counted_by_age_in_bands_that_maturity_does_not_cross() -> None:
    cases = {
        "2024-01-01": ["a", "b"],
        "2024-03-01": ["c"],
        "2024-03-20": ["d", "e"],
        "2024-04-01": ["f"],
    }
    labels = {"2024-04-01": [("a", 1), ("c", 0), ("d", 1), ("f", 1)]}
    found = built(spec_with(mature_after=20), cases, labels)
    assert found.late is not None
    counts = [tuple(row.values()) for row in found.late.by_age.to_pylist()]
    assert counts == [
        (0, 6, 1, 1),
        (7, 13, 2, 1),
        (14, 19, 0, 0),
        (20, 29, 0, 0),
        (30, 59, 1, 1),
        (60, 89, 0, 0),
        (90, None, 2, 1),
    ]
    facts = facts_of(found)
    assert (facts.mature, facts.labelled, facts.too_young) == (3, 2, 3)
    assert labels_of(found) == {"a": 1, "c": 0}


def test_labels_of_which_no_case_has_one_are_refused_with_what_is_missing() -> None:
    with pytest.raises(IntakeError) as caught:
        built(spec_with(mature_after=5), {OLD: ["a", "b"]}, {NEW: [("A", 1), ("B", 0)]})
    assert caught.value.what == (
        "not one of 2 cases that are 5 days old has a label; 2 labels are of ids that no case has,"
        " such as 'A'"
    )
    with pytest.raises(IntakeError, match="not one of 1 cases has a label\\. "):
        built(spec_with(), {OLD: ["a"]}, {NEW: [("a", None)]})


def test_values_are_discovered_by_the_cases_whose_labels_came() -> None:
    declared = spec_with().model_dump(mode="json", exclude_unset=True)
    declared["data"]["columns"]["city"] = {"type": "category", "required": True}
    how = {"column": "city", "values": "discover", "minimum_cases": 2}
    spec = AuditSpec.model_validate({**declared, "geography": how})
    cities = ["Bonn", "Bonn", "Ulm", "Ulm", "Jena"]
    days = {
        OLD: pa.table({"case": [*"abcde"], "x": [0.5] * 5, "city": cities}),
    }
    late = {NEW: pa.table({"order": [*"abcf"], "paid": [1, 0, 1, 1]})}

    found = build_evaluation_set(days, spec, late, found_before={"geography": ["Celle"]})

    # Of Ulm one case alone has a label.
    assert found.found == {"geography": ["Celle", "Bonn", "other"]}
    assert found.cases["geography"].to_pylist() == ["Bonn", "Bonn", "other"]
    counted = found.without_label.set_index("geography")["rows"]
    assert counted.to_dict() == {"Celle": 0, "Bonn": 2, "other": 3}
