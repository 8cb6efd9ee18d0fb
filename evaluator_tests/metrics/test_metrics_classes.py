"""A classifier of several classes: declared ones, abstention, agreement, one class at a time."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import metrics as reference

from evaluator.metrics import (
    METRICS,
    MetricsInputError,
    compare_candidates,
    compare_pairs,
    confusion,
    fairness,
    rank_candidates,
    rate_interval,
    slice_metrics,
)
from evaluator.metrics._inputs import TaskOptions, multiclass_rows
from evaluator.metrics._levels import Level
from evaluator.metrics._linear import SurveyDesign
from evaluator.metrics._multiclass import MulticlassLevel, _agreement as agreement_of

CLASSES = ["low", "middle", "high"]
TASK: dict[str, Any] = {"task": "multiclass_classification", "slices": ["region"]}


def measured(frame: pd.DataFrame, **options: Any) -> pd.DataFrame:
    """Measure a frame's candidate as a classifier of several classes."""
    return slice_metrics(frame, label="label", **(TASK | options))


def some_cases(rows: int = 400, seed: int = 1) -> pd.DataFrame:
    """Draw cases of three ordered classes, the prediction of which is seldom far off."""
    random = np.random.default_rng(seed)
    label = random.choice(3, rows, p=[0.6, 0.3, 0.1])
    off = random.choice([-1, 0, 1], (2, rows), p=[0.15, 0.7, 0.15])
    names = np.array(CLASSES)
    given = random.dirichlet(np.ones(3), rows)
    given[np.arange(rows), label] += 0.5
    given /= given.sum(axis=1, keepdims=True)
    return pd.DataFrame(
        {
            "label": names[label],
            "prediction": names[np.clip(label + off[0], 0, 2)],
            "other": names[np.clip(label + off[1], 0, 2)],
            "region": random.choice(["east", "west"], rows),
            "day": random.integers(0, 40, rows),
            "weight": random.integers(1, 4, rows).astype(float),
            **{f"p {name}": given[:, place] for place, name in enumerate(CLASSES)},
        }
    )


def scores(order: list[str] = CLASSES) -> dict[str, str]:
    return {name: f"p {name}" for name in order}


def test_with_declared_classes_no_figure_depends_on_which_cases_are_in_the_frame() -> None:
    frame = some_cases()
    frame = frame[(frame.region != "west") | (frame.label != "high")]
    options: dict[str, Any] = {"prediction": "prediction", "classes": CLASSES}
    whole = measured(frame, **options)
    west = measured(frame[frame.region == "west"], **options)
    pd.testing.assert_frame_equal(
        west[west.level == "region"].reset_index(drop=True),
        whole[whole.region == "west"].reset_index(drop=True),
    )
    lacking = west[west.level == "region"].set_index("metric")
    for metric in ("balanced_accuracy", "recall_macro", "f1_macro"):
        assert lacking.status[metric] == "undefined"
        assert lacking.reason[metric] == "no label of class 'high'"
    assert lacking.status["f1_weighted"] == "ok"


