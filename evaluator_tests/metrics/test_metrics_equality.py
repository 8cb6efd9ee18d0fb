"""Values are scikit-learn's, to twelve digits, over random and degenerate inputs."""

import warnings
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from scipy import special, stats
from sklearn import metrics as reference
from sklearn.linear_model import LogisticRegression

from evaluator.metrics import METRICS, Task, _means as losses, _ranking as ranking, slice_metrics
from evaluator.metrics._estimates import measure_levels, to_tidy_frame
from evaluator.metrics._inputs import LEVEL_METRICS, TaskOptions, level_reader
from evaluator.metrics._levels import cut_slices
from evaluator.metrics._linear import SurveyDesign

BINARY = {
    "accuracy": reference.accuracy_score,
    "balanced_accuracy": reference.balanced_accuracy_score,
    "precision": reference.precision_score,
    "recall": reference.recall_score,
    "f1": reference.f1_score,
    "matthews_correlation": reference.matthews_corrcoef,
    "cohen_kappa": reference.cohen_kappa_score,
    "roc_auc": reference.roc_auc_score,
    "average_precision": reference.average_precision_score,
    "log_loss": lambda y, s, **k: reference.log_loss(y, s, labels=[0, 1], **k),
    "brier": lambda y, s, **k: reference.brier_score_loss(y, s, labels=[0, 1], **k),
}
OF_SCORE = {"roc_auc", "average_precision", "log_loss", "brier"}
REGRESSION = {
    "mean_absolute_error": reference.mean_absolute_error,
    "root_mean_squared_error": reference.root_mean_squared_error,
    "median_absolute_error": reference.median_absolute_error,
    "r2": reference.r2_score,
    "mean_absolute_percentage_error": reference.mean_absolute_percentage_error,
    "pinball_loss_10": lambda y, p, **k: reference.mean_pinball_loss(y, p, alpha=0.1, **k),
    "pinball_loss_50": lambda y, p, **k: reference.mean_pinball_loss(y, p, alpha=0.5, **k),
    "pinball_loss_90": lambda y, p, **k: reference.mean_pinball_loss(y, p, alpha=0.9, **k),
}


