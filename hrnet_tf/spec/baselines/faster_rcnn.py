"""Faster R-CNN on ResNets, for detection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hrnet_tf.spec.baselines.base import BaselineSpec
from hrnet_tf.spec.baselines.layers import Layers, T
from hrnet_tf.spec.baselines.resnet_trunk import ResNetTrunk
from hrnet_tf.spec.network import MAX_SIZE
from mobile_eval.errors import HRNetError
from mobile_eval.tasks.detection.constants import STRIDES

COCO_SIZE, COCO_CLASSES = (800, 1216), 80
DEPTHS = (50, 101, 152)
PYRAMID_CHANNELS = 256
RESNEXT = {"groups": 64, "inner_factor": 4}  # ResNeXt 64x4d


@dataclass(frozen=True, kw_only=True)
class FasterRCNNSpec(BaselineSpec):
    """A ResNet, a feature pyramid (Lin et al., arXiv 1612.03144) and the detection head of HRNet's detectors.

    Attributes:
        trunk: The ResNet.
        head_width: Number of channels of the pyramid, see `hrnet_tf.spec.detection`; None for 256.
    """

    trunk: ResNetTrunk
    head_width: int | None = None

    architecture: ClassVar[str] = "faster-rcnn"
    title: ClassVar[str] = "Faster R-CNN"
    task: ClassVar[str] = "detection"
    recipe: ClassVar[str] = "coco-1x"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.head_width is not None and not 1 <= self.head_width <= MAX_SIZE:
            raise HRNetError(f"`head_width` of a {self.title} must be from 1 to {MAX_SIZE}, got {self.head_width}")
        if self.trunk.output_stride != 32:
            raise HRNetError(f"`output_stride` of a Faster R-CNN's ResNet must be 32, got {self.trunk.output_stride}")
        if min(self.input_size) < STRIDES[-1]:
            height, width = self.input_size
            raise HRNetError(f"`input_size` of a {self.title} must be at least {STRIDES[-1]}, got {height}x{width}")

    @classmethod
    def presets(cls) -> tuple[FasterRCNNSpec, ...]:
        """Return those of mmdetection: ResNets with the stride in the first 1x1 convolutions, or as in PyTorch, and a ResNeXt."""

        def network(name: str, depth: int, **changes: object) -> FasterRCNNSpec:
            trunk = ResNetTrunk.of_depth(depth, **changes)
            return cls(name=name, input_size=COCO_SIZE, classes=COCO_CLASSES, trunk=trunk)

        caffe = (network(f"frcnn-r{depth}-fpn", depth, style="caffe") for depth in DEPTHS)
        pytorch = (network(f"frcnn-r{depth}-fpn-pytorch", depth) for depth in DEPTHS)
        return (*caffe, *pytorch, network("frcnn-x101-64x4d-fpn", 101, **RESNEXT))

    def forward(self, layers: Layers[T], image: T, *, auxiliary: bool = False) -> tuple[T, ...]:
        """Build the network up to the feature pyramid, P2 to P6; the head is `hrnet_tf.models.detection`'s."""
        channels, maps = self.head_width or PYRAMID_CHANNELS, None
        pyramid: list[T] = []
        for level, features in reversed(list(enumerate(self.trunk.forward(layers, image)))):
            lateral = layers.conv(features, channels, 1, f"neck_lateral{level}", bias=True, norm=False, relu=False)
            if maps is not None:
                upsampled = layers.resize(maps, lateral, f"neck_up{level}")
                lateral = layers.add([lateral, upsampled], f"neck_sum{level}")
            maps = lateral
            pyramid.insert(0, layers.conv(maps, channels, 3, f"neck_P{level + 2}", bias=True, norm=False, relu=False))
        return (*pyramid, layers.max_pool(pyramid[-1], 1, "neck_P6"))
