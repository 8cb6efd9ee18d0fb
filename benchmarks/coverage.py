"""How often intervals miss the truth: a longer simulation than the tests can afford.

Run from the repository's root: ``python benchmarks/coverage.py`` (some minutes), or with the names
of some parts. The truth is known or measured on millions of cases; the nominal coverage is 0.95.
Each line counts over *all* samples: how many have an interval that lies below the truth, how many
one that lies above, and how many have an interval at all; a sample without one misses nothing. A
line keeps the promise with at most 0.07 misses, and at most 0.035 on either side, beyond which only
three standard errors of the simulation are allowed; lines that do not are marked and counted.
"""

import json
import sys
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from scipy import optimize, special, stats

from evaluator.metrics import slice_metrics
from evaluator.metrics._levels import Level
from evaluator.metrics._linear import SurveyDesign
from evaluator.metrics._rates import blaker, clopper_pearson, wilson

SAMPLES = 4000
Drawn = tuple[Any, Any]


def enumerate_rates() -> None:
    """Print the worst and the mean coverage of rates by exact enumeration."""
    print("\nRates, by enumeration over true rates 0.01 to 0.99: worst coverage / mean width")
    sizes = (10, 20, 50, 200)
    print(f"{'n':20s}" + "".join(f"{n:>18d}" for n in sizes))
    rates = np.linspace(0.01, 0.99, 981)
    for method in (blaker, clopper_pearson, wilson):
        row = ""
        for n in sizes:
            hits = np.arange(n + 1.0)
            low, high = method(hits, np.full(n + 1, float(n)), 0.95)
            shares = stats.binom.pmf(hits[:, None], n, rates)
            held = (low[:, None] <= rates) & (rates <= high[:, None])
            worst = (shares * held).sum(axis=0).min()
            width = (shares * (high - low)[:, None]).sum(axis=0).mean()
            row += f"{worst:10.3f} / {width:.3f}"
        print(f"{method.__name__:20s}{row}")


MISSES, ON_A_SIDE = 0.07, 0.035
broken: list[str] = []


def show(name: str, truth: float, low: Any, high: Any) -> None:
    """Print one line; samples without an interval have no limits."""
    samples = len(low)
    below, above = (np.count_nonzero(miss) / samples for miss in (high < truth, low > truth))
    given = np.isfinite(low)
    width = float((high - low)[given].mean()) if given.any() else np.nan
    slack = 3 * np.sqrt(ON_A_SIDE / samples)
    keeps = max(below, above) <= ON_A_SIDE + slack and below + above <= MISSES + slack
    if not keeps:
        broken.append(name)
    print(
        f"{name:66s} truth {truth:7.3f}  below {below:.3f}  above {above:.3f}  "
        f"with an interval {given.mean():.2f}  width {width:.3f}{'' if keeps else '  MISSES'}",
        flush=True,
    )


def report(name: str, metric: str, truth: float, drawn: Drawn, **more: Any) -> None:
    """Measure one line: every sample is a slice of one frame."""
    label, score = drawn
    samples, size = label.shape
    frame = pd.DataFrame({"label": label.ravel(), "score": score.ravel()})
    frame["sample"] = np.repeat(np.arange(samples), size)
    of_regression = more.get("task") == "regression"
    columns = {"prediction": "score"} if of_regression else {"score": "score"}
    if not of_regression:
        frame["label"] = frame.label.astype(int)
    table = slice_metrics(
        frame,
        label="label",
        slices=["sample"],
        levels=["sample"],
        metrics=[metric],
        **columns,
        **more,
    )
    show(name, truth, table.low.to_numpy(), table.high.to_numpy())


def areas() -> None:
    """Areas of normal scores with equal and with unequal spread, and of exponential scores."""
    print("\nroc_auc")
    random = np.random.default_rng(101)
    spreads = {"normal": (1.0, 1.0), "normal, positives three times as wide": (3.0, 1.0)}
    for positives, negatives in ((10, 10), (10, 50), (50, 10), (10, 200), (30, 30), (100, 200)):
        label = np.zeros((SAMPLES, positives + negatives), dtype=bool)
        label[:, :positives] = True
        for area in (0.6, 0.8, 0.95):
            for name, (wide, narrow) in spreads.items():
                shift = np.hypot(wide, narrow) * special.ndtri(area)
                noise = random.normal(size=label.shape)
                score = np.where(label, shift + wide * noise, narrow * noise)
                line = f"{name}, {positives} and {negatives}"
                report(line, "roc_auc", area, (label, score))
            size = area / (1 - area)
            score = random.exponential(1, label.shape) * np.where(label, size, 1)
            report(f"exponential, {positives} and {negatives}", "roc_auc", area, (label, score))


