"""Whatever does not follow from the stored predictions is found, with digests that fit."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from evaluator.certification import EvaluationSetSummary, Ledger, Outcome, TrustedKeys, Waiver
from evaluator.certification._comparing import compare_tables
from evaluator.certification._recomputation import recompute
from evaluator.certification._statement import Discrepancy, EvidenceItem
from evaluator.certification._stored_evidence import StoredEvidence
from evaluator.evidence import digest_of_bytes
from evaluator.scorecard import (
    ADDITIONAL_MEASUREMENTS,
    COMPARISONS,
    DAYS,
    FAIRNESS,
    MEASUREMENTS,
    PAIRS,
    RANKS,
    WEAK_SLICES,
    DayFacts,
)
from evaluator.spec import AuditSpec
from evaluator_tests.certification.checking import check, check_all, key_of, problems
from evaluator_tests.certification.evidence_folder import (
    AUDIT,
    LATER,
    NOW,
    Builder,
    Issued,
)
from evaluator_tests.certification.evidence_spec import KEYS, SPEC


def no_recomputation(_: object, _entries: object) -> Iterator[Discrepancy]:
    return iter(())


def test_figures_that_do_not_follow_from_the_predictions_are_found(tmp_path: Path) -> None:
    class Flattering(Builder):
        def figures(self, frames: Mapping[tuple[str, str], pd.DataFrame]) -> pd.DataFrame:
            figures = super().figures(frames)
            is_it = (figures["candidate"] == "two") & (figures["metric"] == "accuracy")
            figures.loc[is_it & (figures["level"] == "overall"), "value"] = 0.93
            return figures

    issued = Flattering(tmp_path).issue(key_of())
    report = check(issued, "two")
    assert report.result == "FAILED"
    found = problems(report)
    assert "two, overall, accuracy: value is 0.93, recomputed" in found
    assert "figures.parquet" in found
    assert "verdicts: certificate" in found
    # The other checks find nothing: only counting again does.
    assert check(issued, "two", recompute_again=no_recomputation).is_verified


class EarlierCalculation(Builder):
    """What an earlier program issued, which computed one interval in another way."""

    score_version = "earlier"

    def figures(self, frames: Mapping[tuple[str, str], pd.DataFrame]) -> pd.DataFrame:
        figures = super().figures(frames)
        return figures.assign(low=figures["low"].where(figures["metric"] != "accuracy", 0.5))


def test_figures_of_another_calculation_are_not_reproduced_and_not_verified(tmp_path: Path) -> None:
    report = check(EarlierCalculation(tmp_path).issue(key_of()))
    assert report.result == "NOT REPRODUCED"
    assert not report.is_intact
    assert "accuracy: low is 0.5, recomputed" in problems(report)
    assert any(
        "Check it with the program that made it: evaluator 0.1.0" in c for c in report.cautions
    )


def test_another_calculation_explains_no_other_problem(tmp_path: Path) -> None:
    class Choosy(EarlierCalculation):
        def predictions(self, candidate: str, key: str) -> pd.DataFrame:
            frame = super().predictions(candidate, key)
            return frame[frame["label"] == frame["prediction"]]

    assert check(Choosy(tmp_path / "choosy").issue(key_of())).result == "FAILED"
    issued = EarlierCalculation(tmp_path / "issued").issue(key_of())
    assert check(issued, trusted=TrustedKeys.of(key_of(2).public)).result == "FAILED"


def test_another_calculation_with_the_same_figures_is_verified(tmp_path: Path) -> None:
    class Same(Builder):
        score_version = "earlier"

    report = check(Same(tmp_path).issue(key_of()))
    assert report.result == "VERIFIED"
    assert not any("calculation" in caution for caution in report.cautions)


def clustered() -> AuditSpec:
    """Declare which cases of the small audit depend on each other."""
    declared = SPEC.model_dump(mode="json", exclude_unset=True)
    declared["data"]["cluster"] = "household"
    return AuditSpec.model_validate(declared)


def test_figures_of_clustered_cases_are_recomputed_by_cluster(tmp_path: Path) -> None:
    issued = Builder(tmp_path, clustered()).issue(key_of())
    report = check(issued)
    assert report.is_verified
    assert any("assumes     cases are clustered by household" in line for line in report.to_lines())


def test_figures_of_clustered_cases_that_were_taken_as_independent_are_found(
    tmp_path: Path,
) -> None:
    builder = Builder(tmp_path, clustered())
    builder.cluster = None
    found = problems(check(builder.issue(key_of())))
    assert "figures.parquet: one, " in found
    assert "verdicts: certificate: recall: low is" in found


def test_a_certificate_that_conceals_what_it_takes_for_granted_is_found(tmp_path: Path) -> None:
    class Concealing(Builder):
        def summary(self, digest: str) -> EvaluationSetSummary:
            return replace(super().summary(digest), cluster=None)

    found = problems(check(Concealing(tmp_path, clustered()).issue(key_of())))
    assert "its cases' cluster is None, and the audit declares household" in found
    assert "its assumptions are not those of the audit: cases are clustered by household" in found


def test_columns_that_an_earlier_version_did_not_store_are_not_missed(tmp_path: Path) -> None:
    class Earlier(Builder):
        def figures(self, frames: Mapping[tuple[str, str], pd.DataFrame]) -> pd.DataFrame:
            return super().figures(frames).drop(columns=["clusters", "design_effect"])

    assert check(Earlier(tmp_path).issue(key_of())).is_verified


def test_labels_that_differ_from_the_evaluation_set_are_found(tmp_path: Path) -> None:
    class Relabelled(Builder):
        def predictions(self, candidate: str, key: str) -> pd.DataFrame:
            frame = super().predictions(candidate, key)
            return frame.assign(label=frame["prediction"]) if candidate == "two" else frame

    found = problems(check(Relabelled(tmp_path).issue(key_of()), "two"))
    assert "have another label there" in found
    assert "two_predictions" in found


def test_cases_that_were_left_out_are_found(tmp_path: Path) -> None:
    class Choosy(Builder):
        def predictions(self, candidate: str, key: str) -> pd.DataFrame:
            frame = super().predictions(candidate, key)
            return frame[frame["label"] == frame["prediction"]] if candidate == "two" else frame

    found = problems(check(Choosy(tmp_path).issue(key_of()), "two"))
    assert "and the slice has 20" in found


def test_a_slice_that_is_called_current_without_predictions_is_found(tmp_path: Path) -> None:
    class Hopeful(Builder):
        def slices(self, states: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
            return super().slices(states).assign(state="current")

    found = problems(check(Hopeful(tmp_path).issue(key_of()), "two"))
    assert "two on south|new is called current" in found


def test_a_slice_that_is_left_out_of_the_list_is_found(tmp_path: Path) -> None:
    class Forgetful(Builder):
        def slices(self, states: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
            slices = super().slices(states)
            return slices[slices["state"] == "current"]

    found = problems(check(Forgetful(tmp_path).issue(key_of()), "two"))
    assert "it lists 7 slices, and the audit has 8" in found


def _changed(
    name: str, column: str, value: float | str
) -> Callable[[dict[str, pd.DataFrame]], None]:
    def change(tables: dict[str, pd.DataFrame]) -> None:
        table = tables[name].copy()
        first = table.index[0]
        if column == "level":
            tables[name] = table.drop(index=first)
            return
        assert table.loc[first, column] != value
        table.loc[first, column] = value
        tables[name] = table

    return change


@pytest.mark.parametrize(
    ("change", "file", "what"),
    [
        (_changed(COMPARISONS, "difference", 0.2), COMPARISONS, "difference is 0.2"),
        (_changed(COMPARISONS, "conclusion", "better"), COMPARISONS, "conclusion is better"),
        (_changed(COMPARISONS, "level", "gone"), COMPARISONS, "rows for other places"),
        (_changed(PAIRS, "p_adjusted", 0.5), PAIRS, "p_adjusted is 0.5"),
        (_changed(RANKS, "rank", 7), RANKS, "rank is 7"),
        (_changed(FAIRNESS, "value", 0.001), FAIRNESS, "value is 0.001"),
        (_changed(FAIRNESS, "status", "undefined"), FAIRNESS, "status is undefined"),
        (_changed(WEAK_SLICES, "excess", 0.0), WEAK_SLICES, "excess is 0.0"),
        (_changed(WEAK_SLICES, "status", "too_few"), WEAK_SLICES, "status is too_few"),
        (
            _changed(ADDITIONAL_MEASUREMENTS, "value", 0.97),
            ADDITIONAL_MEASUREMENTS,
            "value is 0.97",
        ),
    ],
)
def test_a_forged_table_with_digests_that_fit_is_found(
    tmp_path: Path, change: Callable[[dict[str, pd.DataFrame]], None], file: str, what: str
) -> None:
    class Forging(Builder):
        def findings(self, tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
            change(tables)
            return tables

    issued = Forging(tmp_path).issue(key_of())
    found = problems(check(issued, "two" if file in {COMPARISONS, PAIRS, RANKS} else "one"))
    assert file in found
    assert what in found
    assert check(issued, recompute_again=no_recomputation).is_verified


def three(**compare: Any) -> AuditSpec:
    """Declare a third candidate, and how all are compared."""
    declared = SPEC.model_dump(mode="json", exclude_unset=True)
    third = declared["candidates"][1] | {"name": "three", "path": "models/three.skops"}
    declared["candidates"].append(third)
    return AuditSpec.model_validate(declared | {"compare": compare})


def forging(
    folder: Path, spec: AuditSpec, change: Callable[[dict[str, pd.DataFrame]], None]
) -> Issued:
    class Forging(Builder):
        def findings(self, tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
            change(tables)
            return tables

    return Forging(folder, spec).issue(key_of())


COMPARED = [{}, {"margin": 0.2}, {"adjust": "benjamini_hochberg"}]


@pytest.mark.slow
@pytest.mark.parametrize("compare", COMPARED, ids=str)
def test_each_of_several_candidates_is_verified_alone_and_all_of_them_at_once(
    tmp_path: Path, compare: dict[str, Any]
) -> None:
    issued = Builder(tmp_path, three(**compare)).issue(key_of())
    for name in ("one", "two", "three"):
        report = check(issued, name)
        assert problems(report) == ""
        assert report.is_verified
        others = {"one": "two, three", "two": "three", "three": "two"}[name]
        assert f"of other candidates ({others}), and its ranks, was" in report.not_checked[0]
    reports = check_all(issued, "two")
    assert [r.statement and r.statement.predicate.candidate.name for r in reports] == [
        "two",
        "one",
        "three",
    ]
    for report in reports:
        assert problems(report) == ""
        assert report.is_verified
        assert report.not_checked == ()


def test_only_what_one_candidate_rests_on_is_needed_to_verify_it(tmp_path: Path) -> None:
    issued = Builder(tmp_path, three()).issue(key_of())
    for asset in ("three_model", "three_predictions", "three_slice_metrics"):
        shutil.rmtree(tmp_path / AUDIT / asset)
    assert check(issued, "two").is_verified
    assert "three_predictions" in problems(check(issued, "three"))
    assert not any(report.is_intact for report in check_all(issued, "two"))


def _in_row(name: str, candidate: str, column: str, value: object) -> Any:
    def change(tables: dict[str, pd.DataFrame]) -> None:
        table = tables[name].copy()
        row = table.index[(table["candidate"] == candidate).to_numpy()][-1]
        assert table.loc[row, column] != value
        table.loc[row, column] = value
        tables[name] = table

    return change


@pytest.mark.slow
@pytest.mark.parametrize(
    ("compare", "name", "column", "value"),
    [
        ({}, COMPARISONS, "difference", 0.123),
        ({}, COMPARISONS, "p_adjusted", 0.123),
        ({"adjust": "benjamini_hochberg"}, COMPARISONS, "low_adjusted", -0.987),
        ({"margin": 0.2}, COMPARISONS, "conclusion", "better"),
        ({}, FAIRNESS, "value", 0.123),
        ({}, ADDITIONAL_MEASUREMENTS, "value", 0.123),
    ],
)
def test_a_forged_row_is_found_with_its_own_candidate_and_with_all_and_not_with_another(
    tmp_path: Path, compare: dict[str, Any], name: str, column: str, value: object
) -> None:
    issued = forging(tmp_path, three(**compare), _in_row(name, "two", column, value))
    assert f"{column} is {value}, recomputed" in problems(check(issued, "two"))
    assert check(issued, "three").is_verified
    for report in check_all(issued, "three"):
        assert f"{column} is {value}, recomputed" in problems(report)
        assert not report.is_intact


def test_forged_ranks_are_found_with_all(tmp_path: Path) -> None:
    issued = forging(tmp_path, three(), _in_row(RANKS, "two", "rank", 7))
    assert check(issued, "two").is_verified
    assert "rank is 7" in problems(check_all(issued)[0])


def test_a_candidate_of_too_few_slices_is_listed_as_not_compared(tmp_path: Path) -> None:
    class Sparse(Builder):
        def __init__(self, folder: Path, spec: AuditSpec) -> None:
            super().__init__(folder, spec)
            self.absent = {("three", key) for key in KEYS[1:]}

    issued = Sparse(tmp_path / "honest", three()).issue(key_of())
    assert all(problems(check(issued, name)) == "" for name in ("one", "two", "three"))

    class Forging(Sparse):
        def findings(self, tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
            _in_row(COMPARISONS, "three", "conclusion", "better")(tables)
            return tables

    forged = Forging(tmp_path / "forged", three()).issue(key_of())
    assert "rows for other places" in problems(check(forged, "three"))


def test_a_candidate_without_any_result_has_no_row(tmp_path: Path) -> None:
    class Absent(Builder):
        def __init__(self, folder: Path, spec: AuditSpec) -> None:
            super().__init__(folder, spec)
            self.absent = {("three", key) for key in KEYS}

    issued = Absent(tmp_path, three()).issue(key_of())
    assert all(report.is_intact for report in check_all(issued))
    assert problems(check(issued, "three")) == ""


def test_a_certificate_that_was_issued_with_others_and_is_gone_is_told(tmp_path: Path) -> None:
    issued = Builder(tmp_path, three()).issue(key_of())
    (tmp_path / issued.paths["three"]).unlink()
    found = problems(check_all(issued)[0])
    assert f"{issued.paths['three']}: it was issued with this one, and is gone" in found


def test_a_search_that_is_said_to_have_gone_further_is_found(tmp_path: Path) -> None:
    class Boasting(Builder):
        def searches(self, found: Mapping[str, dict[str, Any]]) -> Mapping[str, dict[str, Any]]:
            return {**found, "two": {**found["two"], "tested": 400}}

    found = problems(check(Boasting(tmp_path).issue(key_of()), "two"))
    assert "the search of two: tested is 400" in found


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"quarantined": 1}, "quarantined is 1, and its profile says 2"),
        ({"rows": 900}, "rows is 900, and its profile says 82"),
        ({"drift": None}, "its drift is not what its profile says"),
        ({"is_reference": True}, "others are the reference"),
        ({"day": "2026-01-02"}, "2026-01-01 is missing from it"),
    ],
)
def test_facts_about_days_that_their_reports_do_not_say_are_found(
    tmp_path: Path, changes: dict[str, Any], what: str
) -> None:
    class Bending(Builder):
        def days(self) -> list[DayFacts]:
            return [replace(day, **changes) for day in super().days()]

    issued = Bending(tmp_path).issue(key_of())
    found = problems(check(issued))
    assert DAYS in found
    assert what in found
    assert check(issued, recompute_again=no_recomputation).is_verified


WAIVED_GATE = "accuracy overall at least 0.6"


def test_a_waiver_shows_in_the_next_certificate_and_changes_no_verdict(tmp_path: Path) -> None:
    builder = Builder(tmp_path)
    first = builder.issue(key_of())
    before = check(first, "two")
    assert before.statement is not None
    assert WAIVED_GATE in {gate.gate for gate in before.statement.predicate.gates}
    Ledger(first.url, AUDIT).append(
        "waiver",
        subject=digest_of_bytes(first.certificates["two"]),
        author="Ada",
        reason="a pilot",
        body={"gate": WAIVED_GATE, "until": LATER},
        now=NOW - timedelta(seconds=1),
        key=first.key,
    )
    second = builder.issue(key_of())
    report = check(second, "two")
    assert problems(report) == ""
    assert report.is_verified
    assert report.statement is not None
    judged = report.statement.predicate.candidate
    assert judged.outcome == "not certified"
    assert judged.in_words.startswith("not certified, with 1 waived gate (without it ")
    assert judged.named[0] == f"waived until 2026-02-02 by Ada (a pilot): {WAIVED_GATE}"
    assert report.statement.predicate.gates == before.statement.predicate.gates

    # Format 1 said it before the reason, and is held against the ledger as well.
    entries = Ledger(second.url, AUDIT).entries()
    said = (
        f"WITH 1 WAIVED GATE: {WAIVED_GATE} until 2026-02-02 by Ada (a pilot); without it"
        f" undecided, as it stands not certified: {judged.reason}"
    )
    for reason, found in ((said, 0), (judged.reason, 1)):
        old = judged.model_copy(update={"qualified_by": None, "reason": reason})
        predicate = report.statement.predicate.model_copy(update={"candidate": old})
        problems_of_old = list(recompute(StoredEvidence(second.url, predicate), entries))
        assert len(problems_of_old) == found
        assert all("its waivers are not the ledger's" in one.what for one in problems_of_old)


def test_a_waiver_that_nobody_entered_is_found(tmp_path: Path) -> None:
    class Waiving(Builder):
        def waivers(self, ledger: Ledger, names: Sequence[str]) -> list[Waiver]:
            assert super().waivers(ledger, names) == []
            made_up = Waiver(
                candidate="two", gate=WAIVED_GATE, waived_by="Ada", reason="a pilot", until=LATER
            )
            return [made_up]

    found = problems(check(Waiving(tmp_path).issue(key_of()), "two"))
    assert "what qualifies its outcome is 1 waived gate" in found
    assert f"waived until 2026-02-02 by Ada (a pilot): {WAIVED_GATE}" in found


def test_a_waiver_that_is_said_to_last_longer_is_found(tmp_path: Path) -> None:
    class Stretching(Builder):
        def waivers(self, ledger: Ledger, names: Sequence[str]) -> list[Waiver]:
            found = super().waivers(ledger, names)
            return [replace(one, until=one.until + timedelta(seconds=1)) for one in found]

    builder = Stretching(tmp_path)
    first = builder.issue(key_of())
    Ledger(first.url, AUDIT).append(
        "waiver",
        subject=digest_of_bytes(first.certificates["two"]),
        author="Ada",
        reason="a pilot",
        body={"gate": WAIVED_GATE, "until": LATER},
        now=NOW - timedelta(seconds=1),
        key=first.key,
    )
    assert "what qualifies its outcome is" in problems(check(builder.issue(key_of()), "two"))


@pytest.mark.parametrize(
    ("field", "gone"),
    [
        ("optional_failed", "optional gate, FAIL: recall overall at least 0.999"),
        ("gaps_failed", "fairness gap, FAIL: accuracy gap (difference) by country, 1 group"),
        ("weak_slices", "weak slice: amount"),
    ],
)
def test_what_qualifies_an_outcome_and_is_left_out_is_found(
    tmp_path: Path, field: str, gone: str
) -> None:
    class Silent(Builder):
        def __init__(self, folder: Path, spec: AuditSpec) -> None:
            super().__init__(folder, spec)
            self.absent = set()
            amount, label = self.cases["data.amount"], self.cases["label"]
            is_wrong = (self.cases["geography"] == "south") | (amount > 0.3)
            self.scores["two"] = label.where(~is_wrong, 1 - label).to_numpy(dtype=float)

        def outcomes(self, decided: Sequence[Outcome]) -> Sequence[Outcome]:
            return [
                replace(one, qualified_by=replace(one.qualified_by, **{field: ()}))
                for one in decided
            ]

    fairness = SPEC.fairness and SPEC.fairness.model_copy(update={"limit_difference": 0.001})
    spec = SPEC.model_copy(update={"fairness": fairness})
    found = problems(check(Silent(tmp_path, spec).issue(key_of()), "two"))
    said, _, again = found.partition(", recomputed ")
    assert "what qualifies its outcome is" in said
    assert gone not in said
    assert gone in again


def test_figures_of_two_classes_that_changed_places_are_found() -> None:
    where = {"candidate": "one", "level": "overall", "geography": None, "segment": None}
    rows = pd.DataFrame(
        {**where, "metric": "class_recall", "class": ["low", "high"], "value": [0.1, 0.9]}
    )
    forged = {MEASUREMENTS: rows.assign(value=[0.9, 0.1])}
    item = EvidenceItem.model_construct(folder="shop")
    found = compare_tables(item, forged, {MEASUREMENTS: rows}, among_others=False)
    assert [one.what for one in found] == [
        "one, overall, class_recall, high: value is 0.1, recomputed 0.9",
        "one, overall, class_recall, low: value is 0.9, recomputed 0.1",
    ]
