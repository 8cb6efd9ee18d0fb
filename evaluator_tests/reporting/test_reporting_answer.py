"""What the page opens on: who may go out, what stands against each, and every gate."""

from dataclasses import replace

from evaluator.reporting import DashboardContent
from evaluator.reporting._answer import MAX_CARDS, answers, gate_matrix, not_looked_at
from evaluator.scorecard import TrainingFacts
from evaluator_tests.reporting.made_findings import make_verdict
from evaluator_tests.reporting.shown import judged, many_candidates, section, with_scorecard

REGIONAL = {"level": "geography x segment", "geography": "Eastern", "segment": "regional"}


def _follows(content: DashboardContent) -> str:
    return answers(content)[0].follows


def test_what_follows_names_the_place_and_the_limit_that_decide(content: DashboardContent) -> None:
    recall = make_verdict(
        metric="recall", value=0.31, limit=0.4, minimum=0.4, verdict="FAIL", places=15, failing=2
    )
    recall = replace(recall, **REGIONAL)
    loss = replace(recall, gate="loss", metric="log_loss", minimum=None, maximum=0.4)
    one, two = judged(content, recall), judged(content, loss, replace(recall, gate="again"))
    assert _follows(one) == "Must not go out: recall of Eastern x regional is below 0.4."
    assert _follows(two) == (
        "Must not go out: log loss of Eastern x regional is above 0.4; 1 more required gate fails."
    )
    unsure = [
        replace(verdict, gate=gate, verdict="INSUFFICIENT EVIDENCE")
        for verdict, gate in ((recall, "a"), (loss, "b"), (loss, "c"))
    ]
    assert _follows(judged(content, *unsure)) == (
        "Not decided: recall of Eastern x regional may be below 0.4;"
        " 2 more required gates are open."
    )


def test_a_gate_that_is_no_limit_of_a_metric_is_said_in_its_own_words(
    content: DashboardContent,
) -> None:
    gate = "ROC AUC overall not worse than the baseline's by more than 0.01"
    worse = make_verdict(gate=gate, verdict="FAIL", value=-0.2, limit=-0.01, minimum=-0.01)
    nothing = make_verdict(
        value=None, verdict="INSUFFICIENT EVIDENCE", reason="missing: it crashed" + " (twice)" * 20
    )
    assert _follows(judged(content, worse)) == f"Must not go out: “{gate}” fails."
    assert _follows(judged(content, nothing)) == "Not decided: missing: it crashed."


def test_who_may_go_out_with_reservations_is_not_shown_as_who_may_without(
    content: DashboardContent,
) -> None:
    optional = make_verdict(gate="more", required=False, verdict="FAIL")
    plain = answers(judged(content, make_verdict()))[0]
    reserved = answers(judged(content, make_verdict(), optional))[0]
    assert (plain.kind, plain.follows) == ("good", "May go out: the required gate passes.")
    assert (reserved.kind, reserved.follows) == (
        "but",
        "May go out, with reservations: the required gate passes.",
    )
    top = section(judged(content, make_verdict(), optional), "outcome")
    assert "With 1 optional gate failed optional gate, FAIL: more" in top


def test_a_candidate_stands_with_its_figures_and_where_it_is_worst(
    content: DashboardContent,
) -> None:
    measured = content.scorecard.measurements.set_index(["candidate", "level", "metric"])
    row = measured.loc[("schedule_only", "overall", "recall")]
    top = section(content, "outcome")
    assert f"recall {row['value']:.3f} {row['low']:.3f} to {row['high']:.3f}" in top
    forest = next(one for one in answers(content) if one.candidate.name == "random_forest")
    assert forest.worst.startswith("Mountain x ")
    assert len(forest.figures) == 5


