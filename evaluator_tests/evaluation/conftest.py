"""Cases of a shop, and what three candidates said of them."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from evaluator.evaluation import EvaluatedCases
from evaluator_tests.evaluation.shop import GEOGRAPHIES, SEGMENTS, spec_of


@pytest.fixture(scope="module")
def table() -> pa.Table:
    """400 cases, some of them without a device, a score, a membership or a customer."""
    rows = 400
    draws = np.random.default_rng(11)
    score = draws.integers(0, 40, rows)
    return pa.table(
        {
            "id": [f"c{number}" for number in range(rows)],
            "label": pa.array(draws.integers(0, 2, rows), pa.int8()),
            "day": [f"2026-01-{1 + number % 2:02}" for number in range(rows)],
            "geography": [GEOGRAPHIES[number % 2] for number in range(rows)],
            "segment": [SEGMENTS[number // 2 % 2] for number in range(rows)],
            "data.place": [GEOGRAPHIES[number % 2] for number in range(rows)],
            "data.kind": [SEGMENTS[number // 2 % 2] for number in range(rows)],
            "data.device": [["phone", "tablet", None, "phone"][n % 4] for n in range(rows)],
            "data.score": pa.array(
                [None if n % 10 == 0 else int(score[n]) for n in range(rows)], pa.int64()
            ),
            "data.member": [[True, False, None][number % 3] for number in range(rows)],
            "data.customer": [None if n % 7 == 0 else f"u{n % 90}" for n in range(rows)],
            "data.household": [number % 90 for number in range(rows)],
            "data.stands_for": pa.array(
                [Decimal(1 + number % 3) / 2 for number in range(rows)], pa.decimal128(18, 2)
            ),
        }
    )


@pytest.fixture(scope="module")
def cases(table: pa.Table) -> EvaluatedCases:
    return EvaluatedCases(table, spec_of().data)


@pytest.fixture
def predictions(table: pa.Table) -> dict[str, pd.DataFrame]:
    """`sharp` is right nine times in ten, `base` seven times, and `rule` as `base`."""
    frame = table.select(["id", "geography", "segment", "label"]).to_pandas()
    draws = np.random.default_rng(3)
    found = {}
    for name, share in (("base", 0.7), ("sharp", 0.9)):
        right = draws.random(len(frame)) < share
        decision = np.where(right, frame["label"], 1 - frame["label"])
        score = np.clip(0.5 + (decision - 0.5) * draws.random(len(frame)), 0, 1)
        found[name] = frame.assign(score=score, prediction=decision)
    found["rule"] = found["base"].assign(score=np.nan)
    # Each candidate's slices are stored and read in an order of their own.
    return {name: one.sample(frac=1, random_state=5) for name, one in found.items()}
