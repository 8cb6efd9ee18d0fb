"""Fairness where cases are weighted, or depend on each other within clusters."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import special
from scipy.sparse import csr_array

from evaluator.demo import load_flights
from evaluator.metrics import FAIRNESS_MEASURES, MetricsInputError, fairness
from evaluator.metrics._fairness._clusters import ClusterSums, SurveySums
from evaluator.metrics._fairness._counts import Counter
from evaluator.metrics._fairness._gaps import GapRequest, GroupSummary, RateSummary, what_remains
from evaluator.metrics._fairness._references import GapOptions, compare, compare_with_reference

FIGURES = ["value", "low", "high", "group_value", "reference_value"]
EFFECTIVE = ["n_effective", "n_effective_reference"]


def days_of(rows: int, days: int, seed: int = 0, spread: float = 1.0) -> pd.DataFrame:
    """Make cases whose decisions depend on the day, and on the day for each group of its own."""
    random = np.random.default_rng(seed)
    day = random.integers(0, days, rows)
    group = random.choice(3, rows, p=[0.6, 0.3, 0.1])
    site = random.choice(3, rows)
    shift = spread * (
        0.5 * random.normal(size=days)[day] + random.normal(size=(days, 3))[day, group]
    )
    label = random.random(rows) < 0.3 + 0.2 * special.expit(shift)
    decided = random.random(rows) < special.expit(shift + 0.4 * group - 0.5 * (site == 1))
    return pd.DataFrame(
        {
            "day": day,
            "group": np.array(["a", "b", "c"])[group],
            "site": np.array(["n", "s", "w"])[site],
            "label": label.astype(int),
            "prediction": decided.astype(int),
            "score": special.expit(shift + random.normal(size=rows)),
            "weight": random.integers(1, 5, rows),
            "id": np.arange(rows),
        }
    )


def measured(frame: pd.DataFrame, **arguments: Any) -> pd.DataFrame:
    """Measure fairness on the columns that the tests use."""
    given: dict[str, Any] = {"label": "label", "prediction": "prediction", "score": "score"}
    return fairness(frame, **(given | {"attributes": ["group"]} | arguments))


def compared(frame: pd.DataFrame, measure: str, *, control: bool) -> list[GroupSummary]:
    """Count the groups a and b of a frame by day, for what a measure compares."""
    frame = frame[frame["group"] != "c"]
    group, site, day = (
        pd.factorize(frame[name], sort=True)[0] for name in ("group", "site", "day")
    )
    strata = 3 if control else 1
    place = group * strata + site if control else group
    counter = Counter((2, strata), place, None, day)
    label, prediction = (frame[name].to_numpy() for name in ("label", "prediction"))
    counts = counter.count(label, prediction, 2, {1: (frame["score"] - label).to_numpy()})
    parts = counts.parts(FAIRNESS_MEASURES[measure], 1)
    return [part.take(np.array([at])) for part in parts for at in (0, 1)]


# Whether the variance is the right one.


@pytest.mark.parametrize("measure", ["demographic_parity", "calibration_gap"])
def test_the_influences_on_a_difference_give_the_robust_variance_of_gee(measure: str) -> None:
    frame = days_of(3000, 40)
    frame = frame[frame["group"] != "c"]
    one, _ = compared(frame, measure, control=False)
    assert one.survey is not None
    assert one.survey.clusters is not None
    moved = one.survey.clusters.of_groups.matrices(None)[0].toarray()
    values = frame["prediction"]
    if measure == "calibration_gap":
        values = frame["score"] - frame["label"]
    model = sm.GEE(
        values,
        sm.add_constant((frame["group"] == "a").astype(float)),
        groups=frame["day"],
        cov_struct=sm.cov_struct.Independence(),
    ).fit()
    assert ((moved[0] - moved[1]) ** 2).sum() == pytest.approx(model.bse.iloc[1] ** 2, rel=1e-9)


def _standardised(frame: pd.DataFrame, comparison: str, *, odds: bool) -> float:
    """Give Mantel and Haenszel's gap between the groups a and b over sites."""
    above = below = 0.0
    for _, site in frame.groupby("site"):
        one, two = (site.loc[site["group"] == group, "value"] for group in "ab")
        n, m, y, x = len(one), len(two), one.sum(), two.sum()
        if comparison == "difference":
            above += (y * m - x * n) / (n + m)
            below += n * m / (n + m)
        elif odds:
            above += y * (m - x) / (n + m)
            below += (n - y) * x / (n + m)
        else:
            above += y * m / (n + m)
            below += x * n / (n + m)
    return above / below if comparison == "difference" else float(np.log(above / below))


