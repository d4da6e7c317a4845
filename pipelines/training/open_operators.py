"""Operators of TensorFlow that tf2onnx has no counterpart for, as several of ONNX's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import helper
from tf2onnx.graph import Graph, Node


def _log1p(graph: Graph, node: Node, name: str, _: Any) -> None:
    """log1p(x) as log(u) (x / (u - 1)) with u = 1 + x, or x where that is 1.

    Source: Higham, Accuracy and Stability of Numerical Algorithms (2002), section 1.14.1.
    """
    x, one, append = _arithmetic(graph, node, name)
    above = append("Add", x, one)
    same = append("Equal", above, one, dtype=onnx.TensorProto.BOOL)
    ratio = append("Mul", append("Log", above), append("Div", x, append("Sub", above, one)))
    _replace(graph, node, "Where", [same, x, ratio])


def _expm1(graph: Graph, node: Node, name: str, _: Any) -> None:
    """expm1(x) as u - 1 with u = exp(x); up to a magnitude of 1 as (u - 1) (x / log(u)), or x where u is 1.

    Source: Higham, Accuracy and Stability of Numerical Algorithms (2002), section 1.14.1.
    """
    x, one, append = _arithmetic(graph, node, name)
    power = append("Exp", x)
    less = append("Sub", power, one)
    same = append("Equal", power, one, dtype=onnx.TensorProto.BOOL)
    small = append("Where", same, x, append("Mul", less, append("Div", x, append("Log", power))))
    far = append("Greater", append("Abs", x), one, dtype=onnx.TensorProto.BOOL)
    _replace(graph, node, "Where", [far, less, small])


def _arithmetic(graph: Graph, node: Node, name: str) -> tuple[str, str, Callable[..., str]]:
    """A node's input, the number one in its type, and what appends an operator and names its output."""
    x, type_ = node.input[0], graph.get_dtype(node.input[0])
    one = graph.make_const(f"{name}/one", np.ones((), helper.tensor_dtype_to_np_dtype(type_))).output[0]

    def append(operator: str, *of: str, dtype: int = type_) -> str:
        return str(graph.make_node(operator, list(of), dtypes=[dtype]).output[0])

    return x, one, append


def _upper_bound(graph: Graph, node: Node, name: str, _: Any) -> None:
    """How many of each row of sorted values (batch, n) are at most each of another (batch, m)."""
    sorted_values, values = node.input
    axes = [graph.make_const(f"{name}/{axis}", np.array([axis], np.int64)).output[0] for axis in (1, 2)]
    wide = graph.make_node("Unsqueeze", [sorted_values, axes[0]]).output[0]
    tall = graph.make_node("Unsqueeze", [values, axes[1]]).output[0]
    reached = graph.make_node("LessOrEqual", [wide, tall], dtypes=[onnx.TensorProto.BOOL]).output[0]
    counted = graph.make_node("Cast", [reached], attr={"to": onnx.TensorProto.INT32}, dtypes=[onnx.TensorProto.INT32]).output[0]
    _replace(graph, node, "ReduceSum", [counted, axes[1]], attr={"keepdims": 0})


def _replace(graph: Graph, node: Node, operator: str, inputs: list[str], **options: Any) -> None:
    types, shapes = node.output_dtypes, node.output_shapes
    graph.remove_node(node.name)
    graph.make_node(operator, inputs, name=node.name, outputs=node.output, dtypes=types, shapes=shapes, **options)


HANDLERS: dict[str, tuple[Callable[..., None], list[str]]] = {
    "Log1p": (_log1p, []), "Expm1": (_expm1, []), "UpperBound": (_upper_bound, []),
}  # fmt: skip
