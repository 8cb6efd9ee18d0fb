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
from functools import partial
from itertools import product

import numpy as np
import pandas as pd
from metrics import CANDIDATES, METRICS, cases, ours

from evaluator.metrics import (
    METRICS as ALL_METRICS,
    SUPPORTED,
    compare_candidates,
    compare_pairs,
    slice_metrics,
)

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
) -> pd.DataFrame:
    """Draw pairs of candidates of equal noise; a cell a trial, which has clusters of these sizes.

    Log-odds and noise correlate within a cluster.
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
    for name in ("old", "new"):
        frame[name] = 1 / (1 + np.exp(-odds - normal()))
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


def counted(title: str, frame: pd.DataFrame, cluster: str | None, *, scored: bool = True) -> None:
    """Print how often tests find something and intervals miss, over all draws."""
    pair = {"old": "old", "new": "new"}
    found = compare_candidates(
        frame,
        label="label",
        scores=pair if scored else None,
        predictions=None if scored else pair,
        baseline="old",
        slices=["cell"],
        metrics=[name for name in SUPPORTED if scored or ALL_METRICS[name].needs != "score"],
        cluster=cluster,
    )
    print(title)
    # Candidates of equal noise do not differ; else what all cells together show is as the truth.
    whole = found[found.level == "overall"].set_index("metric").difference
    for metric, rows in found[found.level == "cell"].groupby("metric", sort=False):
        truth = 0.0 if scored else whole[metric]
        shares = [
            (rows.p_value <= 0.05).mean(),
            (rows.p_value <= 0.005).mean(),
            (rows.low > truth).mean(),
            (rows.high < truth).mean(),
            rows.low.notna().mean(),
        ]
        width = (rows.high - rows.low).mean()
        print(f"  {metric:24s}{''.join(f'{share:9.4f}' for share in [*shares, width])}")


def errors() -> None:
    """Print how often the tests find what is not there, and how often the intervals miss."""
    print(f"{'over all draws':26s}   p<=.05  p<=.005      low     high interval    width")
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
    trials = 1000
    draws = np.random.default_rng(20131103)
    for clusters, correlation in product((10, 20, 30, 60), (0.0, 0.1, 0.3)):
        uneven = np.clip(np.ceil(draws.lognormal(2.3, 1.2, trials * clusters)), 1, 160)
        for what, sizes in (("of 20", np.full(trials * clusters, 20)), ("lognormal", uneven)):
            title = f"{clusters} clusters, {what}, correlation {correlation}"
            counted(title, drawn(trials, sizes.astype(int), correlation), "cluster")
    for clusters, discordant in product((12, 30), (1, 3, 6)):
        title = f"{clusters} clusters, about {discordant} of them decided differently"
        frame = rarely_different(trials, clusters, 20, discordant)
        counted(title, frame, "cluster", scored=False)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--errors", action="store_true", help="simulate how often the tests err")
    if parser.parse_args().errors:
        errors()
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
