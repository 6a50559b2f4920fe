"""The graph of a functional Keras model, call by call: the one place that reads the nodes of both versions of Keras."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hrnet_tf.backend.choice import TF_KERAS
from hrnet_tf.backend.keras_module import NAME, keras, tf
from hrnet_tf.backend.types import KerasLayer, KerasModel, Tensor

Tensors = Mapping[int, Tensor]  # new tensors by the `id` of the tensors that they replace


@dataclass(frozen=True, eq=False)
class LayerCall:
    """A call of a layer (or, in Keras 3, of another operation) in the graph of a model.

    Attributes:
        layer: The layer; None where tensors go into a nested model or come out of one, unchanged.
        inputs: Its input tensors.
        outputs: Its output tensors.
        arguments: Returns the positional and the keyword arguments of the call, with other input tensors.
    """

    layer: KerasLayer
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    arguments: Callable[[Tensors], tuple[Sequence[Any], Mapping[str, Any]]]


def is_functional(layer: KerasLayer) -> bool:
    """Return whether a layer is a model with a graph."""
    return hasattr(_graph(layer), "_nodes_by_depth")


def layer_calls(model: KerasModel) -> list[LayerCall]:
    """Return the calls of a functional model that its outputs depend on, in the order of execution.

    Calls of a nested model are replaced by those inside of it. Input layers are left out.
    """
    needed = set(map(id, output_tensors(model)))
    calls = []
    for call in reversed(list(_flat_calls(model))):
        if needed.intersection(map(id, call.outputs)):
            calls.append(call)
            needed |= set(map(id, call.inputs))
    return calls[::-1]


def _flat_calls(model: KerasModel) -> Iterator[LayerCall]:
    nodes_by_depth = _graph(model)._nodes_by_depth
    nodes = (node for depth in sorted(nodes_by_depth, reverse=True) for node in nodes_by_depth[depth])
    for node in nodes:
        if node.is_input:
            continue
        call = _tf_keras_call(node) if NAME == TF_KERAS else _keras_3_call(node)
        if is_functional(call.layer):
            yield from map(_renaming, call.inputs, input_tensors(call.layer))
            yield from _flat_calls(call.layer)
            yield from map(_renaming, output_tensors(call.layer), call.outputs)
        else:
            yield call


def _renaming(before: Tensor, after: Tensor) -> LayerCall:
    return LayerCall(None, (before,), (after,), lambda tensors: ((tensors[id(before)],), {}))


def all_layers(model: KerasModel) -> Iterator[KerasLayer]:
    """Yield the layers of a model, those of nested models, and those inside of wrappers such as quantized layers."""
    for layer in getattr(model, "layers", ()):
        if hasattr(layer, "layers"):
            yield from all_layers(layer)
        else:
            yield getattr(layer, "layer", layer)


def input_tensors(model: KerasModel) -> list[Tensor]:
    """Return the input tensors of a functional model."""
    return list(_graph(model).inputs)


def output_tensors(model: KerasModel) -> list[Tensor]:
    """Return the output tensors of a functional model."""
    return list(_graph(model).outputs)


def pack_inputs(model: KerasModel, tensors: Sequence[Tensor]) -> Any:
    """Arrange tensors as the inputs of a model are arranged: one tensor, a list or a dictionary."""
    graph = _graph(model)
    return _pack(graph._nested_inputs if NAME == TF_KERAS else graph._inputs_struct, tensors)


def pack_outputs(model: KerasModel, tensors: Sequence[Tensor]) -> Any:
    """Arrange tensors as the outputs of a model are arranged: one tensor, a list or a dictionary."""
    graph = _graph(model)
    return _pack(graph._nested_outputs if NAME == TF_KERAS else graph._outputs_struct, tensors)


def flat(tensors: Any) -> list[Tensor]:
    """Return the tensors of a nested structure, in the order of Keras."""
    return list(tf.nest.flatten(tensors) if NAME == TF_KERAS else keras.tree.flatten(tensors))


def _graph(model: KerasModel) -> KerasModel:
    return getattr(model, "_functional", None) or model  # a Sequential of Keras 3 has a functional model inside


def _pack(structure: Any, tensors: Sequence[Tensor]) -> Any:
    pack_sequence_as = tf.nest.pack_sequence_as if NAME == TF_KERAS else keras.tree.pack_sequence_as
    return pack_sequence_as(structure, list(tensors))


def _tf_keras_call(node: Any) -> LayerCall:
    inputs = tuple(flat(node.keras_inputs))

    def arguments(tensors: Tensors) -> tuple[Sequence[Any], Mapping[str, Any]]:
        args, kwargs = node.map_arguments({str(id(x)): [tensors[id(x)]] * len(inputs) for x in inputs})
        return args, kwargs

    return LayerCall(node.layer, inputs, tuple(flat(node.outputs)), arguments)


def _keras_3_call(node: Any) -> LayerCall:
    def arguments(tensors: Tensors) -> tuple[Sequence[Any], Mapping[str, Any]]:
        args, kwargs = node.arguments.fill_in(tensors)
        return args, kwargs

    return LayerCall(node.operation, tuple(node.input_tensors), tuple(node.outputs), arguments)
