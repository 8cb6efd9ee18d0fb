"""How long comparing candidates takes beside measuring them, and how often the tests err.

Run from the repository's root: ``python benchmarks/comparison.py`` times both on the same cases,
in the same process, in turn, with clusters as well; ``python benchmarks/comparison.py
--errors`` simulates instead how often each test finds a difference between candidates that do not
differ, and how often each interval misses it, on either side, of all draws.
"""

import argparse
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from metrics import CANDIDATES, METRICS, cases, ours

from evaluator.metrics import (
    METRICS as ALL_METRICS,
    compare_candidates,
    compare_pairs,
    slice_metrics,
)
from evaluator.metrics._catalogue import Task

SLICES = ["region", "segment"]
SCORES = {name: name for name in CANDIDATES}


def measured(frame: pd.DataFrame) -> None:
    """Measure the four candidates on all levels, one after the other."""
    for name in CANDIDATES:
        slice_metrics(frame, label="label", score=name, slices=SLICES, metrics=METRICS)


def compared(frame: pd.DataFrame, cluster: str | None = None) -> None:
    """Compare three candidates with the first on all levels."""
    compare_candidates(
        frame,
        label="label",
        scores=SCORES,
        baseline=CANDIDATES[0],
        slices=SLICES,
        metrics=METRICS,
        cluster=cluster,
    )


def all_pairs(frame: pd.DataFrame) -> None:
    """Compare all six pairs on all levels."""
    compare_pairs(frame, label="label", scores=SCORES, slices=SLICES, metrics=METRICS)


def in_turn(frame: pd.DataFrame, runs: int) -> dict[str, tuple[float, float]]:
    """Give median wall and processor seconds; all are run in turn, so that load hits all."""
    days = np.random.default_rng(20131105).integers(0, 365, len(frame))
    frame = frame.assign(day=days)
    works = {
        "slice_metrics, one after the other": measured,
        "slice_metrics, two at a time": ours,
        "compare_candidates, 3 with a baseline": compared,
        "the same, cases clustered by day": partial(compared, cluster="day"),
        "compare_pairs, all 6": all_pairs,
    }
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for run in range(runs + 1):
        for name, work in works.items():
            starts = time.perf_counter(), time.process_time()
            work(frame)
            if run:
                taken = time.perf_counter() - starts[0], time.process_time() - starts[1]
                seconds[name].append(taken)
    return {
        name: (statistics.median(w for w, _ in all_runs), statistics.median(p for _, p in all_runs))
        for name, all_runs in seconds.items()
    }


def timed(sizes: list[tuple[str, pd.DataFrame, int]]) -> None:
    """Print the table of times and their ratios."""
    print("4 candidates, 7 metrics, all levels, with intervals; 1 thread unless said otherwise")
    for title, frame, runs in sizes:
        seconds = in_turn(frame, runs)
        print(f"{title:42s}{'wall':>12s}{'processor':>12s}{'ratio':>10s}")
        base = seconds["slice_metrics, one after the other"]
        for name, (wall, processor) in seconds.items():
            ratio = processor / base[1]
            print(f"  {name:40s}{wall:10.3f} s{processor:10.3f} s{ratio:10.2f}")
    print("ratio: of processor time, to slice_metrics one after the other (wanted: at most 1.5,")
    print("and with clusters at most three times that of the same without)")
    print(f"{os.cpu_count()} cores; load of the machine at the end: {os.getloadavg()[0]:.1f}")


def drawn(
    trials: int,
    sizes: np.ndarray,
    correlation: float = 0.0,
    middle: float = -0.5,
    spread: float = 1.5,
    *,
    noise: float = 1.0,
) -> pd.DataFrame:
    """Draw pairs of candidates; a cell a trial, which has clusters of these sizes.

    Log-odds and noise correlate within a cluster; the new candidate has `noise` times as much.
    """
    draws = np.random.default_rng(20131101)
    cluster = np.repeat(np.arange(len(sizes)), sizes)
    n = len(cluster)

    def normal() -> np.ndarray:
        shared = draws.normal(0, 1, len(sizes))[cluster]
        return np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * draws.normal(0, 1, n)

    odds = middle + spread * normal()
    frame = pd.DataFrame(
        {
            "label": (draws.random(n) < 1 / (1 + np.exp(-odds))).astype(int),
            "cell": cluster // (len(sizes) // trials),
            "cluster": cluster,
        }
    )
    for name, times in (("old", 1.0), ("new", noise)):
        frame[name] = 1 / (1 + np.exp(-odds - times * normal()))
    return frame


