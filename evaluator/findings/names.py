"""What the files, columns and levels of stored outputs are called."""

from typing import Final

CASES: Final = "cases.parquet"
"""The cases of an evaluation set."""
PREDICTIONS: Final = "predictions.parquet"
"""A candidate's predictions for one slice."""
PROFILE: Final = "profile.json"
"""What was counted of a day's file."""

FIGURES: Final = "figures.parquet"
MORE_FIGURES: Final = "more_figures.parquet"
SLICES: Final = "slices.parquet"
COMPARISONS: Final = "comparisons.parquet"
PAIRS: Final = "pairs.parquet"
RANKS: Final = "ranks.parquet"
FAIRNESS: Final = "fairness.parquet"
WEAK_SLICES: Final = "weak_slices.parquet"
WORSENED: Final = "worsened.parquet"
DAYS: Final = "days.json"
"""A scorecard's facts about days, where a gate looks at them."""

WEAK_SEARCHES: Final = "weak_searches"
"""A scorecard's fact: by candidate, how far its weak slices were searched."""

SLICE_COLUMNS: Final = ("geography", "segment")
SLICE_LEVEL: Final = "geography x segment"
"""The level of one geography x one segment."""
DATA_PREFIX: Final = "data."
"""Stands before the name of a declared column, which may be called `label` or `id` itself."""
