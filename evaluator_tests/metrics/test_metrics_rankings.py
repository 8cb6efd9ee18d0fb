"""Metrics of rankings are scikit-learn's, and what no query says is not 0."""

import json
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference

from evaluator.metrics import (
    MetricsInputError,
    compare_candidates,
    fairness,
    grades_of,
    ranking_of,
    slice_metrics,
    weak_slices,
)

METRICS = [
    "ndcg_at_3",
    "precision_at_3",
    "recall_at_3",
    "mean_reciprocal_rank",
    "mean_average_precision",
]


def measured(
    truth: list[Any], said: list[Any], metrics: list[str], **columns: list[Any]
) -> pd.DataFrame:
    """Measure rankings overall and at each place; they may have weights."""
    told = {"truth": truth, "said": said, "at": ["x"] * len(truth)} | columns
    return slice_metrics(
        pd.DataFrame(told),
        label="truth",
        prediction="said",
        slices=["at"],
        task="ranking",
        metrics=metrics,
        weight="weight" if "weight" in columns else None,
    )


def values(truth: list[Any], said: list[Any], metrics: list[str]) -> dict[str, float]:
    """Measure rankings overall."""
    table = measured(truth, said, metrics)
    return dict(zip(metrics, table["value"], strict=False))


def by_scores(scores: Any) -> list[str]:
    """Rank items, called by their places, by their scores."""
    return [str(place) for place in np.argsort(-np.asarray(scores), kind="stable")]


def grades(relevance: Any) -> dict[str, float]:
    return {str(place): float(grade) for place, grade in enumerate(relevance)}