def rarely_different(trials: int, clusters: int, size: int, discordant: float) -> pd.DataFrame:
    """Draw a candidate that decides as the other, but for few whole clusters: there all right."""
    draws = np.random.default_rng(20131102)
    cluster = np.repeat(np.arange(trials * clusters), size)
    label = draws.random(len(cluster)) < 0.3
    old = draws.random(len(cluster)) < np.where(label, 0.75, 0.15)
    there = (draws.random(trials * clusters) < discordant / clusters)[cluster]
    decided = {"label": label, "old": old, "new": np.where(there, label, old)}
    frame = pd.DataFrame({name: values.astype(int) for name, values in decided.items()})
    return frame.assign(cell=cluster // clusters, cluster=cluster)


def compared_in_cells(
    frame: pd.DataFrame,
    cluster: str | None,
    names: Sequence[str] | None,
    task: Task,
    *,
    scored: bool,
    **told: Any,
) -> pd.DataFrame:
    """Compare the pair in every cell, and in all of them together."""
    pair = {"old": "old", "new": "new"}
    metrics = [
        name
        for name, info in ALL_METRICS.items()
        if "binary_classification" in info.tasks
        and info.no_paired_test is None
        and (scored or info.needs != "score")
    ]
    return compare_candidates(
        frame,
        label="label",
        scores=pair if scored else None,
        predictions=None if scored else pair,
        baseline="old",
        slices=["cell"],
        task=task,
        metrics=metrics if names is None else names,
        cluster=cluster,
        **told,
    )


def counted(
    title: str,
    frame: pd.DataFrame,
    cluster: str | None,
    *,
    scored: bool = True,
    truth: pd.DataFrame | Mapping[str, float] | None = None,
    names: Sequence[str] | None = None,
    task: Task = "binary_classification",
    **told: Any,
) -> None:
    """Print how often tests find something and intervals miss, over all draws.

    The truth is that of a large sample, or given by metric; without one it is 0 of scores, and of
    decisions what all cells together show.
    """
    scored = scored and task == "binary_classification"
    found = compared_in_cells(frame, cluster, names, task, scored=scored, **told)
    print(title)
    whole = found
    if isinstance(truth, pd.DataFrame):
        whole = compared_in_cells(truth.assign(cell=0), None, names, task, scored=scored, **told)
    whole = whole[whole.level == "overall"].set_index("metric").difference
    known = truth if isinstance(truth, Mapping) else dict(whole)
    for metric, rows in found[found.level == "cell"].groupby("metric", sort=False):
        true = 0.0 if scored and truth is None else known[metric]
        shares = [
            (rows.p_value <= 0.05).mean(),
            (rows.p_value <= 0.005).mean(),
            (rows.low > true).mean(),
            (rows.high < true).mean(),
            rows.low.notna().mean(),
            (rows.status == "ok").mean(),
        ]
        width = (rows.high - rows.low).mean()
        print(f"  {metric:24s}{''.join(f'{share:9.4f}' for share in [*shares, width])}")


def independent_cases() -> None:
    """Candidates of equal noise over independent cases."""
    trials = 4000
    for title, size, middle, spread in (
        ("100 cases", 100, -0.5, 1.5),
        ("40 cases", 40, -0.5, 1.5),
        ("200 cases, 10 % positive", 200, -2.5, 1.5),
        ("60 cases, candidates nearly faultless", 60, 0.0, 8.0),
        ("60 cases, heavy tails", 60, -0.5, 4.0),
    ):
        single = np.ones(trials * size, dtype=int)
        counted(title, drawn(trials, single, middle=middle, spread=spread), None)


def clusters_of_cases() -> None:
    """Candidates of equal and of unequal noise over clusters; positives are rare or common."""
    trials = 500
    draws = np.random.default_rng(20131103)
    truths = {
        (middle, noise): drawn(1, np.ones(2_000_000, dtype=int), middle=middle, noise=noise)
        for middle, noise in product((-3.75, 0.0, 3.75), (1.0, 2.0))
    }
    for clusters, correlation in product((10, 20, 30, 60, 200), (0.0, 0.1, 0.3)):
        uneven = np.clip(np.ceil(draws.lognormal(2.3, 1.2, trials * clusters)), 1, 160)
        for what, sizes in (("of 20", np.full(trials * clusters, 20)), ("lognormal", uneven)):
            for (middle, noise), truth in truths.items():
                title = f"{clusters} clusters, {what}, correlation {correlation}, "
                title += f"middle log-odds {middle}, noise times {noise}"
                frame = drawn(trials, sizes.astype(int), correlation, middle, noise=noise)
                counted(title, frame, "cluster", truth=None if noise == 1 else truth)


def few_clusters_differ() -> None:
    """Candidates whose decisions differ in few clusters."""
    trials = 1000
    for clusters, discordant in product((12, 30), (1, 3, 6)):
        title = f"{clusters} clusters, about {discordant} of them decided differently"
        frame = rarely_different(trials, clusters, 20, discordant)
        counted(title, frame, "cluster", scored=False)


def few_ranked_differently(
    trials: int, cells: tuple[int, int], among: str, moved: int, *, better: bool
) -> pd.DataFrame:
    """Draw a candidate that ranks about so many cases of a class otherwise than the other does."""
    draws = np.random.default_rng((20131104, trials))
    n, positives = cells
    label = np.tile(np.arange(n) < positives, trials)
    old = draws.normal(0, 1, len(label)) + label
    chosen = label == (among == "positives")
    chosen &= draws.random(len(label)) < moved * trials / chosen.sum()
    far = np.where(label == better, 6, -6) + draws.normal(0, 0.1, len(label))
    scores = {"old": old, "new": np.where(chosen, far, old)}
    frame = pd.DataFrame({"label": label.astype(int), **scores})
    return frame.assign(cell=np.repeat(np.arange(trials), n))


def few_cases_carry() -> None:
    """Candidates that rank few cases differently, all of them better or all worse."""
    names = ["roc_auc", "average_precision"]
    for cells, among, better, moved in product(
        ((60, 12), (200, 10), (200, 20), (400, 40)),
        ("positives", "negatives"),
        (True, False),
        (3, 5, 8, 12),
    ):
        title = f"{cells[0]} cases, {cells[1]} positive, about {moved} of the {among} ranked "
        frame, truth = (
            few_ranked_differently(trials, cells, among, moved, better=better)
            for trials in (1000, 1_000_000 // cells[0])
        )
        counted(title + ("better" if better else "worse"), frame, None, truth=truth, names=names)


_ERRORS = {
    # Draws, and their variance.
    "normal": (lambda draws, n: draws.normal(0, 1, n), 1.0),
    "Student's with 3 degrees": (lambda draws, n: draws.standard_t(3, n), 3.0),
    "Student's with 2.5 degrees": (lambda draws, n: draws.standard_t(2.5, n), 5.0),
    "lognormal": (
        lambda draws, n: draws.lognormal(0, 1, n) - np.exp(0.5),
        float(np.exp(2) - np.exp(1)),
    ),
    "1 % ten times as large": (
        lambda draws, n: draws.normal(0, 1, n) * np.where(draws.random(n) < 0.01, 10, 1),
        1.99,
    ),
}


def correlated(
    trials: int, n: int, kind: str, labels: str, *, correlation: float, scale: float
) -> pd.DataFrame:
    """Draw two regressions whose errors correlate."""
    draws = np.random.default_rng((20131106, trials))
    draw, _ = _ERRORS[kind]
    rows = trials * n
    label = draws.normal(0, 1, rows)
    if labels == "lognormal":
        label = np.exp(label)
    old, own = draw(draws, rows), draw(draws, rows)
    new = scale * (correlation * old + np.sqrt(1 - correlation**2) * own)
    frame = pd.DataFrame({"label": label, "old": label + old, "new": label + new})
    return frame.assign(cell=np.repeat(np.arange(trials), n))


def regressions() -> None:
    """Candidates whose errors correlate, of the same spread or one 1.3 times the other's."""
    for n, kind, labels, correlation, scale in product(
        (50, 200, 1000), _ERRORS, ("normal", "lognormal"), (0.5, 0.8, 0.95, 1.0), (1.0, 1.3)
    ):
        if correlation == scale == 1:
            continue
        variance = _ERRORS[kind][1]
        spread = 1.0 if labels == "normal" else float(np.exp(2) - np.exp(1))
        drawing = partial(correlated, correlation=correlation, scale=scale)
        sample = drawing(2_000_000 // n, n, kind, labels)
        gaps = (sample.new - sample.label).abs() - (sample.old - sample.label).abs()
        truth = {
            "r2": (1 - scale**2) * variance / spread,
            "root_mean_squared_error": (scale - 1) * np.sqrt(variance),
            "mean_absolute_error": float(gaps.mean()),
        }
        title = f"{n} cases, {kind} errors, {labels} labels, correlation {correlation}, "
        title += f"times {scale}"
        frame = drawing(50_000 // n + 250, n, kind, labels)
        counted(title, frame, None, truth=truth, names=list(truth), task="regression")


def of_classes(
    sizes: np.ndarray, clusters: int, shares: tuple[float, ...], right: float
) -> pd.DataFrame:
    """Draw two candidates of several classes, the new one better, that find the same cases hard."""
    draws = np.random.default_rng((20131107, len(sizes)))
    cluster = np.repeat(np.arange(len(sizes)), sizes)
    n = len(cluster)
    label = draws.choice(len(shares), n, p=shares)
    ease = draws.normal(0, 1, n) + draws.normal(0, 1, len(sizes))[cluster] * (sizes.max() > 1)
    frame = pd.DataFrame({"label": label, "cluster": cluster, "cell": cluster // clusters})
    for name, odds in (("old", right), ("new", right + 0.5)):
        wrong = (label + draws.integers(1, len(shares), n)) % len(shares)
        is_right = draws.random(n) < 1 / (1 + np.exp(-odds - ease))
        answered = draws.random(n) < 1 / (1 + np.exp(-2 - 0.5 * ease))
        frame[name] = np.where(answered, np.where(is_right, label, wrong), np.nan)
    return frame


def several_classes() -> None:
    """Candidates of several classes, of which some are rare, with abstentions."""
    names = [
        *("accuracy", "coverage", "selective_accuracy", "cohen_kappa", "quadratic_weighted_kappa"),
        *("balanced_accuracy", "precision_macro", "f1_macro", "precision_weighted", "f1_weighted"),
    ]
    for shares, right in product(((0.5, 0.3, 0.2), (0.6, 0.3, 0.09, 0.01)), (0.5, 3.0)):
        told = {"abstains": True, "classes": list(range(len(shares)))}
        for clusters, each in ((100, 1), (300, 1), (20, 30)):
            drawing = partial(of_classes, clusters=clusters, shares=shares, right=right)
            truth = drawing(np.full(20_000 if each > 1 else 500_000, each))
            title = f"{clusters} clusters of {each}, " if each > 1 else f"{clusters} cases, "
            counted(
                f"{title}{len(shares)} classes, the rarest {shares[-1]:g}, log-odds {right:g}",
                drawing(np.full(1000 * clusters, each)),
                "cluster" if each > 1 else None,
                truth=truth,
                names=names,
                task="multiclass_classification",
                **told,
            )


ERRORS = {
    "cases": independent_cases,
    "clusters": clusters_of_cases,
    "few_clusters": few_clusters_differ,
    "few_cases": few_cases_carry,
    "regression": regressions,
    "classes": several_classes,
}


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--errors",
        nargs="*",
        choices=list(ERRORS),
        help="simulate how often the tests err, in all settings or in these",
    )
    chosen = parser.parse_args().errors
    if chosen is not None:
        print(
            f"{'over all draws':26s}   p<=.05  p<=.005      low     high interval       ok    width"
        )
        for name in chosen or ERRORS:
            ERRORS[name]()
        return
    timed(
        [
            ("1,000,000 rows, 50 slices", cases(1_000_000), 5),
            ("100,000 rows, 50 slices", cases(100_000), 5),
            ("1,000,000 rows, 10,000 slices", cases(1_000_000, regions=2000), 2),
        ]
    )


if __name__ == "__main__":
    main()
