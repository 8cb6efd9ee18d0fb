"""Candidates' separate predictions in one frame, and ranks from all pairs."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from evaluator.metrics import MetricsInputError, compare_pairs, paired_frame, rank_candidates


def predictions(score: list[float], ids: list[str] | None = None) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": ids or ["a", "b", "c"],
            "label": [1, 0, 1],
            "score": score,
            "prediction": [int(one >= 0.5) for one in score],
            "region": ["east", None, "west"],
        }
    )


def test_rows_are_joined_by_their_id_in_any_order() -> None:
    one = predictions([0.1, 0.2, 0.9])
    other = predictions([0.4, 0.5, 0.6]).iloc[[2, 0, 1]]
    whole = paired_frame({"old": one, "new": other})
    assert whole.columns.tolist() == [
        "id",
        "label",
        "region",
        "score of old",
        "prediction of old",
        "score of new",
        "prediction of new",
    ]
    assert whole["score of new"].tolist() == [0.4, 0.5, 0.6]
    assert whole["label"].tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            predictions([0.1, 0.2, 0.3], ["a", "b", "x"]),
            "1 cases of 'old' are none of 'new' ('c'); 1 cases of 'new' are none of 'old' ('x')",
        ),
        (predictions([0.1, 0.2, 0.3]).iloc[:2], "1 cases of 'old' are none of 'new' ('c')"),
        (predictions([0.1, 0.2, 0.3], ["a", "b", "b"]), "'id' of candidate 'new' occurred before"),
        (
            predictions([0.1, 0.2, 0.3]).assign(label=[1, 1, 1]),
            "'old' and 'new' disagree on 'label' of 1 cases ('b')",
        ),
        (
            predictions([0.1, 0.2, 0.3]).assign(region=["east", "east", "west"]),
            "'old' and 'new' disagree on 'region' of 1 cases ('b')",
        ),
        (predictions([0.1, 0.2, 0.3]).drop(columns="region"), "have the columns"),
        (
            predictions([0.1, 0.2, 0.3]).drop(columns=["score", "prediction"]),
            "candidate 'new' has neither a score nor a prediction column",
        ),
    ],
)
def test_different_evaluation_sets_are_refused_with_counts_and_examples(
    other: pd.DataFrame, message: str
) -> None:
    with pytest.raises(MetricsInputError, match=re.escape(message)):
        paired_frame({"old": predictions([0.1, 0.2, 0.9]), "new": other})


def _of_the_case(values: Any) -> pd.DataFrame:
    return pd.DataFrame({"id": [*"abc"], "score": [0.1, 0.2, 0.3], "fact": values})


@pytest.mark.parametrize(
    ("one", "other", "disagreeing"),
    [
        (pd.array([1, None, 3], dtype="Int64"), pd.array([1, None, 3], dtype="Int64"), []),
        (pd.array([1, None, 3], dtype="Int64"), pd.array([1, 2, None], dtype="Int64"), ["b", "c"]),
        (pd.array([1, None, 3], dtype="Int64"), [1.0, np.nan, 3.0], []),
        ([1, 0, 1], [True, False, True], []),
        ([1, 2, 3], ["1", "2", "3"], ["a", "b", "c"]),
        # As floats the first two would be the same.
        ([2**53 + 1, 2, 3], [float(2**53), 2.0, 3.0], ["a"]),
        (pd.Categorical(["x", "y", None]), pd.Categorical(["x", "z", None]), ["b"]),
        (pd.Categorical(["x", "y", None]), ["x", "y", None], []),
        (pd.to_datetime(["2026-01-01"] * 3), pd.to_datetime(["2026-01-01"] * 3, utc=True),
         ["a", "b", "c"]),
        (pd.to_datetime(["2026-01-01"] * 3, utc=True),
         pd.to_datetime(["2026-01-01"] * 3, utc=True).tz_convert("Asia/Tokyo"), []),
    ],
)  # fmt: skip
def test_what_belongs_to_the_case_is_compared_by_value_whatever_its_type(
    one: Any, other: Any, disagreeing: list[str]
) -> None:
    frames = {"old": _of_the_case(one), "new": _of_the_case(other)}
    if not disagreeing:
        assert len(paired_frame(frames)) == 3
        return
    said = f"on 'fact' of {len(disagreeing)} cases ({', '.join(map(repr, disagreeing))})"
    with pytest.raises(MetricsInputError, match=re.escape(said)):
        paired_frame(frames)


VALUES = st.sampled_from([None, 0, 1, 1.0, "a", "1", True, 2.5])


@settings(max_examples=60)
@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=8), st.randoms())
def test_exactly_the_cases_that_differ_are_refused_in_any_order(
    pairs: list[tuple[Any, Any]], random: Any
) -> None:
    ids = [f"case {number}" for number in range(len(pairs))]
    order = list(range(len(pairs)))
    random.shuffle(order)

    def made(facts: list[Any]) -> pd.DataFrame:
        return pd.DataFrame({"id": ids, "score": 0.5, "fact": pd.Series(facts, dtype=object)})

    frames = {
        "old": made([one for one, _ in pairs]),
        "new": made([other for _, other in pairs]).iloc[order],
    }
    differing = sum(one != other for one, other in pairs)
    if differing == 0:
        assert paired_frame(frames)["id"].tolist() == ids
    else:
        with pytest.raises(MetricsInputError, match=rf"disagree on 'fact' of {differing} cases"):
            paired_frame(frames)


def test_one_candidate_is_no_comparison() -> None:
    with pytest.raises(MetricsInputError, match="two or more"):
        paired_frame({"old": predictions([0.1, 0.2, 0.9])})


def _pairs(rows: int) -> pd.DataFrame:
    draws = np.random.default_rng(7)
    odds = draws.normal(0, 2, rows)
    frame = pd.DataFrame(
        {"late": (draws.random(rows) < 1 / (1 + np.exp(-odds))).astype(int), "region": "all"}
    )
    for name, noise in (("poor", 4.0), ("good", 0.3), ("as_good", 0.3)):
        frame[name] = 1 / (1 + np.exp(-odds - draws.normal(0, noise, rows)))
    names = ["poor", "good", "as_good"]
    return compare_pairs(
        frame,
        label="late",
        scores={name: name for name in names},
        slices=["region"],
        metrics=["roc_auc", "log_loss", "selection_rate"],
    )


def test_ranks_say_who_cannot_be_told_apart() -> None:
    ranks = rank_candidates(_pairs(2000))
    assert set(ranks.metric) == {"roc_auc", "log_loss"}
    for _, one in ranks.groupby(["level", "metric"]):
        found = one.set_index("candidate")
        assert found["rank"]["poor"] == found.best_rank["poor"] == found.worst_rank["poor"] == 3
        assert found.not_told_apart_from["poor"] == ""
        for name, other in (("good", "as_good"), ("as_good", "good")):
            assert found.not_told_apart_from[name] == other
            assert (found.best_rank[name], found.worst_rank[name]) == (1, 2)
        assert sorted(found["rank"]) == [1, 2, 3]


def test_without_evidence_every_rank_is_open() -> None:
    ranks = rank_candidates(_pairs(12))
    assert (ranks.best_rank == 1).all()
    assert (ranks.worst_rank == 3).all()


def test_a_table_that_is_not_of_all_pairs_is_refused() -> None:
    pairs = _pairs(100)
    with pytest.raises(MetricsInputError, match="missing or twice"):
        rank_candidates(pairs[pairs.baseline == "poor"])
    with pytest.raises(MetricsInputError, match="lacks the columns"):
        rank_candidates(pairs.drop(columns="conclusion"))


def test_identical_candidates_share_a_rank() -> None:
    draws = np.random.default_rng(7)
    odds = draws.normal(0, 2, 1500)
    frame = pd.DataFrame(
        {"late": (draws.random(1500) < 1 / (1 + np.exp(-odds))).astype(int), "region": "all"}
    )
    frame["poor"] = 1 / (1 + np.exp(-odds - draws.normal(0, 4, 1500)))
    frame["good"] = frame["again"] = 1 / (1 + np.exp(-odds))
    pairs = compare_pairs(
        frame,
        label="late",
        scores={name: name for name in ("poor", "good", "again")},
        slices=["region"],
        metrics=["brier"],
    )
    found = rank_candidates(pairs).query("level == 'overall'").set_index("candidate")
    assert found["rank"].to_dict() == {"poor": 3, "good": 1, "again": 1}
    assert found.not_told_apart_from.to_dict() == {"poor": "", "good": "again", "again": "good"}
