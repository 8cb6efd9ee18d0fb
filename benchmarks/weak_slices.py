"""How long the search for weak slices takes, and how much memory.

Run from the repository's root: ``python benchmarks/weak_slices.py``. Each line is measured in a
process of its own, so that its largest memory is its own too; times are without imports and
without drawing the cases. A slice of 1 % of the cases has five times the error of the others;
"found" says whether it is what was reported. With "clusters" the errors differ between 365 days,
which are named as clusters, and a category and a number go along with the day.
"""

import argparse
import os
import resource
import subprocess
import sys
import time

import numpy as np
import pandas as pd

from evaluator.metrics import weak_slices

SIZES = [
    # rows, features, conditions, values of a category
    (100_000, 30, 2, 10),
    (100_000, 30, 3, 10),
    (100_000, 30, 2, 100),
    (1_000_000, 30, 2, 10),
]
MOST_SECONDS, MOST_GIGABYTES = 20, 2
DAYS = 365


def cases(rows: int, features: int, values: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Draw columns of texts and of numbers in turn, and where the candidate is bad."""
    random = np.random.default_rng(20131101)
    columns: dict[str, object] = {}
    for position in range(features):
        if position % 2:
            numbers = random.normal(size=rows)
            columns[f"number_{position}"] = np.where(random.random(rows) < 0.02, np.nan, numbers)
        else:
            columns[f"kind_{position}"] = pd.Categorical.from_codes(
                random.integers(0, values, rows), [f"k{code:03d}" for code in range(values)]
            )
    frame = pd.DataFrame(columns)
    # With ten values a cross of two; with a hundred one value: 1 % of the cases each.
    bad = (frame["kind_0"] == "k003").to_numpy()
    if values == 10:
        bad = bad & (frame["kind_2"] == "k004").to_numpy()
    return frame, bad


def measure(rows: int, width: int, conditions: int, values: int, loss: str) -> None:
    """Search once, and print a line of the table."""
    frame, bad = cases(rows, width, values)
    random = np.random.default_rng(1)
    features = list(frame)
    usual = np.full(rows, 0.05)
    if loss == "clusters":
        day = random.integers(0, DAYS, rows)
        usual = random.beta(1, 19, DAYS)[day]
        shuffled = random.permutation(DAYS)[day]
        frame = frame.assign(
            day=day,
            kind_4=pd.Categorical.from_codes(shuffled % values, frame["kind_4"].cat.categories),
            number_5=shuffled / DAYS,
        )
    losses = np.where(random.random(rows) < np.where(bad, 0.25, usual), 1.0, 0.0)
    if loss == "numbers":
        losses = losses + random.exponential(0.01, rows)
    starts = time.perf_counter(), time.process_time()
    result = weak_slices(
        frame,
        features=features,
        loss=losses,
        conditions=conditions,
        cluster="day" if loss == "clusters" else None,
    )
    wall, processor = time.perf_counter() - starts[0], time.process_time() - starts[1]
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    planted = "kind_0 = k003 and kind_2 = k004" if values == 10 else "kind_0 = k003"
    names = result.confirmed["slice"].tolist()
    found = "found" if names[:1] == [planted] else "not found"
    name = f"{rows:,} x {width}, {values} values, {conditions} deep, {loss}"
    print(
        f"{name:44s}{wall:8.2f} s{processor:8.2f} s{largest:8.2f} GiB"
        f"{result.search['possible']:12,}  {found}",
        flush=True,
    )
    if (rows, conditions, values) == (100_000, 2, 10):
        fine = wall <= MOST_SECONDS and largest <= MOST_GIGABYTES
        print(f"  at most {MOST_SECONDS} s and {MOST_GIGABYTES} GiB: {'yes' if fine else 'no'}")


def main() -> None:
    """Print the table, one process a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", nargs=5, help="measure one line in this process")
    one = parser.parse_args().one
    if one:
        measure(*(int(part) for part in one[:4]), one[4])
        return
    print(f"{'':44s}{'wall':>10s}{'processor':>10s}{'memory':>12s}{'slices':>12s}", flush=True)
    for size in SIZES:
        for loss in ("errors", "numbers", "clusters"):
            arguments = [*(str(part) for part in size), loss]
            subprocess.run([sys.executable, __file__, "--one", *arguments], check=True)
    print(f"{os.cpu_count()} cores; load of the machine at the end: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
