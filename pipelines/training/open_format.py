"""The exported model as ONNX, for servers without TensorFlow: one graph from raw values to the output, where operators allow.

TensorFlow's tables of words have no counterpart that tf2onnx knows. So the preprocessing is built once more by the same code,
from ids in the place of words, converted with the network behind it, and ONNX's own label encoders are put before. Of hashed
words, texts and images ONNX can make nothing: there the graph is the network alone, and `features.prepared` goes before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import keras
import onnx
import tensorflow as tf
import tf2onnx
from onnx import helper

from pipelines.bundles.sessions import open_session
from pipelines.features.fitted import UNKNOWN_WORD, FittedSpec
from pipelines.features.kinds.crossed import crossing
from pipelines.training.open_operators import HANDLERS
from pipelines.training.parity import Arrays
from pipelines.training.preprocessing import Inputs, Tensor, build_preprocessing, network_signature
from pipelines.training.tasks import OutputHead

OPERATORS = 18
OUTPUT = "output"


class NotExpressibleError(Exception):
    """A model for a part of which ONNX has no operator."""


@dataclass
class Encoders:
    """Nodes that turn words into ids, and the columns of words that they begin from."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    columns: dict[str, None] = field(default_factory=dict)

    def encode(self, column: str, values: Mapping[str, int], name: str) -> str:
        """Look words up: 0 for those that are not there. Return the result's name."""
        self.columns[column] = None
        self._label(column, name, keys_strings=[*values], values_int64s=[*values.values()])
        return name

    def cross(self, names: tuple[str, ...], vocabulary: tuple[str, ...], name: str) -> str:
        """Look up several words together. Return the result's name."""
        parts, codes = crossing(names, vocabulary)
        total, *digits = (
            self.encode(
                part.column,
                {word: digit_value * part.unit for digit_value, word in enumerate(part.words, start=1)},
                f"{name}_{index}",
            )
            for index, part in enumerate(parts)
        )
        for digit in digits:
            self.nodes.append(helper.make_node("Add", [total, digit], [f"{digit}_sum"]))
            total = f"{digit}_sum"
        self._label(total, name, keys_int64s=codes, values_int64s=range(1, len(codes) + 1))
        return name

    def _label(self, source: str, target: str, **table: Any) -> None:
        self.nodes.append(helper.make_node("LabelEncoder", [source], [target], domain="ai.onnx.ml", default_int64=0, **table))


class _Ids(Inputs):
    """Inputs with ids in the place of words; `encoders` makes them of words."""

    def __init__(self, spec: FittedSpec) -> None:
        numbers = {name: raw for name, raw in spec.inputs.items() if raw.dtype != "string"}
        super().__init__({name: keras.Input(raw.shape, dtype=raw.dtype, name=name) for name, raw in numbers.items()})
        self.encoders = Encoders()

    def word(self, name: str) -> Tensor:
        raise NotExpressibleError(f"ONNX has no operators for what is made of the text of {name}")

    def word_ids(self, name: str, vocabulary: tuple[str, ...]) -> Tensor:
        positions = {entry: position for position, entry in enumerate(vocabulary, start=1)}
        return self._input(self.encoders.encode(name, positions or {UNKNOWN_WORD: 0}, self.named(name, "id")))

    def crossed_ids(self, names: tuple[str, ...], vocabulary: tuple[str, ...]) -> Tensor:
        if not vocabulary:
            return self.word_ids(names[0], ())
        return self._input(self.encoders.cross(names, vocabulary, self.named("_".join(names), "id")))

    def _input(self, name: str) -> Tensor:
        self[name] = keras.Input((), dtype="int64", name=name)
        return self[name]


class OnnxModels(NamedTuple):
    """A model from raw values to the output, the same graph with the network's inputs as outputs, and the part of it from
    those inputs to the output, where it has one; all serialized.
    """

    model: bytes
    features: bytes
    network: bytes | None = None


