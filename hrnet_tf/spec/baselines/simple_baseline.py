"""SimpleBaseline, for pose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hrnet_tf.spec.baselines.base import BaselineSpec
from hrnet_tf.spec.baselines.layers import Layers, T
from hrnet_tf.spec.baselines.resnet_trunk import ResNetTrunk
from hrnet_tf.spec.network import MAX_SIZE
from mobile_eval.errors import HRNetError

COCO_SIZE, COCO_KEYPOINTS = (256, 192), 17
DEPTHS = (50, 101, 152)
DECONVOLUTIONS, DECONVOLUTION_KERNEL = 3, 4


@dataclass(frozen=True, kw_only=True)
class SimpleBaselineSpec(BaselineSpec):
    """A ResNet followed by three transposed convolutions to heatmaps (Xiao et al., arXiv 1804.06208).

    Attributes:
        trunk: The ResNet, of output stride 32.
        deconvolution_width: Number of channels of the transposed convolutions.
    """

    trunk: ResNetTrunk
    deconvolution_width: int = 256

    architecture: ClassVar[str] = "simple-baseline"
    title: ClassVar[str] = "SimpleBaseline"
    task: ClassVar[str] = "pose"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.deconvolution_width <= MAX_SIZE:
            raise HRNetError(f"`deconvolution_width` must be from 1 to {MAX_SIZE}, got {self.deconvolution_width}")
        if self.trunk.output_stride != 2 ** (DECONVOLUTIONS + 2):
            raise HRNetError(f"`output_stride` of a SimpleBaseline's ResNet must be 32, got {self.trunk.output_stride}")

    @classmethod
    def presets(cls) -> tuple[SimpleBaselineSpec, ...]:
        return tuple(
            cls(
                name=f"simple-baseline-r{depth}",
                input_size=COCO_SIZE,
                classes=COCO_KEYPOINTS,
                trunk=ResNetTrunk.of_depth(depth),
            )
            for depth in DEPTHS
        )

    def forward(self, layers: Layers[T], image: T, *, auxiliary: bool = False) -> tuple[T, ...]:
        x = self.trunk.forward(layers, image)[-1]
        for step in range(1, DECONVOLUTIONS + 1):
            x = layers.deconv(x, self.deconvolution_width, DECONVOLUTION_KERNEL, f"deconvolution{step}")
        return (layers.output_conv(x, self.classes, "head_heatmaps"),)
