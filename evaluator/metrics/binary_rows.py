"""The rows of a binary classifier, and what is counted in every cell."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from evaluator.metrics.calibration import BINS, bins_of, log_odds
from evaluator.metrics.checks import MetricsInputError
from evaluator.metrics.estimates import BoolArray, FloatArray
from evaluator.metrics.levels import Slicing
from evaluator.metrics.losses import log_losses, power_sums
from evaluator.metrics.ranking import RankedRows


@dataclass(frozen=True)
class BinaryRows:
    """The rows of one candidate.

    Parameters
    ----------
    label
        Truth, shape (rows,).
    prediction
        Decision, shape (rows,).
    score
        Score of the positive class, shape (rows,), or None where the candidate has none.
    slicing
        The cells and levels of the rows.
    """

    label: BoolArray
    prediction: BoolArray
    score: FloatArray | None
    slicing: Slicing

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Cases by cell, label and prediction, shape (cells, 2, 2)."""
        code = self.slicing.cell * 4 + self.label * 2 + self.prediction
        return np.bincount(code, minlength=self.slicing.cells * 4).reshape(-1, 2, 2)

    @property
    def scores(self) -> FloatArray:
        """The scores; metrics of the score are only asked for where there are some."""
        if self.score is None:
            raise MetricsInputError("this metric needs a score column")
        return self.score

    @cached_property
    def ranked(self) -> RankedRows:
        """The rows ready for sorting."""
        return RankedRows(self.scores, self.label, self.slicing)

    @cached_property
    def log_loss(self) -> FloatArray:
        """Power sums of the log loss by cell, cut as scikit-learn cuts it, shape (cells, 3)."""
        return power_sums(self.slicing, self.scores, self.label, log_losses)

    @cached_property
    def surprises(self) -> FloatArray:
        """Count, by cell, the labels that were held less probable than not, shape (cells,)."""
        wrong = (self.scores >= 0.5) ^ self.label  # noqa: PLR2004 - an even chance
        return np.bincount(self.slicing.cell, wrong, minlength=self.slicing.cells).astype(float)

    @cached_property
    def squared_error(self) -> FloatArray:
        """Power sums of the squared error by cell, shape (cells, 3)."""
        return power_sums(
            self.slicing, self.scores, self.label, lambda score, label: (score - label) ** 2
        )

    @cached_property
    def bins(self) -> FloatArray:
        """Cases, summed scores and positives by cell and bin, shape (cells, bins, 3)."""
        code = self.slicing.cell * BINS + bins_of(self.scores)
        size = self.slicing.cells * BINS
        sums = [
            np.bincount(code, values, size).astype(float)
            for values in (None, self.scores, self.label)
        ]
        stacked: FloatArray = np.stack(sums, axis=-1).reshape(-1, BINS, 3)
        return stacked

    @cached_property
    def log_odds(self) -> FloatArray:
        """Log-odds of the scores, shape (rows,)."""
        return log_odds(self.scores)
