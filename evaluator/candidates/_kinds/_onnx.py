"""An ONNX classifier, run by onnxruntime.

What skl2onnx writes is understood with zipmap (a list of maps from class to probability) and
without (an array), and so is a graph of any other maker that gives one array of probabilities.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from evaluator.candidates._adapter import ADAPTERS, Artifact, FileAdapter
from evaluator.candidates._faults import (
    candidate_error,
    check_count,
    check_names,
    existing_artifact,
    format_names,
    is_text,
    missing_values_error,
    type_error,
)
from evaluator.spec import MlflowCandidate, OnnxCandidate, Task

_FLOATS: Final = ("tensor(float)", "tensor(double)", "tensor(float16)")
_TYPES: Final = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
}
_MATRIX: Final = 2
"""Dimensions of an input that takes a row a case."""


class OnnxScorer:
    """An ONNX classifier that takes the declared features and gives probabilities."""

    def __init__(
        self, candidate: OnnxCandidate | MlflowCandidate, content: bytes, task: Task
    ) -> None:
        self._candidate = candidate
        self._task = task
        self._session = _open(candidate, content)
        self._inputs = self._session.get_inputs()
        # One matrix takes its columns by position, several inputs take them by name.
        self._is_matrix = len(self._inputs) == 1 and len(self._inputs[0].shape) == _MATRIX
        if self._is_matrix:
            width = self._inputs[0].shape[1]
            # A width that is not fixed has a name, or none.
            check_count(candidate, width if isinstance(width, int) else len(candidate.features))
        else:
            check_names(candidate, [node.name for node in self._inputs], ordered=False)
        for node in self._inputs:
            if node.type not in (*_TYPES, "tensor(string)"):
                raise candidate_error(
                    candidate,
                    f"its input {node.name!r} is of type {node.type}, which no column has",
                    fix="save a model that takes numbers, booleans or texts",
                )
        outputs = self._session.get_outputs()
        self._maps = [node.name for node in outputs if node.type.startswith("seq(map(")]
        self._arrays = [node.name for node in outputs if node.type in _FLOATS]
        self._labels = [
            node.name for node in outputs if node.type in ("tensor(int64)", "tensor(string)")
        ]
        if len(self._maps or self._arrays) != 1:
            raise candidate_error(
                candidate,
                f"it gives {len(self._maps or self._arrays)} outputs of probabilities among"
                f" {format_names([f'{node.name}: {node.type}' for node in outputs])}",
                fix="save a classifier with one output of probabilities (zipmap may be on or off)",
            )

    def score(self, features: pd.DataFrame) -> np.ndarray:
        names = [*(self._maps or self._arrays), *self._labels[:1]]
        probabilities, *labels = self._session.run(names, self._feeds(features))
        if self._maps:
            return self._scores_of_maps(probabilities)
        array, classes = np.asarray(probabilities), self._candidate.classes
        scores = self._task.scores_of_array(self._candidate, classes, array)
        if labels and np.size(labels[0]) == len(scores):
            told = np.asarray(labels[0]).reshape(-1)
            self._task.check_labels(self._candidate, classes, told, scores)
        return scores

    def _feeds(self, features: pd.DataFrame) -> dict[str, np.ndarray]:
        if self._is_matrix:
            node = self._inputs[0]
            columns = [self._converted(features[name], node.type) for name in features.columns]
            return {node.name: np.column_stack(columns)}
        feeds = {}
        for node in self._inputs:
            column = self._converted(features[node.name], node.type)
            feeds[node.name] = column.reshape(-1, 1) if len(node.shape) == _MATRIX else column
        return feeds

    def _converted(self, column: pd.Series, tensor_type: str) -> np.ndarray:
        """Turn a column into what the graph takes, or say why it cannot be."""
        if tensor_type == "tensor(string)":
            if column.isna().any():
                raise missing_values_error(self._candidate, column.to_frame())
            if not is_text(column):
                raise type_error(self._candidate, column, "texts")
            return column.to_numpy(dtype=object)
        if is_text(column) or not (
            pd.api.types.is_numeric_dtype(column)
            or pd.api.types.is_bool_dtype(column)
            or column.isna().all()
        ):
            raise type_error(self._candidate, column, f"numbers ({tensor_type})")
        numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
        if tensor_type in _FLOATS:
            return numbers.astype(_TYPES[tensor_type])
        if np.isnan(numbers).any():
            raise missing_values_error(self._candidate, column.to_frame())
        if (numbers != np.floor(numbers)).any():
            raise type_error(self._candidate, column, f"whole numbers ({tensor_type})")
        return column.to_numpy().astype(_TYPES[tensor_type])

    def _scores_of_maps(self, maps: Sequence[dict[Any, float]]) -> np.ndarray:
        # The keys are the classes themselves.
        classes = sorted(maps[0]) if maps else []
        columns = [np.array([row[one] for row in maps], dtype=np.float64) for one in classes]
        return self._task.scores_of_columns(self._candidate, classes, columns)


def _open(candidate: OnnxCandidate | MlflowCandidate, content: bytes) -> Any:
    try:
        import onnxruntime  # type: ignore[import-untyped] # it ships no types
    except ImportError as error:
        raise candidate_error(
            candidate,
            "onnxruntime, which runs ONNX models, is not installed",
            fix="install it: pip install 'evaluator[onnx]'",
        ) from error
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    # Runs stand side by side, one on each core.
    options.intra_op_num_threads = 1
    # Faults are raised, so that they need not be printed as well.
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(
            content, sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise candidate_error(
            candidate,
            f"its artifact cannot be read as ONNX ({type(error).__name__}: {error})",
            fix="save the model again, whole and in one file",
        ) from error


class OnnxAdapter(FileAdapter[OnnxCandidate]):
    """ONNX classifiers."""

    libraries = ("onnxruntime",)

    def load(self, artifact: Artifact[OnnxCandidate], task: Task, /) -> OnnxScorer:
        content = existing_artifact(artifact.candidate, artifact.home).read_bytes()
        return OnnxScorer(artifact.candidate, content, task)


ADAPTERS[OnnxCandidate] = OnnxAdapter()
