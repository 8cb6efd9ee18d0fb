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
# By a line's first word, which is the metric's name: its misses below and above, those of the
# samples with an interval alone, and the share of these.
shown: dict[str, list[tuple[float, float, float, float]]] = {}


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
    among = (below + above) / max(given.mean(), 1 / samples)
    shown.setdefault(name.split(maxsplit=1)[0].rstrip(","), []).append(
        (below, above, among, given.mean())
    )
    print(
        f"{name:66s} truth {truth:7.3f}  below {below:.3f}  above {above:.3f}  "
        f"with an interval {given.mean():.2f}  width {width:.3f}{'' if keeps else '  MISSES'}",
        flush=True,
    )


def summarise() -> None:
    """Print what is worst of each metric."""
    print(
        f"\n{'worst line':32s}{'lines':>6s}{'below':>8s}{'above':>8s}{'of given':>10s}{'given':>8s}"
    )
    for metric, lines in shown.items():
        below, above, among, given = np.array(lines).T
        print(
            f"{metric:32s}{len(lines):6d}{below.max():8.3f}{above.max():8.3f}{among.max():10.3f}"
            f"{given.min():8.2f}"
        )
    shown.clear()


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


# Clusters, cases of each and whether these have weights; independent cases are clusters of 1.
Design = tuple[int, int | str, bool]
INDEPENDENT: tuple[Design, ...] = (
    *((50, 1, False), (100, 1, False), (300, 1, False), (1000, 1, False)),
    (300, 1, True),
)
CLUSTERED: tuple[Design, ...] = (
    *((12, 25, False), (20, 30, False), (60, 10, False)),
    *((30, "lognormal", False), (30, "lognormal", True)),
)
LARGE: Design = (100_000, 10, False)
Layout = tuple[np.random.Generator, int, pd.DataFrame]


