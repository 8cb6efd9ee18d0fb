"""How often comparisons err, and how often they find what is there: by simulation."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats

from evaluator.metrics import compare_candidates, holm
from evaluator.metrics._estimates import FloatArray
from evaluator.metrics._multiplicity import benjamini_hochberg

TRIALS, SLICES, CASES = 250, 10, 100
METRICS = ["accuracy", "f1", "roc_auc", "log_loss"]
LEVEL = 0.05
# Three standard errors of a share of 0.05 among the trials.
SLACK = 3 * np.sqrt(LEVEL * (1 - LEVEL) / TRIALS)


def _p_values(planted: int) -> tuple[dict[str, FloatArray], NDArray[np.bool_]]:
    """Compare two candidates with a baseline in every slice of every trial.

    In the first `planted` slices of a trial the two are much noisier than the baseline; in all
    others each of the three has noise of the same kind. Every slice of every trial is a slice of
    one frame, so that a single call compares them all.

    Returns
    -------
    p_values, is_null
        By metric, shape (trials, tests); whether nothing was planted, shape (trials, tests).
    """
    draws = np.random.default_rng(2024 + planted)
    n = TRIALS * SLICES * CASES
    odds = draws.normal(-0.5, 3, n)
    cell = np.repeat(np.arange(TRIALS * SLICES), CASES)
    frame = pd.DataFrame(
        {"y": (draws.random(n) < 1 / (1 + np.exp(-odds))).astype(int), "cell": cell}
    )
    names = ["baseline", "one", "two"]
    for name in names:
        spread = np.where((cell % SLICES < planted) & (name != "baseline"), 12.0, 1.0)
        frame[name] = 1 / (1 + np.exp(-odds - spread * draws.normal(0, 1, n)))
    table = compare_candidates(
        frame,
        label="y",
        scores={name: name for name in names},
        baseline="baseline",
        slices=["cell"],
        metrics=METRICS,
    )
    table = table[table.level == "cell"]
    found = {
        metric: np.column_stack(
            [
                one.p_value.to_numpy().reshape(TRIALS, SLICES)
                for _, one in rows.groupby("candidate", sort=False)
            ]
        )
        for metric, rows in table.groupby("metric")
    }
    return found, np.tile(np.arange(SLICES) >= planted, (TRIALS, 2))


def _adjusted(p: FloatArray, adjust: object) -> FloatArray:
    assert callable(adjust)
    return np.array([adjust(row) for row in p])


@pytest.fixture(scope="module")
def of_nothing() -> dict[str, FloatArray]:
    return _p_values(0)[0]


@pytest.fixture(scope="module")
def of_some() -> tuple[dict[str, FloatArray], NDArray[np.bool_]]:
    return _p_values(4)


@pytest.mark.parametrize("metric", METRICS)
def test_single_tests_err_nominally_where_nothing_differs(
    of_nothing: dict[str, FloatArray], metric: str
) -> None:
    p = of_nothing[metric]
    assert (p <= 0.05).mean() < 0.06
    assert (p <= 0.005).mean() < 0.009


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
def test_where_nothing_differs_hardly_any_report_has_a_finding(
    of_nothing: dict[str, FloatArray], metric: str, adjust: object
) -> None:
    adjusted = _adjusted(of_nothing[metric], adjust)
    assert (np.nan_to_num(adjusted, nan=1) <= LEVEL).any(axis=1).mean() <= LEVEL + SLACK


@pytest.mark.parametrize("metric", METRICS)
def test_without_an_adjustment_most_reports_would_have_one(
    of_nothing: dict[str, FloatArray], metric: str
) -> None:
    # Otherwise the test above could not fail.
    assert (of_nothing[metric] <= LEVEL).any(axis=1).mean() > 0.3


@pytest.mark.parametrize("metric", METRICS)
def test_the_share_of_false_findings_is_at_most_nominal(
    of_some: tuple[dict[str, FloatArray], NDArray[np.bool_]], metric: str
) -> None:
    p, is_null = of_some[0][metric], of_some[1]
    found = np.nan_to_num(_adjusted(p, benjamini_hochberg), nan=1) <= LEVEL
    share = (found & is_null).sum(axis=1) / np.maximum(found.sum(axis=1), 1)
    assert share.mean() <= LEVEL + SLACK


@pytest.mark.parametrize("metric", METRICS)
def test_any_false_finding_is_as_rare_as_nominal_where_some_differ(
    of_some: tuple[dict[str, FloatArray], NDArray[np.bool_]], metric: str
) -> None:
    p, is_null = of_some[0][metric], of_some[1]
    found = np.nan_to_num(_adjusted(p, holm), nan=1) <= LEVEL
    assert (found & is_null).any(axis=1).mean() <= LEVEL + SLACK


@pytest.mark.parametrize(
    ("metric", "power"), [("accuracy", 0.8), ("roc_auc", 0.9), ("log_loss", 0.95)]
)
def test_what_is_planted_is_found(
    of_some: tuple[dict[str, FloatArray], NDArray[np.bool_]], metric: str, power: float
) -> None:
    p, is_null = of_some[0][metric], of_some[1]
    by_share = np.nan_to_num(_adjusted(p, benjamini_hochberg), nan=1) <= LEVEL
    assert by_share[~is_null].mean() > power
    by_any = np.nan_to_num(_adjusted(p, holm), nan=1) <= LEVEL
    assert by_any[~is_null].mean() <= by_share[~is_null].mean()


def test_intervals_of_f1_cover_nominally() -> None:
    draws = np.random.default_rng(77)
    trials, n = 3000, 120
    odds = draws.normal(-0.5, 1.5, trials * n)

    def scored(noise: float, size: int) -> FloatArray:
        return 1 / (1 + np.exp(-odds[:size] - draws.normal(0, noise, size)))

    frame = pd.DataFrame(
        {
            "y": (draws.random(trials * n) < 1 / (1 + np.exp(-odds))).astype(int),
            "cell": np.repeat(np.arange(trials), n),
            "old": scored(0.5, trials * n),
            "new": scored(2.0, trials * n),
        }
    )
    table = compare_candidates(
        frame,
        label="y",
        scores={"old": "old", "new": "new"},
        baseline="old",
        slices=["cell"],
        metrics=["f1", "accuracy", "roc_auc", "log_loss"],
    )
    for _, rows in table.groupby("metric"):
        # What all cases together show is as good as the truth.
        truth = rows.difference.iloc[0]
        fine = rows[(rows.level == "cell") & (rows.status == "ok")]
        assert len(fine) > 0.95 * trials
        assert ((fine.low <= truth) & (truth <= fine.high)).mean() > 0.94


def test_pairs_in_equal_clusters_err_nominally() -> None:
    draws = np.random.default_rng(12)
    trials, clusters, size, correlation = 600, 30, 10, 0.2
    cluster = np.repeat(np.arange(trials * clusters), size)

    def normal() -> FloatArray:
        shared = draws.normal(0, 1, trials * clusters)[cluster]
        own = draws.normal(0, 1, len(cluster))
        return np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own

    odds = 1.5 * normal() - 0.5
    frame = pd.DataFrame(
        {
            "y": (draws.random(len(cluster)) < 1 / (1 + np.exp(-odds))).astype(int),
            "cell": cluster // clusters,
            "cluster": cluster,
        }
    )
    for name in ("old", "new"):
        frame[name] = 1 / (1 + np.exp(-odds - normal()))
    given: dict[str, Any] = {
        "label": "y",
        "scores": {"old": "old", "new": "new"},
        "baseline": "old",
        "slices": ["cell"],
        "metrics": METRICS,
    }
    table = compare_candidates(frame, cluster="cluster", **given)
    for _, rows in table[table.level == "cell"].groupby("metric"):
        assert (rows.status == "ok").all()
        below, above = (rows.low > 0).mean(), (rows.high < 0).mean()
        assert below + above <= 0.07
        assert max(below, above) <= 0.035 + 3 * np.sqrt(0.025 / trials)


@pytest.mark.parametrize(("clustered", "units"), [(False, 60), (True, 30)])
@pytest.mark.parametrize("better", [True, False])
def test_intervals_of_candidates_that_hardly_differ_hold(
    *, clustered: bool, units: int, better: bool
) -> None:
    draws = np.random.default_rng(units)
    trials, size = 400, 10 if clustered else 1
    unit = np.repeat(np.arange(trials * units), size)
    label = (draws.random(len(unit)) < 0.3).astype(int)
    old = (draws.random(len(unit)) < np.where(label, 0.75, 0.15)).astype(int)
    # So rare that one sample in 25 shows nothing of it: as much as an interval may overlook.
    there = (draws.random(trials * units) < 3.2 / units)[unit]
    decided = {"y": label, "old": old, "new": np.where(there, label if better else 1 - label, old)}
    table = compare_candidates(
        pd.DataFrame(decided).assign(cell=unit // units, unit=unit),
        label="y",
        predictions={"old": "old", "new": "new"},
        baseline="old",
        slices=["cell"],
        cluster="unit" if clustered else None,
    )
    for _, rows in table.groupby("metric"):
        truth = rows.difference.iloc[0]
        own = rows[rows.level == "cell"]
        assert (own.low.notna() == (own.status != "undefined")).all()
        assert (own.low > truth).mean() <= 0.035
        assert (own.high < truth).mean() <= 0.035


def _missed(frame: pd.DataFrame, truth: float, metric: str, **given: Any) -> tuple[float, float]:
    """Give in how many cells an interval lies above the truth, and below it, of all cells."""
    pair = {"old": "old", "new": "new"}
    how = "predictions" if given.get("task") == "regression" else "scores"
    table = compare_candidates(
        frame,
        label="y",
        baseline="old",
        slices=["cell"],
        metrics=[metric],
        **{how: pair},
        **given,
    )
    own = table[table.level == "cell"]
    # Nearly all have an interval: otherwise none could miss.
    assert own.low.notna().mean() > 0.9
    return float((own.low > truth).mean()), float((own.high < truth).mean())


@pytest.mark.parametrize(
    ("metric", "truth"), [("root_mean_squared_error", 0.3 * 3**0.5), ("r2", 3 - 3 * 1.3**2)]
)
def test_long_tailed_errors_are_missed_no_more_often_than_promised(
    metric: str, truth: float
) -> None:
    draws = np.random.default_rng(8)
    trials, n = 1000, 50
    label, error = draws.normal(0, 1, trials * n), draws.standard_t(3, trials * n)
    frame = pd.DataFrame({"y": label, "old": label + error, "new": label + 1.3 * error})
    frame["cell"] = np.repeat(np.arange(trials), n)
    # It was 13 and 25 % on a side.
    slack = 3 * np.sqrt(0.035 * 0.965 / trials)
    assert max(_missed(frame, truth, metric, task="regression")) <= 0.035 + slack


def test_areas_that_few_cases_carry_are_missed_no_more_often_than_promised() -> None:
    draws = np.random.default_rng(9)
    trials, n, negatives, moved = 1000, 200, 180, 5
    label = np.tile(np.arange(n) >= negatives, trials)
    old = draws.normal(0, 1, trials * n) + label
    chosen = ~label & (draws.random(trials * n) < moved / negatives)
    frame = pd.DataFrame({"y": label.astype(int), "old": old, "new": np.where(chosen, -6, old)})
    frame["cell"] = np.repeat(np.arange(trials), n)
    # A negative that is put last gains what it lost before: the pairs of unequal normal scores.
    truth = moved / negatives * (1 - stats.norm.cdf(0.5**0.5))
    # It was 14 % on a side.
    slack = 3 * np.sqrt(0.035 * 0.965 / trials)
    assert max(_missed(frame, truth, "roc_auc")) <= 0.035 + slack


def test_rarely_right_clusters_are_missed_no_more_often_than_promised() -> None:
    draws = np.random.default_rng(10)
    trials, clusters, size, correlation = 500, 20, 20, 0.3
    cluster = np.repeat(np.arange(trials * clusters), size)

    def scores(cluster: NDArray[np.intp], correlation: float) -> pd.DataFrame:
        def normal() -> FloatArray:
            shared = draws.normal(0, 1, cluster[-1] + 1)[cluster]
            own = draws.normal(0, 1, len(cluster))
            return np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own

        odds = 3.75 + 1.5 * normal()
        label = draws.random(len(cluster)) < 1 / (1 + np.exp(-odds))
        old, new = odds + normal(), odds + 2 * normal()
        chances = {"old": 1 / (1 + np.exp(-old)), "new": 1 / (1 + np.exp(-new))}
        return pd.DataFrame({"y": label.astype(int), **chances})

    many = scores(np.arange(1_000_000), 0.0)
    right = [((many[name] >= 0.5) == many.y).mean() for name in ("new", "old")]
    frame = scores(cluster, correlation).assign(cell=cluster // clusters, cluster=cluster)
    # It was 6 % on a side.
    slack = 3 * np.sqrt(0.035 * 0.965 / trials)
    missed = _missed(frame, float(right[0] - right[1]), "accuracy", cluster="cluster")
    assert max(missed) <= 0.035 + slack