def _calibrated(random: np.random.Generator, shape: tuple[int, int]) -> Drawn:
    score = random.beta(2, 3, shape)
    return random.random(shape) < score, score


def _sharp(random: np.random.Generator, shape: tuple[int, int]) -> Drawn:
    score = random.beta(0.3, 0.5, shape)
    return random.random(shape) < score, score


def _overconfident(random: np.random.Generator, shape: tuple[int, int]) -> Drawn:
    rate = random.beta(2, 3, shape)
    return random.random(shape) < rate, special.expit(1.7 * special.logit(rate))


def _shifted(random: np.random.Generator, shape: tuple[int, int]) -> Drawn:
    score = random.beta(2, 3, shape)
    return random.random(shape) < special.expit(special.logit(score) + 0.6), score


def _rare(random: np.random.Generator, shape: tuple[int, int]) -> Drawn:
    score = random.beta(1, 20, shape)
    return random.random(shape) < score, score


MODELS: dict[str, Callable[[np.random.Generator, tuple[int, int]], Drawn]] = {
    "calibrated": _calibrated,
    "sharp": _sharp,
    "overconfident": _overconfident,
    "shifted": _shifted,
    "rare positives": _rare,
}


def models(metric: str, sizes: tuple[int, ...], samples: int = SAMPLES) -> None:
    """Measure a metric's interval for several models and sizes."""
    print(f"\n{metric}")
    for name, draw in MODELS.items():
        label, score = draw(np.random.default_rng(1), (1, 4_000_000))
        frame = pd.DataFrame({"label": label[0].astype(int), "score": score[0], "all": "all"})
        table = slice_metrics(frame, label="label", score="score", slices=["all"], metrics=[metric])
        truth = float(table.value[0])
        perfect = name in {"calibrated", "sharp", "rare positives"}
        if metric == "expected_calibration_error" and perfect:
            truth = 0.0
        random = np.random.default_rng(102)
        for size in sizes:
            report(f"{name}, {size} cases", metric, truth, draw(random, (samples, size)))


def regressions() -> None:
    """Errors from normal to heavy-tailed."""
    print("\nregression errors")
    random = np.random.default_rng(103)
    draws = {
        "normal": random.standard_normal,
        "exponential": random.standard_exponential,
        "five degrees of freedom": lambda size: random.standard_t(5, size),
    }
    for name, draw in draws.items():
        large = np.asarray(draw(4_000_000))
        truths = {
            "mean_absolute_error": np.abs(large).mean(),
            "root_mean_squared_error": np.sqrt((large**2).mean()),
            "median_absolute_error": np.median(np.abs(large)),
            "bias": large.mean(),
        }
        for size in (20, 50, 200):
            error = np.asarray(draw((SAMPLES, size)))
            for metric, truth in truths.items():
                drawn = np.zeros(error.shape), error
                line = f"{metric}, {name}, {size} cases"
                report(line, metric, float(truth), drawn, task="regression")


def cluster_sizes(random: np.random.Generator, sizes: int | str, shape: Any) -> Any:
    """Draw the sizes of clusters: all equal, or lognormal from 1 to 80."""
    if isinstance(sizes, int):
        return np.full(shape, sizes)
    return np.clip(np.ceil(random.lognormal(1.5, 1.2, shape)), 1, 80).astype(int)