def drawn(queries: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    relevance = generator.choice([0, 0, 0, 1, 2, 5], (queries, 12))
    relevance[:, 0] = np.maximum(relevance[:, 0], relevance.sum(axis=1) == 0)
    return relevance, relevance + generator.normal(0, 3, relevance.shape)


def one_by_one(truth: dict[str, float], said: list[str]) -> dict[str, float]:
    """Measure a query at 3 items in the plainest way."""
    relevant = {item for item, grade in truth.items() if grade > 0}
    gains = [truth.get(item, 0) for item in said[:3]]
    best = sorted(truth.values(), reverse=True)[:3]
    hits = [item in relevant for item in said]
    precisions = [sum(hits[: place + 1]) / (place + 1) for place, hit in enumerate(hits) if hit]
    ranks = [place + 1 for place, hit in enumerate(hits) if hit]
    none = float("nan")
    return {
        "ndcg_at_3": _discounted(gains) / _discounted(best) if relevant else none,
        "precision_at_3": sum(hits[:3]) / 3,
        "recall_at_3": sum(hits[:3]) / len(relevant) if relevant else none,
        "mean_reciprocal_rank": (1 / ranks[0] if ranks else 0.0) if relevant else none,
        "mean_average_precision": sum(precisions) / len(relevant) if relevant else none,
    }


def _discounted(gains: list[float]) -> float:
    return float(sum(gain / np.log2(place + 2) for place, gain in enumerate(gains)))


@pytest.mark.parametrize(
    ("scores", "k", "documented"),
    [
        ([0.1, 0.2, 0.3, 4, 70], 5, "0.69"),
        ([0.05, 1.1, 1.0, 0.5, 0.0], 5, "0.49"),
        ([0.05, 1.1, 1.0, 0.5, 0.0], 4, "0.35"),
    ],
)
def test_the_examples_of_scikit_learns_documentation(
    scores: list[float], k: int, documented: str
) -> None:
    relevance = [10, 0, 0, 1, 5]
    found = values([grades(relevance)], [by_scores(scores)], [f"ndcg_at_{k}"])[f"ndcg_at_{k}"]
    assert f"{found:.4f}".startswith(documented)
    assert found == pytest.approx(reference.ndcg_score([relevance], [scores], k=k), rel=1e-12)


def test_average_precision_is_that_of_the_documented_example() -> None:
    truth, scores = [[1, 0, 0], [0, 0, 1]], [[0.75, 0.5, 1], [1, 0.2, 0.1]]
    names = ["mean_average_precision", "mean_reciprocal_rank"]
    found = values([*map(grades, truth)], [*map(by_scores, scores)], names)
    assert found["mean_average_precision"] == pytest.approx(0.41666, abs=1e-5)
    # Where one item is relevant, both are 1 / its rank.
    assert found["mean_reciprocal_rank"] == pytest.approx((1 / 2 + 1 / 3) / 2)


@pytest.mark.parametrize("k", [1, 3, 12, 20])
def test_many_queries_are_measured_as_scikit_learn_measures_them(k: int) -> None:
    relevance, scores = drawn(200, seed=k)
    truth, said = [*map(grades, relevance)], [*map(by_scores, scores)]
    found = values(truth, said, [f"ndcg_at_{k}", "mean_average_precision"])
    assert found == {
        f"ndcg_at_{k}": pytest.approx(reference.ndcg_score(relevance, scores, k=k), rel=1e-12),
        "mean_average_precision": pytest.approx(
            reference.label_ranking_average_precision_score(relevance > 0, scores), rel=1e-12
        ),
    }


@pytest.mark.parametrize("heaviest", [1, 4])
def test_short_rankings_and_items_without_a_grade_are_measured_as_one_by_one(
    heaviest: int,
) -> None:
    generator = np.random.default_rng(5)
    relevance, scores = drawn(150, seed=9)
    relevance[::10] = 0
    # Some grades and the end of each ranking are lacking.
    truth = [
        {item: grade for item, grade in grades(row).items() if grade or generator.random() < 0.5}
        for row in relevance
    ]
    lengths = generator.integers(0, 13, len(truth))
    said = [by_scores(row)[:length] for row, length in zip(scores, lengths, strict=True)]
    weights = generator.integers(1, heaviest + 1, len(truth))
    table = measured(truth, said, METRICS, weight=weights.tolist())
    each = pd.DataFrame([*map(one_by_one, truth, said)])
    there = each.notna().to_numpy() * weights[:, None]
    wanted = (each.fillna(0).to_numpy() * there).sum(axis=0) / there.sum(axis=0)
    assert table["value"][: len(METRICS)].tolist() == pytest.approx(wanted.tolist(), rel=1e-12)
    if heaviest == 1:
        assert table["n_effective"][: len(METRICS)].tolist() == there.sum(axis=0).tolist()
        assert set(table["n"]) == {150}


def test_a_query_without_a_relevant_item_is_left_out_and_one_without_a_hit_counts_0() -> None:
    truth = [{"a": 1}, {"a": 0}, {}, {"b": 2}]
    said: list[list[str]] = [["a"], ["a"], ["a"], []]
    found = measured(truth, said, METRICS).head(len(METRICS)).set_index("metric")
    assert found["value"].to_dict() == {
        "ndcg_at_3": 0.5,
        "precision_at_3": pytest.approx(1 / 12),
        "recall_at_3": 0.5,
        "mean_reciprocal_rank": 0.5,
        "mean_average_precision": 0.5,
    }
    assert found["n_effective"].to_dict() == dict.fromkeys(METRICS, 2) | {"precision_at_3": 4}
    assert set(found["status"]) == {"too_few"}
    assert found["reason"]["ndcg_at_3"] == "needs 50 cases, has 2"


def test_where_no_query_has_a_relevant_item_there_is_no_value() -> None:
    table = measured(
        [{"a": 1}] * 60 + [{}] * 60, [["a"]] * 120, METRICS, at=["x"] * 60 + ["y"] * 60
    )
    found = table[table["at"] == "y"].set_index("metric")
    others = found.drop(index="precision_at_3")
    assert others["value"].isna().all()
    assert set(others["status"]) == {"undefined"}
    assert set(others["reason"]) == {"no query has a relevant item"}
    assert found["value"]["precision_at_3"] == 0


def test_without_queries_there_is_nothing_to_measure_or_to_compare() -> None:
    found = measured([], [], METRICS)
    assert set(found["status"]) == {"undefined"}
    assert set(found["reason"]) == {"no rows"}
    frame = pd.DataFrame({"truth": [], "said": [], "at": []}, dtype=object)
    columns = {"label": "truth", "prediction": "said"}
    assert fairness(frame, attributes=["at"], task="ranking", **columns).empty


def test_grades_and_rankings_are_read_as_json_as_lists_and_as_objects() -> None:
    assert grades_of('{"d3": 2, "d7": 0.5}') == {"d3": 2, "d7": 0.5}
    assert grades_of('["d3", 7]') == grades_of(["d3", "7"]) == {"d3": 1, "7": 1}
    assert grades_of("{}") == {}
    assert ranking_of('["d3", 7]') == ranking_of(np.array(["d3", "7"])) == ["d3", "7"]
    assert ranking_of("[]") == []


@pytest.mark.parametrize(
    ("grade", "says"),
    [
        ("d3", "it is no JSON"),
        ("[" * 100_000, "it is no JSON"),
        ("3", "it is neither an object of grades nor a list of items"),
        ('{"d3": "2"}', "a grade is no number"),
        ('{"d3": true}', "a grade is no number"),
        ('{"d3": null}', "a grade is no number"),
        ('{"d3": -1}', "a grade is below 0 or too large"),
        ('{"d3": NaN}', "a grade is below 0 or too large"),
        ('{"d3": 1e999}', "a grade is below 0 or too large"),
        (f'{{"d3": 1{"0" * 400}}}', "a grade is below 0 or too large"),
        ('{"d3": 1, "d3": 2}', "an item stands there twice"),
        ('["d3", "d3"]', "an item stands there twice"),
        ('["7", 7]', "an item stands there twice"),
        ("[7.5]", "an item is neither a text nor a whole number"),
        ("[true]", "an item is neither a text nor a whole number"),
        ('[["d3"]]', "an item is neither a text nor a whole number"),
    ],
)
def test_what_are_no_grades_is_refused_with_the_reason(grade: str, says: str) -> None:
    with pytest.raises(MetricsInputError, match=says):
        grades_of(grade)
    with pytest.raises(MetricsInputError, match=re.escape(f"'truth' cannot be read, as {says}")):
        measured([{"a": 1}, grade], [["a"], ["a"]], METRICS)


@pytest.mark.parametrize(
    ("ranking", "says"),
    [
        ("d3 d7", "it is no JSON"),
        ('{"d3": 1}', "it is no list of items"),
        ('["d3", "d3"]', "an item stands there twice"),
        ("[null]", "an item is neither a text nor a whole number"),
    ],
)
def test_what_is_no_ranking_is_refused_with_the_reason(ranking: str, says: str) -> None:
    with pytest.raises(MetricsInputError, match=says):
        ranking_of(ranking)
    message = re.escape(f"column 'said' cannot be read, as {says}, in 1 row (first positions: 1)")
    with pytest.raises(MetricsInputError, match=message):
        measured([{"a": 1}, {"a": 1}], [["a"], ranking], METRICS)


def test_a_ranking_without_a_column_of_rankings_is_refused() -> None:
    frame = pd.DataFrame({"truth": ["{}"], "at": ["x"]})
    with pytest.raises(MetricsInputError, match="a ranking needs a prediction column"):
        slice_metrics(frame, label="truth", score="truth", slices=["at"], task="ranking")


@pytest.mark.parametrize("likely", [0.1, 0.4, 0.9])
@pytest.mark.parametrize("queries", [50, 120])
def test_intervals_of_reciprocal_ranks_miss_as_seldom_as_they_promise(
    queries: int, likely: float
) -> None:
    samples, most = 400, 10
    generator = np.random.default_rng(queries)
    rank = generator.geometric(likely, samples * queries)
    lists = {
        place: json.dumps([f"x{other}" for other in range(place - 1)] + ["d"] * (place <= most))
        for place in range(1, most + 2)
    }
    said = [lists[min(place, most + 1)] for place in rank]
    table = measured(
        ['["d"]'] * len(said),
        said,
        ["mean_reciprocal_rank"],
        at=np.repeat(np.arange(samples), queries).tolist(),
    )
    table = table[table["level"] == "at"]
    places = np.arange(1, most + 1)
    truth = float((likely * (1 - likely) ** (places - 1) / places).sum())
    below, above = (table["high"] < truth).mean(), (table["low"] > truth).mean()
    slack = 3 * np.sqrt(0.035 / samples)
    assert max(below, above) <= 0.035 + slack
    assert below + above <= 0.07 + slack


def compared(old: list[list[str]], new: list[list[str]], metric: str) -> pd.Series:
    frame = pd.DataFrame({"truth": ['{"a": 1}'] * len(old), "at": "x"})
    frame["old"], frame["new"] = [*map(json.dumps, old)], [*map(json.dumps, new)]
    table = compare_candidates(
        frame,
        label="truth",
        predictions={"old": "old", "new": "new"},
        baseline="old",
        slices=["at"],
        task="ranking",
        metrics=[metric],
    )
    return table.iloc[0]


def test_rankings_that_differ_below_the_cut_alone_do_not_differ_by_it() -> None:
    old = [["a", f"x{number}", "y"] for number in range(200)]
    new = [[first, last, second] for first, second, last in old]
    found = compared(old, new, "ndcg_at_1")
    assert (found["difference"], found["status"]) == (0, "too_few")
    assert found["reason"] == "needs 6 cases that are decided differently, has 0"
    # As many as Clopper and Pearson allow of none among 200 may differ, and wholly.
    assert found["high"] == pytest.approx(1 - 0.025 ** (1 / 200))
    assert compared(old, old, "ndcg_at_1")["status"] == "identical"


def test_a_better_ranking_of_enough_queries_is_told() -> None:
    old = [["x", "a"]] * 40 + [["a", "x"]] * 160
    found = compared(old, [["a", "x"]] * 200, "mean_reciprocal_rank")
    assert found["difference"] == pytest.approx(0.1)
    assert (found["conclusion"], found["better"], found["worse"]) == ("better", 40, 0)
    few = compared([["x", "a"]] * 3 + [["a", "x"]] * 197, [["a", "x"]] * 200, "ndcg_at_10")
    assert few["reason"] == "needs 6 cases that are decided differently, has 3"


def test_groups_are_compared_by_their_queries_with_a_relevant_item() -> None:
    generator = np.random.default_rng(3)
    said = [["a", "b", "c"] if good else ["b", "c", "a"] for good in generator.random(300) < 0.6]
    frame = pd.DataFrame({"truth": '["a"]', "said": map(json.dumps, said)})
    frame["at"] = np.repeat(["east", "west", "sea"], 100)
    frame.loc[(frame["at"] == "sea") | (frame.index % 10 == 0), "truth"] = "{}"
    gaps = fairness(frame, label="truth", prediction="said", attributes=["at"], task="ranking")
    assert set(gaps["measure"]) == {"ranking_gap", "reciprocal_rank_gap"}
    found = gaps[gaps["measure"] == "reciprocal_rank_gap"].set_index("group")
    there = frame[frame["truth"] != "{}"]
    first = there["said"].str.startswith('["a"')
    means = np.where(first, 1, 1 / 3)
    of_groups = pd.Series(means).groupby(there["at"].to_numpy()).mean()
    assert found["group_value"]["east"] == pytest.approx(of_groups["east"])
    assert found["value"]["east"] == pytest.approx(of_groups["east"] - of_groups["west"])
    assert (found["n"]["east"], found["n_effective"]["east"]) == (100, 90)
    assert (found["status"]["sea"], found["n"]["sea"]) == ("undefined", 100)
    assert found["reason"]["sea"] == "no queries with a relevant item"


def test_weak_slices_are_those_whose_rankings_lack_most() -> None:
    generator = np.random.default_rng(4)
    odd = generator.random(800) < 0.3
    bad = generator.random(800) < np.where(odd, 0.8, 0.1)
    frame = pd.DataFrame({"odd": odd, "truth": '["a"]'})
    frame["said"] = [json.dumps(["b", "c", "a"] if one else ["a"]) for one in bad]
    frame.loc[::8, "truth"] = "[]"
    columns = {"label": "truth", "prediction": "said"}
    found = weak_slices(frame, features=["odd"], loss="ndcg_shortfall", **columns)
    assert found.confirmed["slice"].tolist() == ["odd = True"]
    assert found.search["cases"] == 700
    # The third of three has half of the gain.
    assert found.search["mean_loss"] == pytest.approx(0.5 * bad[frame["truth"] != "[]"].mean())
