"""The table of comparisons: its shape, its symmetries, its decisions, and what is refused."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from evaluator.metrics import (
    METRICS,
    SUPPORTED,
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
    assert table.metric.unique().tolist() == [name for name in METRICS if name in SUPPORTED]


@pytest.mark.parametrize("changes", [{}, {"cluster": "day"}, {"margin": 0.05}])
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


@pytest.mark.parametrize("changes", [{}, {"cluster": "day"}])
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


@pytest.mark.parametrize("changes", [{}, {"cluster": "day"}, {"margin": 0.03}])
@settings(max_examples=6)
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


@pytest.mark.parametrize("changes", [{}, {"cluster": "day"}])
@settings(max_examples=5)
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


@pytest.mark.parametrize("changes", [{}, {"cluster": "day"}, {"adjust": "benjamini_hochberg"}])
def test_identical_candidates_differ_by_nothing_and_nothing_is_claimed(
    changes: dict[str, Any],
) -> None:
    frame = cases().assign(twin=lambda all_cases: all_cases.good)
    table = compare(frame, "good", "twin", **changes)
    assert (table.difference == 0).all()
    assert (table.n_discordant == 0).all()
    assert (table.conclusion == "no difference shown").all()
    assert (table.status == "too_few").all()
    assert table.p_value.isna().all()
    assert (
        set(table.reason)
        == {
            "needs 6 cases that are decided differently, has 0",
            "no case is ranked differently",
            "no case is scored differently",
        }
        or "cluster" in changes
    )


def test_twins_are_shown_to_be_equivalent_where_there_are_many_cases() -> None:
    frame = cases(3000).assign(twin=lambda all_cases: all_cases.good)
    table = compare(frame, "good", "twin", metrics=["accuracy"], margin=0.02)
    assert (table.conclusion == "equivalent").all()


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
    copied = pd.concat([frame] * 8)
    wanted = {"metrics": ["accuracy", "f1", "roc_auc", "average_precision", "log_loss", "brier"]}
    once = compare(frame, "good", "poor", cluster="person", **wanted)
    often = compare(copied, "good", "poor", cluster="person", **wanted)
    np.testing.assert_allclose(often.p_value, once.p_value, rtol=1e-6)
    np.testing.assert_allclose(often.low, once.low, rtol=1e-6)
    naive = compare(copied, "good", "poor", **wanted)
    assert (naive.p_value < often.p_value / 10).all()


def test_clusters_of_one_case_are_nearly_no_clusters() -> None:
    frame = cases(2000).assign(single=range(2000))
    clustered = compare(frame, "good", "poor", cluster="single")
    plain = compare(frame, "good", "poor")
    fine = (plain.status == "ok") & (plain.p_value > 1e-6)
    assert fine.sum() > 20
    np.testing.assert_allclose(
        np.sqrt(clustered.p_value[fine]), np.sqrt(plain.p_value[fine]), atol=0.06
    )


def test_few_clusters_are_too_few() -> None:
    frame = cases().assign(team=lambda all_cases: all_cases.day % 9)
    table = compare(frame, "good", "poor", cluster="team")
    assert (table.status == "too_few").all()
    assert table.reason.str.contains("clusters|decided differently|labels").all()


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
    assert (row.high - row.low) / (2 * 1.966) == pytest.approx(spread, rel=0.08)


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
    ],
)
def test_what_cannot_be_asked_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(MetricsInputError, match=message):
        compare(cases(30), "good", "poor", **changes)


def test_mean_losses_of_few_cases_have_a_difference_and_no_test() -> None:
    cases = pd.DataFrame({"label": [1, 0] * 9 + [1], "at": ["x"] * 19})
    cases["one"], cases["other"] = np.linspace(0.1, 0.9, 19), np.linspace(0.2, 0.7, 19)
    scores = {"one": "one", "other": "other"}
    found = compare_pairs(cases, label="label", scores=scores, slices=["at"], metrics=["brier"])
    assert set(found["reason"]) == {"needs 20 cases, has 19"}
    assert found["difference"].notna().all()
    assert found["p_value"].isna().all()