@pytest.mark.parametrize("control", [False, True])
@pytest.mark.parametrize(
    ("measure", "comparison"),
    [
        ("demographic_parity", "difference"),
        ("demographic_parity", "ratio"),
        ("treatment_equality", "difference"),
        ("treatment_equality", "ratio"),
        ("calibration_gap", "difference"),
    ],
)
def test_the_variance_of_a_gap_is_that_of_the_jackknife_over_clusters(
    *, measure: str, comparison: Any, control: bool
) -> None:
    frame = days_of(12_000, 100)
    frame = frame[frame["group"] != "c"]
    one, two = compared(frame, measure, control=control)
    left = what_remains(one, two, comparison)
    assert left is not None
    values = {
        "demographic_parity": frame["prediction"],
        "treatment_equality": frame["label"],
        "calibration_gap": frame["score"] - frame["label"],
    }
    told = frame.assign(value=values[measure], site=frame["site"] if control else "all")
    if measure == "treatment_equality":
        told = told[told["label"] != told["prediction"]]
    odds = measure == "treatment_equality"
    without = [_standardised(told[told["day"] != day], comparison, odds=odds) for day in range(100)]
    expected = 99 / 100 * ((without - np.mean(without)) ** 2).sum()
    # A little more than is found: a covariance is adjusted, and no side varies less than its
    # cases' correlation makes it.
    assert 0.97 < left.variance[0] / expected < 1.2


def test_clusters_that_are_strata_as_well_have_the_variance_of_their_differences() -> None:
    # Pairs of one case a group, each a stratum and a cluster: McNemar's design.
    random = np.random.default_rng(3)
    pairs = 200
    both = random.random(pairs)[:, None] < [[0.5]]
    hits = np.where(random.random((pairs, 2)) < 0.5, both, random.random((pairs, 2)) < 0.6)
    pair = np.repeat(np.arange(pairs), 2)
    group = np.tile([0, 1], pairs)
    counter = Counter((2, pairs), group * pairs + pair, None, pair)
    counts = counter.count(np.ones(2 * pairs, np.intp), hits.ravel().astype(np.intp), 2, {})
    (part,) = counts.parts(FAIRNESS_MEASURES["demographic_parity"], 1)
    left = what_remains(part.take(np.array([0])), part.take(np.array([1])), "difference")
    assert left is not None
    difference = hits[:, 0].astype(float) - hits[:, 1]
    assert left.variance[0] == pytest.approx(difference.var(ddof=1) / pairs, rel=0.05)


# What equals what.


@pytest.mark.parametrize("reference", ["best", "overall", {"group": "b"}])
@pytest.mark.parametrize("control", [(), ("site",)])
def test_whole_weights_are_rows_that_are_repeated_as_a_cluster(
    reference: Any, control: Any
) -> None:
    frame = days_of(4000, 40)
    asked = {"reference": reference, "control": control}
    weighted = measured(frame, weight="weight", **asked)
    repeated = frame.loc[frame.index.repeat(frame["weight"])]
    as_rows = measured(repeated, cluster="id", **asked)
    one_each = measured(frame, weight="weight", cluster="id", **asked)
    pd.testing.assert_frame_equal(one_each, weighted)
    # Of cases without clusters sums are known, and not how each one pulls the estimate along.
    columns = FIGURES + EFFECTIVE
    pd.testing.assert_frame_equal(as_rows[columns], weighted[columns], rtol=0.02, atol=0.003)
    np.testing.assert_array_equal(as_rows["status"], weighted["status"])
    rescaled = measured(frame.assign(weight=frame["weight"] / 7), weight="weight", **asked)
    pd.testing.assert_frame_equal(rescaled, weighted)


def test_weights_of_one_and_clusters_of_one_case_change_next_to_nothing() -> None:
    frame = days_of(9000, 40).assign(one=1)
    plain = measured(frame)
    for more in ({"weight": "one"}, {"cluster": "id"}):
        found = measured(frame, **more)
        pd.testing.assert_frame_equal(found[FIGURES[:1]], plain[FIGURES[:1]])
        width = (found["high"] - found["low"]) / (plain["high"] - plain["low"])
        assert width.between(0.999, 1.02).all()


