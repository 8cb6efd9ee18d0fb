"""Fairness: what is compared with what, what is not known, and what is refused."""

import tracemalloc
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from evaluator.metrics import FAIRNESS_MEASURES, MetricsInputError, fairness, slice_metrics


def cases_of(**groups: tuple[int, int, int, int]) -> pd.DataFrame:
    """Make cases from each group's true positives, missed, false positives, true negatives."""
    outcomes = [(1, 1), (1, 0), (0, 1), (0, 0)]
    return pd.DataFrame(
        [
            {"group": group, "label": label, "prediction": prediction}
            for group, counts in groups.items()
            for (label, prediction), count in zip(outcomes, counts, strict=True)
            for _ in range(count)
        ]
    )


def measured(frame: pd.DataFrame, **arguments: Any) -> pd.DataFrame:
    """Measure fairness on the columns that the tests use."""
    given_ = {"label": "label", "prediction": "prediction", "attributes": ["group"]} | arguments
    return fairness(frame, **given_)


def only(gaps: pd.DataFrame, **values: Any) -> Any:
    """Give the one row with these values."""
    for name, value in values.items():
        gaps = gaps[gaps[name] == value]
    assert len(gaps) == 1, gaps
    return gaps.iloc[0]


def random_cases(rows: int, seed: int = 0) -> pd.DataFrame:
    """Make cases with scores, two attributes and a control column."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "group": random.choice(["a", "b", "c"], rows),
            "age": random.choice(["old", "young"], rows),
            "site": random.choice(["n", "s", "w"], rows),
            "label": random.integers(0, 2, rows),
        }
    )
    frame["score"] = np.clip(0.3 * frame["label"] + 0.7 * random.random(rows), 0, 1)
    return frame.assign(prediction=(frame["score"] > 0.5).astype(int))


# What other libraries answer wrongly.


def test_a_group_without_positives_has_no_true_positive_rate() -> None:
    gaps = measured(cases_of(a=(40, 10, 20, 50), b=(0, 0, 30, 70)))
    row = only(gaps, measure="equal_opportunity", comparison="difference", group="b")
    assert np.isnan([row["value"], row["low"], row["high"], row["group_value"]]).all()
    assert (row["status"], row["reason"]) == ("undefined", "no positive labels")
    back = only(gaps, measure="equal_opportunity", comparison="difference", group="a")
    assert (back["status"], back["reason"]) == ("undefined", "no positive labels in the reference")
    assert (back["group_value"], np.isnan(back["reference_value"])) == (0.8, True)


def test_a_group_of_one_class_is_not_perfectly_fair() -> None:
    # All negative and all rejected: libraries give such groups a difference of 0.
    gaps = measured(cases_of(a=(40, 10, 20, 50), b=(0, 0, 0, 100)), measures=["equalised_odds"])
    assert (gaps["status"] == "undefined").all()
    assert gaps["value"].isna().all()


def test_two_groups_of_the_same_one_class_are_not_perfectly_fair() -> None:
    gaps = measured(
        cases_of(a=(0, 0, 0, 100), b=(0, 0, 0, 100)),
        measures=["equal_opportunity", "equalised_odds", "predictive_parity", "treatment_equality"],
    )
    assert (gaps["status"] == "undefined").all()
    assert gaps["value"].isna().all()
    assert gaps["reason"].notna().all()


@pytest.mark.parametrize("reference", ["best", "overall"])
def test_a_single_group_is_not_perfectly_fair(reference: Any) -> None:
    gaps = measured(cases_of(a=(40, 10, 20, 50)), reference=reference)
    assert (gaps["status"] == "undefined").all()
    assert gaps["value"].isna().all()
    assert (gaps["reason"] == "there is no other group to compare with").all()


def test_two_groups_of_which_nobody_was_selected_have_no_ratio() -> None:
    gaps = measured(cases_of(a=(0, 50, 0, 50), b=(0, 50, 0, 50)), measures=["demographic_parity"])
    ratio = only(gaps, comparison="ratio", group="a")
    assert ratio["status"] == "undefined"
    difference = only(gaps, comparison="difference", group="a")
    assert (difference["value"], difference["status"]) == (0, "ok")


def test_few_cases_give_a_value_and_no_interval() -> None:
    gaps = measured(cases_of(a=(40, 10, 20, 50), b=(3, 1, 3, 20)), measures=["equal_opportunity"])
    row = only(gaps, comparison="difference", group="b")
    assert row["value"] == pytest.approx(0.75 - 0.8)
    assert np.isnan([row["low"], row["high"]]).all()
    assert (row["status"], row["reason"]) == ("too_few", "needs 20 positive labels, has 4")


# Values.


def test_every_measure_is_the_gap_of_its_rates() -> None:
    frame = cases_of(a=(40, 10, 20, 130), b=(30, 30, 40, 60))
    gaps = measured(frame, reference={"group": "a"})
    expected = {
        "demographic_parity": (70 / 160, 60 / 200),
        "equal_opportunity": (30 / 60, 40 / 50),
        "predictive_parity": (30 / 70, 40 / 60),
        "accuracy_gap": (90 / 160, 170 / 200),
    }
    for measure, (own, other) in expected.items():
        difference = only(gaps, measure=measure, comparison="difference")
        ratio = only(gaps, measure=measure, comparison="ratio")
        assert difference["value"] == pytest.approx(own - other)
        assert ratio["value"] == pytest.approx(own / other)
        assert ratio["group_value"] == pytest.approx(own)
        assert ratio["reference_value"] == pytest.approx(other)
    odds = only(gaps, measure="equalised_odds", comparison="difference")
    assert odds["value"] == pytest.approx(max(0.3, 40 / 100 - 20 / 150))
    odds = only(gaps, measure="equalised_odds", comparison="ratio")
    assert odds["value"] == pytest.approx(min(0.5 / 0.8, (20 / 150) / 0.4))
    treatment = only(gaps, measure="treatment_equality", comparison="ratio")
    assert treatment["value"] == pytest.approx((30 / 40) / (10 / 20))
    treatment = only(gaps, measure="treatment_equality", comparison="difference")
    assert treatment["value"] == pytest.approx(30 / 70 - 10 / 30)


def test_group_values_are_those_of_the_scorecard() -> None:
    frame = random_cases(900)
    gaps = measured(frame, attributes=["group", "age"], measures=["equal_opportunity"])
    card = slice_metrics(
        frame,
        label="label",
        prediction="prediction",
        slices=["group", "age"],
        metrics=["recall"],
    )
    cross = card[card["level"] == "group x age"]
    words = cross["group"].astype(str) + " x " + cross["age"].astype(str)
    expected = dict(zip(words, cross["value"], strict=True))
    found = gaps[(gaps["attribute"] == "group x age") & (gaps["comparison"] == "difference")]
    assert dict(zip(found["group"], found["group_value"], strict=True)) == pytest.approx(expected)


def test_the_calibration_gap_is_mean_score_minus_share_of_positives() -> None:
    frame = random_cases(600)
    gaps = measured(frame, score="score", measures=["calibration_gap"], reference={"group": "a"})
    excess = (frame["score"] - frame["label"]).groupby(frame["group"]).mean()
    for group in "bc":
        assert only(gaps, group=group)["value"] == pytest.approx(excess[group] - excess["a"])
    assert set(gaps["comparison"]) == {"difference"}


def test_a_regression_compares_mean_residuals() -> None:
    frame = random_cases(600)
    frame["prediction"] = frame["score"] + np.where(frame["group"] == "b", 0.4, 0.0)
    row = only(measured(frame, label="score", task="regression"), group="a", reference="b")
    assert row["value"] == pytest.approx(-0.4)
    # The residuals have no spread at all here, and so the spread is not known.
    assert row["status"] == "too_few"
    frame["prediction"] += np.random.default_rng(0).normal(0, 0.1, len(frame))
    row = only(measured(frame, label="score", task="regression"), group="a", reference="b")
    assert -0.5 < row["low"] < -0.4 < row["high"] < -0.3


@pytest.mark.parametrize("design", [{}, {"weight": "weight"}, {"cluster": "cluster"}])
def test_a_regression_compares_shares_within_the_tolerance_as_accuracies_are(
    design: dict[str, str],
) -> None:
    frame = random_cases(900)
    draws = np.random.default_rng(4)
    frame = frame.assign(
        weight=draws.integers(1, 4, len(frame)), cluster=draws.integers(0, 90, len(frame))
    )
    frame["prediction"] = frame["score"] + draws.normal(0, 0.2, len(frame))
    frame["right"] = (abs(frame["prediction"] - frame["score"]) <= 0.15).astype(int)
    near = measured(frame, label="score", task="regression", tolerance=0.15, **design)
    found = near[near["measure"] == "tolerance_gap"].reset_index(drop=True)
    assert set(found["comparison"]) == {"difference", "ratio"}
    # The same cases as decisions that are right or wrong.
    right = measured(
        frame.assign(always=1), label="always", prediction="right", measures=["accuracy_gap"],
        **design,
    )  # fmt: skip
    pd.testing.assert_frame_equal(
        found.drop(columns="measure"), right.drop(columns="measure").reset_index(drop=True)
    )
    shares = frame["right"].groupby(frame["group"]).mean()
    if not design:
        assert only(found, comparison="difference", group="b")["group_value"] == shares["b"]
    # Without a tolerance there is none, and who asks for it is told.
    assert set(measured(frame, label="score", task="regression")["measure"]) == {"mean_residual"}
    with pytest.raises(MetricsInputError, match="'tolerance_gap' needs `tolerance`"):
        measured(frame, label="score", task="regression", measures=["tolerance_gap"])


def test_each_class_of_a_multiclass_candidate_is_measured_against_the_rest() -> None:
    random = np.random.default_rng(5)
    frame = random_cases(900).assign(label=random.choice(["x", "y", "z"], 900))
    frame["prediction"] = frame["label"].where(random.random(900) < 0.7, "x")
    gaps = measured(frame, task="multiclass_classification", reference={"group": "a"})
    for value in "xyz":
        binary = frame.assign(
            label=(frame["label"] == value).astype(int),
            prediction=(frame["prediction"] == value).astype(int),
        )
        names = ["demographic_parity", "equalised_odds", "treatment_equality"]
        alone = measured(binary, measures=names, reference={"group": "a"})
        same = gaps[(gaps["class"] == value) & gaps["measure"].isin(names)]
        columns = ["measure", "comparison", "group", "value", "low", "high", "status", "reason"]
        pd.testing.assert_frame_equal(
            same[columns].reset_index(drop=True), alone[columns].reset_index(drop=True)
        )
    accuracy = gaps[gaps["measure"] == "accuracy_gap"]
    assert accuracy["class"].isna().all()
    asked = {"task": "multiclass_classification", "reference": {"group": "a"}}
    alone = measured(frame, measures=["accuracy_gap"], **asked)
    pd.testing.assert_frame_equal(alone, accuracy.reset_index(drop=True), check_dtype=False)
    right = (frame["label"] == frame["prediction"]).groupby(frame["group"]).mean()
    row = only(accuracy, comparison="difference", group="b")
    assert row["value"] == pytest.approx(right["b"] - right["a"])


def test_of_many_classes_and_clusters_the_accuracy_is_compared_without_a_table_a_cluster() -> None:
    random = np.random.default_rng(7)
    frame = pd.DataFrame(random.integers(100, size=(20_000, 2)), columns=["label", "prediction"])
    frame["group"] = random.choice(["a", "b"], len(frame))
    frame["source"] = random.integers(2_000, size=len(frame))
    many: dict[str, Any] = {"classes": range(100), "cluster": "source"}
    tracemalloc.start()

    gaps = measured(
        frame,
        task="multiclass_classification",
        measures=["accuracy_gap"],
        reference="overall",
        **many,
    )

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    right = frame["label"] == frame["prediction"]
    row = only(gaps, comparison="difference", group="b")
    assert row["value"] == pytest.approx(right[frame["group"] == "b"].mean() - right.mean())
    # 100 x 100 cells for each of some 4,000 groups of a cluster are 320 MB.
    assert peak < 50e6


def test_multiclass_scores_give_a_calibration_gap_a_class() -> None:
    frame = random_cases(300)
    frame["prediction"] = frame["label"]
    frame["other"] = 1 - frame["score"]
    gaps = measured(
        frame,
        task="multiclass_classification",
        score={1: "score", 0: "other"},
        measures=["calibration_gap"],
    )
    assert set(gaps["class"]) == {0, 1}


# References.


def test_against_the_best_each_group_is_compared_with_the_most_favoured_other() -> None:
    frame = cases_of(a=(60, 0, 0, 40), b=(50, 0, 0, 50), c=(20, 0, 0, 80))
    gaps = measured(frame, measures=["demographic_parity"])
    ratio = gaps[gaps["comparison"] == "ratio"].set_index("group")
    assert dict(ratio["reference"]) == {"a": "b", "b": "a", "c": "a"}
    assert ratio["value"].to_dict() == pytest.approx({"a": 1.2, "b": 5 / 6, "c": 1 / 3})


def test_a_group_of_few_cases_is_not_the_best() -> None:
    frame = cases_of(a=(60, 0, 0, 40), b=(50, 0, 0, 50), tiny=(5, 0, 0, 0))
    gaps = measured(frame, measures=["demographic_parity"])
    assert set(gaps[gaps["group"] == "b"]["reference"]) == {"a"}
    assert set(gaps[gaps["group"] == "tiny"]["status"]) == {"too_few"}


def test_the_best_by_treatment_equality_misses_the_fewest_positives() -> None:
    frame = cases_of(a=(100, 30, 90, 100), b=(100, 90, 30, 100), c=(100, 60, 60, 100))
    gaps = measured(frame, measures=["treatment_equality"])
    assert set(gaps[gaps["group"] != "a"]["reference"]) == {"a"}
    assert set(gaps[gaps["group"] == "a"]["reference"]) == {"c"}


def test_crosses_show_what_single_attributes_hide() -> None:
    frame = pd.concat(
        [
            cases_of(a=(80, 0, 0, 20), b=(20, 0, 0, 80)).assign(age="old"),
            cases_of(a=(20, 0, 0, 80), b=(80, 0, 0, 20)).assign(age="young"),
        ]
    )
    gaps = measured(frame, attributes=["group", "age"], measures=["demographic_parity"])
    single = gaps[gaps["attribute"] != "group x age"]
    assert (single["value"].abs() <= 1).all()
    assert (single.loc[single["comparison"] == "ratio", "high"] > 0.8).all()
    cross = gaps[gaps["attribute"] == "group x age"].query("comparison == 'ratio'")
    assert set(cross[cross["high"] < 0.8]["group"]) == {"a x young", "b x old"}
    named = measured(
        frame,
        attributes=["group", "age"],
        measures=["demographic_parity"],
        reference={"group": "a", "age": "old"},
    )
    assert set(named[named["attribute"] == "group x age"]["reference"]) == {"a x old"}


def test_a_named_reference_whose_cross_has_no_cases_leaves_the_crosses_undefined() -> None:
    frame = pd.concat(
        [
            cases_of(a=(80, 0, 0, 20), b=(20, 0, 0, 80)).assign(age="old"),
            cases_of(b=(80, 0, 0, 20)).assign(age="young"),
        ]
    )
    gaps = measured(
        frame,
        attributes=["group", "age"],
        measures=["demographic_parity"],
        reference={"group": "a", "age": "young"},
    )
    cross = gaps[gaps["attribute"] == "group x age"]
    assert len(cross) == 6
    assert set(cross["status"]) == {"undefined"}
    assert set(cross["reason"]) == {"no rows in the reference"}


def test_a_declared_group_without_cases_is_listed() -> None:
    frame = cases_of(a=(40, 10, 20, 50), b=(30, 20, 20, 50))
    gaps = measured(frame, groups={"group": ["a", "b", "nobody"]})
    nobody = gaps[gaps["group"] == "nobody"]
    assert (nobody["n"] == 0).all()
    assert (nobody["reason"] == "no rows").all()
    assert (nobody["status"] == "undefined").all()


def test_an_empty_frame_gives_declared_groups_or_nothing() -> None:
    nothing = cases_of(a=(1, 0, 0, 0)).head(0)
    assert measured(nothing).empty
    declared = measured(nothing, groups={"group": ["a", "b"]})
    assert set(declared["group"]) == {"a", "b"}
    assert (declared["status"] == "undefined").all()


def test_every_row_without_an_interval_says_why() -> None:
    for rows in (1, 40, 300):
        for reference in ("best", "overall", {"group": "a", "age": "old"}):
            gaps = measured(
                pd.concat([random_cases(rows), cases_of(a=(1, 0, 0, 0)).assign(age="old")]).fillna(
                    {"score": 0.5, "site": "n"}
                ),
                score="score",
                attributes=["group", "age"],
                control=["site"],
                reference=reference,
            )
            assert (gaps["reason"].isna() == (gaps["status"] == "ok")).all()
            assert (gaps["value"].isna() == (gaps["status"] == "undefined")).all()
            assert (gaps["low"].isna() == (gaps["status"] != "ok")).all()
            fine = gaps[gaps["status"] == "ok"]
            assert (fine["low"] <= fine["value"] + 1e-9).all()
            assert (fine["value"] <= fine["high"] + 1e-9).all()


# Control columns.


def test_a_gap_that_a_control_column_explains_disappears_within_it() -> None:
    # Admission by department: each treats all alike, and one group applies where few get in.
    easy = cases_of(a=(240, 0, 0, 60), b=(80, 0, 0, 20)).assign(department="easy")
    hard = cases_of(a=(20, 0, 0, 80), b=(60, 0, 0, 240)).assign(department="hard")
    frame = pd.concat([easy, hard])
    asked: dict[str, Any] = {"measures": ["demographic_parity"], "reference": {"group": "a"}}
    crude = measured(frame, **asked)
    assert (crude["high"] < [-0.1, 0.8]).all()
    controlled = measured(frame, **asked, control=["department"])
    assert (controlled["low"] > [-0.1, 0.8]).all()
    assert list(controlled["value"]) == pytest.approx([0, 1])
    assert list(controlled["strata"]) == [2, 2]


def test_strata_of_one_group_alone_are_counted_and_left_out() -> None:
    both = cases_of(a=(30, 0, 0, 30), b=(30, 0, 0, 30)).assign(site="both")
    alone = cases_of(a=(50, 0, 0, 0)).assign(site="alone")
    gaps = measured(
        pd.concat([both, alone]),
        measures=["demographic_parity"],
        reference={"group": "b"},
        control=["site"],
    )
    row = only(gaps, comparison="difference")
    assert (row["strata"], row["strata_left_out"]) == (1, 1)
    assert (row["n"], row["n_effective"], row["value"]) == (110, 60, 0)


def test_groups_that_never_meet_within_a_stratum_cannot_be_compared() -> None:
    frame = pd.concat(
        [
            cases_of(a=(30, 10, 10, 30)).assign(site="n"),
            cases_of(b=(30, 10, 10, 30)).assign(site="s"),
        ]
    )
    gaps = measured(frame, control="site")
    assert set(gaps["status"]) == {"undefined"}
    assert set(gaps["reason"]) == {"no stratum of the control columns holds cases of both"}


def test_a_control_column_of_one_value_changes_no_value() -> None:
    frame = random_cases(500).assign(nothing="same")
    plain = measured(frame, score="score", reference={"group": "a"})
    controlled = measured(frame, score="score", reference={"group": "a"}, control=["nothing"])
    pd.testing.assert_frame_equal(plain, controlled)


# Symmetries.


tables = st.tuples(*[st.integers(0, 30)] * 4)


@settings(max_examples=15)
@given(tables, tables, st.integers(0, 10))
def test_exchanging_group_and_reference_turns_every_gap_round(
    first: Any, second: Any, seed: int
) -> None:
    frame = cases_of(a=first, b=second)
    if set(frame.get("group", ())) != {"a", "b"}:
        return
    # The order of the rows is nothing that a gap depends on.
    shuffled = frame.sample(frac=1, random_state=seed)
    there = measured(frame, reference={"group": "a"})
    back = measured(shuffled, reference={"group": "b"})
    unsigned = there["measure"] == "equalised_odds"
    ratio = there["comparison"] == "ratio"
    same = there["status"].eq("ok") & back["status"].eq("ok")
    for mine, other in (("value", "value"), ("low", "high"), ("high", "low")):
        pick = same & ~unsigned & ~ratio
        np.testing.assert_allclose(there[mine][pick], -back[other][pick], atol=1e-7)
        pick = same & ~unsigned & ratio
        with np.errstate(divide="ignore"):
            inverse = 1 / back[other][pick]
        np.testing.assert_allclose(there[mine][pick], inverse, rtol=1e-6)
    pick = same & unsigned
    limits = ["value", "low", "high"]
    np.testing.assert_allclose(there.loc[pick, limits], back.loc[pick, limits], atol=1e-7)


def test_the_order_of_rows_changes_nothing() -> None:
    frame = random_cases(200)
    for seed in range(3):
        shuffled = frame.sample(frac=1, random_state=seed)
        pd.testing.assert_frame_equal(
            measured(frame, score="score", control=["site"]),
            measured(shuffled, score="score", control=["site"]),
        )


# Arguments.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"measures": ["nothing"]}, "no fairness measure 'nothing'"),
        ({"measures": ["calibration_gap"]}, "needs a score column"),
        ({"measures": []}, "one or more different names"),
        ({"reference": "worst"}, "reference must be"),
        ({"reference": {"group": "z"}}, "does not occur"),
        ({"reference": {"age": "a"}}, "must name a value of each"),
        ({"confidence": 95}, "between 0 and 1"),
        ({"minimum_support": 0}, "at least 1"),
        ({"task": "clustering"}, "task must be one of"),
        ({"attributes": ["nowhere"]}, "no column 'nowhere'"),
        ({"score": {1: "label"}}, "positive class's score"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(MetricsInputError, match=message):
        measured(cases_of(a=(5, 5, 5, 5), b=(5, 5, 5, 5)), **arguments)


def test_scores_that_are_no_probabilities_are_refused_only_where_they_are_measured() -> None:
    frame = random_cases(100)
    frame["score"] *= 10
    with pytest.raises(MetricsInputError, match="calibration_gap need probabilities"):
        measured(frame, score="score")
    assert len(measured(frame, score="score", measures=["accuracy_gap"]))


def test_every_measure_says_what_it_compares() -> None:
    assert all(name == measure.name for name, measure in FAIRNESS_MEASURES.items())
    assert all(measure.compares.endswith(".") for measure in FAIRNESS_MEASURES.values())
