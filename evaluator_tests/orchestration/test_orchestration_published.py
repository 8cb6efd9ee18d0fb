"""Figures that others have published, out of whole audits of the same data.

`hpc_cv` and `two_class_example` are of the R package modeldata (MIT, modeldata authors), whose
figures are those of yardstick's documentation; the small examples are of scikit-learn's.
"""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from evaluator.orchestration import AuditState
from evaluator.scorecard import MEASUREMENTS, from_stored
from evaluator.spec import AuditSpec, named_audit
from evaluator_tests.orchestration.conftest import open_home, run

DATA = Path(__file__).parents[1] / "data"
CLASSES = ["VF", "F", "M", "L"]


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Audits recorded outputs from a raw file on, and gives the values of its metrics."""

    def measure(
        frame: pd.DataFrame, label: dict[str, Any], said: dict[str, Any], **audit: Any
    ) -> pd.DataFrame:
        home = open_home(tmp_path / "home", monkeypatch)
        frame = frame.assign(case=[f"c{number}" for number in range(len(frame))])
        raw = home.landing("published") / "all.csv"
        raw.parent.mkdir(parents=True)
        frame[["case", *audit["columns"]]].to_csv(raw, index=False)
        frame.rename(columns={"case": "id"}).to_parquet(home.root / "said.parquet")
        columns = {"case": {"type": "string", "unique": True}, **audit.pop("columns")}
        candidate = {"name": "said", "kind": "recorded", "path": "said.parquet", **said}
        spec = AuditSpec.model_validate(
            {
                "data": {"files": "all.csv", "id": "case", "columns": columns},
                "label": label,
                "candidates": [candidate],
                "gates": [{"kind": "complete"}],
                **audit,
            }
        )
        summary = run(named_audit("published", spec), home)
        assert summary.faults == []
        state = AuditState(named_audit("published", spec), home)
        return from_stored(state.store.read_table(state.require("scorecard"), MEASUREMENTS))

    return measure


def overall(table: pd.DataFrame) -> dict[str, float]:
    own = table[table["level"] == "overall"]
    return dict(zip(own["metric"], own["value"], strict=True))


def test_four_classes_have_the_figures_of_yardstick_overall_and_by_fold(measured: Any) -> None:
    folds = [f"Fold{number:02}" for number in range(1, 11)]
    table = measured(
        pd.read_parquet(DATA / "hpc_cv.parquet"),
        {"column": "obs"},
        {"prediction": "pred", "scores": {name: name for name in CLASSES}},
        task="multiclass",
        columns={
            "obs": {"type": "category", "allowed": CLASSES},
            "Resample": {"type": "category", "required": True, "allowed": folds},
        },
        segment="Resample",
        metrics=["accuracy", "precision_macro", "precision_micro", "roc_auc_ovo"],
    )

    found = overall(table)
    assert found["precision_macro"] == pytest.approx(0.631, abs=5e-4)
    assert found["precision_micro"] == found["accuracy"] == pytest.approx(0.709, abs=5e-4)
    by_fold = table[(table["level"] == "segment") & (table["metric"] == "roc_auc_ovo")]
    assert dict(zip(by_fold["segment"], by_fold["value"].round(3), strict=True)) == dict(
        zip(
            folds,
            [0.813, 0.817, 0.869, 0.849, 0.811, 0.836, 0.825, 0.846, 0.828, 0.812],
            strict=True,
        )
    )


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_two_classes_have_the_figures_of_yardstick_in_either_task(task: str, measured: Any) -> None:
    is_binary = task == "binary"
    area = "roc_auc" if is_binary else "roc_auc_ovr"
    scores = {"score": "Class1"} if is_binary else {"scores": {n: n for n in ("Class1", "Class2")}}

    table = measured(
        pd.read_parquet(DATA / "two_class_example.parquet"),
        {"column": "truth", **({"positive": "Class1"} if is_binary else {})},
        scores,
        task=task,
        columns={"truth": {"type": "category", "allowed": ["Class1", "Class2"]}},
        metrics=["accuracy", "cohen_kappa", area],
    )

    assert {name: round(value, 3) for name, value in overall(table).items()} == {
        "accuracy": 0.838,
        "cohen_kappa": 0.675,
        area: 0.939,
    }


def test_numbers_have_the_figures_of_scikit_learns_documentation(measured: Any) -> None:
    table = measured(
        pd.DataFrame({"truth": [3, -0.5, 2, 7], "said": [2.5, 0.0, 2, 8]}),
        {"column": "truth"},
        {"prediction": "said"},
        task="regression",
        columns={"truth": {"type": "float"}},
        metrics=[
            *("mean_absolute_error", "root_mean_squared_error", "median_absolute_error"),
            *("mean_absolute_percentage_error", "r2"),
        ],
    )

    assert overall(table) == pytest.approx(
        {
            "mean_absolute_error": 0.5,
            "root_mean_squared_error": 0.612372,
            "median_absolute_error": 0.5,
            "mean_absolute_percentage_error": 0.327380,
            "r2": 0.948608,
        },
        abs=1e-6,
    )
