"""Which metrics and fairness measures there are, and what each one needs and means.

Only the standard library is imported here, so that reading an audit's YAML costs nothing.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Generic, Literal, TypeVar

Task = Literal["binary_classification", "multiclass_classification", "ranking", "regression"]
Comparison = Literal["difference", "ratio"]
Option = Literal["classes", "abstains", "tolerance", "limits_level"]
Cells = tuple[Literal["tn", "fp", "fn", "tp"], ...]

# The four cells of a binary classifier's confusion matrix, in the order of 2 label + prediction.
CELLS: Cells = ("tn", "fp", "fn", "tp")
NEGATIVES: Cells = ("tn", "fp")
POSITIVES: Cells = ("fn", "tp")
PREDICTED_NEGATIVES: Cells = ("tn", "fn")
PREDICTED_POSITIVES: Cells = ("fp", "tp")
_PAIRS = {
    POSITIVES: "positive labels",
    NEGATIVES: "negative labels",
    PREDICTED_POSITIVES: "predicted positives",
    PREDICTED_NEGATIVES: "predicted negatives",
    ("fp", "fn"): "errors",
    ("tn", "tp"): "right predictions",
}


_One = TypeVar("_One")
# The number in the name of a family's member, such as "ndcg_at_10".
_NUMBER = re.compile(r"(?<=_)[1-9][0-9]{0,3}(?=_|$)")


class ByName(Mapping[str, _One], Generic[_One]):
    """What goes by a name, and families that have a member for each number from 1 to 9999.

    Members are made when they are asked for; iteration gives what is listed alone.

    Parameters
    ----------
    listed
        By name; the usual members of families are among them.
    families
        What makes the member of a number, by the name with "{k}" in its place.
    """

    def __init__(
        self, listed: Mapping[str, _One], families: Mapping[str, Callable[[int], _One]]
    ) -> None:
        self._listed = listed
        self._families = families

    def __getitem__(self, name: str) -> _One:
        if name not in self._listed and (number := _NUMBER.search(name)):
            family = f"{name[: number.start()]}{{k}}{name[number.end() :]}"
            if family in self._families:
                return self._families[family](int(number[0]))
        return self._listed[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._listed)

    def __len__(self) -> int:
        return len(self._listed)


def names_of(cells: Cells) -> list[str]:
    """Name the cases of some cells; of three cells, by the label and by the prediction."""
    if set(cells) == set(CELLS):
        return ["cases"]
    return [name for pair, name in _PAIRS.items() if set(pair) <= set(cells)][:2]


def none_of(cells: Cells) -> str:
    """Say that there are no cases in some cells, as the reason why something is undefined."""
    names = names_of(cells)
    return "no rows" if names == ["cases"] else " and ".join(f"no {name}" for name in names)


@dataclass(frozen=True)
class Rate:
    """A share of cases, told by the four cells of a binary classifier's confusion matrix.

    Parameters
    ----------
    hits
        The cells whose cases are hits: "tn", "fp", "fn", "tp".
    among
        The cells of whose cases the hits are a share.
    twice
        Whether hits count twice, above and below: 2 h / (n + h), which grows with h / n and takes
        its interval from there, as F1 does from Jaccard's index.

    Raises
    ------
    ValueError
        If hits are not some of several cells.
    """

    hits: Cells
    among: Cells
    twice: bool = False

    def __post_init__(self) -> None:
        if not set() < set(self.hits) < set(self.among) <= set(CELLS):
            raise ValueError(f"{self.hits} are no share of {self.among}")

    @property
    def weights(self) -> tuple[list[float], list[float]]:
        """What a case of each cell counts in numerator and denominator."""
        hits, among = ([float(cell in own) for cell in CELLS] for own in (self.hits, self.among))
        if self.twice:
            among = [(h + n) / 2 for h, n in zip(hits, among, strict=True)]
        return hits, among

    @property
    def of_same_cases(self) -> bool:
        """Whether the labels alone say which cases it is a share of."""
        of_labels = (set(CELLS), set(POSITIVES), set(NEGATIVES))
        return set(self.among) in of_labels and not self.twice


@dataclass(frozen=True)
class MetricInfo:
    """What there is to know about a metric before any number is computed.

    How it is computed follows from `rate`, or stands where its mathematics is, in `_binary`,
    `_multiclass`, `_regression` or `_rankings`.

    Parameters
    ----------
    name
        The name, scikit-learn's where it has one.
    tasks
        The tasks that it is defined for.
    higher_is_better
        The direction, or None where neither is better (a base rate, a bias).
    description
        One sentence for a reader who does not know it.
    needs
        What it is computed from beside the label: the candidate's score, its prediction, or the
        limits that it gives.
    probability
        Whether the scores have to be probabilities, in [0, 1].
    rate
        What it is a share of, where it is one of a binary classifier's decisions, whose forms all
        follow from that, or of numbers that are right or wrong.
    title
        The name for a reader, in lower case but for acronyms and people's names; the words of the
        name by default.
    calibration_error
        Whether it says how far scores are from being probabilities, and less is better.
    no_paired_test
        Why candidates are not compared by it; None where they are.
    residual
        Whether it is the mean of prediction minus label.
    of_cases
        Whether it is the mean over the cases of a value in [0, 1] that each has, or has not.
    option
        The parameter of `slice_metrics` that it is not measured without; None where there is none.
    per_class
        Which metric of a binary classifier it is, of each class against the rest: it has a value a
        class, and is only measured where it is asked for. None where it has one value.
    """

    name: str
    tasks: tuple[Task, ...]
    higher_is_better: bool | None
    description: str
    needs: Literal["score", "prediction", "label", "limits"] = "prediction"
    probability: bool = False
    rate: Rate | None = None
    title: str = ""
    calibration_error: bool = False
    no_paired_test: str | None = None
    residual: bool = False
    of_cases: bool = False
    option: Option | None = None
    per_class: str | None = None

    def __post_init__(self) -> None:
        if not self.title:
            object.__setattr__(self, "title", self.name.replace("_", " "))

    @property
    def no_fairness_gap(self) -> str | None:
        """Why groups are not compared by it; None where a fairness measure may do so."""
        if self.residual or self.of_cases or (self.rate is not None and not self.rate.twice):
            return None
        return (
            "groups are compared by shares of cases, by what each case has, and by the mean of"
            " prediction minus label"
        )


_BINARY: tuple[Task, ...] = ("binary_classification",)
_MULTICLASS: tuple[Task, ...] = ("multiclass_classification",)
_CLASSES: tuple[Task, ...] = ("binary_classification", "multiclass_classification")
_REGRESSION: tuple[Task, ...] = ("regression",)
_RANKING: tuple[Task, ...] = ("ranking",)

RIGHT = Rate(hits=("tn", "tp"), among=CELLS)
RECALL = Rate(hits=("tp",), among=POSITIVES)
SPECIFICITY = Rate(hits=("tn",), among=NEGATIVES)
# The members of families that are listed.
_TOP_COUNTS = (2, 3, 5)
_CUTS = (1, 5, 10)
# The metrics of which there is one a number.
PINBALL_PERCENTS = (10, 50, 90)
# The rates that are averaged over classes, and how.
AVERAGED = {
    "precision": "Precision",
    "recall": "Recall",
    "f1": "Harmonic mean of precision and recall",
}
_AVERAGES = {
    "macro": "mean over the classes",
    "micro": "of all classes pooled",
    "weighted": "mean over the classes by their frequency",
}

_BY_CHANCE = "it is above 0 by chance alone, and not alike for two candidates"


def _top_accuracy(k: int) -> MetricInfo:
    return MetricInfo(
        f"top_{k}_accuracy",
        _MULTICLASS,
        needs="score",
        higher_is_better=True,
        description=f"Share of cases whose label is among the {k} classes of the highest scores.",
    )


def _of_rankings(name: str, description: str, title: str = "") -> MetricInfo:
    return MetricInfo(
        name,
        _RANKING,
        higher_is_better=True,
        description=description,
        title=title,
        of_cases=True,
    )


def _ndcg(k: int) -> MetricInfo:
    said = f"Mean over the queries of the discounted grades of the first {k} items, as a share of"
    return _of_rankings(f"ndcg_at_{k}", f"{said} the best there could be.", f"NDCG at {k}")


def _precision(k: int) -> MetricInfo:
    said = (
        f"Mean over the queries of the relevant ones among the first {k} items, as a share of {k}."
    )
    return _of_rankings(f"precision_at_{k}", said)


def _recall(k: int) -> MetricInfo:
    said = f"Mean over the queries of the share of the relevant items that are among the first {k}."
    return _of_rankings(f"recall_at_{k}", said)


_FAMILIES = {
    "top_{k}_accuracy": _top_accuracy,
    "ndcg_at_{k}": _ndcg,
    "precision_at_{k}": _precision,
    "recall_at_{k}": _recall,
}

_METRICS = (
    MetricInfo(
        "accuracy",
        _CLASSES,
        higher_is_better=True,
        description="Share of cases whose prediction is the label.",
        rate=RIGHT,
    ),
    MetricInfo(
        "balanced_accuracy",
        _CLASSES,
        higher_is_better=True,
        description="Mean over the classes of the share of a class that was predicted right.",
    ),
    MetricInfo(
        "precision",
        _BINARY,
        higher_is_better=True,
        description="Share of the predicted positives that are positive.",
        rate=Rate(hits=("tp",), among=PREDICTED_POSITIVES),
    ),
    MetricInfo(
        "recall",
        _BINARY,
        higher_is_better=True,
        description="Share of the positives that were predicted positive; the true positive rate.",
        rate=RECALL,
    ),
    MetricInfo(
        "specificity",
        _BINARY,
        higher_is_better=True,
        description="Share of the negatives that were predicted negative; the true negative rate.",
        rate=SPECIFICITY,
    ),
    MetricInfo(
        "false_positive_rate",
        _BINARY,
        higher_is_better=False,
        description="Share of the negatives that were predicted positive.",
        rate=Rate(hits=("fp",), among=NEGATIVES),
    ),
    MetricInfo(
        "false_negative_rate",
        _BINARY,
        higher_is_better=False,
        description="Share of the positives that were predicted negative.",
        rate=Rate(hits=("fn",), among=POSITIVES),
    ),
    MetricInfo(
        "false_discovery_rate",
        _BINARY,
        higher_is_better=False,
        description="Share of the predicted positives that are negative.",
        rate=Rate(hits=("fp",), among=PREDICTED_POSITIVES),
    ),
    MetricInfo(
        "f1",
        _BINARY,
        higher_is_better=True,
        description="Harmonic mean of precision and recall.",
        rate=Rate(hits=("tp",), among=("fp", "fn", "tp"), twice=True),
        title="F1",
    ),
    MetricInfo(
        "matthews_correlation",
        _BINARY,
        higher_is_better=True,
        description="Correlation between prediction and label, from -1 to 1.",
        title="Matthews correlation",
    ),
    MetricInfo(
        "selection_rate",
        _BINARY,
        higher_is_better=None,
        description="Share of cases that were predicted positive.",
        rate=Rate(hits=PREDICTED_POSITIVES, among=CELLS),
    ),
    MetricInfo(
        "base_rate",
        _BINARY,
        needs="label",
        higher_is_better=None,
        description="Share of cases that are positive.",
        rate=Rate(hits=POSITIVES, among=CELLS),
        no_paired_test="it is the labels' alone, so that all candidates have the same",
    ),
    MetricInfo(
        "roc_auc",
        _BINARY,
        needs="score",
        higher_is_better=True,
        description="Probability that a positive scores above a negative, ties counting half.",
        title="ROC AUC",
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
        calibration_error=True,
    ),
    MetricInfo(
        "brier",
        _CLASSES,
        needs="score",
        higher_is_better=False,
        description="Mean squared difference between probability and outcome; of several classes, "
        "their sum.",
        probability=True,
        title="Brier score",
        calibration_error=True,
    ),
    MetricInfo(
        "expected_calibration_error",
        _BINARY,
        needs="score",
        higher_is_better=False,
        description="Mean absolute gap between probability and outcome over ten equal bins.",
        probability=True,
        calibration_error=True,
        no_paired_test=_BY_CHANCE,
    ),
    MetricInfo(
        "calibration_intercept",
        _BINARY,
        needs="score",
        higher_is_better=None,
        description="How far the log-odds must move to be right on average; 0 is calibrated.",
        probability=True,
        no_paired_test="there is no test of two recalibrations on the same cases",
    ),
    MetricInfo(
        "calibration_slope",
        _BINARY,
        needs="score",
        higher_is_better=None,
        description="How the log-odds must stretch to be right; below 1 is overconfident.",
        probability=True,
        no_paired_test="there is no test of two recalibrations on the same cases",
    ),
    *(
        MetricInfo(
            f"{kind}_{average}",
            _MULTICLASS,
            higher_is_better=True,
            description=f"{said}, {over}.",
            title=f"{kind.replace('f1', 'F1')} {average}",
        )
        for kind, said in AVERAGED.items()
        for average, over in _AVERAGES.items()
    ),
    *(
        MetricInfo(
            f"class_{kind}",
            _MULTICLASS,
            higher_is_better=None if kind == "share" else True,
            description=description,
            title=f"{kind.replace('f1', 'F1')} of a class",
            per_class=of_two,
        )
        for kind, of_two, description in (
            ("recall", "recall", "Share of the cases of a class that were predicted as it."),
            ("precision", "precision", "Share of what was predicted as a class that is of it."),
            ("f1", "f1", "Harmonic mean of precision and recall of a class."),
            ("share", "selection_rate", "Share of cases that were predicted as a class."),
        )
    ),
    MetricInfo(
        "coverage",
        _MULTICLASS,
        higher_is_better=True,
        description="Share of the cases that were answered; of the others the candidate abstained.",
        option="abstains",
    ),
    MetricInfo(
        "selective_accuracy",
        _MULTICLASS,
        higher_is_better=True,
        description="Share of the cases that were answered whose prediction is the label.",
        option="abstains",
    ),
    MetricInfo(
        "cohen_kappa",
        _CLASSES,
        higher_is_better=True,
        description="Agreement of prediction and label beyond chance, from -1 to 1; 0 is chance.",
        title="Cohen's kappa",
    ),
    MetricInfo(
        "quadratic_weighted_kappa",
        _MULTICLASS,
        higher_is_better=True,
        description="Agreement beyond chance, a prediction so many classes off counting squared.",
        title="quadratic weighted kappa",
        option="classes",
    ),
    MetricInfo(
        "roc_auc_ovr",
        _MULTICLASS,
        needs="score",
        higher_is_better=True,
        description="Mean area under the ROC curve of each class against the rest.",
        probability=True,
        title="ROC AUC ovr",
    ),
    MetricInfo(
        "roc_auc_ovo",
        _MULTICLASS,
        needs="score",
        higher_is_better=True,
        description="Mean area under the ROC curve of each pair of classes (Hand and Till).",
        probability=True,
        title="ROC AUC ovo",
    ),
    MetricInfo(
        "top_label_calibration_error",
        _MULTICLASS,
        needs="score",
        higher_is_better=False,
        description="Mean absolute gap between the highest probability and the share of cases of "
        "its class, over ten equal bins.",
        probability=True,
        calibration_error=True,
        no_paired_test=_BY_CHANCE,
    ),
    MetricInfo(
        "classwise_calibration_error",
        _MULTICLASS,
        needs="score",
        higher_is_better=False,
        description="Mean over the classes of the absolute gap between a class's probability and "
        "its share, over ten equal bins.",
        probability=True,
        calibration_error=True,
        no_paired_test=_BY_CHANCE,
    ),
    MetricInfo(
        "class_calibration_error",
        _MULTICLASS,
        needs="score",
        higher_is_better=False,
        description="Mean absolute gap between the probability of a class and its share, over ten "
        "equal bins.",
        probability=True,
        title="calibration error of a class",
        calibration_error=True,
        no_paired_test=_BY_CHANCE,
        per_class="expected_calibration_error",
    ),
    *map(_top_accuracy, _TOP_COUNTS),
    MetricInfo(
        "mean_absolute_error",
        _REGRESSION,
        higher_is_better=False,
        description="Mean absolute difference between prediction and label.",
    ),
    MetricInfo(
        "root_mean_squared_error",
        _REGRESSION,
        higher_is_better=False,
        description="Square root of the mean squared difference between prediction and label.",
    ),
    MetricInfo(
        "median_absolute_error",
        _REGRESSION,
        higher_is_better=False,
        description="Median absolute difference between prediction and label.",
        no_paired_test="there is no test of two medians on the same cases",
    ),
    MetricInfo(
        "bias",
        _REGRESSION,
        higher_is_better=None,
        description="Mean of prediction minus label.",
        residual=True,
    ),
    MetricInfo(
        "r2",
        _REGRESSION,
        higher_is_better=True,
        description="Share of the labels' variance that the prediction explains.",
        title="R²",
    ),
    MetricInfo(
        "mean_absolute_percentage_error",
        _REGRESSION,
        higher_is_better=False,
        description="Mean absolute difference as a share of the label.",
    ),
    *(
        MetricInfo(
            f"pinball_loss_{percent}",
            _REGRESSION,
            higher_is_better=False,
            description=f"Mean loss of the prediction as the {percent} % quantile of the label.",
        )
        for percent in PINBALL_PERCENTS
    ),
    MetricInfo(
        "within_tolerance",
        _REGRESSION,
        higher_is_better=True,
        description="Share of cases whose prediction is no farther from the label than tolerated.",
        rate=RIGHT,
        option="tolerance",
    ),
    MetricInfo(
        "limits_coverage",
        _REGRESSION,
        needs="limits",
        higher_is_better=True,
        description="Share of cases whose label is within the limits that the candidate gave.",
        title="coverage of the limits",
    ),
    MetricInfo(
        "limits_width",
        _REGRESSION,
        needs="limits",
        higher_is_better=False,
        description="Mean width of the limits; of those that cover alike, narrower are better.",
        title="width of the limits",
    ),
    MetricInfo(
        "interval_score",
        _REGRESSION,
        needs="limits",
        higher_is_better=False,
        description="Mean width of the limits, and 2 / (1 - level) times what labels are outside.",
        option="limits_level",
    ),
    *(family(cut) for family in (_ndcg, _precision, _recall) for cut in _CUTS),
    _of_rankings(
        "mean_reciprocal_rank",
        "Mean over the queries of 1 / the rank of the first relevant item; 0 if none was found.",
    ),
    _of_rankings(
        "mean_average_precision",
        "Mean over the queries of the mean, over the relevant items, of the precision at each.",
    ),
)

_METRICS_BY_NAME = {info.name: info for info in _METRICS}
METRICS: Mapping[str, MetricInfo] = ByName(_METRICS_BY_NAME, _FAMILIES)
"""All metrics by name, in the order of every table; of families with a number the usual ones."""


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
    metrics
        The metrics that are compared: a rate; two rates, of which the larger gap counts; or a mean
        of prediction minus label, or of what each case has. Without any, the mean of score minus
        label.
    odds
        A rate that is no metric; a ratio of groups is one of its odds.
    favoured
        Which groups the candidate favours: 1, those of the highest value; -1, those of the lowest;
        0, neither, since two rates are compared at once.
    needs_score
        Whether it is computed from scores, which have to be probabilities.

    Raises
    ------
    ValueError
        If groups cannot be compared by one of the metrics.
    """

    name: str
    tasks: tuple[Task, ...]
    compares: str
    metrics: tuple[str, ...] = ()
    odds: Rate | None = None
    favoured: Literal[-1, 0, 1] = 1
    needs_score: bool = False

    def __post_init__(self) -> None:
        for metric in self.metrics:
            if reason := METRICS[metric].no_fairness_gap:
                raise ValueError(f"{self.name} cannot compare {metric}: {reason}")

    @property
    def rates(self) -> tuple[Rate, ...]:
        """The rates that are compared; without any, means are."""
        found = (self.odds, *(METRICS[metric].rate for metric in self.metrics))
        return tuple(rate for rate in found if rate is not None)

    @property
    def ratio(self) -> bool:
        """Whether a ratio has a meaning beside the difference. A mean may be negative."""
        return bool(self.rates)

    @property
    def option(self) -> Option | None:
        """The parameter of `fairness` that it is not measured without; None where there is none."""
        return next((one for metric in self.metrics if (one := METRICS[metric].option)), None)

    @property
    def bounds(self) -> tuple[float, float]:
        """Between which values a mean lies."""
        if any(METRICS[metric].of_cases for metric in self.metrics):
            return 0.0, 1.0
        return (-1.0, 1.0) if self.needs_score else (-math.inf, math.inf)

    @property
    def per_class(self) -> bool:
        """Whether a multiclass candidate has one value a class, this class against the rest."""
        return not any(_MULTICLASS[0] in METRICS[metric].tasks for metric in self.metrics)


