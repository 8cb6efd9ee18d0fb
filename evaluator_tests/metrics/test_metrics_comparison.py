"""The table of comparisons: its shape, its symmetries, its decisions, and what is refused."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from scipy import stats
from statsmodels.regression.linear_model import WLS
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from evaluator.metrics import (
    METRICS,
    MetricsInputError,
    Task,
    compare_candidates,
    compare_pairs,
    slice_metrics,
)
from evaluator.metrics._estimates import FloatArray
from evaluator_tests.metrics.test_metrics_multiplicity import holm_by_definition

SHOWN = {"better", "worse", "higher", "lower"}
KEYS = ["candidate", "level", "region", "metric"]


def cases(rows: int = 600, seed: int = 1, regions: int = 3) -> pd.DataFrame:
    draws = np.random.default_rng(seed)
    odds = draws.normal(-0.5, 1.5, rows)
    frame = pd.DataFrame(
        {
            "late": (draws.random(rows) < 1 / (1 + np.exp(-odds))).astype(int),
            "region": draws.integers(0, regions, rows),
            "day": draws.integers(0, max(rows // 5, 1), rows),
            "times": draws.integers(1, 4, rows),
        }
    )
    for name, noise in (("good", 0.4), ("fair", 0.8), ("poor", 2.5)):
        frame[name] = 1 / (1 + np.exp(-odds - draws.normal(0, noise, rows)))
    return frame


def compare(frame: pd.DataFrame, *names: str, **changes: Any) -> pd.DataFrame:
    """Compare with the first of the named candidates."""
    scores = {name: name for name in names}
    given = {"label": "late", "scores": scores, "baseline": names[0], "slices": ["region"]}
    return compare_candidates(frame, **(given | changes))


# The shape


def test_the_columns_are_the_contract() -> None:
    table = compare(cases(), "good", "poor")
    assert table.columns.tolist() == [
        "candidate",
        "baseline",
        "level",
        "region",
        "metric",
        "difference",
        "low",
        "high",
        "p_value",
        "p_adjusted",
        "low_adjusted",
        "high_adjusted",
        "p_equivalent",
        "p_not_worse",
        "n",
        "n_effective",
        "clusters",
        "n_discordant",
        "better",
        "worse",
        "higher_is_better",
        "conclusion",
        "status",
        "reason",
    ]
    assert not table.duplicated(KEYS).any()
    assert table.metric.unique().tolist() == [
        name
        for name, info in METRICS.items()
        if "binary_classification" in info.tasks and info.no_paired_test is None
    ]


DESIGNS = [{}, {"cluster": "day"}, {"weight": "times"}, {"weight": "times", "cluster": "day"}]


@pytest.mark.parametrize("changes", [*DESIGNS, {"margin": 0.05}])
def test_nothing_is_missing_without_a_reason(changes: dict[str, Any]) -> None:
    frame = cases(60, regions=8)
    frame.loc[frame.region == 0, "late"] = 1
    table = compare(frame, "good", "poor", **changes)
    fine = table.status == "ok"
    assert set(table.status) == {"ok", "too_few", "undefined"}
    assert (table.reason.isna() == fine).all()
    assert (table.p_value.notna() == fine).all()
    assert (table.p_adjusted.notna() == fine).all()
    assert (table.difference.isna() == (table.status == "undefined")).all()
    assert (table.low.notna() == table.low_adjusted.notna()).all()
    assert table.low[fine].notna().all()
    assert ((table.conclusion == "not compared") == (table.status == "undefined")).all()


@pytest.mark.parametrize("task", ["regression", "multiclass_classification"])
@pytest.mark.parametrize("cluster", [None, "day"])
@settings(max_examples=4)
@given(seed=st.integers(0, 10**6))
def test_tiny_slices_of_other_tasks_are_measured_or_say_why_not(
    seed: int, task: Task, cluster: str | None
) -> None:
    draws = np.random.default_rng(seed)
    rows = int(draws.integers(1, 300))
    frame, scores = _of_classes(rows, seed)
    frame = frame.assign(
        region=draws.geometric(0.4, rows),
        day=np.arange(rows) // 3,
        minutes=draws.integers(0, 4, rows),
        sharp=draws.integers(0, 4, rows) * 1.0,
        blunt=draws.normal(0, 1, rows),
    )
    many = task == "multiclass_classification"
    table = compare_candidates(
        frame,
        label="kind" if many else "minutes",
        scores=scores if many else None,
        predictions=None if many else {"sharp": "sharp", "blunt": "blunt"},
        baseline="sharp",
        slices=["region"],
        task=task,
        cluster=cluster,
        margin=0.1,
    )
    fine = table.status == "ok"
    assert (table.reason.isna() == fine).all()
    assert (table.p_value.notna() == fine).all()
    assert (table.difference.isna() == (table.status == "undefined")).all()
    assert table.loc[fine, ["low", "high", "low_adjusted", "high_adjusted"]].notna().all().all()


@pytest.mark.parametrize("changes", DESIGNS)
def test_differences_are_those_of_the_slice_metrics(changes: dict[str, Any]) -> None:
    frame = cases()
    table = compare(frame, "good", "poor", **changes)
    each = {
        name: slice_metrics(frame, label="late", score=name, slices=["region"], **changes)
        for name in ("good", "poor")
    }
    where = ["level", "region", "metric"]
    joined = table.merge(each["poor"], on=where, suffixes=("", "_poor")).merge(
        each["good"], on=where, suffixes=("", "_good")
    )
    assert len(joined) == len(table)
    np.testing.assert_allclose(joined.difference, joined.value - joined.value_good, atol=1e-12)
    fine = joined.status == "ok"
    assert fine.sum() > 40
    assert (joined.low[fine] <= joined.difference[fine] + 1e-12).all()
    assert (joined.difference[fine] <= joined.high[fine] + 1e-12).all()
    assert (joined.low_adjusted[fine] <= joined.low[fine]).sum() > 40


def test_recall_is_mcnemars_test_among_the_positives_and_flips_are_counted() -> None:
    frame = cases(rows=1000)
    table = compare(frame, "good", "poor", metrics=["accuracy", "recall", "specificity"])
    overall = table[table.level == "overall"].set_index("metric")
    new, old, truth = frame.poor >= 0.5, frame.good >= 0.5, frame.late == 1
    for metric, among in (("accuracy", truth | ~truth), ("recall", truth), ("specificity", ~truth)):
        right, was_right = (new == truth)[among], (old == truth)[among]
        better, worse = int((right & ~was_right).sum()), int((~right & was_right).sum())
        row = overall.loc[metric]
        assert (row.better, row.worse, row.n_discordant) == (better, worse, better + worse)
        assert row.n_effective == among.sum()
        expected = mcnemar([[0, better], [worse, 0]], exact=True).pvalue
        assert row.p_value == pytest.approx(expected)


def test_a_score_that_is_nowhere_tied_may_be_on_any_scale_for_its_ranks() -> None:
    frame = cases()
    stretched = frame.assign(poor=frame.poor**7, good=np.log(frame.good))
    ranks = {"metrics": ["roc_auc", "average_precision"]}
    pd.testing.assert_frame_equal(
        compare(frame, "good", "poor", **ranks), compare(stretched, "good", "poor", **ranks)
    )


# Symmetries


@pytest.mark.parametrize("changes", [*DESIGNS, {"margin": 0.03}])
@settings(max_examples=5)
@given(seed=st.integers(0, 10**6), rows=st.integers(1, 400))
def test_swapping_candidates_turns_every_sign(
    seed: int, rows: int, changes: dict[str, Any]
) -> None:
    frame = cases(rows, seed)
    one = compare(frame, "good", "poor", **changes)
    other = compare(frame, "poor", "good", **changes)
    np.testing.assert_allclose(one.difference, -other.difference, atol=1e-12)
    for low, high in (("low", "high"), ("low_adjusted", "high_adjusted")):
        np.testing.assert_allclose(one[low], -other[high], atol=1e-9)
    for name in ("p_value", "p_adjusted", "p_equivalent"):
        np.testing.assert_allclose(one[name], other[name], rtol=1e-6, atol=1e-12)
    pd.testing.assert_series_equal(one.better, other.worse, check_names=False)
    turned = other.conclusion.replace(
        {"better": "worse", "worse": "better", "higher": "lower", "lower": "higher"}
    )
    told = one.conclusion.isin(SHOWN)
    assert (one.conclusion[told] == turned[told]).all()


@pytest.mark.parametrize("changes", DESIGNS)
@settings(max_examples=4)
@given(seed=st.integers(0, 10**6), rows=st.integers(1, 400))
def test_the_order_of_the_rows_does_not_matter(
    seed: int, rows: int, changes: dict[str, Any]
) -> None:
    frame = cases(rows, seed)
    shuffled = frame.sample(frac=1, random_state=seed)
    pd.testing.assert_frame_equal(
        compare(frame, "good", "poor", **changes),
        compare(shuffled, "good", "poor", **changes),
        rtol=1e-7,
        atol=1e-10,
    )


@pytest.mark.parametrize("adjust", ["holm", "benjamini_hochberg"])
@settings(max_examples=5)
@given(seed=st.integers(0, 10**6))
def test_tests_that_were_made_elsewhere_are_of_the_same_family(seed: int, adjust: str) -> None:
    frame = cases(400, seed)
    whole = compare(frame, "good", "fair", "poor", adjust=adjust)
    of_fair = whole["candidate"] == "fair"
    others = {
        str(metric): p.to_list() for metric, p in whole[~of_fair].groupby("metric")["p_value"]
    }
    alone = compare(frame, "good", "fair", adjust=adjust, others=others)
    pd.testing.assert_frame_equal(alone, whole[of_fair].reset_index(drop=True), rtol=1e-9)
    # What of theirs there is to know of a margin is not said.
    within = compare(frame, "good", "fair", adjust=adjust, others=others, margin=0.05)
    assert within[["p_equivalent", "p_not_worse"]].isna().all(axis=None)


# What is equal by construction


@pytest.mark.parametrize("changes", [*DESIGNS, {"adjust": "benjamini_hochberg"}, {"margin": 0.01}])
def test_a_resubmitted_candidate_is_identical_by_every_metric(changes: dict[str, Any]) -> None:
    frame = cases(1200).assign(twin=lambda all_cases: all_cases.good)
    table = compare(frame, "good", "twin", **changes)
    assert (table.status == "identical").all()
    assert set(table.reason) == {
        "the outputs are equal case by case",
        "the scores rank the cases alike",
    }
    for name in ("difference", "low", "high", "low_adjusted", "high_adjusted", "n_discordant"):
        assert (table[name] == 0).all()
    assert (table.conclusion == "equivalent").all()
    # There is no test, and none that the others' are adjusted for.
    assert table[["p_value", "p_adjusted", "p_equivalent", "p_not_worse"]].isna().all().all()


@pytest.mark.parametrize("changes", DESIGNS)
@pytest.mark.parametrize(
    "recalibrated", [lambda p: p**2, lambda p: np.log(p / (1 - p)), lambda p: 0.2 + p / 2]
)
def test_a_recalibrated_candidate_is_identical_where_only_the_order_counts(
    changes: dict[str, Any], recalibrated: Any
) -> None:
    frame = cases(1200).assign(again=lambda all_cases: recalibrated(all_cases.good))
    table = compare(
        frame, "good", "again", metrics=["roc_auc", "average_precision", "accuracy"], **changes
    )
    of_order = table[table.metric != "accuracy"]
    assert (of_order.status == "identical").all()
    assert (of_order.reason == "the scores rank the cases alike").all()
    assert (table.status[table.metric == "accuracy"] == "ok").any()


def test_a_slice_alone_may_be_recalibrated_in_its_own_way() -> None:
    frame = cases(1200)
    frame["again"] = np.where(frame.region == 0, frame.good / 3, frame.good**2)
    table = compare(frame, "good", "again", metrics=["roc_auc"])
    assert (table.status[table.level == "region"] == "identical").all()
    assert (table.status[table.level == "overall"] == "ok").all()


def test_an_order_that_differs_inside_a_class_alone_is_not_the_same() -> None:
    # Both separate the classes without a fault, and have nothing else in common.
    draws = np.random.default_rng(4)
    frame = pd.DataFrame({"late": [0] * 150 + [1] * 90, "region": 0})
    for name in ("one", "other"):
        frame[name] = (frame.late + draws.random(240)) / 2
    row = compare(frame, "one", "other", metrics=["roc_auc"]).iloc[0]
    assert (row.status, row.reason) == ("too_few", "no case is ranked differently")
    # As many pairs of a positive and a negative share no case as there are positives.
    assert row.high == pytest.approx(1 - 0.025 ** (1 / 90))
    assert row.low == -row.high


@pytest.mark.parametrize("n", [40, 3000])
def test_equal_decisions_leave_what_so_many_cases_without_a_discordance_do(n: int) -> None:
    frame = cases(n, regions=1)
    decided = {name: (frame[name] >= 0.5).astype(int) for name in ("good", "poor")}
    frame = frame.assign(**decided)
    table = compare(
        frame,
        "good",
        "twin",
        scores=None,
        predictions={"good": "good", "twin": "good"},
        margin=0.02,
    )
    assert (table.status == "too_few").all()
    assert set(table.reason) == {"needs 6 cases that are decided differently, has 0"}
    assert table.p_value.isna().all()
    assert (table.low == -table.high).all()
    known = table[table.level == "overall"].set_index("metric")
    positives = int(frame.late.sum())
    for metric, cases_of_it in (
        ("accuracy", n),
        ("selection_rate", n),
        ("recall", positives),
        ("specificity", n - positives),
    ):
        # None among so many with a probability of 0.025.
        assert (1 - known.high[metric]) ** cases_of_it == pytest.approx(0.025)
    # So many flips in the rarer class move the mean of both rates half as far.
    share = 1 - 0.025 ** (1 / n)
    of_class = share / (share + (1 - share) * positives / n)
    assert known.high["balanced_accuracy"] == pytest.approx(of_class / 2)
    assert (known.high < (1.0 if n < 100 else 0.01)).all()
    assert (known.conclusion == ("equivalent" if n > 100 else "no difference shown")).all()


def test_equal_scores_of_few_values_are_no_proof_of_one_and_the_same_candidate() -> None:
    frame = cases(800, regions=1).assign(
        good=lambda all_cases: all_cases.good.round(1), twin=lambda all_cases: all_cases.good
    )
    table = compare(frame, "good", "twin", margin=0.05).query("level == 'overall'")
    found = table.set_index("metric")
    # A metric without a bound has no interval to say it by.
    assert found.status["log_loss"] == "identical"
    rest = found.drop(index="log_loss")
    assert (rest.status == "too_few").all()
    assert (rest.low < 0).all()
    assert (rest.high > 0).all()
    assert rest.high["brier"] == pytest.approx(1 - 0.025 ** (1 / 800))
    assert rest.conclusion["roc_auc"] == "equivalent"


def test_few_cases_of_equal_outputs_are_not_said_to_be_identical() -> None:
    frame = cases(60, regions=1).assign(twin=lambda all_cases: all_cases.good)
    table = compare(frame.iloc[:15], "good", "twin")
    rates = {"accuracy", "recall", "specificity", "selection_rate"}
    rates |= {"false_positive_rate", "false_negative_rate"}
    assert (table.status == "too_few").all()
    assert set(table.metric[table.low.notna()]) == rates
    assert (compare(frame, "good", "twin", metrics=["accuracy", "roc_auc"]).high > 0.05).all()


def test_of_few_discordant_clusters_whole_clusters_are_reckoned_with() -> None:
    decided = (cases(600).good >= 0.5).astype(int)
    frame = cases(600, regions=1).assign(
        day=np.arange(600) // 20,
        uneven=np.repeat(np.arange(30), [*[10] * 29, 310]),
        old=decided,
        twin=decided,
        near=decided.where(np.arange(600) >= 20, 1 - decided),
    )

    def compared(cluster: str) -> pd.DataFrame:
        names = {name: name for name in ("old", "twin", "near")}
        table = compare(
            frame, "old", scores=None, predictions=names, cluster=cluster, slices=["region"]
        )
        return table[table.level == "overall"].set_index(["candidate", "metric"])

    even = compared("day")
    for candidate, discordant in (("twin", 0), ("near", 1)):
        own = even.loc[candidate]
        needed = "needs 6 clusters with cases that are decided differently"
        assert set(own.reason) == {f"{needed}, has {discordant}"}
        assert (own.clusters == 30).all()
        expected = stats.binomtest(discordant, 30).proportion_ci(method="exact").high
        assert own.high["accuracy"] == pytest.approx(expected)
        assert own.low.between(-1, own.difference).all()
    # One of the uneven clusters could move more than half of the cases.
    effective = 600**2 / (29 * 10**2 + 310**2)
    high = compared("uneven").high["twin", "accuracy"]
    assert high == pytest.approx(1 - 0.025 ** (1 / effective))


@pytest.mark.parametrize("cluster", [None, "day"])
def test_other_tasks_outputs_that_are_equal_are_identical(cluster: str | None) -> None:
    frame, scores = _of_classes(500)
    frame = frame.assign(day=np.arange(500) // 5, minutes=frame["sharp a"] * 60)
    given: dict[str, Any] = {"baseline": "sharp", "slices": ["region"], "cluster": cluster}
    classes = compare_candidates(
        frame,
        label="kind",
        scores={"sharp": scores["sharp"], "twin": scores["sharp"]},
        task="multiclass_classification",
        **given,
    )
    numbers = compare_candidates(
        frame.assign(truth=np.random.default_rng(0).normal(20, 9, 500)),
        label="truth",
        predictions={"sharp": "minutes", "twin": "minutes"},
        task="regression",
        **given,
    )
    for table in (classes, numbers):
        tested = table[table.reason != "there are only 3 classes"]
        assert (tested.status == "identical").all()
        assert (tested.conclusion == "equivalent").all()
        assert (tested[["difference", "low", "high"]] == 0).all().all()


def test_errors_of_equal_size_are_not_equal_outputs() -> None:
    truth = np.random.default_rng(0).integers(0, 40, 100)
    frame = pd.DataFrame({"truth": truth, "below": truth - 2, "above": truth + 2, "at": "x"})
    table = compare_candidates(
        frame,
        label="truth",
        predictions={"below": "below", "above": "above"},
        baseline="below",
        slices=["at"],
        task="regression",
        metrics=["mean_absolute_error", "bias"],
    )
    assert set(table.reason) == {"all cases differ alike, so that the spread is unknown"}
    assert table.low.isna().all()


def test_equal_decisions_for_classes_leave_an_interval_and_no_identity() -> None:
    frame, scores = _of_classes(600)
    sharp = frame[list(scores["sharp"].values())].to_numpy()
    frame = frame.assign(said=np.array(["a", "b", "c"])[sharp.argmax(axis=1)])
    table = compare_candidates(
        frame,
        label="kind",
        predictions={"one": "said", "twin": "said"},
        baseline="one",
        slices=["region"],
        task="multiclass_classification",
    ).query("level == 'overall'")
    found = table.set_index("metric")
    assert (found.status == "too_few").all()
    assert found.high["accuracy"] == pytest.approx(1 - 0.025 ** (1 / 600))
    rarest = min(frame.kind.value_counts().min(), frame.said.value_counts().min())
    for metric in ("f1_macro", "precision_weighted", "balanced_accuracy"):
        assert found.high[metric] == pytest.approx(2 * (1 - 0.025 ** (1 / rarest)))


# What cannot be compared


def test_a_slice_of_one_class_is_undefined_with_its_reason() -> None:
    frame = cases()
    frame.loc[frame.region == 0, "late"] = 0
    table = compare(frame, "good", "poor")
    slice_of_one_class = table[table.region == 0].set_index("metric")
    for metric in ("recall", "roc_auc", "average_precision", "balanced_accuracy"):
        assert slice_of_one_class.status[metric] == "undefined"
        assert slice_of_one_class.reason[metric] == "no positive labels"
        assert slice_of_one_class.conclusion[metric] == "not compared"
        assert np.isnan(slice_of_one_class.p_value[metric])
    assert slice_of_one_class.status["specificity"] == "ok"


def test_who_never_predicts_a_positive_is_named() -> None:
    frame = cases().assign(never=0.0)
    table = compare(frame, "good", "never", metrics=["precision"])
    assert set(table.reason) == {"no predicted positives of 'never'"}


def test_a_declared_slice_without_rows_is_listed_and_not_compared() -> None:
    table = compare(cases(), "good", "poor", groups={"region": [0, 1, 2, 9]})
    empty = table[table.region == 9]
    assert (empty.reason == "no rows").all()
    assert (empty.conclusion == "not compared").all()


def test_no_rows_at_all_make_a_table_of_nothing() -> None:
    for changes in ({}, {"cluster": "day"}):
        table = compare(cases().iloc[:0], "good", "poor", groups={"region": [0]}, **changes)
        assert (table.reason == "no rows").all()


def test_too_few_discordant_cases_are_never_a_p_value() -> None:
    frame = pd.DataFrame(
        {"late": [1] * 200, "region": 0, "old": 0.9, "new": [0.1] * 5 + [0.9] * 195}
    )
    row = compare(frame, "old", "new", metrics=["accuracy"]).iloc[0]
    assert (row.status, row.n_discordant, row.worse) == ("too_few", 5, 5)
    assert row.reason == "needs 6 cases that are decided differently, has 5"
    assert np.isnan(row.p_value)
    assert row.low < -5 / 200 < row.high
    assert row.low < 0 < row.high


def test_hopeless_slices_do_not_cost_the_others_anything() -> None:
    frame = cases(2000, regions=1)
    tiny = cases(300, regions=100, seed=9).assign(region=lambda all_cases: all_cases.region + 1)
    together = compare(pd.concat([frame, tiny]), "good", "poor", metrics=["accuracy"])
    assert together.p_value.notna().sum() < 10
    row = together[together.region == 0].iloc[0]
    assert row.p_adjusted <= row.p_value * 10


# Decisions


@pytest.mark.parametrize("adjust", ["holm", "benjamini_hochberg"])
@settings(max_examples=12)
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(50, 1500),
    confidence=st.sampled_from([0.8, 0.95, 0.99]),
)
def test_adjusted_intervals_agree_with_adjusted_decisions(
    adjust: str, seed: int, rows: int, confidence: float
) -> None:
    table = compare(
        cases(rows, seed, regions=6), "fair", "good", "poor", adjust=adjust, confidence=confidence
    )
    fine = table[table.status == "ok"]
    shown = fine.p_adjusted <= 1 - confidence
    assert (fine.conclusion.isin(SHOWN) == shown).all()
    excludes = (fine.low_adjusted >= 0) | (fine.high_adjusted <= 0)
    assert (excludes == shown).all()
    alone = (fine.low > 0) | (fine.high < 0)
    assert (alone == (fine.p_value <= 1 - confidence)).all()
    assert (fine.low_adjusted <= fine.low)[~shown].all()


def test_p_values_are_adjusted_over_candidates_and_slices_of_each_metric() -> None:
    def by_statsmodels(p: FloatArray) -> FloatArray:
        return np.asarray(multipletests(p, method="fdr_bh")[1])

    oracles = {"holm": holm_by_definition, "benjamini_hochberg": by_statsmodels}
    for adjust, adjusted in oracles.items():
        table = compare(cases(), "good", "fair", "poor", adjust=adjust)
        for _, family in table[table.status == "ok"].groupby("metric"):
            assert set(family.candidate) == {"fair", "poor"}
            expected = adjusted(family.p_value.to_numpy())
            np.testing.assert_allclose(family.p_adjusted, expected, rtol=1e-9)


def test_a_smaller_loss_is_better_and_a_rate_without_direction_is_higher_or_lower() -> None:
    frame = cases(3000)
    table = compare(frame, "poor", "good").query("level == 'overall'").set_index("metric")
    assert table.conclusion["log_loss"] == "better"
    assert table.difference["log_loss"] < 0
    assert table.conclusion["roc_auc"] == "better"
    assert table.difference["roc_auc"] > 0
    assert table.conclusion["selection_rate"] in {"higher", "lower"}
    assert pd.isna(table.higher_is_better["selection_rate"])


def test_equivalence_and_not_being_worse_are_two_one_sided_tests() -> None:
    frame = cases(1200)
    table = compare(
        frame, "fair", "good", margin={"brier": 0.02, "accuracy": 0.2}, slices=["region"]
    )
    row = table.query("metric == 'brier' and level == 'overall'").iloc[0]
    gap = (frame.good - frame.late) ** 2 - (frame.fair - frame.late) ** 2
    below = stats.ttest_1samp(gap, 0.02, alternative="less").pvalue
    above = stats.ttest_1samp(gap, -0.02, alternative="greater").pvalue
    # Without the adjustment, and but for the skewness of the differences.
    single = compare(
        frame, "fair", "good", margin={"brier": 0.02}, metrics=["brier"], slices=["late"]
    )
    assert single.query("level == 'overall'").p_equivalent.iloc[0] < 3.1 * max(above, below) + 0.01
    assert row.p_equivalent >= row.p_not_worse
    assert table[table.metric == "log_loss"].p_equivalent.isna().all()


def test_within_its_margin_a_difference_is_said_to_be_so() -> None:
    frame = cases(20_000, regions=1)
    table = compare(frame, "good", "fair", metrics=["accuracy"], margin=0.2)
    assert (table.conclusion == "worse, within the margin").all()
    assert (table.p_adjusted <= 0.05).all()
    small = compare(frame.iloc[:400], "good", "fair", metrics=["accuracy"], margin=0.2)
    assert small.conclusion.isin({"equivalent", "worse, within the margin"}).all()
    not_worse = compare(frame.iloc[:150], "poor", "good", metrics=["accuracy"], margin=0.02)
    assert not_worse.conclusion.isin({"not worse", "better"}).all()


# Clusters


def test_copies_of_the_cases_in_clusters_are_no_more_evidence() -> None:
    frame = cases(300, regions=1).assign(person=range(300))
    wanted = {"metrics": ["accuracy", "f1", "roc_auc", "average_precision", "log_loss", "brier"]}
    twice, often = (
        compare(pd.concat([frame] * copies), "good", "poor", cluster="person", **wanted)
        for copies in (2, 8)
    )
    np.testing.assert_allclose(often.p_value, twice.p_value, rtol=1e-6)
    np.testing.assert_allclose(often.low, twice.low, rtol=1e-6)
    naive = compare(pd.concat([frame] * 8), "good", "poor", **wanted)
    assert (naive.p_value < often.p_value / 10).all()
    once = compare(frame, "good", "poor", **wanted)
    np.testing.assert_allclose(np.log(once.p_value), np.log(often.p_value), rtol=0.1)


def test_clusters_of_one_case_and_equal_weights_are_none() -> None:
    frame = cases(300).assign(single=range(300), same=2.5)
    plain = compare(frame, "good", "poor")
    for changes in ({"cluster": "single"}, {"weight": "same"}):
        pd.testing.assert_frame_equal(
            compare(frame, "good", "poor", **changes), plain, check_exact=True
        )


def test_clusters_are_counted_where_there_are_some() -> None:
    frame = cases(600).assign(day=lambda all_cases: all_cases.day % 40)
    table = compare(frame, "good", "poor", cluster="day", metrics=["recall", "roc_auc"])
    expected = [frame.day.nunique(), *frame.groupby("region").day.nunique()]
    area = table[table.metric == "roc_auc"]
    assert area.clusters.tolist() == expected
    with_positives = frame[frame.late == 1]
    expected = [with_positives.day.nunique(), *with_positives.groupby("region").day.nunique()]
    assert table.clusters[table.metric == "recall"].tolist() == expected
    assert compare(frame, "good", "poor").clusters.isna().all()


def test_few_clusters_are_too_few() -> None:
    frame = cases().assign(team=lambda all_cases: all_cases.day % 9)
    table = compare(frame, "good", "poor", cluster="team")
    assert (table.status == "too_few").all()
    assert table.reason.str.contains("clusters|decided differently|labels").all()


# Weights


@pytest.mark.parametrize("cluster", [None, "day"])
def test_whole_weights_are_repeated_cases_of_one_cluster(cluster: str | None) -> None:
    frame = cases(500).assign(single=range(500))
    repeated = frame.loc[frame.index.repeat(frame.times)]
    weighed = compare(frame, "good", "poor", weight="times", cluster=cluster)
    often = compare(repeated, "good", "poor", cluster=cluster or "single")
    both = (weighed.status == "ok") & (often.status == "ok")
    assert both.sum() > 50
    shown = ["difference", "low", "high", "p_value"]
    # Inside of a day repeated cases are more alike than one, from which degrees of freedom follow.
    near = {"rtol": 1e-8} if cluster is None else {"rtol": 0.1, "atol": 0.02}
    pd.testing.assert_frame_equal(weighed.loc[both, shown], often.loc[both, shown], **near)
    # Cases are counted, and not their weights.
    plain = compare(frame, "good", "poor")
    counts = ["n", "n_discordant", "better", "worse"]
    pd.testing.assert_frame_equal(
        weighed.loc[weighed.metric != "roc_auc", counts],
        plain.loc[plain.metric != "roc_auc", counts],
    )


@pytest.mark.parametrize("task", ["regression", "multiclass_classification"])
def test_whole_weights_of_other_tasks_are_repeated_cases(task: Task) -> None:
    frame, scores = _of_classes(400)
    draws = np.random.default_rng(2)
    frame = frame.assign(times=draws.integers(1, 4, 400), single=range(400))
    frame["truth"] = draws.normal(0, 1, 400)
    many = task == "multiclass_classification"
    given: dict[str, Any] = {
        "label": "kind" if many else "truth",
        "scores": scores if many else None,
        "predictions": None if many else {name: f"{name} a" for name in scores},
        "baseline": "sharp",
        "slices": ["region"],
        "task": task,
    }
    weighed = compare_candidates(frame, weight="times", **given)
    repeated = frame.loc[frame.index.repeat(frame.times)]
    often = compare_candidates(repeated, cluster="single", **given)
    both = (weighed.status == "ok") & (often.status == "ok")
    assert both.sum() > 15
    shown = ["difference", "low", "high", "p_value"]
    pd.testing.assert_frame_equal(weighed.loc[both, shown], often.loc[both, shown], rtol=1e-8)


def test_a_case_of_weight_zero_is_left_out() -> None:
    frame = cases(600)
    frame["times"] = frame.times.where(frame.index % 3 > 0, 0)
    table = compare(frame, "good", "poor", weight="times")
    without = compare(frame[frame.times > 0], "good", "poor", weight="times")
    pd.testing.assert_frame_equal(table, without)
    # A slice that has no other cases is still listed, as one without rows.
    frame.loc[frame.region == 2, "times"] = 0
    empty = compare(frame, "good", "poor", weight="times").query("region == 2")
    assert (empty.n == 0).all()
    assert (empty.reason == "no rows").all()


def test_a_weighted_difference_of_losses_is_that_of_weighted_least_squares() -> None:
    frame = cases(900, regions=1).assign(day=lambda all_cases: all_cases.day % 60)
    gap = (frame.poor - frame.late) ** 2 - (frame.good - frame.late) ** 2
    model = WLS(gap, np.ones(900), frame.times)
    row = compare(frame, "good", "poor", metrics=["brier"], weight="times", cluster="day").iloc[0]
    fitted = model.fit(cov_type="cluster", cov_kwds={"groups": frame.day}, use_t=True)
    assert row.difference == pytest.approx(fitted.params.iloc[0])
    low, _ = fitted.conf_int().to_numpy()[0]
    # But for the skewness of the differences; on the side that faces 0, where no cluster is assumed
    # that was not seen.
    assert row.difference > 0
    assert row.difference - row.low == pytest.approx(row.difference - low, rel=0.06)


# Other tasks


def test_regressions_are_compared_by_the_paired_t_test() -> None:
    draws = np.random.default_rng(3)
    n = 400
    truth = draws.normal(10, 3, n)
    frame = pd.DataFrame(
        {
            "minutes": truth,
            "old": truth + draws.normal(0, 1.3, n),
            "new": truth + draws.normal(0, 1, n),
            "region": draws.integers(0, 2, n),
        }
    )
    table = compare_candidates(
        frame,
        label="minutes",
        predictions={"old": "old", "new": "new"},
        baseline="old",
        slices=["region"],
        task="regression",
    )
    assert (table.status == "ok").all()
    overall = table[table.level == "overall"].set_index("metric")
    new, old = (frame.new - truth).abs(), (frame.old - truth).abs()
    expected = stats.ttest_rel(new, old)
    row = overall.loc["mean_absolute_error"]
    assert row.difference == pytest.approx((new - old).mean())
    # Student's but for the skewness of the differences.
    assert np.log(row.p_value) == pytest.approx(np.log(expected.pvalue), rel=0.06)
    assert row.conclusion == "better"
    assert (row.better, row.worse) == ((new < old).sum(), (new > old).sum())
    # The root's difference, by a bootstrap of the cases.
    picks = draws.integers(0, n, (4000, n))
    squares = [np.sqrt((error.to_numpy() ** 2)[picks].mean(axis=1)) for error in (new, old)]
    spread = (squares[0] - squares[1]).std()
    row = overall.loc["root_mean_squared_error"]
    # And as if a case more had been seen, three tenths of four times as far out as the furthest.
    square, before = new**2, old**2
    gap = square / (2 * square.mean() ** 0.5) - before / (2 * before.mean() ** 0.5)
    more = 0.3 * 4 * (gap - gap.mean()).max() / n
    assert row.difference < 0
    expected_high = row.difference + more + 1.966 * np.hypot(spread, more)
    assert row.high == pytest.approx(expected_high, abs=0.08 * spread)


def _of_classes(rows: int, seed: int = 6) -> tuple[pd.DataFrame, dict[str, dict[str, str]]]:
    draws = np.random.default_rng(seed)
    chances = draws.dirichlet([1, 1, 1], rows)
    truth = (draws.random((rows, 1)) > chances.cumsum(axis=1)).sum(axis=1)
    frame = pd.DataFrame(
        {"kind": np.array(["a", "b", "c"])[truth], "region": draws.integers(0, 2, rows)}
    )
    scores = {}
    for name, blur in (("sharp", 0.0), ("blunt", 0.6)):
        mixed = (1 - blur) * chances + blur * draws.dirichlet([1, 1, 1], rows)
        scores[name] = {kind: f"{name} {kind}" for kind in "abc"}
        for place, kind in enumerate("abc"):
            frame[f"{name} {kind}"] = mixed[:, place]
    return frame, scores


def test_multiclass_accuracy_is_mcnemars_test_and_macro_f1_a_bootstraps() -> None:
    frame, scores = _of_classes(800)
    table = compare_candidates(
        frame,
        label="kind",
        scores=scores,
        baseline="sharp",
        slices=["region"],
        task="multiclass_classification",
        metrics=["accuracy", "f1_macro", "log_loss", "roc_auc_ovr", "top_2_accuracy"],
    )
    overall = table[table.level == "overall"].set_index("metric")
    assert (overall.conclusion == "worse").all()
    kinds = np.array(["a", "b", "c"])
    decided = {
        name: kinds[frame[list(columns.values())].to_numpy().argmax(axis=1)]
        for name, columns in scores.items()
    }
    truth = frame.kind.to_numpy()
    right, was_right = decided["blunt"] == truth, decided["sharp"] == truth
    counts = [[0, (right & ~was_right).sum()], [(~right & was_right).sum(), 0]]
    assert overall.p_value["accuracy"] == pytest.approx(mcnemar(counts, exact=True).pvalue)
    picks = np.random.default_rng(0).integers(0, 800, (2000, 800))

    def macro(name: str) -> Any:
        parts = []
        for kind in kinds:
            hit, said, there = truth == kind, decided[name] == kind, truth == kind
            both = (hit & said)[picks].sum(axis=1)
            parts.append(2 * both / (said[picks].sum(axis=1) + there[picks].sum(axis=1)))
        return np.mean(parts, axis=0)

    spread = (macro("blunt") - macro("sharp")).std()
    row = overall.loc["f1_macro"]
    assert (row.high - row.low) / (2 * 1.963) == pytest.approx(spread, rel=0.06)


# All pairs, and what is refused


def test_all_pairs_hold_each_pair_once_and_agree_with_the_baselines_table() -> None:
    frame = cases()
    names = {name: name for name in ("good", "fair", "poor")}
    pairs = compare_pairs(frame, label="late", scores=names, slices=["region"])
    told = list(dict.fromkeys(zip(pairs.candidate, pairs.baseline, strict=True)))
    assert told == [("fair", "good"), ("poor", "good"), ("poor", "fair")]
    against = compare(frame, "good", "fair", "poor")
    same = pairs[pairs.baseline == "good"].reset_index(drop=True)
    pd.testing.assert_frame_equal(
        same[["difference", "low", "p_value"]], against[["difference", "low", "p_value"]]
    )
    fine = same.p_adjusted.notna()
    assert (same.p_adjusted[fine] >= against.p_adjusted[fine] - 1e-12).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"baseline": "best"}, "baseline 'best' is no candidate; there are \\['good', 'poor'\\]"),
        ({"scores": {"good": "good"}}, "two or more candidates"),
        ({"metrics": ["base_rate"]}, "no paired test for \\['base_rate'\\]"),
        ({"metrics": ["beauty"]}, "no metric 'beauty'"),
        ({"adjust": "bonferroni"}, "adjust must be one of holm, benjamini_hochberg"),
        ({"confidence": 1.0}, "confidence must lie between 0 and 1"),
        ({"margin": -0.1}, "margin of accuracy must be positive"),
        ({"margin": {"beauty": 0.1}}, "margins are given for \\['beauty'\\]"),
        ({"scores": {"good": {"a": "good"}, "poor": "poor"}}, "must be a column"),
        ({"cluster": "week"}, "no column 'week'"),
        ({"weight": "mass"}, "no column 'mass'"),
        ({"weight": "debt"}, "weight column 'debt' is negative in 2 rows"),
    ],
)
def test_what_cannot_be_asked_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(MetricsInputError, match=message):
        compare(cases(30).assign(debt=[-1, -1, *[1] * 28]), "good", "poor", **changes)


def test_mean_losses_of_few_cases_have_a_difference_and_no_test() -> None:
    cases = pd.DataFrame({"label": [1, 0] * 9 + [1], "at": ["x"] * 19})
    cases["one"], cases["other"] = np.linspace(0.1, 0.9, 19), np.linspace(0.2, 0.7, 19)
    scores = {"one": "one", "other": "other"}
    found = compare_pairs(cases, label="label", scores=scores, slices=["at"], metrics=["brier"])
    assert set(found["reason"]) == {"needs 20 cases, has 19"}
    assert found["difference"].notna().all()
    assert found["p_value"].isna().all()