def expected(function: Any, *columns: Any, weight: Any = None) -> float:
    """Ask scikit-learn, whose warnings about degenerate inputs are not the subject."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keywords = {} if weight is None else {"sample_weight": weight}
        return float(function(*columns, **keywords))


def every_group(frame: pd.DataFrame, table: pd.DataFrame) -> Any:
    """Go through the rows of a table with the cases that each one is about."""
    for row in table.to_dict("records"):
        cases = frame
        for name in ("region", "segment"):
            if not pd.isna(row[name]):
                cases = cases[cases[name] == row[name]]
        yield row, cases


def some_frame(seed: int, rows: int, digits: int, *, weighted: bool) -> pd.DataFrame:
    """Draw cases with more or fewer ties and, in small slices, degenerate labels."""
    random = np.random.default_rng(seed)
    score = random.beta(1, 1, rows).round(digits)
    return pd.DataFrame(
        {
            "label": (random.random(rows) < score).astype(int),
            "score": score,
            "region": random.choice(["north", "south", "west"], rows),
            "segment": random.choice([1, 2], rows),
            # Whole weights, some of them zero: a case that does not count.
            "weight": random.integers(0, 4, rows).astype(float) if weighted else 1.0,
        }
    )


@settings(max_examples=30, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    rows=st.sampled_from([1, 2, 5, 30, 120]),
    digits=st.sampled_from([0, 1, 16]),
    weighted=st.booleans(),
)
def test_binary_values_are_those_of_scikit_learn(
    seed: int, rows: int, digits: int, *, weighted: bool
) -> None:
    frame = some_frame(seed, rows, digits, weighted=weighted)
    weight = "weight" if weighted else None
    table = slice_metrics(
        frame,
        label="label",
        score="score",
        slices=["region", "segment"],
        metrics=list(BINARY),
        weight=weight,
    )
    # A case of no weight is left out.
    for row, cases in every_group(frame[frame["weight"] > 0], table):
        assert row["n"] == len(cases)
        if row["status"] == "undefined":
            assert np.isnan(row["value"])
            assert row["reason"]
            continue
        second = cases.score if row["metric"] in OF_SCORE else cases.score >= 0.5
        weights = cases.weight if weighted else None
        wanted = expected(BINARY[row["metric"]], cases.label, second, weight=weights)
        assert row["value"] == pytest.approx(wanted, abs=1e-12)


@settings(max_examples=25, derandomize=True)
@given(seed=st.integers(0, 10**6), rows=st.sampled_from([1, 3, 40]))
def test_equal_weights_change_no_value_and_undefine_the_same(seed: int, rows: int) -> None:
    frame = some_frame(seed, rows, 1, weighted=False)
    columns: dict[str, Any] = {"label": "label", "score": "score", "slices": ["region"]}
    plain = slice_metrics(frame, **columns)
    weighted = slice_metrics(frame, **columns, weight="weight")
    assert (plain.metric == weighted.metric).all()
    np.testing.assert_allclose(plain.value, weighted.value, atol=1e-8)
    undefined = plain.status == "undefined"
    assert (undefined == (weighted.status == "undefined")).all()
    assert plain.reason[undefined].equals(weighted.reason[undefined])
    np.testing.assert_allclose(plain.n_effective, weighted.n_effective, atol=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
def test_undefined_is_exactly_where_scikit_learn_warns_or_gives_up(*, weighted: bool) -> None:
    frame = pd.DataFrame(
        {
            "label": [0, 0, 1, 1, 0, 1],
            "score": [0.1, 0.2, 0.1, 0.2, 0.9, 0.9],
            "case": ["no positives"] * 2 + ["no negatives"] * 2 + ["both"] * 2,
            "weight": 1.0,
        }
    )
    table = slice_metrics(
        frame,
        label="label",
        score="score",
        slices=["case"],
        weight="weight" if weighted else None,
    )
    found = table[table.level == "case"].set_index(["case", "metric"])
    undefined = found[found.status == "undefined"].reason.to_dict()
    assert undefined["no positives", "recall"] == "no positive labels"
    assert undefined["no positives", "precision"] == "no predicted positives"
    assert undefined["no positives", "f1"] == "no positive labels and no predicted positives"
    assert undefined["no positives", "roc_auc"] == "no positive labels"
    assert undefined["no negatives", "roc_auc"] == "no negative labels"
    assert undefined["no negatives", "specificity"] == "no negative labels"
    assert undefined["no negatives", "matthews_correlation"] == "no negative labels"
    assert undefined["both", "matthews_correlation"] == "no predicted negatives"
    # Predicting none of the positives is a recall of zero, and that is known.
    assert ("no negatives", "recall") not in undefined
    assert found.loc[("no negatives", "f1"), "value"] == 0
    # Scores that part the labels, or are constant, have no best stretch.
    assert ("both", "calibration_slope") in undefined


def multiclass_frame(seed: int, rows: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    scores = random.dirichlet([1, 1, 1, 1], rows).round(2)
    scores[:, 3] = 1 - scores[:, :3].sum(axis=1)
    scores = np.clip(scores, 0, 1)
    drawn = (scores.cumsum(axis=1) < random.random((rows, 1))).sum(axis=1)
    return pd.DataFrame(
        {
            "label": np.array(list("abcd"))[np.minimum(drawn, 3)],
            **{name: scores[:, place] for place, name in enumerate("wxyz")},
            "region": random.choice(["north", "south"], rows),
            "segment": random.choice([1, 2], rows),
            "weight": random.integers(1, 4, rows).astype(float),
        }
    )


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("rows", [1, 12, 300])
def test_multiclass_values_are_those_of_scikit_learn(rows: int, *, weighted: bool) -> None:
    frame = multiclass_frame(rows, rows)
    classes = dict(zip("abcd", "wxyz", strict=True))
    table = slice_metrics(
        frame,
        label="label",
        score=classes,
        slices=["region", "segment"],
        task="multiclass_classification",
        weight="weight" if weighted else None,
    )
    seen = set()
    for row, cases in every_group(frame, table):
        if row["status"] == "undefined":
            assert np.isnan(row["value"])
            continue
        seen.add(row["metric"])
        weights = cases.weight if weighted else None
        if row["metric"] == "roc_auc_ovo" and weighted:
            continue  # scikit-learn takes no weights there
        if row["metric"].endswith("calibration_error"):
            continue  # scikit-learn has none
        wanted = multiclass_reference(row["metric"], cases, weights)
        assert row["value"] == pytest.approx(wanted, abs=1e-12), row
    if rows == 300:
        assert {"roc_auc_ovr", "roc_auc_ovo", "f1_macro", "log_loss", "top_2_accuracy"} <= seen


def multiclass_reference(metric: str, cases: pd.DataFrame, weight: Any) -> float:
    """Ask scikit-learn for a multiclass metric by our name."""
    scores = cases[list("wxyz")].to_numpy()
    decided = np.array(list("abcd"))[scores.argmax(axis=1)]
    labels = list("abcd")
    name, _, way = metric.rpartition("_")
    if metric in {"accuracy", "balanced_accuracy"}:
        return expected(BINARY[metric], cases.label, decided, weight=weight)
    if way in {"macro", "micro", "weighted"}:
        averaged = partial(BINARY[name], average=way)
        return expected(averaged, cases.label, decided, weight=weight)
    if metric == "cohen_kappa":
        return expected(reference.cohen_kappa_score, cases.label, decided, weight=weight)
    function = {
        "log_loss": partial(reference.log_loss, labels=labels),
        "brier": partial(reference.brier_score_loss, labels=labels, scale_by_half=False),
        "roc_auc_ovr": partial(reference.roc_auc_score, multi_class="ovr", labels=labels),
        "roc_auc_ovo": partial(reference.roc_auc_score, multi_class="ovo", labels=labels),
        "top_2_accuracy": partial(reference.top_k_accuracy_score, k=2, labels=labels),
        "top_3_accuracy": partial(reference.top_k_accuracy_score, k=3, labels=labels),
    }[metric]
    return expected(function, cases.label, scores, weight=weight)


@settings(max_examples=30, derandomize=True)
@given(seed=st.integers(0, 10**6), rows=st.sampled_from([1, 2, 9, 60]), weighted=st.booleans())
def test_regression_values_are_those_of_scikit_learn(
    seed: int, rows: int, *, weighted: bool
) -> None:
    random = np.random.default_rng(seed)
    label = random.normal(2, 1, rows).round(1)
    frame = pd.DataFrame(
        {
            "label": label,
            "prediction": (label + random.normal(0, 1, rows)).round(1),
            "region": random.choice(["north", "south"], rows),
            "segment": random.choice([1, 2], rows),
            "weight": random.integers(1, 4, rows).astype(float),
        }
    )
    table = slice_metrics(
        frame,
        label="label",
        prediction="prediction",
        slices=["region", "segment"],
        task="regression",
        weight="weight" if weighted else None,
    )
    for row, cases in every_group(frame, table):
        if row["status"] == "undefined":
            assert row["reason"] in {"the labels are all equal", "some labels are 0"}
            continue
        weights = cases.weight if weighted else None
        if row["metric"] == "bias":
            wanted = np.average(cases.prediction - cases.label, weights=weights)
        else:
            function = REGRESSION[row["metric"]]
            wanted = expected(function, cases.label, cases.prediction, weight=weights)
        assert row["value"] == pytest.approx(wanted, rel=1e-12, abs=1e-12)


def test_calibration_is_that_of_a_logistic_regression_without_penalty() -> None:
    random = np.random.default_rng(3)
    odds = random.normal(0, 1.5, 400)
    label = (random.random(400) < special.expit(0.4 + 0.7 * odds)).astype(int)
    frame = pd.DataFrame({"label": label, "score": special.expit(odds), "region": "north"})
    table = slice_metrics(frame, label="label", score="score", slices=["region"])
    overall = table[table.level == "overall"].set_index("metric").value
    fit = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000).fit(odds[:, None], label)
    assert overall["calibration_slope"] == pytest.approx(fit.coef_[0, 0], abs=1e-5)
    # At a slope of one the best intercept makes the mean probability the base rate.
    moved = special.expit(odds + overall["calibration_intercept"])
    assert moved.mean() == pytest.approx(label.mean(), abs=1e-10)


def test_scores_below_zero_rank_as_they_are() -> None:
    random = np.random.default_rng(4)
    frame = pd.DataFrame(
        {
            "label": random.integers(0, 2, 99),
            "score": random.normal(size=99).round(1),
            "region": "n",
        }
    )
    table = slice_metrics(
        frame, label="label", score="score", slices=["region"], metrics=["roc_auc"]
    )
    wanted = reference.roc_auc_score(frame.label, frame.score)
    assert table.value.tolist() == pytest.approx([wanted, wanted], abs=1e-12)


@pytest.mark.parametrize("size", [1, 3, 16, 50])
@pytest.mark.parametrize("digits", [1, 2, 16])
def test_working_in_small_blocks_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, size: int, digits: int
) -> None:
    frame = some_frame(5, 400, digits, weighted=False)
    columns: dict[str, Any] = {
        "label": "label",
        "score": "score",
        "slices": ["region", "segment"],
        "metrics": ["roc_auc", "average_precision", "log_loss"],
    }
    at_once = slice_metrics(frame, **columns)
    monkeypatch.setattr(ranking, "_BLOCK", size)
    monkeypatch.setattr(losses, "_PIECE", size)
    in_blocks = slice_metrics(frame, **columns)
    pd.testing.assert_frame_equal(at_once, in_blocks, rtol=1e-9)


def cases_of_classes_and_numbers(seed: int, rows: int) -> pd.DataFrame:
    """Draw cases with ties, abstentions, rare and absent classes, and slices of few cases."""
    random = np.random.default_rng(seed)
    digits = int(random.choice([1, 2, 16]))
    given = random.dirichlet(np.full(4, random.choice([0.3, 2])), rows).round(digits)
    given /= given.sum(axis=1, keepdims=True)
    names = np.array(list("abcd"))
    right = random.random(rows) < 0.6
    label = np.where(right, given.argmax(axis=1), random.choice(4, rows, p=[0.6, 0.3, 0.1, 0]))
    number = random.gamma(2, 5, rows).round(digits)
    frame = pd.DataFrame(given, columns=list("wxyz")).assign(
        label=names[label],
        prediction=names[given.argmax(axis=1)],
        number=number,
        predicted=number + random.choice([0, 1, 1e-3]) * random.standard_t(3, rows).round(digits),
        region=random.choice(["north", "south", "west"], rows, p=[0.7, 0.27, 0.03]),
        segment=random.choice([1, 2, max(rows, 3)], rows),
    )
    frame["prediction"] = frame["prediction"].where(random.random(rows) < 0.8)
    frame["low"] = frame.predicted - random.gamma(1, 2, rows).round(digits)
    frame["high"] = frame.predicted + random.gamma(1, 2, rows).round(digits)
    return frame


@settings(max_examples=25, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    rows=st.sampled_from([0, 1, 2, 15, 80, 500]),
    task=st.sampled_from(["multiclass_classification", "regression"]),
    declared=st.booleans(),
)
def test_figures_from_the_sums_of_cells_are_those_from_the_rows_of_each_level(
    seed: int, rows: int, task: Task, *, declared: bool
) -> None:
    frame = cases_of_classes_and_numbers(seed, rows)
    groups = {"region": ["north", "south", "west", "nowhere"]} if declared else None
    many = task == "multiclass_classification"
    columns: dict[str, Any] = {
        "label": "label" if many else "number",
        "score": dict(zip("abcd", "wxyz", strict=True)) if many else None,
        "prediction": "prediction" if many else "predicted",
        "limits": None if many else ("low", "high"),
    }
    options = {"classes": list("abcd"), "abstains": True} if many else {"tolerance": 1.0}
    # The errors of bins and the median have no other form where cases are independent.
    metrics = [
        name
        for name, info in METRICS.items()
        if task in info.tasks and not name.endswith(("calibration_error", "median_absolute_error"))
    ]
    asked: dict[str, Any] = {"slices": ["region", "segment"], "groups": groups}
    found = slice_metrics(frame, task=task, metrics=metrics, **columns, **options, **asked)

    slicing = cut_slices(frame, asked["slices"], groups)
    reader = level_reader(frame, metrics, 0.95, options=TaskOptions(task, **options), **columns)
    levels = (reader.level(SurveyDesign(level, slicing.cell)) for level in slicing.levels)
    measures = {name: LEVEL_METRICS[task][name].measure for name in metrics}
    wanted = to_tidy_frame(slicing, measure_levels(levels, measures), surveyed=False)
    pd.testing.assert_frame_equal(found, wanted, rtol=1e-9, atol=1e-12)


@settings(max_examples=25, derandomize=True)
@given(seed=st.integers(0, 10**6), rows=st.sampled_from([0, 1, 5, 6, 80, 500]))
def test_the_median_of_independent_cases_lies_between_two_of_them(seed: int, rows: int) -> None:
    frame = cases_of_classes_and_numbers(seed, rows)
    found = slice_metrics(
        frame,
        task="regression",
        label="number",
        prediction="predicted",
        slices=["region", "segment"],
        metrics=["median_absolute_error"],
    )
    for row in found.to_dict("records"):
        own = frame
        for name in {"region", "segment"} & set(row["level"].split(" x ")):
            own = own[own[name] == row[name]]
        errors = np.sort((own.predicted - own.number).abs())
        n = row["n"]
        if n == 0:
            assert row["status"] == "undefined"
            continue
        assert row["value"] == np.median(errors)
        if n < 6:
            assert row["reason"] == f"needs 6 cases, has {n}"
            continue
        rank = int(stats.binom.ppf(0.025, n, 0.5))
        rank += stats.binom.cdf(rank, n, 0.5) <= 0.025
        assert (row["low"], row["high"]) == (errors[rank - 1], errors[n - rank])