_MEASURES = (
    FairnessMeasure(
        "demographic_parity",
        _CLASSES,
        "Selection rate: the share of the cases that were predicted positive.",
        metrics=("selection_rate",),
    ),
    FairnessMeasure(
        "equal_opportunity",
        _CLASSES,
        "True positive rate: the share of the positives that were predicted positive.",
        metrics=("recall",),
    ),
    FairnessMeasure(
        "equalised_odds",
        _CLASSES,
        "True and false positive rate; the larger of the two gaps counts.",
        metrics=("recall", "false_positive_rate"),
        favoured=0,
    ),
    FairnessMeasure(
        "predictive_parity",
        _CLASSES,
        "Precision: the share of the predicted positives that are positive.",
        metrics=("precision",),
    ),
    FairnessMeasure(
        "calibration_gap",
        _CLASSES,
        "Mean score minus share of positives: by how much the candidate overstates.",
        needs_score=True,
    ),
    FairnessMeasure(
        "accuracy_gap",
        _CLASSES,
        "Accuracy: the share of the cases whose prediction is the label.",
        metrics=("accuracy",),
    ),
    FairnessMeasure(
        "treatment_equality",
        _CLASSES,
        "Missed positives per false positive; as difference, the missed positives' share of all "
        "errors.",
        odds=Rate(hits=("fn",), among=("fp", "fn")),
        favoured=-1,
    ),
    FairnessMeasure(
        "mean_residual",
        ("regression",),
        "Mean of prediction minus label: by how much the candidate overstates.",
        metrics=("bias",),
    ),
    FairnessMeasure(
        "tolerance_gap",
        ("regression",),
        "Share within tolerance: that of the cases whose prediction is no farther from the label "
        "than tolerated.",
        metrics=("within_tolerance",),
    ),
    FairnessMeasure(
        "ranking_gap",
        _RANKING,
        "NDCG at 10: how good the rankings of a group's queries are, as a share of the best.",
        metrics=("ndcg_at_10",),
    ),
    FairnessMeasure(
        "reciprocal_rank_gap",
        _RANKING,
        "Reciprocal rank of the first relevant item, 1 where it comes first.",
        metrics=("mean_reciprocal_rank",),
    ),
)

_MEASURES_BY_NAME = {measure.name: measure for measure in _MEASURES}
FAIRNESS_MEASURES: Mapping[str, FairnessMeasure] = MappingProxyType(_MEASURES_BY_NAME)
"""All fairness measures by name, in the order of every table."""
