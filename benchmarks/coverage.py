"""How often intervals cover the truth: a longer simulation than the tests can afford.

Run from the repository's root: ``python benchmarks/coverage.py`` (some minutes). The truth is
known or measured on four million cases; the nominal coverage is 0.95. Each line gives the share
of samples whose interval holds the truth among those that have an interval, that share itself,
and the mean width.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from scipy import special, stats

from evaluator.metrics import slice_metrics
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
        frame, label="label", slices=["sample"], metrics=[metric], **columns, **more
    )
    table = table[table.level == "sample"]
    fine = table[table.status == "ok"]
    covered = ((fine.low <= truth) & (truth <= fine.high)).mean()
    width = (fine.high - fine.low).mean()
    print(
        f"{name:58s} truth {truth:7.3f}  covered {covered:.3f}  "
        f"with an interval {len(fine) / len(table):.2f}  width {width:.3f}",
        flush=True,
    )


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


def main() -> None:
    """Print all tables."""
    enumerate_rates()
    areas()
    for metric in ("log_loss", "brier"):
        models(metric, (20, 50, 100, 400))
    models("expected_calibration_error", (50, 100, 300, 1000), samples=1000)
    for metric in ("average_precision", "matthews_correlation", "balanced_accuracy"):
        models(metric, (50, 100, 400), samples=2000)
    for metric in ("calibration_intercept", "calibration_slope"):
        models(metric, (100, 200, 400, 1000), samples=2000)
    regressions()


if __name__ == "__main__":
    main()