def test_the_order_of_declared_classes_is_not_that_of_the_score_columns() -> None:
    frame = some_cases()
    pd.testing.assert_frame_equal(
        measured(frame, score=scores(CLASSES[::-1]), classes=CLASSES),
        measured(frame, score=scores(), classes=CLASSES),
    )


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"classes": ["low", "middle"]}, "column 'label' is none of the classes"),
        ({"classes": ["low", "low", "middle", "high"]}, "classes are declared twice"),
        ({"classes": CLASSES, "score": {"low": "p low"}}, "there are scores of"),
        ({"classes": CLASSES, "task": "regression"}, "`classes` is for multiclass_classification"),
    ],
)
def test_what_contradicts_the_declared_classes_is_refused(
    options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(MetricsInputError, match=reason):
        measured(some_cases(), prediction="prediction", **options)


def test_comparison_and_fairness_take_the_declared_classes() -> None:
    frame = some_cases()
    compared = compare_candidates(
        frame,
        label="label",
        predictions={"new": "prediction", "old": "other"},
        baseline="old",
        classes=[*CLASSES, "never"],
        metrics=["balanced_accuracy"],
        **TASK,
    )
    assert set(compared.reason) == {"no label of class 'never'"}
    gaps = fairness(
        frame,
        label="label",
        prediction="prediction",
        attributes=["region"],
        measures=["equal_opportunity"],
        task="multiclass_classification",
        classes=[*CLASSES, "never"],
    )
    never = gaps[gaps["class"] == "never"]
    assert set(never.status) == {"undefined"}
    assert list(dict.fromkeys(gaps["class"])) == [*CLASSES, "never"]


def abstaining(column: str = "prediction") -> pd.DataFrame:
    """Make a candidate that does not answer every fourth case of its own."""
    frame = some_cases()
    random = np.random.default_rng(len(column))
    return frame.assign(**{column: frame[column].where(random.random(len(frame)) < 0.75)})


def test_an_abstention_is_refused_where_the_candidate_may_not_abstain() -> None:
    with pytest.raises(MetricsInputError, match="column 'prediction' is missing in"):
        measured(abstaining(), prediction="prediction", classes=CLASSES)
    with pytest.raises(MetricsInputError, match="`abstains` is for multiclass_classification"):
        measured(some_cases(), prediction="prediction", abstains=True, task="regression")
    with pytest.raises(MetricsInputError, match="'coverage' needs `abstains` to be given"):
        measured(some_cases(), prediction="prediction", metrics=["coverage"])


def test_an_abstention_is_an_answer_that_no_label_has_but_for_shares_of_what_was_answered() -> None:
    frame = abstaining()
    table = measured(frame, prediction="prediction", classes=CLASSES, abstains=True)
    found = table[table.level == "overall"].set_index("metric").value
    filled = frame["prediction"].fillna("none")
    answered = frame["prediction"].notna()
    right = frame["label"] == filled
    assert found["accuracy"] == pytest.approx(right.mean(), abs=1e-12)
    assert found["coverage"] == pytest.approx(answered.mean(), abs=1e-12)
    assert found["selective_accuracy"] == pytest.approx(right[answered].mean(), abs=1e-12)
    for name in ("precision", "recall", "f1"):
        function = getattr(reference, f"{name}_score")
        of_labels: Any = {"labels": CLASSES, "zero_division": np.nan}
        for average in ("macro", "micro", "weighted"):
            wanted = function(frame["label"], filled, average=average, **of_labels)
            assert found[f"{name}_{average}"] == pytest.approx(wanted, abs=1e-12)


def test_without_abstentions_micro_f1_is_the_accuracy_with_its_exact_interval() -> None:
    table = measured(some_cases(), prediction="prediction", metrics=["accuracy", "f1_micro"])
    columns = ["value", "low", "high"]
    accuracy, f1 = (table.loc[table.metric == one, columns] for one in ("accuracy", "f1_micro"))
    np.testing.assert_allclose(f1, accuracy, rtol=1e-9)
    silent = abstaining()
    told: dict[str, Any] = {"prediction": "prediction", "abstains": True, "metrics": ["f1_micro"]}
    once = measured(silent, **told)
    assert (once.low < once.value).all()
    assert (once.value < once.high).all()


def test_coverage_and_selective_accuracy_have_the_exact_interval_of_a_rate() -> None:
    frame = abstaining()
    answered = frame["prediction"].notna()
    right = (frame["label"] == frame["prediction"]).sum()
    table = measured(
        frame, prediction="prediction", abstains=True, metrics=["coverage", "selective_accuracy"]
    )
    found = table[table.level == "overall"]
    hits, cases = np.array([answered.sum(), right]), np.array([len(frame), answered.sum()])
    low, high = rate_interval(hits.astype(float), cases.astype(float), 0.95)
    assert found.low.tolist() == low.tolist()
    assert found.high.tolist() == high.tolist()
    assert found.n_effective.tolist() == cases.tolist()


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_where_nothing_was_answered_there_is_no_selective_accuracy(missing: Any) -> None:
    frame = some_cases().astype({"prediction": "object"})
    frame.loc[frame.region == "west", "prediction"] = missing
    options: dict[str, Any] = {"abstains": True, "metrics": ["selective_accuracy", "accuracy"]}
    table = measured(frame, prediction="prediction", classes=CLASSES, **options)
    west = table[table.region == "west"].set_index("metric")
    assert west.reason["selective_accuracy"] == "no case was answered"
    assert west.value["accuracy"] == 0
    compared = compare_candidates(
        frame,
        label="label",
        predictions={"new": "prediction", "old": "other"},
        baseline="old",
        **options,
        **TASK,
    )
    silent = compared[(compared.region == "west") & (compared.metric == "selective_accuracy")]
    assert silent.reason.tolist() == ["no case was answered by 'new'"]


def test_the_difference_of_selective_accuracies_is_known_as_a_jackknife_knows_it() -> None:
    frame = abstaining().assign(other=abstaining("other")["other"])
    table = compare_candidates(
        frame,
        label="label",
        predictions={"new": "prediction", "old": "other"},
        baseline="old",
        abstains=True,
        metrics=["selective_accuracy", "coverage"],
        **TASK,
    )

    def difference(cases: pd.DataFrame) -> float:
        shares = [
            (cases["label"] == cases[name])[cases[name].notna()].mean()
            for name in ("prediction", "other")
        ]
        return float(shares[0] - shares[1])

    found = table[(table.level == "overall") & (table.metric == "selective_accuracy")].iloc[0]
    assert found["difference"] == pytest.approx(difference(frame), abs=1e-12)
    left_out = np.array([difference(frame.drop(row)) for row in frame.index])
    error = np.sqrt(((left_out - left_out.mean()) ** 2).sum() * (len(frame) - 1) / len(frame))
    assert (found["high"] - found["low"]) / 2 == pytest.approx(1.966 * error, rel=0.01)
    assert found["n_discordant"] == found["better"] + found["worse"] > 0


def test_fairness_counts_an_abstention_as_no_selection_and_not_right() -> None:
    frame = abstaining()
    options: dict[str, Any] = {
        "label": "label",
        "prediction": "prediction",
        "attributes": ["region"],
        "task": "multiclass_classification",
    }
    silent = fairness(frame, abstains=True, classes=CLASSES, **options)
    as_class = fairness(frame.fillna({"prediction": "none"}), classes=[*CLASSES, "none"], **options)
    as_class = as_class[as_class["class"] != "none"].reset_index(drop=True)
    pd.testing.assert_frame_equal(silent, as_class)


KAPPAS = {"cohen_kappa": None, "quadratic_weighted_kappa": "quadratic"}


@pytest.mark.parametrize("weight", [None, "weight"])
def test_kappas_are_those_of_scikit_learn(weight: str | None) -> None:
    frame = some_cases()
    table = measured(
        frame, prediction="prediction", classes=CLASSES, weight=weight, metrics=list(KAPPAS)
    )
    for (region, metric), found in table.groupby(["region", "metric"])["value"]:
        cases = frame[frame.region == region]
        wanted = reference.cohen_kappa_score(
            cases["label"],
            cases["prediction"],
            labels=CLASSES,
            weights=KAPPAS[str(metric)],
            sample_weight=None if weight is None else cases[weight],
        )
        assert found.item() == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("metric", KAPPAS)
def test_the_error_of_kappa_is_that_of_the_large_sample_formula(metric: str) -> None:
    frame = some_cases(5000)
    found = measured(frame, prediction="prediction", classes=CLASSES, metrics=[metric]).iloc[0]
    # J. Fleiss, J. Cohen, B. Everitt, Psychological Bulletin 72 (1969) 323, equation 8, by sums
    # over the table.
    table = reference.confusion_matrix(frame["label"], frame["prediction"], labels=CLASSES) / 5000
    apart = np.abs(np.subtract.outer(range(3), range(3)))
    agreement = 1 - (apart / 2) ** 2 if KAPPAS[metric] else (apart == 0).astype(float)
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    observed, chance = (table * agreement).sum(), rows @ agreement @ columns
    kappa = (observed - chance) / (1 - chance)
    mean = np.add.outer(agreement @ columns, rows @ agreement)
    squares = (table * (agreement - mean * (1 - kappa)) ** 2).sum()
    variance = (squares - (kappa - chance * (1 - kappa)) ** 2) / (5000 * (1 - chance) ** 2)
    assert found["value"] == pytest.approx(kappa, abs=1e-12)
    width = 2 * 1.96 * np.sqrt(variance)
    assert found["high"] - found["low"] == pytest.approx(width, rel=0.02)
    weights = np.zeros((3, 4))
    weights[:, :3] = 1 - agreement
    weights[:, 3] = weights.max()
    influence = influence_of(frame, weights)
    assert (influence**2).sum() == pytest.approx(variance, rel=1e-9)


def influence_of(frame: pd.DataFrame, weights: Any) -> Any:
    rows = multiclass_rows(
        frame,
        [],
        label="label",
        score=None,
        prediction="prediction",
        options=TaskOptions("multiclass_classification", CLASSES),
    )
    level = Level("overall", (), np.zeros((1, 0), np.intp), np.zeros(1, np.intp))
    at = MulticlassLevel(rows, SurveyDesign(level, np.zeros(len(frame), np.intp)), 0.95)
    return agreement_of(at, weights).kappa.influence


def test_a_kappa_of_one_has_an_interval_and_one_of_no_chance_is_undefined() -> None:
    frame = some_cases().assign(prediction=lambda cases: cases["label"])
    options: dict[str, Any] = {"classes": CLASSES, "metrics": list(KAPPAS)}
    perfect = measured(frame, prediction="prediction", **options).iloc[:2]
    assert (perfect[["value", "high"]] == 1).all(axis=None)
    assert (perfect["low"] < 1).all()
    table = measured(frame[frame.label == "low"], prediction="prediction", **options)
    assert set(table.reason) == {"all labels and predictions are of one class"}
    rare = frame[(frame.label == "low") | (frame.groupby("label").cumcount() < 4)]
    found = measured(rare, prediction="prediction", **options)
    assert found.reason[0] == "needs 10 cases of other classes than the commonest, has 8"


def test_an_abstention_is_as_far_from_the_label_as_can_be() -> None:
    frame = abstaining()
    table = measured(
        frame, prediction="prediction", classes=CLASSES, abstains=True, metrics=list(KAPPAS)
    )
    numbers = {name: float(number) for number, name in enumerate(CLASSES)}
    label, answer = (frame[name].map(numbers).to_numpy() for name in ("label", "prediction"))
    for metric, weighting in KAPPAS.items():
        given = np.square if weighting else np.sign
        furthest = given(np.maximum(label, 2 - label))
        # By the definition: of every pair of a label and a prediction, how far they are apart.
        apart = given(np.abs(label[:, None] - answer[None, :]))
        apart = np.where(np.isnan(answer)[None, :], furthest[:, None], apart)
        wanted = 1 - np.diag(apart).mean() / apart.mean()
        assert table[table.metric == metric].value.iloc[0] == pytest.approx(wanted, abs=1e-12)


def test_quadratic_weighted_kappa_needs_the_order_of_classes() -> None:
    with pytest.raises(MetricsInputError, match="needs `classes` to be given"):
        measured(some_cases(), prediction="prediction", metrics=["quadratic_weighted_kappa"])


OF_CLASSES = ["class_recall", "class_precision", "class_f1", "class_share"]


@pytest.mark.parametrize("weight", [None, "weight"])
def test_metrics_of_single_classes_are_those_of_scikit_learn(weight: str | None) -> None:
    frame = some_cases()
    table = measured(
        frame,
        prediction="prediction",
        classes=CLASSES,
        weight=weight,
        metrics=["accuracy", *OF_CLASSES],
    )
    columns = list(table.columns)
    assert columns[columns.index("metric") + 1] == "class"
    assert table["class"].isna().equals(table["metric"] == "accuracy")
    weights = None if weight is None else frame[weight]
    precision, recall, f1, _ = reference.precision_recall_fscore_support(
        frame["label"], frame["prediction"], labels=CLASSES, sample_weight=weights
    )
    share = [np.average(frame["prediction"] == name, weights=weights) for name in CLASSES]
    overall = table[table.level == "overall"]
    for metric, wanted in zip(OF_CLASSES, (recall, precision, f1, share), strict=True):
        found = overall[overall.metric == metric]
        assert found["class"].tolist() == CLASSES
        np.testing.assert_allclose(found.value, wanted, atol=1e-12)
        assert (found.low < found.value).all()
        assert (found.value < found.high).all()


def test_rates_of_single_classes_have_exact_intervals() -> None:
    frame = some_cases()
    table = measured(frame, prediction="prediction", classes=CLASSES, metrics=OF_CLASSES)
    overall = table[table.level == "overall"].set_index(["metric", "class"])
    for name in CLASSES:
        label, decided = frame["label"] == name, frame["prediction"] == name
        hits = np.array([(label & decided).sum()] * 3 + [decided.sum()], dtype=float)
        among = np.array([label.sum(), decided.sum(), (label | decided).sum(), 400], dtype=float)
        low, _ = rate_interval(hits, among, 0.95)
        low[2] = 2 * low[2] / (1 + low[2])
        assert overall.low[[(metric, name) for metric in OF_CLASSES]].tolist() == low.tolist()


def test_a_class_that_no_case_of_a_slice_has_is_undefined_there_and_never_zero() -> None:
    frame = some_cases()
    frame = frame[(frame.region != "west") | (frame.label != "high")]
    table = measured(frame, prediction="prediction", classes=CLASSES, metrics=OF_CLASSES)
    west = table[(table.region == "west") & (table["class"] == "high")].set_index("metric")
    assert (frame["prediction"][frame.region == "west"] == "high").any()
    for metric in ("class_recall", "class_f1"):
        assert west.status[metric] == "undefined"
        assert west.reason[metric] == "no label of class 'high'"
    # That none of what was predicted so is right is known.
    assert west.value["class_precision"] == 0
    never = frame.assign(prediction="low")
    table = measured(never, prediction="prediction", classes=CLASSES, metrics=["class_precision"])
    assert (
        table.reason[table["class"] == "high"].tolist() == ["class 'high' is never predicted"] * 3
    )


def two_compared(frame: pd.DataFrame, **options: Any) -> pd.DataFrame:
    settings = {"metrics": OF_CLASSES, "classes": CLASSES, **TASK, **options}
    predictions = {"new": "prediction", "old": "other"}
    return compare_candidates(
        frame, label="label", predictions=predictions, baseline="old", **settings
    )


@pytest.mark.parametrize("design", [{}, {"cluster": "day"}, {"weight": "weight"}])
def test_a_class_is_compared_as_a_binary_classifier_of_it_is(design: dict[str, Any]) -> None:
    frame = some_cases()
    table = two_compared(frame, **design)
    of_two = [METRICS[name].per_class for name in OF_CLASSES]
    for name in CLASSES:
        against_rest = frame[["label", "prediction", "other"]].eq(name).astype(int)
        binary = two_compared(
            frame.assign(**against_rest),
            task="binary_classification",
            classes=None,
            metrics=of_two,
            **design,
        )
        found = table[table["class"] == name].reset_index(drop=True)
        assert found["metric"].tolist() == OF_CLASSES * 3
        # Those of a family are more here.
        same = ["difference", "low", "high", "p_value", "n_discordant", "better", "worse", "n"]
        pd.testing.assert_frame_equal(found[same], binary[same])


def test_recall_of_a_class_is_compared_by_the_exact_test_and_all_classes_are_one_family() -> None:
    frame = some_cases(1500)
    # Where the new one does not fail, the old one often does.
    worse = (frame["label"] == "middle") & (np.arange(1500) % 3 == 0)
    frame["other"] = frame["other"].mask(worse, "high")
    table = two_compared(frame, metrics=["class_recall"])
    for name in CLASSES:
        own = frame[frame["label"] == name]
        new, old = (own[column] == name for column in ("prediction", "other"))
        found = table[(table.level == "overall") & (table["class"] == name)].iloc[0]
        more, fewer = (new & ~old).sum(), (old & ~new).sum()
        wanted = stats.binomtest(more, more + fewer).pvalue
        assert found["p_value"] == pytest.approx(wanted, rel=1e-9)
        assert found["difference"] == pytest.approx((more - fewer) / len(own), abs=1e-12)
        assert found["n_effective"] == len(own)
    # S. Holm, Scandinavian Journal of Statistics 6 (1979) 65.
    tested = table["p_value"].dropna().sort_values()
    assert len(tested) == 9
    holm = np.maximum.accumulate(tested * np.arange(9, 0, -1)).clip(upper=1)
    np.testing.assert_allclose(table["p_adjusted"][tested.index], holm)
    middle = table[(table["class"] == "middle") & (table.level == "overall")]
    assert middle["conclusion"].tolist() == ["better"]


def test_a_class_that_a_slice_lacks_is_not_compared_there_but_by_its_precision_and_share() -> None:
    frame = some_cases()
    frame = frame[(frame.region != "west") | (frame.label != "high")]
    frame = frame.assign(other=frame["other"].replace("high", "low"))
    table = two_compared(frame)
    west = table[(table.region == "west") & (table["class"] == "high")].set_index("metric")
    for metric in ("class_recall", "class_f1"):
        assert west.reason[metric] == "no label of class 'high'"
        assert west.conclusion[metric] == "not compared"
        assert west.loc[metric, ["difference", "low", "high", "p_value"]].isna().all()
    assert west.reason["class_precision"] == "class 'high' is never predicted by 'old'"
    assert west.status["class_share"] == "ok"


def test_candidates_of_equal_outputs_are_identical_in_each_class() -> None:
    frame = some_cases()
    table = two_compared(
        frame.assign(other=frame["prediction"]),
        scores={"new": scores(), "old": scores()},
        metrics=["class_recall", "class_f1"],
    )
    assert set(table.status) == {"identical"}
    assert (table[["difference", "low", "high"]] == 0).all(axis=None)


def test_candidates_are_ranked_by_each_class() -> None:
    frame = some_cases(1500)
    predictions = {"new": "prediction", "old": "other", "true": "label"}
    pairs = compare_pairs(
        frame,
        label="label",
        predictions=predictions,
        classes=CLASSES,
        metrics=["accuracy", "class_recall", "class_share"],
        **TASK,
    )
    ranks = rank_candidates(pairs)
    overall = ranks[(ranks.level == "overall") & (ranks.metric == "class_recall")]
    assert overall["class"].tolist() == list(np.repeat(CLASSES, 3))
    best = overall[overall.candidate == "true"]
    assert best["rank"].tolist() == best["worst_rank"].tolist() == [1, 1, 1]
    # More of a class is neither better nor worse.
    assert set(ranks.metric) == {"accuracy", "class_recall"}


@pytest.mark.parametrize("design", [{}, {"cluster": "day"}, {"weight": "weight"}])
def test_the_calibration_error_of_a_class_is_that_of_a_binary_classifier_of_it(
    design: dict[str, Any],
) -> None:
    frame = some_cases()
    error, of_two = "class_calibration_error", "expected_calibration_error"
    table = measured(frame, score=scores(), classes=CLASSES, metrics=[error], **design)
    for name in CLASSES:
        binary = slice_metrics(
            frame.assign(label=frame["label"].eq(name).astype(int)),
            label="label",
            score=f"p {name}",
            slices=["region"],
            metrics=[of_two],
            **design,
        )
        found = table[table["class"] == name].reset_index(drop=True).drop(columns="class")
        pd.testing.assert_frame_equal(found.replace(error, of_two), binary)


def test_metrics_of_single_classes_are_only_measured_where_they_are_asked_for() -> None:
    assert "class" not in measured(some_cases(), prediction="prediction").columns
    with pytest.raises(MetricsInputError, match="the column 'class' tells the class"):
        measured(
            some_cases().assign(**{"class": "a"}),
            prediction="prediction",
            slices=["class"],
            metrics=["class_recall"],
        )


@pytest.mark.parametrize("count", [3, 5])
def test_the_first_of_as_many_classes_as_there_are_say_nothing(count: int) -> None:
    metric = f"top_{count}_accuracy"
    found = measured(some_cases(), score=scores(), classes=CLASSES, metrics=[metric])
    assert set(found.status) == {"undefined"}
    assert set(found.reason) == {"there are only 3 classes"}


@pytest.mark.parametrize("weight", [None, "weight"])
def test_the_confusion_table_is_that_of_scikit_learn(weight: str | None) -> None:
    frame = some_cases()
    table = confusion(frame, label="label", prediction="prediction", classes=CLASSES, weight=weight)
    weights = None if weight is None else frame[weight]
    cases: Any = (frame["label"], frame["prediction"])
    options: dict[str, Any] = {"labels": CLASSES, "sample_weight": weights}
    counts = reference.confusion_matrix(*cases, **options)
    shares = reference.confusion_matrix(*cases, normalize="true", **options)
    assert table["label"].tolist() == list(np.repeat(CLASSES, 3))
    assert table["prediction"].tolist() == CLASSES * 3
    np.testing.assert_allclose(table["count"].to_numpy().reshape(3, 3), counts)
    np.testing.assert_allclose(table["share"].to_numpy().reshape(3, 3), shares)
    assert (table["low"] <= table["share"]).all()
    assert (table["share"] <= table["high"]).all()


def test_shares_of_the_confusion_table_have_the_intervals_of_recall() -> None:
    frame = some_cases()
    for design in ({}, {"cluster": "day"}, {"weight": "weight"}):
        options: dict[str, Any] = {"prediction": "prediction", "classes": CLASSES, **design}
        table = confusion(frame, label="label", **options)
        right = table[table["label"] == table["prediction"]]
        recall = measured(frame, metrics=["class_recall"], levels=["overall"], **options)
        for one, other in (("share", "value"), ("low", "low"), ("high", "high")):
            np.testing.assert_allclose(right[one], recall[other], rtol=1e-12)


def test_the_confusion_table_has_a_row_for_abstentions_and_none_for_what_cannot_be() -> None:
    frame = abstaining()
    frame = frame[frame["label"] != "middle"]
    table = confusion(frame, label="label", prediction="prediction", classes=CLASSES, abstains=True)
    assert len(table) == 12
    silent = table[table["prediction"].isna()]
    assert silent["label"].tolist() == CLASSES
    assert silent["count"].sum() == frame["prediction"].isna().sum()
    middle = table[table["label"] == "middle"]
    assert set(middle["status"]) == {"undefined"}
    assert middle[["share", "low", "high"]].isna().all(axis=None)
    assert (middle["count"] == 0).all()
    with pytest.raises(MetricsInputError, match="'prediction' is missing"):
        confusion(frame, label="label", prediction="prediction", classes=CLASSES)


def expected_gap(score: Any, hit: Any, weights: Any = None) -> float:
    """Compute the calibration error bin by bin, as it is defined."""
    bins = np.minimum((np.asarray(score) * 10).astype(int), 9)
    weights = np.ones(len(bins)) if weights is None else np.asarray(weights)
    gaps = weights * (np.asarray(score) - np.asarray(hit))
    return float(sum(abs(gaps[bins == one].sum()) for one in range(10)) / weights.sum())


@pytest.mark.parametrize("weight", [None, "weight"])
def test_calibration_errors_and_brier_score_are_those_of_their_definitions(
    weight: str | None,
) -> None:
    frame = some_cases()
    metrics = ["top_label_calibration_error", "classwise_calibration_error", "brier"]
    table = measured(frame, score=scores(), classes=CLASSES, metrics=metrics, weight=weight)
    found = table[table.level == "overall"].set_index("metric")
    given = frame[list(scores().values())].to_numpy()
    label = frame["label"].map({name: number for number, name in enumerate(CLASSES)}).to_numpy()
    weights = None if weight is None else frame[weight]
    top = expected_gap(given.max(axis=1), given.argmax(axis=1) == label, weights)
    each = [expected_gap(given[:, number], label == number, weights) for number in range(3)]
    # scikit-learn's sums over classes, too, where it is not told to halve it.
    brier = reference.brier_score_loss(
        frame["label"], given[:, [2, 0, 1]], sample_weight=weights, scale_by_half=False
    )
    for metric, wanted in zip(metrics, (top, np.mean(each), brier), strict=True):
        assert found.value[metric] == pytest.approx(wanted, abs=1e-12)
        assert found.low[metric] <= wanted <= found.high[metric]


def test_of_two_classes_classwise_calibration_is_binary_calibration() -> None:
    random = np.random.default_rng(8)
    score = random.beta(2, 3, 500)
    frame = pd.DataFrame(
        {"label": (random.random(500) < score**1.3).astype(int), "one": score, "none": 1 - score}
    )
    frame["region"] = "n"
    binary = slice_metrics(
        frame,
        label="label",
        score="one",
        slices=["region"],
        metrics=["expected_calibration_error"],
    )
    classwise = measured(
        frame, score={0: "none", 1: "one"}, metrics=["classwise_calibration_error"]
    )
    np.testing.assert_allclose(classwise.value, binary.value, atol=1e-12)
    # The interval of one of them, since the other one says the same.
    np.testing.assert_allclose(classwise[["low", "high"]], binary[["low", "high"]], atol=0.006)


def test_calibration_errors_need_cases_that_fill_the_bins() -> None:
    frame = some_cases(49)
    metrics = ["top_label_calibration_error", "classwise_calibration_error"]
    table = measured(frame, score=scores(), classes=CLASSES, metrics=metrics)
    assert table.reason.iloc[0] == "needs 50 cases, has 49"
    assert set(table.status) == {"too_few"}
