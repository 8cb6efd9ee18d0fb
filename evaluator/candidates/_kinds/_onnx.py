"""An ONNX classifier, run by onnxruntime.

What skl2onnx writes is understood with zipmap (a list of maps from class to probability) and
without (an array), and so is a graph of any other maker that gives one array of probabilities.
"""

import os
from collections.abc import Sequence
from functools import cache
from pathlib import PurePosixPath
from typing import Any, Final

import numpy as np
import pandas as pd

from evaluator.candidates._adapter import ADAPTERS, FileAdapter, FolderCopy
from evaluator.candidates._faults import (
    candidate_error,
    check_count,
    check_names,
    format_names,
    is_text,
    missing_values_error,
    type_error,
)
from evaluator.errors import CandidateError
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
_PROVIDERS: Final = ("CPUExecutionProvider",)
_MESSAGES: Final[dict[str, dict[str, int]]] = {
    "Model": {"Graph": 7, "Training": 20, "Function": 25},
    "Training": {"Graph": 1, "Graph_2": 2},
    "Graph": {"Node": 1, "Tensor": 5, "Sparse": 15},
    "Function": {"Node": 7, "Attribute": 11},
    "Node": {"Attribute": 5},
    "Attribute": {
        "Tensor": 5,
        "Graph": 6,
        "Tensor_2": 10,
        "Graph_2": 11,
        "Sparse": 22,
        "Sparse_2": 23,
    },
    "Sparse": {"Tensor": 1, "Tensor_2": 2},
    "Tensor": {"Entry": 13},
    "Entry": {},
}
"""The messages of an ONNX file that lead to tensors, after onnx.proto: the numbers of their fields,
by the message that such a field holds. All the rest is skipped."""
_MATRIX: Final = 2
"""Dimensions of an input that takes a row a case."""


class OnnxScorer:
    """An ONNX classifier that takes the declared features and gives probabilities."""

    def __init__(
        self,
        candidate: OnnxCandidate | MlflowCandidate,
        content: bytes,
        task: Task,
        place: tuple[FolderCopy, str] | None = None,
    ) -> None:
        self._candidate = candidate
        self._task = task
        self._session = _open(candidate, content, place)
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


def _open(
    candidate: OnnxCandidate | MlflowCandidate,
    content: bytes,
    place: tuple[FolderCopy, str] | None,
) -> Any:
    """Open a model; where it lies in a folder, whose digest covers them, with files of weights."""
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
    # Its other format would not be searched for files that it names.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        model = _with_weights(candidate, content, place)
        if model is content:
            # No name of a file was found, and there is nothing where one would be looked for.
            options.add_session_config_entry(
                "session.model_external_initializers_file_folder_path", os.devnull
            )
        return onnxruntime.InferenceSession(model, sess_options=options, providers=_PROVIDERS)
    except CandidateError:
        raise
    except Exception as error:
        raise candidate_error(
            candidate,
            f"its artifact cannot be read as ONNX ({type(error).__name__}: {error})",
            fix="save the model again, whole and in one file",
        ) from error


def _with_weights(
    candidate: OnnxCandidate | MlflowCandidate,
    content: bytes,
    place: tuple[FolderCopy, str] | None,
) -> bytes | str:
    """Return a model that is whole as it is; the path of one that has its weights beside it."""
    named = _named_files(content)
    if not named:
        return content
    if place is None:
        raise candidate_error(
            candidate,
            f"its weights lie in further files ({format_names(named)}), which its digest would not"
            " cover",
            fix="save the model in one file",
        )
    folder, name = place
    for one in named:
        folder.path_of(one, said_by=name, below=str(PurePosixPath(name).parent))
    return str(folder.root / name)


def _named_files(content: bytes) -> list[str]:
    """Return the files that the tensors of an ONNX model name, wherever in it they stand."""
    named = set()
    messages = [_model_class().FromString(content)]
    while messages:
        message = messages.pop()
        is_tensor = message.DESCRIPTOR.name == "Tensor"
        if is_tensor and (message.Entry or message.location):
            # Said twice, it is either.
            named.update([one.value for one in message.Entry if one.key == "location"] or [""])
        else:
            messages += [inner for _, inners in message.ListFields() for inner in inners]
    return sorted(named)


@cache
def _model_class() -> Any:
    """Make what parses an ONNX model as far as it leads to tensors."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="external_data.proto", package="evaluator")
    field = descriptor_pb2.FieldDescriptorProto
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for held, number in fields.items():
            # One that may be there once is taken as often as it is.
            message.field.add(
                name=held,
                number=number,
                label=field.LABEL_REPEATED,
                type=field.TYPE_MESSAGE,
                type_name=f".evaluator.{held.partition('_')[0]}",
            )
        more = {"Tensor": {"location": 14}, "Entry": {"key": 1, "value": 2}}.get(name, {})
        for key, number in more.items():
            kind = field.TYPE_INT32 if name == "Tensor" else field.TYPE_STRING
            message.field.add(name=key, number=number, label=field.LABEL_OPTIONAL, type=kind)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("evaluator.Model"))


class OnnxAdapter(FileAdapter[OnnxCandidate]):
    """ONNX classifiers."""

    libraries = ("onnxruntime",)

    def load(self, candidate: OnnxCandidate, content: bytes, task: Task, /) -> OnnxScorer:
        return OnnxScorer(candidate, content, task)


ADAPTERS[OnnxCandidate] = OnnxAdapter()
