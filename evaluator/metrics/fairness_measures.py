"""Which fairness measures there are, and what each one compares.

Only the standard library is imported here, so that reading an audit's YAML costs nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from evaluator.metrics.registry import Task

Comparison = Literal["difference", "ratio"]


@dataclass(frozen=True)
class FairnessMeasure:
    """What there is to know about a fairness measure before any number is computed.

    Parameters
    ----------
    name
        The name.
    tasks
        The tasks that it is defined for.
    compares
        What is compared between groups, as a sentence for a reader who does not know it.
    favoured
        Which groups the candidate favours: 1, those of the highest value; -1, those of the lowest;
        0, neither, since two rates are compared at once.
    ratio
        Whether a ratio has a meaning beside the difference. A mean that may be negative has none.
    per_class
        Whether a multiclass candidate has one value a class, this class against the rest.
    needs_score
        Whether it is computed from scores, which have to be probabilities.
    """

    name: str
    tasks: tuple[Task, ...]
    compares: str
    favoured: Literal[-1, 0, 1] = 1
    ratio: bool = True
    per_class: bool = True
    needs_score: bool = False


_CLASSES: tuple[Task, ...] = ("binary_classification", "multiclass_classification")

_ALL = (
    FairnessMeasure(
        "demographic_parity",
        _CLASSES,
        "Selection rate: the share of the cases that were predicted positive.",
    ),
    FairnessMeasure(
        "equal_opportunity",
        _CLASSES,
        "True positive rate: the share of the positives that were predicted positive.",
    ),
    FairnessMeasure(
        "equalised_odds",
        _CLASSES,
        "True and false positive rate; the larger of the two gaps counts.",
        favoured=0,
    ),
    FairnessMeasure(
        "predictive_parity",
        _CLASSES,
        "Precision: the share of the predicted positives that are positive.",
    ),
    FairnessMeasure(
        "calibration_gap",
        _CLASSES,
        "Mean score minus share of positives: by how much the candidate overstates.",
        ratio=False,
        needs_score=True,
    ),
    FairnessMeasure(
        "accuracy_gap",
        _CLASSES,
        "Accuracy: the share of the cases whose prediction is the label.",
        per_class=False,
    ),
    FairnessMeasure(
        "treatment_equality",
        _CLASSES,
        "Missed positives per false positive; as difference, the missed positives' share of all "
        "errors.",
        favoured=-1,
    ),
    FairnessMeasure(
        "mean_residual",
        ("regression",),
        "Mean of prediction minus label: by how much the candidate overstates.",
        ratio=False,
        per_class=False,
    ),
)

FAIRNESS_MEASURES: Mapping[str, FairnessMeasure] = MappingProxyType(
    {measure.name: measure for measure in _ALL}
)