def test_cases_that_are_repeated_as_clusters_tell_no_more_than_once() -> None:
    frame = days_of(3000, 40, spread=0).drop(columns="day")
    plain = measured(frame, measures=["demographic_parity"])
    repeated = pd.concat([frame] * 5)
    found = measured(repeated, measures=["demographic_parity"], cluster="id")
    np.testing.assert_allclose(found["value"], plain["value"])
    np.testing.assert_allclose(found["n_effective"], plain["n_effective"], rtol=0.01)
    np.testing.assert_allclose(found[["low", "high"]], plain[["low", "high"]], rtol=0.02)
    believed = measured(repeated, measures=["demographic_parity"])
    assert (believed["high"] - believed["low"] < 0.5 * (plain["high"] - plain["low"])).all()


def test_a_weight_of_zero_leaves_a_case_out() -> None:
    frame = days_of(900, 40)
    more = days_of(300, 40, seed=1).assign(weight=0, group="a")
    for cluster in (None, "day"):
        alone = measured(frame, weight="weight", cluster=cluster)
        together = measured(pd.concat([frame, more]), weight="weight", cluster=cluster)
        pd.testing.assert_frame_equal(together, alone)


def test_clusters_change_no_value_and_make_no_interval_narrower() -> None:
    frame = days_of(2000, 30)
    plain, clustered = measured(frame), measured(frame, cluster="day")
    pd.testing.assert_frame_equal(clustered[FIGURES[3:]], plain[FIGURES[3:]])
    # But for rounding.
    assert (clustered["n_effective"] <= plain["n_effective"] * (1 + 1e-12)).all()
    difference = plain["comparison"] == "difference"
    width, usual = ((gaps["high"] - gaps["low"])[difference] for gaps in (clustered, plain))
    assert (width > usual).all()


def test_what_clusters_are_called_changes_nothing() -> None:
    frame = days_of(2000, 30)
    called = frame.assign(day="day " + frame["day"].astype(str))
    pd.testing.assert_frame_equal(measured(frame, cluster="day"), measured(called, cluster="day"))


def test_a_gap_depends_on_no_other_group_and_attribute() -> None:
    frame = days_of(2000, 30).sort_values("day")
    asked: dict[str, Any] = {"reference": {"group": "a"}, "cluster": "day"}
    whole = measured(frame, **asked)
    alone = measured(frame[frame["group"] != "c"], **asked)
    pd.testing.assert_frame_equal(
        whole[whole["group"] == "b"].reset_index(drop=True), alone, check_exact=True
    )
    asked["reference"] = {"group": "a", "site": "n"}
    beside = measured(frame, attributes=["group", "site"], **asked)
    counted = FAIRNESS_MEASURES.keys() - {"calibration_gap"}
    beside = beside[(beside["attribute"] == "group") & beside["measure"].isin(counted)]
    pd.testing.assert_frame_equal(
        beside.reset_index(drop=True),
        whole[whole["measure"].isin(counted)].reset_index(drop=True),
        check_exact=True,
    )


def test_each_class_of_a_multiclass_candidate_has_the_clusters_of_its_binary_one() -> None:
    frame = days_of(3000, 30)
    frame["prediction"] = frame["prediction"] + (frame["score"] > 0.8)
    asked: dict[str, Any] = {"reference": {"group": "a"}, "cluster": "day", "score": None}
    gaps = measured(frame, task="multiclass_classification", **asked)
    for value in (0, 1, 2):
        binary = frame.assign(
            **{c: (frame[c] == value).astype(int) for c in ("label", "prediction")}
        )
        names = ["demographic_parity", "equalised_odds", "predictive_parity"]
        alone = measured(binary, measures=names, **asked)
        same = gaps[(gaps["class"] == value) & gaps["measure"].isin(names)]
        pd.testing.assert_frame_equal(
            same.drop(columns="class").reset_index(drop=True), alone.drop(columns="class")
        )


# What is too few, and what is refused.


