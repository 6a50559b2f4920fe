"""The trunk of an HRNet inside of any Keras model, and the spec that it carries."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hrnet_tf.backend.graph import LayerCall, all_layers, input_tensors, is_functional, layer_calls, output_tensors
from hrnet_tf.backend.types import KerasModel, Tensor
from hrnet_tf.models.layers import StemPadding
from hrnet_tf.spec.architectures import Network, network_from_json
from hrnet_tf.spec.detection import DetectorSpec
from hrnet_tf.spec.network import PYRAMID, HRNetSpec
from mobile_eval.errors import HRNetError

LAYER = re.compile(r"(stem_(pad|conv|bn|relu)\d|stage\d+_.*|transition\d+_.*)")  # names of the layers of an HRNet's trunk

READER = re.compile(r"(stage\d+_module\d+_link|transition\d+_)")  # layers that read a branch without changing it


def spec_of(model: KerasModel) -> Network:
    """Return the spec of the network that a Keras model contains.

    Args:
        model: A model of the package, one that was loaded or cloned, or one with a head of the user's own.

    Returns:
        The spec. Where the head of an HRNet is the user's own, it has only the branches that this head reads.

    Raises:
        HRNetError: The model contains no network of the package, or several.

    Example:
        >>> from hrnet_tf.networks import HRNet
        >>> spec_of(HRNet("pose-small-v1", outputs=5)).classes
        5
    """
    stems = [layer for layer in all_layers(model) if isinstance(layer, StemPadding)]
    if len(stems) != 1:
        name = getattr(model, "name", type(model).__name__)
        raise HRNetError(f"`model` must contain one network of hrnet_tf, such as HRNet or HRNetBackbone; {name} has {len(stems)}")
    spec = network_from_json(stems[0].get_config()["spec"])
    if isinstance(spec, HRNetSpec) and spec.head_kind == PYRAMID and is_functional(model) and not is_quantized(model):
        return spec.reading(sorted(Trunk.of(model).branches(spec)))
    return spec


def hrnet_spec_of(model: KerasModel) -> HRNetSpec:
    """Return the spec of the HRNet that a Keras model contains, see `spec_of`. Raises HRNetError for other networks."""
    spec = spec_of(model)
    if not isinstance(spec, HRNetSpec):
        raise HRNetError(f"`model` must contain an HRNet; {spec.name} has no fusion links")
    return spec


def detector_spec_of(model: KerasModel) -> DetectorSpec:
    """Return the spec of the detector that a Keras model contains, see `spec_of`. Raises HRNetError for other networks."""
    spec = spec_of(model)
    if not isinstance(spec, DetectorSpec) or spec.head_kind != "detection":
        raise HRNetError(f"`model` must contain a detector; {spec.name} is for {spec.task}")
    return spec


def is_quantized(model: KerasModel) -> bool:
    """Return whether a model has fake quantization of tensorflow-model-optimization."""
    layers = getattr(model, "layers", ())
    return any(type(layer).__name__.startswith("Quantize") or is_quantized(layer) for layer in layers)


def contains_network(model: KerasModel) -> bool:
    """Return whether a Keras model contains a network of the package."""
    return any(isinstance(layer, StemPadding) for layer in all_layers(model))


def input_shape_of(model: KerasModel) -> tuple[int, int, int]:
    """Return the shape (height, width, 3) of the images that a functional model takes.

    Raises:
        HRNetError: The model is not functional, has several inputs, or one that is not an RGB image of fixed size in float.
    """
    if not is_functional(model):
        name = getattr(model, "name", type(model).__name__)
        raise HRNetError(f"`model` {name} must be functional: made by keras.Model(inputs, outputs), not a subclass")
    inputs = input_tensors(model)
    shape = tuple(inputs[0].shape[1:])
    is_image = len(inputs) == 1 and len(shape) == 3 and shape[2] == 3 and None not in shape
    if not is_image or "float" not in str(getattr(inputs[0].dtype, "name", inputs[0].dtype)):
        listed = " and ".join(f"{tuple(x.shape)} {getattr(x.dtype, 'name', x.dtype)}" for x in inputs)
        raise HRNetError(f"`model` {model.name} must have one input, images (N, height, width, 3) in float32; got {listed}")
    return int(shape[0]), int(shape[1]), int(shape[2])


@dataclass(frozen=True)
class Trunk:
    """The trunk of an HRNet in the graph of a model.

    Attributes:
        calls: The calls of its layers.
        outputs: Its output tensors that the rest of the model reads.
    """

    calls: Sequence[LayerCall]
    outputs: Sequence[Tensor]

    @classmethod
    def of(cls, model: KerasModel) -> Trunk:
        """Find the trunk in a functional model."""
        calls = layer_calls(model)
        trunk = [call for call in calls if call.layer is not None and LAYER.fullmatch(call.layer.name)]
        inside = set(map(id, trunk))
        read = {id(x) for call in calls if id(call) not in inside for x in call.inputs} | set(map(id, output_tensors(model)))
        if sum(isinstance(call.layer, StemPadding) for call in trunk) > 1:
            raise HRNetError(f"`model` {model.name} calls its HRNet several times; expected once")
        return cls(trunk, [x for call in trunk for x in call.outputs if id(x) in read])

    def branches(self, spec: HRNetSpec) -> Mapping[int, Tensor]:
        """Return the output tensors by branch. Raises HRNetError if a layer of the head reads from inside of the trunk."""
        # A branch that no link is added to ends in a tensor that links out of it, or the next branch, may read too.
        inner = {id(x): call.layer.name for call in self.calls for x in call.inputs if not READER.match(call.layer.name)}
        for x in self.outputs:
            if id(x) in inner:
                raise HRNetError(
                    f"`model`: the head reads the input of {inner[id(x)]}, inside of the trunk; "
                    "expected only the outputs of HRNetBackbone"
                )
        by_height = {spec.resolution(branch)[0]: branch for branch in range(spec.last_stage)}
        return {by_height[int(x.shape[1])]: x for x in self.outputs}
