"""Build a Keras model again with another trunk: the one way in which a model is pruned, gated or folded.

A model is a trunk, whose layers are named by place, and all other layers: a head of the package or of the user's own,
preprocessing, further outputs. The trunk is built from a spec; every other layer is made again from its config, with its weights.
Nested models are dissolved: the new model has one flat graph, as quantization-aware training requires.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hrnet_tf.backend.graph import (
    flat,
    input_tensors,
    is_functional,
    layer_calls,
    output_tensors,
    pack_inputs,
    pack_outputs,
)
from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import KerasLayer, KerasModel, Tensor, Variable, Weights
from hrnet_tf.models.folding import Chain, Folding, fold_batch_norm
from hrnet_tf.models.functional import HRNetModel
from hrnet_tf.models.gates import GATE_SUFFIX
from hrnet_tf.models.heads import HEATMAP_LAYER, HEATMAP_UPSAMPLING, heatmap_upsampling
from hrnet_tf.models.hrnet import build_trunk
from hrnet_tf.models.layers import StemPadding, UnitWrapper, add_all
from hrnet_tf.models.slicing import Channels, Slicing
from hrnet_tf.models.trunk import LAYER, Trunk, is_quantized, spec_of
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.errors import HRNetError
from mobile_eval.typed import JsonObject

FLOAT32 = "float32"


def rebuild(
    model: KerasModel,
    spec: Network | None = None,
    *,
    channels: Channels | None = None,
    folded: bool = False,
    gate: UnitWrapper | None = None,
) -> KerasModel:
    """Build a model again with another trunk, and take over all weights that still have a place.

    Args:
        model: A functional Keras model that contains one network of the package. It is not changed.
        spec: The network of the model with fewer links, blocks or channels; None for the same network.
        channels: The kept channels of each group that becomes narrower, as indices into those of the model, in order. None for
            the first ones, where weights do not matter.
        folded: Whether BatchNorm is folded into the convolutions, also outside of the trunk where it directly follows one, and
            other layers are replaced by equal ones that quantization knows (see `folding.Folding`). The new model computes in
            float32.
        gate: Applied to the output of each fusion link and residual block, see `gates.on_units`.

    Returns:
        A new functional model with the inputs, outputs and name of `model`, not compiled.

    Raises:
        HRNetError: The model contains no network of the package or is quantized, the spec is of another network, or a layer
            cannot be made again.

    Example:
        >>> from hrnet_tf.networks import HRNet
        >>> model = HRNet("pose-small-v1", input_size=(64, 64), outputs=5)
        >>> smaller = rebuild(model, model.spec.without({min(model.spec.links)}))
        >>> len(model.spec.links) - len(smaller.spec.links)
        1
    """
    network = spec_of(model)
    if is_quantized(model):
        raise HRNetError(f"`model` {model.name} is quantized; expected the model that it was made from")
    if not is_functional(model):
        raise HRNetError(f"`model` {model.name} must be functional: made by keras.Model(inputs, outputs), not a subclass")
    spec = spec or network
    if _full(spec) != _full(network):
        raise HRNetError(f"`spec` must be {network.name} with other links, blocks or widths, got {spec.name} of other sizes")
    with dtype_policy(FLOAT32) if folded else contextlib.nullcontext():
        return _Rebuilding(model, network, spec, channels, folded=folded, gate=gate).rebuilt()


def _full(spec: Network) -> Network:
    return spec.full() if isinstance(spec, HRNetSpec) else spec


class _Rebuilding:
    """One rebuilding of a model."""

    def __init__(
        self,
        model: KerasModel,
        network: Network,
        spec: Network,
        channels: Channels | None,
        *,
        folded: bool,
        gate: UnitWrapper | None,
    ):
        self.model = model
        self.spec = spec
        self.slicing: Slicing | None = None
        if isinstance(network, HRNetSpec) and isinstance(spec, HRNetSpec):
            self.slicing = Slicing.of(network, spec, channels)
        self.folded = folded
        self.gate = gate
        self.calls = layer_calls(model)
        self.trunk = Trunk.of(model) if isinstance(spec, HRNetSpec) else Trunk((), ())
        self.trunk_layers = {call.layer.name: call.layer for call in self.trunk.calls}
        self.head_calls = [call for call in self.calls if call.layer is not None and call.layer.name not in self.trunk_layers]
        self.folding = Folding.of(self.head_calls, output_tensors(model)) if folded else None
        self.chains: dict[int, Chain] = {}  # by the id of the layer that they replace

    def rebuilt(self) -> KerasModel:
        """Return the new model, with its weights."""
        sources = input_tensors(self.model)
        inputs = [self._input(x) for x in sources]
        tensors = dict(zip(map(id, sources), inputs, strict=True))
        absorbed = self.folding.absorbed if self.folding else ()
        for call in self.calls:
            if call.layer is None or id(call.layer) in absorbed:
                tensors[id(call.outputs[0])] = tensors[id(call.inputs[0])]
            elif call.layer.name in self.trunk_layers:
                if isinstance(call.layer, StemPadding):
                    tensors |= self._trunk_outputs(tensors[id(call.inputs[0])], call.layer)
            else:
                args, kwargs = call.arguments(tensors)
                tensors |= zip(map(id, call.outputs), flat(self._call(call.layer, args, kwargs)), strict=True)
        outputs = [tensors[id(x)] for x in output_tensors(self.model)]
        kind = HRNetModel if isinstance(self.model, HRNetModel) else keras.Model
        rebuilt = kind(pack_inputs(self.model, inputs), pack_outputs(self.model, outputs), name=self.model.name)
        self._copy_trunk(rebuilt)
        self._copy_head()
        return rebuilt

    def _input(self, x: Tensor) -> Tensor:
        """An input like `x`. Of a folded model it is in float32, since convolutions replace what could read bytes."""
        return keras.Input(x.shape[1:], batch_size=x.shape[0], dtype=FLOAT32 if self.folded else x.dtype, name=x.name)

    def _trunk_outputs(self, image: Tensor, stem: KerasLayer) -> dict[int, Tensor]:
        """Build the new trunk; return its outputs by the ids of those that they replace."""
        if not isinstance(self.spec, HRNetSpec):
            raise TypeError(f"{self.spec.name} has no trunk")
        with dtype_policy(FLOAT32 if self.folded else _policy_name(stem)):
            branches = build_trunk(image, self.spec, folded=self.folded, gate=self.gate)
        old = self.trunk.branches(self.spec)
        if self.head_moves:
            return {id(x): branches[self.spec.outputs[0]] for x in old.values()}
        return {id(x): branches[branch] for branch, x in old.items()}

    @functools.cached_property
    def head_moves(self) -> bool:
        """Whether the heatmap head reads another branch than before."""
        return self.slicing is not None and self.slicing.before.outputs != self.slicing.after.outputs

    @functools.cached_property
    def weights(self) -> Weights:
        """The weights of the trunk as it was, by name."""
        return _named_weights(list(self.trunk_layers.values()))

    def _call(self, layer: KerasLayer, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Call what replaces a layer outside of the trunk."""
        if not isinstance(layer, keras.layers.Layer):
            return layer(*args, **kwargs)  # an operation of Keras 3, which has no weights
        if self.head_moves and layer.name == HEATMAP_UPSAMPLING:
            return args[0]  # it is built again with the head, where it is needed
        if self.folded and type(layer).__name__ == "Add" and len(args[0]) > 2:
            return add_all(args[0], name=layer.name)
        if id(layer) not in self.chains:
            self.chains[id(layer)] = self._chain(layer, args)
        (first, _), *others = self.chains[id(layer)]
        x = first(*args, **kwargs)
        for replacement, _ in others:
            x = replacement(x)
        if self.head_moves and layer.name == HEATMAP_LAYER and isinstance(self.spec, HRNetSpec):
            return heatmap_upsampling(x, self.spec.outputs[0])
        return x

    def _chain(self, layer: KerasLayer, args: Sequence[Any]) -> Chain:
        """The layers that replace a layer, with their weights."""
        if self.folding is None or not args or isinstance(args[0], list | tuple | dict):
            chain: Chain = [(self._clone(layer), layer.get_weights())]
        else:
            chain = self.folding.replacement(layer, args[0], self._clone)
        if self.slicing is None:
            return chain
        (first, arrays), *others = chain
        trunk = fold_batch_norm(self.weights) if self.head_moves else {}
        return [(first, self.slicing.head_arrays(layer.name, arrays, trunk)), *others]

    def _clone(self, layer: KerasLayer, **changes: object) -> KerasLayer:
        try:
            config: JsonObject = {**layer.get_config(), **changes}
            if self.folded and layer.compute_dtype in ("float16", "bfloat16"):
                config["dtype"] = FLOAT32
            return type(layer).from_config(config)
        except (NotImplementedError, TypeError, ValueError) as error:
            reason = (str(error).strip().splitlines() or ["it has no get_config"])[0]
            raise HRNetError(
                f"`model`: the layer {layer.name} ({type(layer).__name__}) cannot be made again from its config: {reason}"
            ) from error

    def _copy_trunk(self, rebuilt: KerasModel) -> None:
        old_layers = self.trunk_layers
        weights = fold_batch_norm(self.weights) if self.folded else self.weights
        weights = self.slicing.weights(weights) if self.slicing else weights
        for layer in rebuilt.layers if old_layers else ():
            if LAYER.fullmatch(layer.name):
                if layer.name in old_layers and not self.folded:
                    layer.trainable = old_layers[layer.name].trainable
                for variable in layer.weights:
                    name = _variable_name(layer, variable)
                    if name in weights and GATE_SUFFIX not in name:
                        variable.assign(weights[name])

    def _copy_head(self) -> None:
        for chain in self.chains.values():
            for layer, arrays in chain:
                if layer.weights and arrays:
                    layer.set_weights(arrays)


def _named_weights(layers: Sequence[KerasLayer]) -> Weights:
    return {_variable_name(layer, variable): variable.numpy() for layer in layers for variable in layer.weights}


def _variable_name(layer: KerasLayer, variable: Variable) -> str:
    return f"{layer.name}/{variable.name.removesuffix(':0').split('/')[-1]}"


def _policy_name(layer: KerasLayer) -> str:
    """The name of a layer's dtype policy, such as "mixed_bfloat16"."""
    compute, variable = str(layer.compute_dtype), str(layer.variable_dtype)
    return compute if compute == variable else f"mixed_{compute}"


@contextlib.contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Make layers with this dtype policy."""
    earlier = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(name)
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(earlier)