def test_a_side_of_few_clusters_has_no_interval_and_says_how_many_it_needs() -> None:
    frame = days_of(4000, 30)
    few = frame[(frame["group"] != "b") | (frame["day"] < 7)]
    gaps = measured(few, measures=["demographic_parity"], cluster="day", reference={"group": "a"})
    b, c = (gaps[gaps["group"] == group] for group in "bc")
    assert set(b["status"]) == {"too_few"}
    assert set(b["reason"]) == {"needs 10 clusters, has 7"}
    assert np.isfinite(b["value"]).all()
    assert set(c["status"]) == {"ok"}
    gaps = measured(few, measures=["demographic_parity"], cluster="day", reference={"group": "b"})
    assert set(gaps["reason"]) == {"needs 10 clusters in the reference, has 7"}
    # Nor is it the best, whatever its rate.
    best = measured(few.assign(prediction=(few["group"] == "b").astype(int)), cluster="day")
    assert "b" not in set(best[(best["measure"] == "demographic_parity")]["reference"])


def test_the_clusters_of_both_sides_are_counted() -> None:
    frame = days_of(4000, 30)
    apart = frame[((frame["group"] == "a") & (frame["day"] < 20)) | (frame["group"] == "b")]
    apart = apart[(apart["group"] == "a") | (apart["day"] >= 15)]
    gaps = measured(apart, cluster="day", reference={"group": "a"}, measures=["accuracy_gap"])
    assert gaps["clusters"].tolist() == [30, 30]
    assert gaps["clusters"].dtype == "Int64"
    assert measured(apart)["clusters"].isna().all()
    assert measured(apart, weight="weight")["clusters"].isna().all()


def test_rates_of_nothing_and_all_rest_on_their_clusters() -> None:
    frame = days_of(6000, 30, spread=0)
    frame = frame[frame["group"] != "c"].assign(prediction=(frame["group"] == "a").astype(int))
    asked: dict[str, Any] = {"measures": ["demographic_parity"], "reference": {"group": "b"}}
    row = measured(frame, cluster="day", **asked).iloc[0]
    assert row["value"] == 1
    assert 25 < row["n_effective"] <= 30
    assert row["low"] < measured(frame, **asked).iloc[0]["low"] - 0.1


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("weight", -1, "weight column 'weight' is negative"),
        ("day", None, "column 'day' is missing"),
    ],
)
def test_weights_and_clusters_that_cannot_be_are_refused(
    column: str, value: Any, message: str
) -> None:
    frame = days_of(100, 20).astype({"day": object})
    frame.loc[3, column] = value
    with pytest.raises(MetricsInputError, match=message):
        measured(frame, weight="weight", cluster="day")


def test_no_cases_are_no_error() -> None:
    nothing = days_of(10, 2).head(0)
    declared = measured(nothing, groups={"group": ["a", "b"]}, weight="weight", cluster="day")
    assert set(declared["status"]) == {"undefined"}


# Whether the intervals hold.


def rates_of(hits: Any, cases: Any) -> RateSummary:
    """Build groups from hits and cases of shape (groups, clusters), in one stratum."""
    groups, n = np.arange(len(cases)), cases.sum(axis=1).astype(float)[:, None]
    y = hits.sum(axis=1).astype(float)[:, None]
    row, cluster = np.nonzero(cases)
    values, of_cases = (
        csr_array((of[row, cluster].astype(float), (row, cluster)), shape=cases.shape)
        for of in (hits, cases)
    )
    clusters = ClusterSums(values, of_cases, (of_cases, values, values), 1)
    survey = SurveySums(np.stack([n, y, y], axis=-1), clusters, groups)
    return RateSummary(n[:, 0], n, "cases", y, survey=survey)


def drawn(
    random: np.random.Generator,
    sizes: Any,
    *,
    rates: tuple[float, float],
    correlations: tuple[float, float],
    shared: float,
    share: float,
) -> list[Any]:
    """Draw hits and cases of two groups in clusters: beta-binomial, with shared effects."""
    cases = random.binomial(sizes, share)
    found: list[Any] = []
    common = random.normal(size=sizes.shape)
    for n, rate, correlation in zip((sizes - cases, cases), rates, correlations, strict=True):
        of_day = np.full(sizes.shape, rate)
        if correlation:
            apart = random.normal(size=sizes.shape)
            place = special.ndtr(np.sqrt(shared) * common + np.sqrt(1 - shared) * apart)
            more = (1 - correlation) / correlation
            grid = (np.arange(2000) + 0.5) / 2000
            table = special.betaincinv(rate * more, (1 - rate) * more, grid)
            of_day = table[np.minimum((place * 2000).astype(int), 1999)]
        found += [random.binomial(n, of_day), n]
    return found