def to_onnx(network: keras.Model, spec: FittedSpec, head: OutputHead) -> OnnxModels:
    """Convert a network with its preprocessing. Raises NotExpressibleError when ONNX, or its runtime, lacks an operator."""
    inputs = _Ids(spec)
    preprocessing = build_preprocessing(spec, inputs)

    def compute(values: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        tensors = preprocessing(values)
        return {OUTPUT: head.link(network(tensors, training=False)), **dict(zip(spec.input_names, tensors, strict=True))}

    model = _converted(inputs, compute)
    features = model.SerializeToString()
    scores = next(output for output in model.graph.output if output.name == OUTPUT)
    alone = _network_alone(model, {output.name: output for output in model.graph.output if output.name != OUTPUT}, scores)
    del model.graph.output[:]
    model.graph.output.append(scores)
    return OnnxModels(bytes(model.SerializeToString()), bytes(features), alone)


def _network_alone(
    model: onnx.ModelProto, inputs: Mapping[str, onnx.ValueInfoProto], scores: onnx.ValueInfoProto
) -> bytes | None:
    """The part of a graph from the network's inputs to the scores; None where a step before them goes around them."""
    producers = {output: node for node in model.graph.node for output in node.output}
    # An output that is the copy of a tensor gives that tensor in turn.
    copied = {producers[name].input[0]: name for name in inputs if name in producers and producers[name].op_type == "Identity"}
    needed: set[str] = set()
    pending = [scores.name]
    while pending:
        if (name := pending.pop()) in needed:
            continue
        needed.add(name)
        if name in producers and name not in inputs and name not in copied:
            pending += _read(producers[name])
    if needed & {graph_input.name for graph_input in model.graph.input}:
        return None
    network = onnx.ModelProto()
    network.CopyFrom(model)
    for part in (network.graph.node, network.graph.input, network.graph.output, network.graph.initializer):
        del part[:]
    network.graph.node.extend(helper.make_node("Identity", [name], [tensor]) for tensor, name in copied.items())
    cut = {*inputs, *copied}
    network.graph.node.extend(node for node in model.graph.node if needed & ({*node.output} - cut))
    network.graph.initializer.extend(weights for weights in model.graph.initializer if weights.name in needed)
    network.graph.input.extend(inputs.values())
    network.graph.output.append(scores)
    return bytes(network.SerializeToString())


def _read(node: onnx.NodeProto) -> set[str]:
    """The tensors that a node reads, those of the graphs within it (a loop's body) included."""
    within = [attribute.g for attribute in node.attribute if attribute.type == onnx.AttributeProto.GRAPH]
    return {*node.input, *(name for graph in within for inner in graph.node for name in _read(inner))} - {""}


def to_prepared_onnx(network: keras.Model, spec: FittedSpec, head: OutputHead) -> bytes:
    """Convert a network alone: a graph from those of its inputs that it uses to the output, serialized.

    Raises NotExpressibleError as `to_onnx` does.
    """
    signature = network_signature(spec)

    def compute(values: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {OUTPUT: head.link(network([values[name] for name in signature], training=False))}

    model = _from_function(compute, signature)
    used = {name for node in model.graph.node for name in _read(node)}
    inputs = [given for given in model.graph.input if given.name in used]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    _check(model)
    return bytes(model.SerializeToString())


def _converted(inputs: _Ids, compute: Callable[[dict[str, tf.Tensor]], dict[str, tf.Tensor]]) -> onnx.ModelProto:
    """What a function of the inputs computes, behind the encoders."""
    model = _from_function(
        compute, {name: tf.TensorSpec(tensor.shape, tensor.dtype, name=name) for name, tensor in inputs.items()}
    )
    graph = model.graph
    ids = {node.output[0] for node in inputs.encoders.nodes}
    numbers = [value for value in graph.input if value.name not in ids]
    words = [helper.make_tensor_value_info(name, onnx.TensorProto.STRING, ["batch"]) for name in inputs.encoders.columns]
    nodes = [*inputs.encoders.nodes, *graph.node]
    del graph.input[:], graph.node[:]
    graph.input.extend([*numbers, *words])
    graph.node.extend(nodes)
    _check(model)
    return model


def _from_function(
    compute: Callable[[dict[str, tf.Tensor]], dict[str, tf.Tensor]], signature: dict[str, tf.TensorSpec]
) -> onnx.ModelProto:
    """What a function of named tensors computes."""
    function = tf.function(compute, input_signature=[signature], autograph=False)
    try:
        model, _ = tf2onnx.convert.from_function(
            function, input_signature=[signature], opset=OPERATORS, custom_op_handlers=HANDLERS
        )
    except Exception as error:  # of no common type
        raise NotExpressibleError(f"tf2onnx can't convert it: {error}") from error
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    return model


def _check(model: onnx.ModelProto) -> None:
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:  # what tf2onnx has no counterpart for, it leaves in
        raise NotExpressibleError(f"tf2onnx can't convert it: {error}") from error


class Runtime:
    """A serialized model, ready to compute on one thread. Raises NotExpressibleError when the runtime lacks an operator."""

    def __init__(self, model: bytes) -> None:
        try:
            self._session = open_session(model)
        except Exception as error:  # of no common type
            raise NotExpressibleError(f"ONNX Runtime can't run it: {error}") from error
        self.inputs = [value.name for value in self._session.get_inputs()]
        self._outputs = [output.name for output in self._session.get_outputs()]

    def __call__(self, values: Arrays) -> Arrays:
        """Arrays (batch, …) by the outputs' names, from arrays by the inputs' names: raw values, NaN or '' where missing, or
        what a network takes.
        """
        return dict(zip(self._outputs, self._session.run(None, dict(values)), strict=True))
