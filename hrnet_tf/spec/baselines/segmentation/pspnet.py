"""PSPNet, for segmentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hrnet_tf.spec.baselines.base import AuxiliaryOutput
from hrnet_tf.spec.baselines.layers import ALIGNED, BILINEAR, Layers, T
from hrnet_tf.spec.baselines.resnet_trunk import ResNetTrunk
from hrnet_tf.spec.baselines.segmentation.base import (
    CITYSCAPES_CLASSES,
    CITYSCAPES_SIZE,
    SegmentationSpec,
    auxiliary_head,
    check_aligned_size,
    check_numbers,
)

DEPTHS = (50, 101)


@dataclass(frozen=True, kw_only=True)
class PSPNetSpec(SegmentationSpec):
    """A dilated ResNet and a pyramid of means over windows (Zhao et al., arXiv 1612.01105).

    Attributes:
        trunk: The ResNet.
        width: Number of channels of each level of the pyramid, and of the convolution behind it.
        bins: Number of windows in each direction, by level.
        aligned: Whether maps are enlarged with the corners in one place, as in the author's code; OpenMMLab's have half-pixel
            centers.
    """

    trunk: ResNetTrunk
    width: int = 512
    bins: tuple[int, ...] = (1, 2, 3, 6)
    aligned: bool = True

    architecture: ClassVar[str] = "pspnet"
    title: ClassVar[str] = "PSPNet"
    recipe: ClassVar[str] = "pspnet"
    input_multiple: ClassVar[int] = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        check_numbers(self.title, width=self.width, bins=self.bins)

    @classmethod
    def presets(cls) -> tuple[PSPNetSpec, ...]:
        """Return the author's networks, with output stride 8 (https://github.com/hszhao/semseg)."""
        return tuple(
            cls(
                name=f"pspnet-r{depth}",
                input_size=CITYSCAPES_SIZE,
                classes=CITYSCAPES_CLASSES,
                trunk=ResNetTrunk.of_depth(depth, stem="deep", output_stride=8, contract_dilation=False),
            )
            for depth in DEPTHS
        )

    @property
    def output_stride(self) -> int:
        return self.trunk.output_stride

    @property
    def is_aligned(self) -> bool:
        return self.aligned

    def check_input_size(self) -> None:
        if self.aligned:
            check_aligned_size(self.input_size, self.input_multiple)
        else:
            super().check_input_size()

    @property
    def auxiliary_outputs(self) -> tuple[AuxiliaryOutput, ...]:
        return (AuxiliaryOutput(weight=0.4),)

    def forward(self, layers: Layers[T], image: T, *, auxiliary: bool = False) -> tuple[T, ...]:
        *_, stage3, features = self.trunk.forward(layers, image)
        levels = [features]
        for index, bins in enumerate(self.bins):
            name = f"pyramid_level{index}"
            level = layers.conv(layers.adaptive_mean(features, bins, f"{name}_mean"), self.width, 1, name)
            levels.append(layers.resize(level, features, f"{name}_up", ALIGNED if self.aligned else BILINEAR))
        x = layers.conv(layers.concat(levels, "pyramid_concat"), self.width, 3, "head_mix")
        x = layers.dropout(x, 0.1, "head_dropout", channels=True)
        logits = layers.output_conv(x, self.classes, "head_logits")
        return (logits, auxiliary_head(layers, stage3, self.classes, channels=True)) if auxiliary else (logits,)
