"""How large an audit's page is, and how long a browser takes until it can be used.

Run from the repository's root, with Debian's Chromium: ``python benchmarks/page.py``, or with pages
of your own as arguments. A page is opened from the disk five times, each time in a new profile;
"ready" is the end of its load event, with its script run, counted from the navigation's beginning.
The pages are of candidates that answer at random, with curves and every figure of every slice.
"""

import statistics
import sys
import tempfile
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from evaluator.certification import EvaluationSetSummary, decide_outcomes
from evaluator.metrics import slice_metrics
from evaluator.reporting import CandidateSummary, DashboardContent, render_dashboard
from evaluator.scorecard import OperatingPoint, Scorecard, to_frame
from evaluator_tests.browser import shown

SIZES = [(4, 5, 4, 2_000_000), (10, 50, 10, 5_000_000)]
"""Candidates, geographies, segments, and how many bytes the page may have."""
METRICS = ["accuracy", "precision", "recall", "f1", "roc_auc", "log_loss", "brier"]
ROWS = 100_000
TIMES = 5
MOST_SECONDS = 1.5


def content(candidates: int, geographies: int, segments: int) -> DashboardContent:
    """Make what a page shows of candidates that guess."""
    random = np.random.default_rng(20131101)
    names = [f"candidate_{number:02}" for number in range(candidates)]
    frame = pd.DataFrame(
        {
            "geography": [f"region {code}" for code in random.integers(0, geographies, ROWS)],
            "segment": [f"kind {code}" for code in random.integers(0, segments, ROWS)],
            "label": random.integers(0, 2, ROWS),
        }
    )
    by = ["geography", "segment"]
    measured, points = [], []
    for name in names:
        frame["score"] = np.clip(frame["label"] * 0.2 + random.random(ROWS) * 0.8, 0, 1)
        table = slice_metrics(frame, label="label", score="score", slices=by, metrics=METRICS)
        table.insert(0, "candidate", name)
        measured.append(table)
        for point, threshold in enumerate([None, *np.linspace(0, 1, 100)]):
            decided = frame["score"] >= (0.5 if threshold is None else threshold)
            positive = frame["label"] == 1
            points.append(
                OperatingPoint(
                    candidate=name,
                    point=point,
                    threshold=threshold,
                    true_positives=float((decided & positive).sum()),
                    false_positives=float((decided & ~positive).sum()),
                    false_negatives=float((~decided & positive).sum()),
                    true_negatives=float((~decided & ~positive).sum()),
                )
            )
    slices = pd.DataFrame(
        [
            {"candidate": name, **place, "state": "current", "error": None}
            for name in names
            for place in frame[by].drop_duplicates().sort_values(by).to_dict("records")
        ]
    )
    scorecard = Scorecard(
        measurements=pd.concat(measured, ignore_index=True),
        slices=slices,
        operating_points=to_frame(points, OperatingPoint),
    )
    return DashboardContent(
        audit="guesses",
        title="Is a guess good enough?",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        evaluation_set=EvaluationSetSummary(
            digest="0" * 64,
            first_day=date(2026, 1, 1),
            last_day=date(2026, 1, 1),
            days=1,
            rows=ROWS,
            rows_without_label=0,
            rows_of_weight_zero=0,
            rows_seen_in_training=0,
            cluster=None,
            weight=None,
        ),
        candidates=[
            CandidateSummary(
                name=name, description="It guesses", artifact_digest="0" * 64, baseline=False
            )
            for name in names
        ],
        outcomes=decide_outcomes([], slices, names),
        verdicts=[],
        scorecard=scorecard,
        fairness_gaps=[],
        headline_metrics=METRICS[:5],
        standout_metrics=METRICS,
        confidence=0.95,
        minimum_support=30,
        without_label=pd.DataFrame(columns=[*by, "rows", "without_label"]),
        intake_days=[],
        evidence=[],
        code_version="0",
        run_id="0",
        signed_by=None,
    )


def seconds_until_ready(page: Path) -> float:
    """Open a page several times, and give the median."""
    asked = "performance.getEntriesByType('navigation')[0].loadEventEnd"
    found = []
    for _ in range(TIMES):
        # Chromium writes a little after it was asked to end.
        with (
            tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
            shown(page, Path(profile)) as opened,
        ):
            found.append(opened.run(asked) / 1000)
            if opened.faults:
                raise RuntimeError(opened.faults[0])
    return statistics.median(found)


def main(pages: list[str]) -> None:
    """Print a line a page."""
    print(f"{'page':<34}{'bytes':>12}{'ready':>10}")
    with tempfile.TemporaryDirectory() as folder:
        named = [(Path(page), Path(page).name, None) for page in pages]
        for candidates, geographies, segments, most in [] if pages else SIZES:
            path = Path(folder) / f"{candidates}.html"
            made = render_dashboard(content(candidates, geographies, segments))
            path.write_text(made, encoding="utf-8")
            named.append((path, f"{candidates} candidates x {geographies * segments} slices", most))
        for path, name, most in named:
            ready = seconds_until_ready(path)
            size = path.stat().st_size
            limit = "" if most is None else f"   (at most {most:,}; {MOST_SECONDS} s)"
            print(f"{name:<34}{size:>12,}{ready:>8.2f} s{limit}")


if __name__ == "__main__":
    main(sys.argv[1:])