def test_what_got_worse_since_the_last_certificate_is_named(content: DashboardContent) -> None:
    looked_at = (content.scorecard.worsened["candidate"] == "random_forest").sum()
    said = {answer.candidate.name: answer.since for answer in answers(content)}
    assert said["random_forest"] == f"worse on 2 of {looked_at} slices: all cases, carrier = AA"
    calm = with_scorecard(content, worsened=content.scorecard.worsened.assign(status="not_shown"))
    assert answers(calm)[0].since == f"none of {looked_at} slices is shown to be worse"
    first = with_scorecard(content, worsened=content.scorecard.worsened.iloc[:0])
    assert "last certificate" not in section(first, "outcome")


def test_what_is_known_of_training_is_said_once_where_it_is_the_same(
    content: DashboardContent,
) -> None:
    assert "Each candidate may have seen the cases in training: nobody checked" in section(
        content, "outcome"
    )
    seen = TrainingFacts(cases=100, evaluated=100, by_id=3, found=3)
    known = with_scorecard(content, training={"random_forest": seen})
    top = section(known, "outcome")
    assert "random_forest saw 3 of 100 cases in training (3 by id)." in top
    assert "gradient_boosting, logistic_regression, schedule_only may have seen" in top


def test_of_many_candidates_the_best_come_first_and_are_the_rows(content: DashboardContent) -> None:
    many = many_candidates(content, 12)
    found = answers(many)
    outcomes = [answer.outcome.outcome for answer in found]
    order = ["certified", "undecided", "not certified"]
    assert outcomes == sorted(outcomes, key=order.index)
    values = [
        answer.figures[0][1].value or 0
        for answer in found
        if answer.outcome.outcome == "certified" and answer.figures[0][1]
    ]
    assert values == sorted(values, reverse=True)
    matrix = gate_matrix(many, found)
    assert matrix is not None
    assert matrix.corner == "Candidate"
    assert [head.title for head, _ in matrix.rows] == [one.candidate.name for one in found]
    few = gate_matrix(content, answers(content))
    assert few is not None
    assert [head.title for head in few.columns] == [one.name for one in content.candidates]
    assert len(content.candidates) <= MAX_CARDS


def test_the_matrix_says_where_a_gate_is_worst_and_for_whom_it_is_not(
    content: DashboardContent,
) -> None:
    slices = make_verdict(gate="accuracy of each slice", verdict="FAIL", places=15, failing=2)
    changed = judged(
        content,
        make_verdict(gate="optional", required=False),
        replace(slices, **REGIONAL),
        make_verdict(gate="for another", candidate="random_forest"),
    )
    matrix = gate_matrix(changed, answers(changed))
    assert matrix is not None
    assert [head.title for head, _ in matrix.rows] == [
        "accuracy of each slice",
        "for another",
        "optional",
    ]
    first, second, _ = (cells for _, cells in matrix.rows)
    assert first[0] is not None
    assert first[0].where == "Eastern x regional; 2 of 15 fail"
    assert second[0] is None
    top = section(changed, "outcome")
    assert "FAIL 0.900 0.880 to 0.920 Eastern x regional; 2 of 15 fail not for it" in top


def test_two_gates_of_the_same_words_both_stand(content: DashboardContent) -> None:
    twice = judged(content, make_verdict(), make_verdict(verdict="FAIL"))
    matrix = gate_matrix(twice, answers(twice))
    assert matrix is not None
    assert len(matrix.rows) == 2


def test_what_there_is_nothing_of_says_what_to_supply(content: DashboardContent) -> None:
    assert not_looked_at(content) == []
    scorecard = {
        name: getattr(content.scorecard, name).iloc[:0]
        for name in ("comparisons", "fairness", "weak_slices")
    }
    bare = with_scorecard(replace(content, verdicts=[]), **scorecard, weak_searches={})
    assert [name for name, *_ in not_looked_at(bare)] == [
        "Gates",
        "Comparison",
        "Fairness",
        "Weak slices",
    ]
    assert "Gates: gates in the YAML say what must hold." in section(bare, "outcome")
