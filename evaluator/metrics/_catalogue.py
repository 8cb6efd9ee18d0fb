"""Which metrics and fairness measures there are, and what each one needs and means.

Only the standard library is imported here, so that reading an audit's YAML costs nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Task = Literal["binary_classification", "multiclass_classification", "regression"]
Comparison = Literal["difference", "ratio"]


@dataclass(frozen=True)
class MetricInfo:
    """What there is to know about a metric before any number is computed.

    Parameters
    ----------
    name
        The name, scikit-learn's where it has one.
    tasks
        The tasks that it is defined for.
    needs
        What it is computed from beside the label: the candidate's score or its prediction.
    higher_is_better
        The direction, or None where neither is better (a base rate, a bias).
    description
        One sentence for a reader who does not know it.
    probability
        Whether the scores have to be probabilities, in [0, 1].
    """

    name: str
    tasks: tuple[Task, ...]
    needs: Literal["score", "prediction", "label"]
    higher_is_better: bool | None
    description: str
    probability: bool = False


@dataclass(frozen=True)
class FairnessMeasure:
    """What there is to know about a fairness measure before any number is computed.

    Parameters
    ----------
    name
        The name that an audit's YAML and every table give it.
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


_BINARY: tuple[Task, ...] = ("binary_classification",)
_MULTICLASS: tuple[Task, ...] = ("multiclass_classification",)
_CLASSES: tuple[Task, ...] = ("binary_classification", "multiclass_classification")
_REGRESSION: tuple[Task, ...] = ("regression",)