def logistic(rate: float, correlation: float) -> tuple[float, float]:
    """Find the normal distribution of log-odds that has this mean rate and this correlation."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(101)
    weights = weights / weights.sum()

    def centre(spread: float) -> float:
        def excess(middle: float) -> float:
            return float(weights @ special.expit(middle + spread * nodes)) - rate

        return float(optimize.brentq(excess, -90, 90))

    def excess(spread: float) -> float:
        rates = special.expit(centre(spread) + spread * nodes)
        return float(weights @ rates**2) - rate**2 - correlation * rate * (1 - rate)

    spread = float(optimize.brentq(excess, 1e-3, 15))
    return centre(spread), spread


def clustered_rates() -> None:
    """Rates of clusters: equal and lognormal sizes, correlations 0 to 0.3, rates 0.01 to 0.99."""
    print("\nrates in clusters")
    random, samples = np.random.default_rng(104), 2000
    designs: tuple[tuple[int, int | str], ...] = (
        *((10, 70), (20, 30), (28, 900), (60, 20), (200, 20)),
        *((n, "lognormal") for n in (10, 20, 30, 60, 200)),
    )
    for clusters, each in designs:
        shape = samples, clusters
        sample = np.repeat(np.arange(samples), clusters)
        level = Level("sample", (0,), np.arange(samples)[:, None], np.arange(samples))
        design = SurveyDesign(level, sample, cluster=np.arange(len(sample)))
        for correlation in (0.0, 0.03, 0.1, 0.3):
            for rate in (0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99):
                for kind in ("beta", "logistic") if correlation else ("independent",):
                    n = cluster_sizes(random, each, shape)
                    rates = np.full(shape, rate)
                    if kind == "beta":
                        size = (1 - correlation) / correlation
                        rates = random.beta(rate * size, (1 - rate) * size, shape)
                    elif kind == "logistic":
                        middle, spread = logistic(rate, correlation)
                        rates = special.expit(middle + spread * random.normal(size=shape))
                    hits = random.binomial(n, rates)
                    counts = [np.repeat(c.ravel()[:, None], 3, axis=1) for c in (hits, n - hits)]
                    found = design.unit_rate(*counts).rate("", 0.95)
                    line = f"{clusters} clusters of {each}, {kind}, correlation {correlation:g}"
                    show(line, rate, found.low, found.high)
                    if kind != "independent" and correlation == 0.1:
                        against_the_exact(found, n, rate, correlation)


def against_the_exact(found: Any, n: Any, rate: float, correlation: float) -> None:
    """Print how much wider it is than the exact interval on the true effective number of cases."""
    total = n.sum(axis=1)
    effective = total**2 / (n * (1 + (n - 1) * correlation)).sum(axis=1)
    low, high = clopper_pearson(rate * effective, effective, 0.95)
    wider = np.nanmean(found.high - found.low) / (high - low).mean()
    print(f"{'':66s} {wider:.2f} times the exact interval on the effective cases")


def clustered_models() -> None:
    """All other metrics, where base rate and difficulty differ between clusters."""
    print("\nother metrics in clusters")
    random = np.random.default_rng(105)
    metrics = [
        *("precision", "recall", "f1", "balanced_accuracy", "matthews_correlation", "roc_auc"),
        *("average_precision", "log_loss", "brier", "expected_calibration_error"),
        *("calibration_intercept", "calibration_slope"),
    ]
    columns: dict[str, Any] = {"label": "label", "score": "score", "slices": ["sample"]}
    for base, base_spread, ease, ease_spread in (
        (-0.5, 1.5, 1.5, 1.5),
        (-3.0, 1.0, 2.0, 1.0),
        (-1.0, 0.5, 3.0, 1.5),
        (-1.0, 0.0, 1.0, 0.0),
    ):

        def draw(
            samples: int,
            clusters: int,
            sizes: int | str,
            middle: tuple[float, float] = (base, ease),
            spread: tuple[float, float] = (base_spread, ease_spread),
        ) -> pd.DataFrame:
            n = cluster_sizes(random, sizes, samples * clusters)
            cluster = np.repeat(np.arange(samples * clusters), n)
            own = random.normal(size=(2, samples * clusters))[:, cluster]
            label = random.random(len(cluster)) < special.expit(middle[0] + spread[0] * own[0])
            odds = np.where(label, 1, -1) * (middle[1] + spread[1] * own[1])
            score = special.expit(odds + random.normal(0, 1.5, len(cluster)))
            frame = {"label": label.astype(int), "score": score, "cluster": cluster}
            return pd.DataFrame(frame | {"sample": cluster // clusters})

        whole = slice_metrics(draw(1, 300_000, 4), **columns, metrics=metrics, levels=["overall"])
        truth = whole.set_index("metric")["value"]
        for clusters, sizes in (
            (10, 30),
            (20, 30),
            (28, 100),
            (20, "lognormal"),
            (30, "lognormal"),
        ):
            for metric, part in slice_metrics(
                draw(1000, clusters, sizes),
                **columns,
                metrics=metrics,
                cluster="cluster",
                levels=["sample"],
            ).groupby("metric", sort=False):
                line = f"{metric}, {clusters} clusters of {sizes}"
                show(line, truth[metric], part["low"].to_numpy(), part["high"].to_numpy())


def weighted_matthews() -> None:
    """Matthews' correlation with nearly equal weights, where one class is rare."""
    print("\nMatthews' correlation with weights")
    random = np.random.default_rng(106)
    for size, base, found, false in (
        *((50, 0.1, 0.95, 0.02), (100, 0.1, 0.95, 0.02), (200, 0.05, 0.6, 0.01)),
        *((300, 0.05, 0.9, 0.01), (1000, 0.02, 0.9, 0.005)),
    ):
        label = random.random((1500, size)) < base
        decided = random.random(label.shape) < np.where(label, found, false)
        tp, fn, fp, tn = base * found, base * (1 - found), (1 - base) * false, 0.0
        tn = 1 - tp - fn - fp
        spread = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
        frame = pd.DataFrame({"label": label.ravel().astype(int), "given": decided.ravel()})
        frame["sample"] = np.repeat(np.arange(len(label)), size)
        frame["weight"] = random.uniform(0.8, 1.2, len(frame))
        frame["given"] = frame["given"].astype(int)
        table = slice_metrics(
            frame,
            label="label",
            prediction="given",
            slices=["sample"],
            metrics=["matthews_correlation"],
            weight="weight",
            levels=["sample"],
        )
        line = f"{size} cases, base rate {base:g}, found {found:g}, false {false:g}"
        truth = (tp * tn - fp * fn) / np.sqrt(spread)
        show(line, truth, table["low"].to_numpy(), table["high"].to_numpy())


