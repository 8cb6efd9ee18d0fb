"""A slice's figures are its own: what is measured beside it changes not even the last digit."""

import numpy as np
import pandas as pd

from evaluator.metrics import METRICS, slice_metrics

GROUPS = {"region": list("abcdef"), "segment": list("xyz")}
NAMES = [info.name for info in METRICS.values() if "binary_classification" in info.tasks]


def test_a_slice_measured_alone_is_the_slice_measured_among_others() -> None:
    random = np.random.default_rng(1)
    rows = 150_000
    frame = pd.DataFrame(
        {
            "label": random.integers(0, 2, rows),
            "region": random.choice(GROUPS["region"], rows, p=[0.4, 0.3, 0.2, 0.08, 0.019, 0.001]),
            "segment": random.choice(GROUPS["segment"], rows),
        }
    )
    frame["score"] = np.clip(0.3 * frame["label"] + 0.7 * random.random(rows), 0, 1).round(3)

    def measured(part: pd.DataFrame) -> pd.DataFrame:
        table = slice_metrics(
            part.reset_index(drop=True),
            label="label",
            score="score",
            slices=["region", "segment"],
            groups=GROUPS,
            metrics=NAMES,
        )
        return table[table["level"] == "region x segment"].reset_index(drop=True)

    whole = measured(frame)
    for regions in (["a"], ["b", "c"], ["d", "e", "f"]):
        alone = measured(frame[frame["region"].isin(regions)])
        chosen = [table[table["region"].isin(regions)] for table in (whole, alone)]
        pd.testing.assert_frame_equal(
            *(table.reset_index(drop=True) for table in chosen), check_exact=True
        )
