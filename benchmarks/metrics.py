"""How long it takes to measure every slice: this project, a bare numpy pass, and fairlearn.

Run from the repository's root: ``python benchmarks/metrics.py`` (``--quick`` leaves out ten
million rows). Each time is the median of several runs in one process. The processor's
time stands beside the wall's, since it depends less on what else the machine does.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from evaluator.metrics import slice_metrics

CANDIDATES = [f"candidate_{number}" for number in range(1, 5)]
METRICS = ["accuracy", "precision", "recall", "f1", "roc_auc", "log_loss", "brier"]
CLASSES = [f"class {number}" for number in range(10)]
OF_CLASSES = [
    "accuracy",
    "balanced_accuracy",
    "precision_macro",
    "recall_macro",
    "f1_macro",
    "log_loss",
]
OF_NUMBERS = ["mean_absolute_error", "root_mean_squared_error", "bias", "r2"]
MEDIAN = "median_absolute_error"


def cases(rows: int, regions: int = 10, segments: int = 5) -> pd.DataFrame:
    """Draw labelled cases with the scores of four candidates, from good to poor."""
    random = np.random.default_rng(20131101)
    odds = random.normal(-1, 1.3, rows)
    frame = pd.DataFrame(
        {
            "label": (random.random(rows) < 1 / (1 + np.exp(-odds))).astype(np.int64),
            "region": pd.Categorical.from_codes(
                random.integers(0, regions, rows), [f"region {n:05d}" for n in range(regions)]
            ),
            "segment": pd.Categorical.from_codes(
                random.integers(0, segments, rows), [f"segment {n}" for n in range(segments)]
            ),
        }
    )
    for number, candidate in enumerate(CANDIDATES):
        frame[candidate] = 1 / (1 + np.exp(-odds - random.normal(0, 0.5 + number / 2, rows)))
    return frame


def ours(frame: pd.DataFrame, cluster: str | None = None) -> pd.DataFrame:
    """Measure all candidates on all levels, with intervals, two candidates at a time."""

    def measure(candidate: str) -> pd.DataFrame:
        return slice_metrics(
            frame,
            label="label",
            score=candidate,
            slices=["region", "segment"],
            metrics=METRICS,
            cluster=cluster,
        )

    with ThreadPoolExecutor(max_workers=2) as pool:
        return pd.concat(pool.map(measure, CANDIDATES), keys=CANDIDATES)


def bare(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    """Compute point values of one level only, as plainly as numpy allows: the floor."""
    segments = len(frame.segment.cat.categories)
    cell = frame.region.cat.codes.to_numpy().astype(np.int64) * segments
    cell += frame.segment.cat.codes.to_numpy()
    cells = len(frame.region.cat.categories) * segments
    label = frame.label.to_numpy()
    results = []
    for candidate in CANDIDATES:
        score = frame[candidate].to_numpy()
        code = cell * 4 + label * 2 + (score >= 0.5)
        counts = np.bincount(code, minlength=cells * 4).reshape(-1, 4)
        n = counts.sum(axis=1)
        given = np.clip(np.where(label == 1, score, 1 - score), 1e-15, 1)
        log_loss = np.bincount(cell, -np.log(given), cells) / n
        brier = np.bincount(cell, (score - label) ** 2, cells) / n
        order = np.argsort(cell, kind="stable")
        bounds = np.concatenate([[0], np.cumsum(n)])
        area = np.empty(cells)
        for one in range(cells):
            chosen = order[bounds[one] : bounds[one + 1]]
            truth = label[chosen][np.argsort(score[chosen])]
            positives = truth.sum()
            ranks = np.flatnonzero(truth).sum() - positives * (positives - 1) / 2
            area[one] = ranks / (positives * (len(truth) - positives))
        tn, fp, fn, tp = counts.T
        results.append(
            (
                (tp + tn) / n,
                tp / (tp + fp),
                tp / (tp + fn),
                2 * tp / (2 * tp + fp + fn),
                area,
                log_loss,
                brier,
            )
        )
    return results


def cases_of_classes(rows: int) -> pd.DataFrame:
    """Draw cases of ten classes with their probabilities, and numbers with predictions of them."""
    random = np.random.default_rng(20131103)
    frame = cases(rows)[["region", "segment"]]
    given = random.dirichlet(np.ones(len(CLASSES)), rows)
    # One label in two is drawn by the probabilities, so that some classes are confused.
    drawn = (given.cumsum(axis=1) < random.random((rows, 1))).sum(axis=1).clip(max=9)
    label = np.where(random.random(rows) < 0.5, drawn, random.integers(0, 10, rows))
    frame["label"] = pd.Categorical.from_codes(label, CLASSES)
    frame["prediction"] = pd.Categorical.from_codes(given.argmax(axis=1), CLASSES)
    frame[CLASSES] = given
    frame["number"] = random.gamma(2, 5, rows)
    frame["predicted"] = frame.number + random.standard_t(4, rows)
    return frame


def ours_of_classes(frame: pd.DataFrame, metrics: list[str]) -> pd.DataFrame:
    """Measure a classifier of ten classes on all levels, with intervals."""
    return slice_metrics(
        frame,
        label="label",
        score={name: name for name in CLASSES},
        prediction="prediction",
        slices=["region", "segment"],
        task="multiclass_classification",
        metrics=metrics,
    )


def ours_of_numbers(frame: pd.DataFrame, metrics: list[str]) -> pd.DataFrame:
    """Measure predictions of numbers on all levels, with intervals."""
    return slice_metrics(
        frame,
        label="number",
        prediction="predicted",
        slices=["region", "segment"],
        task="regression",
        metrics=metrics,
    )


def crossed(frame: pd.DataFrame) -> tuple[np.ndarray, tuple[int, int]]:
    """Give each row the number of its cross of region and segment."""
    sizes = len(frame.region.cat.categories), len(frame.segment.cat.categories)
    cell = frame.region.cat.codes.to_numpy().astype(np.int64) * sizes[1]
    return cell + frame.segment.cat.codes.to_numpy(), sizes


def all_levels(of_cells: np.ndarray, sizes: tuple[int, int]) -> np.ndarray:
    """Add up what crosses have for all slices: overall, regions, segments and crosses."""
    two = of_cells.reshape(*sizes, *of_cells.shape[1:])
    return np.concatenate([two.sum((0, 1))[None], two.sum(1), two.sum(0), of_cells])


def all_slices(frame: pd.DataFrame) -> Iterator[np.ndarray]:
    """Give the rows of all slices."""
    cell, (_, segments) = crossed(frame)
    for group in (np.zeros_like(cell), cell // segments, cell % segments, cell):
        order = np.argsort(group.astype(np.uint16), kind="stable")
        yield from np.split(order, np.cumsum(np.bincount(group))[:-1])


def bare_of_classes(frame: pd.DataFrame) -> tuple[np.ndarray, ...]:
    """Compute the point values of all slices from one table of counts, as plainly as numpy can."""
    many, (cell, sizes) = len(CLASSES), crossed(frame)
    label = frame.label.cat.codes.to_numpy().astype(np.int64)
    code = (cell * many + label) * many + frame.prediction.cat.codes.to_numpy()
    counts = np.bincount(code, minlength=sizes[0] * sizes[1] * many**2)
    table = all_levels(counts.reshape(-1, many, many), sizes)
    given = frame[CLASSES].to_numpy()[np.arange(len(frame)), label]
    losses = np.bincount(cell, -np.log(np.clip(given, 1e-15, 1)))
    n, labels, decided = table.sum((1, 2)), table.sum(2), table.sum(1)
    hits = np.diagonal(table, axis1=1, axis2=2)
    return (
        hits.sum(1) / n,
        (hits / labels).mean(1),
        (hits / decided).mean(1),
        (2 * hits / (labels + decided)).mean(1),
        all_levels(losses, sizes) / n,
    )


def bare_areas(frame: pd.DataFrame) -> np.ndarray:
    """Compute the area under the ROC curve of each class in each slice, by a sort for each."""
    label = frame.label.cat.codes.to_numpy()
    columns = [frame[name].to_numpy() for name in CLASSES]
    areas = []
    for rows in all_slices(frame):
        of_rows = label[rows]
        for number, score in enumerate(columns):
            truth = of_rows[np.argsort(score[rows])] == number
            positives = np.count_nonzero(truth)
            ranks = np.flatnonzero(truth).sum() - positives * (positives - 1) / 2
            areas.append(ranks / (positives * (len(truth) - positives)))
    return np.reshape(areas, (-1, len(CLASSES))).mean(1)


def bare_of_numbers(frame: pd.DataFrame) -> tuple[np.ndarray, ...]:
    """Compute the point values of all slices from sums of the crosses."""
    cell, sizes = crossed(frame)
    label = frame.number.to_numpy()
    error = frame.predicted.to_numpy() - label
    columns = (None, np.abs(error), error**2, error, label, label**2)
    n, absolute, square, signed, first, second = (
        all_levels(np.bincount(cell, values), sizes) for values in columns
    )
    r2 = 1 - square / (second - first**2 / n)
    return absolute / n, np.sqrt(square / n), signed / n, r2


def bare_median(frame: pd.DataFrame) -> list[float]:
    """Compute the median of each slice by parting its values."""
    error = np.abs(frame.predicted.to_numpy() - frame.number.to_numpy())
    return [np.median(error[rows]) for rows in all_slices(frame)]


def fairlearn(frame: pd.DataFrame) -> None:
    """Compute fairlearn's point values over the cross, with scikit-learn's metrics."""
    # Both are needed here alone, and fairlearn may be absent.
    from fairlearn.metrics import MetricFrame
    from sklearn import metrics as sk

    of_decision = {
        "accuracy": sk.accuracy_score,
        "precision": sk.precision_score,
        "recall": sk.recall_score,
        "f1": sk.f1_score,
    }
    of_score = {
        "roc_auc": sk.roc_auc_score,
        "log_loss": sk.log_loss,
        "brier": sk.brier_score_loss,
    }
    features = frame[["region", "segment"]]
    for candidate in CANDIDATES:
        score = frame[candidate]
        for functions, given in ((of_decision, score >= 0.5), (of_score, score)):
            MetricFrame(
                metrics=functions,
                y_true=frame.label,
                y_pred=given.astype(float),
                sensitive_features=features,
            )


def median_seconds(
    work: Callable[[pd.DataFrame], object], frame: pd.DataFrame, runs: int
) -> tuple[float, float]:
    """Give the median wall and processor time of several runs; a first one warms up."""
    if runs > 1:
        work(frame)
    wall, processor = [], []
    for _ in range(runs):
        starts = time.perf_counter(), time.process_time()
        work(frame)
        wall.append(time.perf_counter() - starts[0])
        processor.append(time.process_time() - starts[1])
    return statistics.median(wall), statistics.median(processor)


def fastest_seconds(
    works: tuple[Callable[[pd.DataFrame], object], ...], frame: pd.DataFrame, runs: int
) -> list[tuple[float, float]]:
    """Give the least wall and processor time of works that take turns, after a first one each."""
    least = [(np.inf, np.inf)] * len(works)
    for work in works:
        work(frame)
    for _ in range(runs):
        for number, work in enumerate(works):
            taken = median_seconds(work, frame, 1)
            least[number] = tuple(map(min, least[number], taken))
    return least


def largest_memory(rows: int) -> tuple[float, float]:
    """Give the resident gigabytes of a process that measures, and of its data alone."""
    code = (
        "import sys; sys.path[:0] = ['benchmarks', '.']; import metrics, resource;"
        f"frame = metrics.cases({rows});"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "now = int(open('/proc/self/statm').read().split()[1]) * resource.getpagesize();"
        "metrics.ours(frame);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, now)"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    largest, data = (int(part) / 2**30 for part in printed.stdout.split())
    return largest, data


def main() -> None:
    """Print the table of times and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="leave out ten million rows")
    quick = parser.parse_args().quick
    print(
        "10 classes, and numbers: 1,000,000 rows, 66 slices; ours with intervals, bare numpy none"
    )
    several = cases_of_classes(1_000_000)
    print(
        f"{'':34s}{'wall':>12s}{'bare':>11s}{'ratio':>8s}{'processor':>12s}{'bare':>11s}{'ratio':>8s}"
    )
    for name, ours_of, bare_of, metrics, wanted in (
        ("classes: 5 of decisions, log loss", ours_of_classes, bare_of_classes, OF_CLASSES, True),
        ("classes: ROC AUC ovr", ours_of_classes, bare_areas, ["roc_auc_ovr"], True),
        (
            "numbers: 4 of means, and median",
            ours_of_numbers,
            lambda frame: (bare_of_numbers(frame), bare_median(frame)),
            [*OF_NUMBERS, MEDIAN],
            True,
        ),
        ("numbers: 4 of means alone", ours_of_numbers, bare_of_numbers, OF_NUMBERS, False),
    ):
        both = fastest_seconds((partial(ours_of, metrics=metrics), bare_of), several, 5)
        print(f"{name:34s}", end="")
        for own, floor in zip(*both, strict=True):
            print(f"{own:10.3f} s{floor:9.3f} s{own / floor:8.2f}", end="")
        print("   (at most 3)" if wanted else "")
    del several
    print(
        "4 candidates, 7 metrics; ours: all levels with intervals; others: one level, no intervals"
    )
    small, million = cases(100_000), cases(1_000_000)
    seconds = {
        "ours, 100,000 rows, 50 slices": median_seconds(ours, small, 5),
        "ours, 1,000,000 rows, 50 slices": median_seconds(ours, million, 5),
        "bare numpy, 1,000,000 rows, 50 slices": median_seconds(bare, million, 5),
    }
    days = np.random.default_rng(20131102).integers(0, 365, len(million))
    seconds["ours, 1,000,000 rows, 50 slices, 365 days"] = median_seconds(
        partial(ours, cluster="day"), million.assign(day=days), 5
    )
    many = cases(1_000_000, regions=2000)
    seconds["ours, 1,000,000 rows, 10,000 slices"] = median_seconds(ours, many, 3)
    del many
    if not quick:
        big = cases(10_000_000)
        seconds["ours, 10,000,000 rows, 50 slices"] = median_seconds(ours, big, 2)
        del big
    try:
        seconds["fairlearn, 100,000 rows, 50 slices"] = median_seconds(fairlearn, small, 1)
    except ImportError:
        print("fairlearn is not installed")
    print(f"{'':42s}{'wall':>12s}{'processor':>12s}")
    for name, (wall, processor) in seconds.items():
        print(f"{name:42s}{wall:10.3f} s{processor:10.3f} s")
    base = "ours, 1,000,000 rows, 50 slices"
    ratios = [
        ("ours / bare numpy", base, "bare numpy, 1,000,000 rows, 50 slices", "at most 3"),
        (
            "days as clusters / none",
            "ours, 1,000,000 rows, 50 slices, 365 days",
            base,
            "at most 3",
        ),
        ("10,000 slices / 50", "ours, 1,000,000 rows, 10,000 slices", base, "at most 3"),
        ("10,000,000 rows / 1,000,000", "ours, 10,000,000 rows, 50 slices", base, "at most 12"),
        (
            "fairlearn / ours, 100,000 rows",
            "fairlearn, 100,000 rows, 50 slices",
            "ours, 100,000 rows, 50 slices",
            "at least 100",
        ),
    ]
    for name, above, below, wanted in ratios:
        if above in seconds:
            wall, processor = (
                over / under for over, under in zip(seconds[above], seconds[below], strict=True)
            )
            print(f"{name:42s}{wall:12.2f}{processor:12.2f}   ({wanted})")
    print(f"{os.cpu_count()} cores; load of the machine at the end: {os.getloadavg()[0]:.1f}")
    if not quick:
        largest, data = largest_memory(10_000_000)
        print(f"largest memory, 10,000,000 rows: {largest:.2f} GiB, of which data {data:.2f} GiB")


if __name__ == "__main__":
    main()