LABELS: dict[str, tuple[Callable[..., Any], float, float]] = {
    # Draws, variance, mean square.
    "normal": (lambda r, s: r.normal(0, 1, s), 1.0, 1.0),
    "uniform": (lambda r, s: r.uniform(0, 1, s), 1 / 12, 1 / 3),
    "exponential": (lambda r, s: r.exponential(1, s), 1.0, 2.0),
    "lognormal": (lambda r, s: r.lognormal(0, 1, s), np.e**2 - np.e, np.e**2),
}
ERRORS: dict[str, tuple[Callable[..., Any], float]] = {
    # Draws beside the labels, mean square.
    "normal": (lambda r, y: r.normal(0, 1, y.shape), 1.0),
    "t5": (lambda r, y: r.standard_t(5, y.shape), 5 / 3),
    "t3": (lambda r, y: r.standard_t(3, y.shape), 3.0),
    "proportional": (lambda r, y: 0.3 * y * r.normal(0, 1, y.shape), 0.09),
}


def skewed_regressions() -> None:
    """Squared errors of long tails, and of labels that have them."""
    print("\nR2 and RMSE")
    for size in (50, 200, 1000):
        random = np.random.default_rng(107)
        for labels, (draw_labels, variance, mean_square) in LABELS.items():
            for errors, (draw_errors, square) in ERRORS.items():
                label = draw_labels(random, (2000, size))
                drawn = label, label + draw_errors(random, label)
                truth = square * (mean_square if errors == "proportional" else 1)
                line = f"{errors} errors, {labels} labels, {size} cases"
                report(f"R2, {line}", "r2", 1 - truth / variance, drawn, task="regression")
                if errors == "proportional" or labels == "normal":
                    metric = "root_mean_squared_error"
                    report(f"RMSE, {line}", metric, truth**0.5, drawn, task="regression")