@pytest.mark.parametrize("comparison", ["difference", "ratio"])
@pytest.mark.parametrize(
    ("clusters", "rates", "correlations", "shared", "share"),
    [
        (12, (0.5, 0.5), (0.1, 0.1), 1.0, 0.2),
        (12, (0.95, 0.8), (0.3, 0.3), 0.5, 0.5),
        (28, (0.05, 0.05), (0.3, 0.3), 0.0, 0.05),
        (28, (0.2, 0.3), (0.1, 0.1), 0.5, 0.05),
        (60, (0.05, 0.3), (0.3, 0.3), 1.0, 0.2),
        # The sides depend on their clusters unlike, and the more dependent one is near 0 or 1.
        (12, (0.05, 0.05), (0.3, 0.0), 0.0, 0.5),
        (20, (0.02, 0.02), (0.0, 0.3), 0.5, 0.5),
        (28, (0.5, 0.02), (0.1, 0.3), 0.0, 0.5),
        (60, (0.98, 0.98), (0.3, 0.0), 0.5, 0.5),
    ],
)
def test_a_gap_misses_in_no_more_draws_than_it_may(
    *,
    comparison: Any,
    clusters: int,
    rates: tuple[float, float],
    correlations: tuple[float, float],
    shared: float,
    share: float,
) -> None:
    random, trials = np.random.default_rng(21), 1000
    sizes = np.ceil(random.lognormal(4, 0.5, (trials, clusters))).astype(int)
    y, n, x, m = drawn(
        random, sizes, rates=rates, correlations=correlations, shared=shared, share=share
    )
    truth = rates[0] - rates[1] if comparison == "difference" else np.log(rates[0] / rates[1])
    (gap,) = compare(rates_of(y, n), rates_of(x, m), GapRequest(comparison, 0.95, 0.95, 20))
    there = (gap.undefined == "") & (gap.too_few == "")
    below, above = (np.mean(there & beyond) for beyond in (gap.high < truth, gap.low > truth))
    assert there.mean() > 0.8
    assert below + above <= 0.07
    # 0.035, and three deviations of what chance makes of it.
    assert max(below, above) <= 0.052


@pytest.mark.parametrize("shared", [0.0, 1.0])
def test_the_choice_of_the_best_is_accounted_for_where_groups_share_their_days(
    shared: float,
) -> None:
    random, trials = np.random.default_rng(22), 250
    missed = np.zeros(2)
    for _ in range(trials):
        sizes = np.full((4, 28), 25)
        common = random.normal(size=28) * np.sqrt(shared)
        place = special.ndtr(common + np.sqrt(1 - shared) * random.normal(size=(4, 28)))
        hits = random.binomial(sizes, special.betaincinv(4.5, 4.5, place))
        options = GapOptions(0.95, 20, "difference")
        gap = compare_with_reference([rates_of(hits, sizes)], 1, "best", options).gap
        missed += [np.mean(gap.low > 0), np.mean(gap.high < 0)]
    assert (missed / trials <= 0.035).all()


def test_gaps_between_regions_hold_on_days_drawn_from_the_real_year() -> None:
    flights = load_flights()
    flights = flights[flights["arrival_delay"].notna() & flights["departure_delay"].notna()]
    frame = pd.DataFrame(
        {
            "late": (flights["arrival_delay"] > 15).astype(int),
            "warned": (flights["departure_delay"] > 15).astype(int),
            "day": flights["date"].astype(str),
            "region": flights["region"].astype(str),
        }
    )
    asked: dict[str, Any] = {
        "label": "late",
        "prediction": "warned",
        "attributes": ["region"],
        "measures": ["equal_opportunity", "accuracy_gap"],
        "reference": "overall",
    }
    keys = ["measure", "comparison", "group"]
    truth = fairness(frame, **asked).set_index(keys)["value"]
    of_day = dict(iter(frame.groupby("day")))
    random, draws = np.random.default_rng(23), 40
    held = {None: truth * 0, "day": truth * 0}
    for _ in range(draws):
        days = random.choice(sorted(of_day), 28, replace=False)
        some = pd.concat([of_day[day] for day in days], ignore_index=True)
        for cluster in held:
            found = fairness(some, cluster=cluster, **asked).set_index(keys)
            beyond = (found["low"] > truth) | (found["high"] < truth)
            held[cluster] += 1 - beyond.reindex(truth.index) / 1
    shares = {cluster: sums / draws for cluster, sums in held.items()}
    assert shares["day"].min() >= 0.9
    assert shares[None].min() < 0.7