def laid_out(random: np.random.Generator, samples: int, design: Design) -> Layout:
    """Lay out samples: how many clusters there are, and each case's cluster, sample and weight."""
    clusters, each, _ = design
    sizes = cluster_sizes(random, each, samples * clusters)
    cluster = np.repeat(np.arange(samples * clusters), sizes)
    weight = random.lognormal(0, 0.7, len(cluster))
    frame = {"cluster": cluster, "sample": cluster // clusters, "weight": weight}
    return random, samples * clusters, pd.DataFrame(frame)


def of_designs(
    name: str,
    draw: Callable[[Layout], pd.DataFrame],
    told: dict[str, Any],
    *,
    clustered: bool,
    samples: int = SAMPLES,
    truth: dict[str, float] | None = None,
) -> None:
    """Measure one line a design and metric; what is not told of the truth is that of many cases."""
    random = np.random.default_rng(112)
    columns: dict[str, Any] = {"label": "label", "slices": ["sample"]} | told

    def by_metric(frame: pd.DataFrame, **more: Any) -> Any:
        table = slice_metrics(frame, **columns, **more)
        names = table.metric + (" " + table["class"].astype(str) if "class" in table else "")
        return table.groupby(names.fillna(table.metric), sort=False)

    true = truth
    if true is None:
        whole = by_metric(draw(laid_out(random, 1, LARGE)), levels=["overall"])
        true = whole["value"].first().to_dict()
    for design in CLUSTERED if clustered else INDEPENDENT:
        clusters, each, weighted = design
        size = clusters * (each if isinstance(each, int) else 9)
        line = f"{name}, {clusters} " + (f"clusters of {each}" if clustered else "cases")
        more = {"weight": "weight" if weighted else None}
        drawn = draw(laid_out(random, min(samples, 1_500_000 // size), design))
        found = by_metric(
            drawn, cluster="cluster" if clustered else None, levels=["sample"], **more
        )
        for metric, part in found:
            full = f"{metric}, {line}{', weighted' if weighted else ''}"
            show(full, true[metric], part["low"].to_numpy(), part["high"].to_numpy())


TAILS: dict[str, Callable[..., Any]] = {
    "normal": lambda random, size: random.standard_normal(size),
    "lognormal": lambda random, size: random.lognormal(0, 1, size) - np.exp(0.5),
    "three degrees of freedom": lambda random, size: random.standard_t(3, size),
}


def numbers() -> None:
    """Numbers with limits of which one in ten or in a hundred is outside, and skewed targets.

    In clusters the cases of one have a part of their target and of their error in common.
    """
    print("\npredictions and limits of a regression")
    told: dict[str, Any] = {
        "task": "regression",
        "prediction": "guess",
        "limits": ("low", "high"),
        "tolerance": 0.5,
    }
    of_limits = ["limits_coverage", "limits_width", "interval_score"]
    # Relative errors have no mean where labels may be near 0.
    of_errors = [
        *("mean_absolute_error", "root_mean_squared_error", "median_absolute_error"),
        *("bias", "r2", "pinball_loss_90", "within_tolerance"),
    ]
    for (name, tail), outside, clustered in product(TAILS.items(), (0.1, 0.01), (False, True)):
        edges = np.quantile(
            tail(np.random.default_rng(1), 4_000_000), [outside / 2, 1 - outside / 2]
        )
        shared = 0.3 * clustered

        def draw(
            layout: Layout, tail: Any = tail, edges: Any = edges, shared: float = shared
        ) -> pd.DataFrame:
            random, clusters, frame = layout

            def partly(draw: Callable[..., Any]) -> Any:
                common = draw(random, clusters)[frame.cluster]
                own = draw(random, len(frame))
                return np.sqrt(1 - shared) * own + np.sqrt(shared) * common

            # Errors are scaled by a part that varies, as limits are, and know it.
            scale = random.uniform(0.5, 1.5, len(frame))
            guess = np.exp(partly(TAILS["normal"]))
            low, high = (guess + scale * edge for edge in edges)
            label = guess + scale * partly(tail)
            return frame.assign(label=label, guess=guess, low=low, high=high)

        told["metrics"] = of_limits + (of_errors if outside == 0.1 else [])
        of_designs(f"{name}, {outside:g} outside", draw, told, clustered=clustered)


def classes() -> None:
    """Kappa, shares, rates and averages of classifiers of several classes, of which some are rare.

    In clusters labels and difficulty differ; predictions are mostly near the label.
    """
    print("\nseveral classes")
    for shares in ((0.5, 0.3, 0.2), (0.6, 0.3, 0.09, 0.01), (0.95, 0.04, 0.01), (0.1,) * 10):
        told: dict[str, Any] = {
            "task": "multiclass_classification",
            "prediction": "prediction",
            "abstains": True,
            "classes": list(range(len(shares))),
            "metrics": [
                *("accuracy", "cohen_kappa", "quadratic_weighted_kappa"),
                *("coverage", "selective_accuracy", "balanced_accuracy"),
                *(f"{rate}_macro" for rate in ("precision", "recall", "f1")),
                *(f"{rate}_weighted" for rate in ("precision", "recall", "f1")),
                *(f"class_{what}" for what in ("recall", "precision", "f1", "share")),
            ],
        }
        for right, clustered in product((0.6, 0.9, 0.99), (False, True)):

            def draw(
                layout: Layout,
                shares: Any = shares,
                right: float = right,
                spread: float = clustered,
            ) -> pd.DataFrame:
                return _decided(layout, shares, right, spread)

            line = f"{len(shares)} classes, {shares[-1]:g} the rarest, {right:g} right"
            of_designs(line, draw, told, clustered=clustered, samples=SAMPLES // 4)


def _decided(
    layout: Layout, shares: tuple[float, ...], right: float, spread: float
) -> pd.DataFrame:
    """Draw labels and difficulty that differ between clusters by so much, on the log scale."""
    random, clusters, frame = layout
    tilt, ease, silence = spread * random.normal(size=(3, clusters))[:, frame.cluster]
    numbers = np.arange(len(shares))
    odds = np.array(shares) * np.exp(tilt[:, None] * (numbers - numbers.mean()) / len(shares))
    limits = odds.cumsum(axis=1) / odds.sum(axis=1, keepdims=True)
    label = (limits < random.random((len(frame), 1))).sum(axis=1)
    is_right = random.random(len(frame)) < special.expit(special.logit(right) + ease)
    # Of the wrong ones, most are in the next class, and some anywhere.
    near = np.abs(label + random.choice([-1, 1], len(label)))
    near = np.where(near < len(shares), near, len(shares) - 2)
    anywhere = (label + random.integers(1, len(shares), len(label))) % len(shares)
    wrong = np.where(random.random(len(label)) < 0.8, near, anywhere)
    prediction = np.where(is_right, label, wrong).astype(float)
    prediction[random.random(len(label)) < special.expit(-2 + silence)] = np.nan
    return frame.assign(label=label, prediction=prediction)


def probabilities() -> None:
    """Calibration errors, losses and areas of probabilities of classes, some of them rare."""
    print("\nprobabilities of several classes")
    errors = ["top_label_calibration_error", "classwise_calibration_error"]
    for shares in ((0.5, 0.5), (0.6, 0.3, 0.09, 0.01), (0.1,) * 10):
        told: dict[str, Any] = {
            "task": "multiclass_classification",
            "score": {number: str(number) for number in range(len(shares))},
        }
        for sharpness, clustered in product((1.0, 2.0), (False, True)):

            def draw(
                layout: Layout,
                shares: Any = shares,
                sharpness: float = sharpness,
                spread: float = 0.7 * clustered,
            ) -> pd.DataFrame:
                return _given(layout, shares, sharpness, spread)

            perfect = sharpness == 1 and not clustered
            line = f"{len(shares)} classes, {shares[-1]:g} the rarest, sharpened {sharpness:g}"
            others = {"metrics": ["brier", "log_loss", "roc_auc_ovr", "roc_auc_ovo"]}
            of_designs(line, draw, told | others, clustered=clustered, samples=SAMPLES // 2)
            # Their intervals are made by draws, one sample after the other.
            truth = dict.fromkeys(errors, 0.0) if perfect else None
            of_designs(
                line,
                draw,
                told | {"metrics": errors},
                clustered=clustered,
                samples=400,
                truth=truth,
            )


def _given(
    layout: Layout, shares: tuple[float, ...], sharpness: float, spread: float
) -> pd.DataFrame:
    """Draw probabilities that are a power of the true ones, which clusters share in part."""
    random, clusters, frame = layout
    known = np.log(shares) + random.normal(0, 1.2, (len(frame), len(shares)))
    shared = spread * random.normal(size=(clusters, len(shares)))[frame.cluster]
    true = special.softmax(known + shared, axis=1)
    label = (true.cumsum(axis=1) < random.random((len(frame), 1))).sum(axis=1)
    given = special.softmax(sharpness * known, axis=1)
    scores = {str(number): one for number, one in enumerate(given.T)}
    return frame.assign(label=np.minimum(label, len(shares) - 1), **scores)


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
    numbers,
    classes,
    probabilities,
    rankings,
)


def main() -> None:
    """Print all tables, or those that are named."""
    for part in PARTS:
        if part.__name__ in (sys.argv[1:] or {one.__name__ for one in PARTS}):
            part()
            summarise()
    print(f"\n{len(broken)} lines miss more than they promise", *broken, sep="\n  ")


if __name__ == "__main__":
    main()
