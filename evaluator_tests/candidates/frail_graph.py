"""The classifier of `frail` as an ONNX graph."""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from evaluator_tests.candidates.frail import FAULTS


def write_graph(path: Path, divisor: float) -> None:
    """Write a graph that gives x / divisor, unless y says otherwise."""
    constants: dict[str, np.ndarray] = {
        "divisor": np.array([divisor], np.float32),
        "nan": np.array([np.nan], np.float32),
        "column": np.array([1], np.int64),
        "ever": np.array(2**60, np.int64),
        "far": np.array([2**20], np.int64),
        "much": np.array([2**29], np.int64),
        "on": np.array([1], np.bool_)[0:1].reshape(()),
        **{f"c{code:.0f}": np.array([code], np.float32) for code in FAULTS.values()},
    }
    node = helper.make_node
    is_code = [
        step
        for name, code in FAULTS.items()
        for step in (
            node("Equal", ["y", f"c{code:.0f}"], [f"is {name}"]),
            node("Reshape", [f"is {name}", "all"], [f"row {name}"]),
            node("Cast", [f"row {name}"], [f"number {name}"], to=TensorProto.INT64),
            node("ReduceMax", [f"number {name}"], [f"any {name}"], keepdims=0),
        )
    ]
    state = helper.make_tensor_value_info("s", TensorProto.FLOAT, None)
    after = helper.make_tensor_value_info("s2", TensorProto.FLOAT, None)
    body = helper.make_graph(
        [node("Identity", ["going"], ["goes"]), node("Abs", ["s"], ["s2"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            state,
        ],
        [helper.make_tensor_value_info("goes", TensorProto.BOOL, []), after],
    )
    constants["all"] = np.array([-1], np.int64)
    steps = [
        node("Split", ["X"], ["x", "y"], axis=1, num_outputs=2),
        *is_code,
        node("Div", ["x", "divisor"], ["plain"]),
        # 2 to the 60th turns that change nothing.
        node("Mul", ["any hangs", "ever"], ["turns"]),
        node("Loop", ["turns", "on", "plain"], ["turned"], body=body),
        # A tensor of 2 GiB, of which the largest value is added.
        node("Mul", ["any eats memory", "much"], ["size"]),
        node("ConstantOfShape", ["size"], ["zeros"]),
        node("Shape", ["zeros"], ["length"]),
        node("Cast", ["length"], ["length as number"], to=TensorProto.FLOAT),
        node("Add", ["turned", "length as number"], ["grown"]),
        # A row that is not there.
        node("Mul", ["any raises", "far"], ["row"]),
        node("Gather", ["grown", "row"], ["picked"], axis=0),
        node("Sub", ["picked", "picked"], ["nothing"]),
        node("Add", ["grown", "nothing"], ["checked"]),
        node("Where", ["is NaN outputs", "nan", "checked"], ["with nan"]),
        node("Not", ["row too few outputs"], ["kept"]),
        node("Compress", ["with nan", "kept"], ["fewer"], axis=0),
        node("Compress", ["with nan", "row too many outputs"], ["again"], axis=0),
        node("Concat", ["fewer", "again"], ["probabilities"], axis=0),
    ]
    graph = helper.make_graph(
        steps,
        "frail",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path.write_bytes(model.SerializeToString())