_METRICS = (
    MetricInfo(
        "accuracy",
        _CLASSES,
        needs="prediction",
        higher_is_better=True,
        description="Share of cases whose prediction is the label.",
    ),
    MetricInfo(
        "balanced_accuracy",
        _CLASSES,
        needs="prediction",
        higher_is_better=True,
        description="Mean over the classes of the share of a class that was predicted right.",
    ),
    MetricInfo(
        "precision",
        _BINARY,
        needs="prediction",
        higher_is_better=True,
        description="Share of the predicted positives that are positive.",
    ),
    MetricInfo(
        "recall",
        _BINARY,
        needs="prediction",
        higher_is_better=True,
        description="Share of the positives that were predicted positive; the true positive rate.",
    ),
    MetricInfo(
        "specificity",
        _BINARY,
        needs="prediction",
        higher_is_better=True,
        description="Share of the negatives that were predicted negative; the true negative rate.",
    ),
    MetricInfo(
        "false_positive_rate",
        _BINARY,
        needs="prediction",
        higher_is_better=False,
        description="Share of the negatives that were predicted positive.",
    ),
    MetricInfo(
        "false_negative_rate",
        _BINARY,
        needs="prediction",
        higher_is_better=False,
        description="Share of the positives that were predicted negative.",
    ),
    MetricInfo(
        "false_discovery_rate",
        _BINARY,
        needs="prediction",
        higher_is_better=False,
        description="Share of the predicted positives that are negative.",
    ),
    MetricInfo(
        "f1",
        _BINARY,
        needs="prediction",
        higher_is_better=True,
        description="Harmonic mean of precision and recall.",
    ),
    MetricInfo(
        "matthews_correlation",
        _BINARY,
        needs="prediction",
        higher_is_better=True,
        description="Correlation between prediction and label, from -1 to 1.",
    ),
    MetricInfo(
        "selection_rate",
        _BINARY,
        needs="prediction",
        higher_is_better=None,
        description="Share of cases that were predicted positive.",
    ),
    MetricInfo(
        "base_rate",
        _BINARY,
        needs="label",
        higher_is_better=None,
        description="Share of cases that are positive.",
    ),
    MetricInfo(
        "roc_auc",
        _BINARY,
        needs="score",
        higher_is_better=True,
        description="Probability that a positive scores above a negative, ties counting half.",
    ),
    MetricInfo(
        "average_precision",
        _BINARY,
        needs="score",
        higher_is_better=True,
        description="Mean, over the positives, of the precision at their score as the threshold.",
    ),
    MetricInfo(
        "log_loss",
        _CLASSES,
        needs="score",
        higher_is_better=False,
        description="Mean negative logarithm of the probability given to the label.",
        probability=True,
    ),
    MetricInfo(
        "brier",
        _BINARY,
        needs="score",
        higher_is_better=False,
        description="Mean squared difference between probability and outcome.",
        probability=True,
    ),
    MetricInfo(
        "expected_calibration_error",
        _BINARY,
        needs="score",
        higher_is_better=False,
        description="Mean absolute gap between probability and outcome over ten equal bins.",
        probability=True,
    ),
    MetricInfo(
        "calibration_intercept",
        _BINARY,
        needs="score",
        higher_is_better=None,
        description="How far the log-odds must move to be right on average; 0 is calibrated.",
        probability=True,
    ),
    MetricInfo(
        "calibration_slope",
        _BINARY,
        needs="score",
        higher_is_better=None,
        description="How the log-odds must stretch to be right; below 1 is overconfident.",
        probability=True,
    ),
    MetricInfo(
        "precision_macro",
        _MULTICLASS,
        needs="prediction",
        higher_is_better=True,
        description="Precision, mean over the classes.",
    ),
    MetricInfo(
        "precision_micro",
        _MULTICLASS,
        needs="prediction",
        higher_is_better=True,
        description="Precision, of all classes pooled.",
    ),
    MetricInfo(
        "precision_weighted",
        _MULTICLASS,
        needs="prediction",
        higher_is_better=True,
        description="Precision, mean over the classes by their frequency.",
    ),
    MetricInfo(
        "recall_macro",
        _MULTICLASS,
        needs="prediction",
        higher_is_better=True,
        description="Recall, mean over the classes.",
    ),
    MetricInfo(
        "recall_micro",
        _MULTICLASS,
        needs="prediction",
        higher_is_better=True,
        description="Recall, of all classes pooled.",
    ),
    MetricInfo(
        "recall_weighted",
        _MULTICLASS,
        needs="prediction",
        higher_is_better=True,
        description="Recall, mean over the classes by their frequency.",
    ),
    MetricInfo(
        "f1_macro",
        _MULTICLASS,
        needs="prediction",
        higher_is_better=True,
        description="Harmonic mean of precision and recall, mean over the classes.",
    ),
    MetricInfo(
        "f1_micro",
        _MULTICLASS,
        needs="prediction",
        higher_is_better=True,
        description="Harmonic mean of precision and recall, of all classes pooled.",
    ),
    MetricInfo(
        "f1_weighted",
        _MULTICLASS,
        needs="prediction",
        higher_is_better=True,
        description="Harmonic mean of precision and recall, by the classes' frequency.",
    ),
    MetricInfo(
        "roc_auc_ovr",
        _MULTICLASS,
        needs="score",
        higher_is_better=True,
        description="Mean area under the ROC curve of each class against the rest.",
        probability=True,
    ),
    MetricInfo(
        "roc_auc_ovo",
        _MULTICLASS,
        needs="score",
        higher_is_better=True,
        description="Mean area under the ROC curve of each pair of classes (Hand and Till).",
        probability=True,
    ),
    MetricInfo(
        "top_2_accuracy",
        _MULTICLASS,
        needs="score",
        higher_is_better=True,
        description="Share of cases whose label is among the 2 classes of the highest scores.",
    ),
    MetricInfo(
        "top_3_accuracy",
        _MULTICLASS,
        needs="score",
        higher_is_better=True,
        description="Share of cases whose label is among the 3 classes of the highest scores.",
    ),
    MetricInfo(
        "top_5_accuracy",
        _MULTICLASS,
        needs="score",
        higher_is_better=True,
        description="Share of cases whose label is among the 5 classes of the highest scores.",
    ),
    MetricInfo(
        "confusion_matrix",
        _MULTICLASS,
        needs="prediction",
        higher_is_better=None,
        description="Share of each class that was predicted as each class.",
    ),
    MetricInfo(
        "mean_absolute_error",
        _REGRESSION,
        needs="prediction",
        higher_is_better=False,
        description="Mean absolute difference between prediction and label.",
    ),
    MetricInfo(
        "root_mean_squared_error",
        _REGRESSION,
        needs="prediction",
        higher_is_better=False,
        description="Square root of the mean squared difference between prediction and label.",
    ),
    MetricInfo(
        "median_absolute_error",
        _REGRESSION,
        needs="prediction",
        higher_is_better=False,
        description="Median absolute difference between prediction and label.",
    ),
    MetricInfo(
        "bias",
        _REGRESSION,
        needs="prediction",
        higher_is_better=None,
        description="Mean of prediction minus label.",
    ),
    MetricInfo(
        "r2",
        _REGRESSION,
        needs="prediction",
        higher_is_better=True,
        description="Share of the labels' variance that the prediction explains.",
    ),
    MetricInfo(
        "mean_absolute_percentage_error",
        _REGRESSION,
        needs="prediction",
        higher_is_better=False,
        description="Mean absolute difference as a share of the label.",
    ),
    MetricInfo(
        "pinball_loss_10",
        _REGRESSION,
        needs="prediction",
        higher_is_better=False,
        description="Mean loss of the prediction as the 10 % quantile of the label.",
    ),
    MetricInfo(
        "pinball_loss_50",
        _REGRESSION,
        needs="prediction",
        higher_is_better=False,
        description="Mean loss of the prediction as the 50 % quantile of the label.",
    ),
    MetricInfo(
        "pinball_loss_90",
        _REGRESSION,
        needs="prediction",
        higher_is_better=False,
        description="Mean loss of the prediction as the 90 % quantile of the label.",
    ),
)

METRICS: Mapping[str, MetricInfo] = MappingProxyType({info.name: info for info in _METRICS})

_MEASURES = (
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
    {measure.name: measure for measure in _MEASURES}
)
