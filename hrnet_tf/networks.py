"""The models of the package by name: `HRNet`, `Baseline`, and `HRNetBackbone` for a head of the user's own."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hrnet_tf.models.build import build_model
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.baselines.base import BaselineSpec
from hrnet_tf.spec.network import PYRAMID, HRNetSpec
from hrnet_tf.spec.presets import InputSize, customized, preset
from mobile_eval.errors import HRNetError

if TYPE_CHECKING:
    from hrnet_tf.backend.types import KerasModel

CUSTOM_TASK = "custom"  # of a trunk with a head of the user's own
SIZES = {"width", "modules", "blocks", "stem_width", "stage1_blocks", "stage1_width", "head_width"}


class HRNet:
    """A functional Keras model of a preset, with as many outputs as the data have key points or classes.

    Calling it returns the model, whose spec is `model.spec`.

    Args:
        name: Name of a preset, such as "pose-w32"; `list_presets` lists them.
        input_size: (height, width) of the images in pixels, one number for both, or "256x192"; None for that of the preset.
        outputs: Number of key points, landmarks or classes; None for that of the preset.
        sizes: Further sizes of `hrnet_tf.spec.presets.customized`: `width`, `modules`, `blocks`, `stem_width`, `stage1_blocks`,
            `stage1_width`, `head_width`.

    Returns:
        A model from normalized float32 images (N, H, W, 3) to the outputs that `hrnet_tf.models.hrnet.build_hrnet` lists, such as
        heatmaps (N, H/4, W/4, outputs).

    Raises:
        HRNetError: There is no such preset, or the network cannot have such a size.

    Example:
        >>> model = HRNet("pose-small-v1", input_size=(128, 96), modules=(1, 2, 2), outputs=5)
        >>> model.output_shape, len(model.spec.links)
        ((None, 32, 24, 5), 29)
    """

    def __new__(cls, name: str, input_size: InputSize | None = None, outputs: int | None = None, **sizes: Any) -> KerasModel:
        return build_model(cls.preset(name, input_size, outputs, **sizes))

    @staticmethod
    def preset(name: str, input_size: InputSize | None = None, outputs: int | None = None, **sizes: Any) -> HRNetSpec:
        """Return the spec of a preset, with some sizes changed.

        Args:
            name: Name of a preset.
            input_size: (height, width) in pixels, one number for both, or "256x192".
            outputs: Number of key points, landmarks or classes.
            sizes: Further sizes, see `HRNet`.

        Raises:
            HRNetError: There is no such preset, it is no HRNet, or the network cannot have such a size.

        Example:
            >>> HRNet.preset("pose-w32", outputs=5).classes
            5
        """
        spec = _preset(name, input_size, outputs, **sizes)
        if not isinstance(spec, HRNetSpec):
            raise HRNetError(f"`name`: {spec.name} is no HRNet; use Baseline")
        return spec

    @staticmethod
    def from_checkpoint(path: Path | str, name: str | None = None, input_size: InputSize | None = None) -> KerasModel:
        """Return the model of a published checkpoint, with its weights.

        Args:
            path: A .pth, .safetensors or other file that `hrnet_tf.checkpoints.torch_reader.read_checkpoint` reads.
            name: Name of the preset to load into; None recognizes the network.
            input_size: (height, width) in pixels; None for that of the network.

        Raises:
            HRNetError: The file is no checkpoint of a known network, or an entry is missing or has a wrong shape.

        Example:
            >>> model = HRNet.from_checkpoint("pose_hrnet_w32_256x192.pth")  # doctest: +SKIP
        """
        from hrnet_tf.checkpoints.from_torch import load_checkpoint
        from hrnet_tf.runs.weights import set_model_weights

        spec, weights = load_checkpoint(path, preset(name) if name else None)
        model = build_model(customized(spec, input_size=input_size) if input_size else spec)
        set_model_weights(model, weights)
        return model


class Baseline:
    """A functional Keras model of a network that HRNets are compared with, such as SimpleBaseline or a ResNet.

    Args:
        name: Name of a preset, such as "simple-baseline-r50" or "resnet-50"; `list_presets` lists them.
        input_size: (height, width) of the images in pixels, one number for both, or "256x192"; None for that of the preset.
        outputs: Number of key points or classes; None for that of the preset.

    Returns:
        A model from normalized float32 images (N, H, W, 3) to the outputs that an HRNet for the same task has.

    Raises:
        HRNetError: There is no such preset, it is an HRNet, or the network cannot have such a size.

    Example:
        >>> Baseline("simple-baseline-r50", outputs=5).output_shape  # doctest: +SKIP
        (None, 64, 48, 5)
    """

    def __new__(cls, name: str, input_size: InputSize | None = None, outputs: int | None = None) -> KerasModel:
        return build_model(cls.preset(name, input_size, outputs))

    @staticmethod
    def preset(name: str, input_size: InputSize | None = None, outputs: int | None = None) -> BaselineSpec:
        """Return the spec of a preset, with another input size or number of outputs.

        Args:
            name: Name of a preset.
            input_size: (height, width) in pixels, one number for both, or "256x192".
            outputs: Number of key points or classes.

        Raises:
            HRNetError: There is no such preset, it is an HRNet, or the network cannot have such a size.

        Example:
            >>> Baseline.preset("simple-baseline-r50", outputs=5).classes
            5
        """
        spec = _preset(name, input_size, outputs)
        if not isinstance(spec, BaselineSpec):
            raise HRNetError(f"`name`: {spec.name} is an HRNet; use HRNet")
        return spec


class HRNetBackbone:
    """The trunk of a preset as a functional Keras model, for a head of the user's own.

    Args:
        name: Name of an HRNet preset, such as "pose-w32"; its head is left out.
        input_size: (height, width) of the images in pixels, one number for both, or "256x192"; None for that of the preset.
        sizes: Further sizes, see `HRNet`.

    Returns:
        A model from normalized float32 images (N, H, W, 3) to the feature pyramid. `pyramid_outputs` are its outputs by level:
        "P2" (N, H/4, W/4, width), "P3" (N, H/8, W/8, 2 * width), "P4" and "P5".

    Raises:
        HRNetError: There is no such preset, it is no HRNet, or the network cannot have such a size.

    Example:
        >>> backbone = HRNetBackbone("pose-small-v1", input_size=(128, 96))
        >>> {level: maps.shape[1:] for level, maps in backbone.pyramid_outputs.items()}["P3"]
        TensorShape([16, 12, 32])
    """

    def __new__(cls, name: str, input_size: InputSize | None = None, **sizes: Any) -> KerasModel:
        spec = HRNet.preset(name, input_size, **sizes)
        trunk = dataclasses.replace(spec, task=CUSTOM_TASK, head=PYRAMID, head_width=None, classes=1, links=frozenset()).full()
        return build_model(trunk)


def _preset(name: str, input_size: InputSize | None = None, outputs: int | None = None, **sizes: Any) -> Network:
    unknown = set(sizes) - SIZES
    if unknown:
        raise HRNetError(f"`{min(unknown)}` is no size of a network; the sizes are {', '.join(sorted(SIZES))}")
    spec = customized(preset(name), input_size=input_size, **sizes)
    return spec if outputs is None else dataclasses.replace(spec, classes=outputs)
