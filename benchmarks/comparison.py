"""How long comparing candidates takes beside measuring them, and how often the tests err.

Run from the repository's root: ``python benchmarks/comparison.py`` times both on the same cases,
in the same process, in turn; ``python benchmarks/comparison.py --errors`` simulates instead how
often each test finds a difference between candidates that do not differ.
"""

import argparse
import os
import statistics
import time

import numpy as np
import pandas as pd
from metrics import CANDIDATES, METRICS, cases, ours

from evaluator.metrics import SUPPORTED, compare_candidates, compare_pairs, slice_metrics

SLICES = ["region", "segment"]
SCORES = {name: name for name in CANDIDATES}


def measured(frame: pd.DataFrame) -> None:
    """Measure the four candidates on all levels, one after the other."""
    for name in CANDIDATES:
        slice_metrics(frame, label="label", score=name, slices=SLICES, metrics=METRICS)


def compared(frame: pd.DataFrame) -> None:
    """Compare three candidates with the first on all levels."""
    compare_candidates(
        frame,
        label="label",
        scores=SCORES,
        baseline=CANDIDATES[0],
        slices=SLICES,
        metrics=METRICS,
    )


def all_pairs(frame: pd.DataFrame) -> None:
    """Compare all six pairs on all levels."""
    compare_pairs(frame, label="label", scores=SCORES, slices=SLICES, metrics=METRICS)


def in_turn(frame: pd.DataFrame, runs: int) -> dict[str, tuple[float, float]]:
    """Give median wall and processor seconds; all are run in turn, so that load hits all."""
    works = {
        "slice_metrics, one after the other": measured,
        "slice_metrics, two at a time": ours,
        "compare_candidates, 3 with a baseline": compared,
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
    print("ratio: of processor time, to slice_metrics one after the other (wanted: at most 1.5)")
    print(f"{os.cpu_count()} cores; load of the machine at the end: {os.getloadavg()[0]:.1f}")


def errors() -> None:
    """Print the share of findings between candidates of equal noise, by metric and setting."""
    trials = 4000
    settings = {
        "100 cases": (100, -0.5, 1.5),
        "40 cases": (40, -0.5, 1.5),
        "200 cases, 10 % positive": (200, -2.5, 1.5),
        "60 cases, candidates nearly faultless": (60, 0.0, 8.0),
        "60 cases, heavy tails": (60, -0.5, 4.0),
    }
    print("share of findings at level 0.05 and at 0.005 where nothing differs; tested slices")
    for title, (size, middle, spread) in settings.items():
        draws = np.random.default_rng(20131101)
        n = trials * size
        odds = draws.normal(middle, spread, n)
        frame = pd.DataFrame(
            {
                "label": (draws.random(n) < 1 / (1 + np.exp(-odds))).astype(int),
                "cell": np.repeat(np.arange(trials), size),
            }
        )
        for name in ("old", "new"):
            frame[name] = 1 / (1 + np.exp(-odds - draws.normal(0, 1, n)))
        table = compare_candidates(
            frame,
            label="label",
            scores={"old": "old", "new": "new"},
            baseline="old",
            slices=["cell"],
            metrics=list(SUPPORTED),
        )
        print(title)
        cells = table[table.level == "cell"]
        for metric, rows in cells.groupby("metric", sort=False):
            p = rows.p_value.dropna()
            print(
                f"  {metric:24s}{(p <= 0.05).mean():8.4f}{(p <= 0.005).mean():8.4f}"
                f"{len(p) / trials:8.2f}"
            )


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