def rare_positives() -> None:
    """Average precision of normal scores with few positives."""
    print("\naverage precision with few positives")
    for positives, rate in product((10, 20, 30, 60), (0.01, 0.05, 0.2, 0.5)):
        random, size = np.random.default_rng(108), round(positives / rate)
        samples = max(min(2000, 4_000_000 // size), 500)
        label = np.broadcast_to(np.arange(size) < positives, (samples, size))
        for apart in (0.5, 1.0, 2.0, 3.0):
            score = random.normal(0, 1, label.shape) + apart * label
            threshold = np.linspace(12 + apart, -12, 400_001)
            recall, false = special.ndtr(apart - threshold), special.ndtr(-threshold)
            found = rate * recall
            precision = found / np.maximum(found + (1 - rate) * false, 1e-300)
            truth = float(np.trapezoid(precision, recall))
            line = f"{positives} positives of {size}, {apart:g} apart"
            report(line, "average_precision", truth, (label, score))


def of_samples(name: str, truth: Any, frame: pd.DataFrame, **told: Any) -> None:
    """Measure one line a metric: every value of the column "sample" is a sample."""
    table = slice_metrics(frame, label="label", slices=["sample"], **told)
    for metric, part in table[table.level == "sample"].groupby("metric", sort=False):
        line = f"{metric}, {name}"
        show(line, float(truth[metric]), part["low"].to_numpy(), part["high"].to_numpy())


def limits() -> None:
    """Limits of skewed and of heavy-tailed labels, of which one in ten or in a hundred is outside.

    In clusters the cases of one have their error in common, in part.
    """
    print("\nlimits of a regression")
    random = np.random.default_rng(109)
    told: dict[str, Any] = {
        "task": "regression",
        "prediction": "guess",
        "limits": ("low", "high"),
        "tolerance": 0.5,
        "metrics": ["within_tolerance", "limits_coverage", "limits_width", "interval_score"],
    }
    draws: dict[str, Callable[[Any], Any]] = {
        "normal": random.standard_normal,
        "lognormal": lambda size: random.lognormal(0, 1, size) - np.exp(0.5),
        "three degrees of freedom": lambda size: random.standard_t(3, size),
    }
    for (name, draw), outside in product(draws.items(), (0.1, 0.01)):
        # Errors are scaled by a part that varies, as limits are, and know it.
        edges = np.quantile(draw(4_000_000), [outside / 2, 1 - outside / 2])
        for shared in (0.0, 0.3):
            settings = draw, edges, shared
            whole = _limited(random, settings, (1, 200_000, 10))
            measured = slice_metrics(whole, label="label", slices=["sample"], **told)
            truth = measured.groupby("metric")["value"].first()
            for clusters, each in ((5, 10), (20, 10), (100, 10), (30, 30))[1 if shared else 0 :]:
                drawn = _limited(random, settings, (1000, clusters, each))
                line = f"{name}, {outside:g} outside, {clusters * each} cases"
                if shared:
                    line = f"{name}, {outside:g} outside, {clusters} clusters of {each}"
                of_samples(line, truth, drawn, **told, cluster="cluster" if shared else None)


def _limited(
    random: np.random.Generator,
    settings: tuple[Callable[[Any], Any], Any, float],
    shape: tuple[int, int, int],
) -> pd.DataFrame:
    """Draw samples of clusters whose cases share a part of their error."""
    draw, edges, shared = settings
    samples, clusters, each = shape
    own, common = draw((samples * clusters, each)), draw((samples * clusters, 1))
    scale = random.uniform(0.5, 1.5, own.shape)
    label = scale * (np.sqrt(1 - shared) * own + np.sqrt(shared) * common)
    frame = {"label": label.ravel(), "guess": 0.0}
    frame |= {"low": (scale * edges[0]).ravel(), "high": (scale * edges[1]).ravel()}
    cluster = np.repeat(np.arange(samples * clusters), each)
    return pd.DataFrame(frame | {"cluster": cluster, "sample": cluster // clusters})


def classes() -> None:
    """Kappa and shares of classifiers of several classes, of which some are rare.

    In clusters labels and difficulty differ; predictions are mostly near the label.
    """
    print("\nseveral classes")
    random = np.random.default_rng(110)
    metrics = ["cohen_kappa", "quadratic_weighted_kappa", "selective_accuracy", "coverage"]
    told: dict[str, Any] = {
        "task": "multiclass_classification",
        "prediction": "prediction",
        "abstains": True,
        "metrics": metrics,
    }
    for shares in ((0.5, 0.3, 0.2), (0.6, 0.3, 0.09, 0.01), (0.95, 0.04, 0.01), (0.1,) * 10):
        told["classes"] = list(range(len(shares)))
        for right, spread in product((0.6, 0.9, 0.99), (0.0, 1.0)):
            settings = shares, right, spread
            whole = _decided(random, settings, (1, 100_000, 10))
            measured = slice_metrics(whole, label="label", slices=["sample"], **told)
            truth = measured.groupby("metric")["value"].first()
            sizes = ((20, 30), (60, 10)) if spread else ((50, 1), (100, 1), (300, 1), (1000, 1))
            for clusters, each in sizes:
                samples = min(1000, 1_000_000 // (clusters * each))
                drawn = _decided(random, settings, (samples, clusters, each))
                line = f"{len(shares)} classes, {shares[-1]:g} the rarest, {right:g} right"
                line += f", {clusters} clusters of {each}" if spread else f", {clusters} cases"
                of_samples(line, truth, drawn, **told, cluster="cluster" if spread else None)


def _decided(
    random: np.random.Generator,
    settings: tuple[tuple[float, ...], float, float],
    shape: tuple[int, int, int],
) -> pd.DataFrame:
    """Draw samples of clusters whose labels and difficulty differ by so much, on the log scale."""
    shares, right, spread = settings
    samples, clusters, each = shape
    cluster = np.repeat(np.arange(samples * clusters), each)
    tilt, ease, silence = spread * random.normal(size=(3, samples * clusters))[:, cluster]
    numbers = np.arange(len(shares))
    odds = np.array(shares) * np.exp(tilt[:, None] * (numbers - numbers.mean()) / len(shares))
    limits = odds.cumsum(axis=1) / odds.sum(axis=1, keepdims=True)
    label = (limits < random.random((len(cluster), 1))).sum(axis=1)
    is_right = random.random(len(cluster)) < special.expit(special.logit(right) + ease)
    # Of the wrong ones, most are in the next class, and some anywhere.
    near = np.abs(label + random.choice([-1, 1], len(label)))
    near = np.where(near < len(shares), near, len(shares) - 2)
    anywhere = (label + random.integers(1, len(shares), len(label))) % len(shares)
    wrong = np.where(random.random(len(label)) < 0.8, near, anywhere)
    prediction = np.where(is_right, label, wrong).astype(float)
    prediction[random.random(len(label)) < special.expit(-2 + silence)] = np.nan
    frame = {"label": label, "prediction": prediction, "cluster": cluster}
    return pd.DataFrame(frame | {"sample": cluster // clusters})


def probabilities() -> None:
    """Calibration errors and losses of probabilities of several classes, of which some are rare."""
    print("\nprobabilities of several classes")
    random = np.random.default_rng(111)
    metrics = ["top_label_calibration_error", "classwise_calibration_error", "brier", "log_loss"]
    told: dict[str, Any] = {"task": "multiclass_classification", "metrics": metrics}
    for shares in ((0.5, 0.5), (0.6, 0.3, 0.09, 0.01), (0.1,) * 10):
        told["classes"] = list(range(len(shares)))
        told["score"] = {number: str(number) for number in told["classes"]}
        for sharpness, spread in product((1.0, 2.0), (0.0, 0.7)):
            settings = shares, sharpness, spread
            whole = _given(random, settings, (1, 50_000, 10))
            measured = slice_metrics(whole, label="label", slices=["sample"], **told)
            truth = measured.groupby("metric")["value"].first()
            if sharpness == 1 and not spread:
                truth[metrics[:2]] = 0.0
            sizes = ((20, 30), (60, 10)) if spread else ((50, 1), (100, 1), (300, 1), (1000, 1))
            for clusters, each in sizes:
                samples = min(400, 200_000 // (clusters * each))
                drawn = _given(random, settings, (samples, clusters, each))
                line = f"{len(shares)} classes, {shares[-1]:g} the rarest, sharpened {sharpness:g}"
                line += f", {clusters} clusters of {each}" if spread else f", {clusters} cases"
                of_samples(line, truth, drawn, **told, cluster="cluster" if spread else None)


def _given(
    random: np.random.Generator,
    settings: tuple[tuple[float, ...], float, float],
    shape: tuple[int, int, int],
) -> pd.DataFrame:
    """Draw samples whose probabilities are a power of the true ones, which clusters share."""
    shares, sharpness, spread = settings
    samples, clusters, each = shape
    cluster = np.repeat(np.arange(samples * clusters), each)
    size = len(cluster), len(shares)
    known = np.log(shares) + random.normal(0, 1.2, size)
    shared = spread * random.normal(size=(samples * clusters, len(shares)))[cluster]
    true = special.softmax(known + shared, axis=1)
    label = (true.cumsum(axis=1) < random.random((len(cluster), 1))).sum(axis=1)
    given = special.softmax(sharpness * known, axis=1)
    frame = {"label": np.minimum(label, len(shares) - 1), "cluster": cluster}
    frame |= {"sample": cluster // clusters}
    return pd.DataFrame(frame | {str(number): one for number, one in enumerate(given.T)})


def losses() -> None:
    """Losses of several models."""
    for metric in ("log_loss", "brier"):
        models(metric, (20, 50, 100, 400))


def other_models() -> None:
    """All other metrics of several models."""
    models("expected_calibration_error", (50, 100, 300, 1000), samples=1000)
    for metric in ("average_precision", "matthews_correlation", "balanced_accuracy"):
        models(metric, (50, 100, 400), samples=2000)
    for metric in ("calibration_intercept", "calibration_slope"):
        models(metric, (100, 200, 400, 1000), samples=2000)


def rankings() -> None:
    """Reciprocal ranks, whose first relevant item comes at random, in clusters too."""
    print("\nmean_reciprocal_rank")
    random = np.random.default_rng(111)
    most, samples = 10, 1000
    places = np.arange(1, most + 1)
    lists = np.array(["[]", *(_found_at(place) for place in places)])
    shapes = ((50, 1), (100, 1), (300, 1), (28, 10), (60, 10))
    for (clusters, each), odds, spread in product(shapes, (-3.5, -2, 0, 2, 4), (0.0, 1.0)):
        if spread and each == 1:
            continue

        def likely(size: int) -> Any:
            shared = random.normal(odds, spread, (size, clusters, 1))  # noqa: B023 - at once
            return np.broadcast_to(special.expit(shared), (size, clusters, each))  # noqa: B023

        rate = likely(20_000)[..., :1, None]
        truth = float((rate * (1 - rate) ** (places - 1) / places).sum(axis=-1).mean())
        rank = random.geometric(likely(samples)).ravel()
        frame = pd.DataFrame({"label": '["d"]', "said": lists[np.where(rank > most, 0, rank)]})
        frame["sample"] = np.repeat(np.arange(samples), clusters * each)
        frame["cluster"] = np.repeat(np.arange(samples * clusters), each)
        table = slice_metrics(
            frame,
            label="label",
            prediction="said",
            slices=["sample"],
            levels=["sample"],
            task="ranking",
            metrics=["mean_reciprocal_rank"],
            cluster="cluster",
        )
        line = (
            f"mean_reciprocal_rank, odds {odds:g}, spread {spread:g}, {clusters} clusters of {each}"
        )
        show(line, truth, table.low.to_numpy(), table.high.to_numpy())


def _found_at(place: int) -> str:
    """Rank the one relevant item so."""
    return json.dumps([*map(str, range(1, place)), "d"])


PARTS = (
    enumerate_rates,
    areas,
    losses,
    other_models,
    regressions,
    skewed_regressions,
    rare_positives,
    clustered_rates,
    clustered_models,
    weighted_matthews,
    limits,
    classes,
    probabilities,
    rankings,
)


def main() -> None:
    """Print all tables, or those that are named."""
    for part in PARTS:
        if part.__name__ in (sys.argv[1:] or {one.__name__ for one in PARTS}):
            part()
    print(f"\n{len(broken)} lines miss more than they promise", *broken, sep="\n  ")


if __name__ == "__main__":
    main()
