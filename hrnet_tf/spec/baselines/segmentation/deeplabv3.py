"""DeepLabv3, for segmentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hrnet_tf.spec.baselines.base import AuxiliaryOutput
from hrnet_tf.spec.baselines.layers import Layers, T
from hrnet_tf.spec.baselines.resnet_trunk import ResNetTrunk
from hrnet_tf.spec.baselines.segmentation.base import (
    CITYSCAPES_CLASSES,
    CITYSCAPES_SIZE,
    SegmentationSpec,
    auxiliary_head,
    check_numbers,
    pooled_branch,
)

DEPTHS = (50, 101)


@dataclass(frozen=True, kw_only=True)
class DeepLabV3Spec(SegmentationSpec):
    """A dilated ResNet and parallel dilated convolutions, ASPP (Chen et al., arXiv 1706.05587).

    Attributes:
        trunk: The ResNet.
        width: Number of channels of each branch.
        rates: Dilation of the 3x3 convolutions of the branches.
        merge_kernel: Size of the kernel of the convolution that merges the branches: 1, OpenMMLab's is 3.
        pool_first: Whether the branch of the mean over all pixels is merged as the first one, as in OpenMMLab; else as the last.
        refined: Whether a 3x3 convolution follows, as in torchvision.
    """

    trunk: ResNetTrunk
    width: int = 256
    rates: tuple[int, int, int] = (12, 24, 36)
    merge_kernel: int = 1
    pool_first: bool = False
    refined: bool = False

    architecture: ClassVar[str] = "deeplabv3"
    title: ClassVar[str] = "DeepLabv3"
    recipe: ClassVar[str] = "deeplabv3"
    input_multiple: ClassVar[int] = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        check_numbers(self.title, width=self.width, rates=self.rates, merge_kernel=self.merge_kernel)

    @classmethod
    def presets(cls) -> tuple[DeepLabV3Spec, ...]:
        """Return those that the HRNet paper compares with, and torchvision's, with output stride 8."""

        def network(name: str, depth: int, *, refined: bool) -> DeepLabV3Spec:
            trunk = ResNetTrunk.of_depth(depth, output_stride=8)
            return cls(name=name, input_size=CITYSCAPES_SIZE, classes=CITYSCAPES_CLASSES, trunk=trunk, refined=refined)

        paper = (network(f"deeplabv3-r{depth}", depth, refined=False) for depth in DEPTHS)
        torchvision = (network(f"deeplabv3-r{depth}-torchvision", depth, refined=True) for depth in DEPTHS)
        return (*paper, *torchvision)

    @property
    def output_stride(self) -> int:
        return self.trunk.output_stride

    @property
    def auxiliary_outputs(self) -> tuple[AuxiliaryOutput, ...]:
        return (AuxiliaryOutput(weight=0.5),)

    def forward(self, layers: Layers[T], image: T, *, auxiliary: bool = False) -> tuple[T, ...]:
        *_, stage3, features = self.trunk.forward(layers, image)
        x = self._aspp(layers, features)
        if self.refined:
            x = layers.conv(x, self.width, 3, "head_refine")
        logits = layers.output_conv(x, self.classes, "head_logits")
        return (logits, auxiliary_head(layers, stage3, self.classes)) if auxiliary else (logits,)

    def _aspp(self, layers: Layers[T], x: T) -> T:
        branches = [layers.conv(x, self.width, 1, "aspp_branch0")]
        for index, rate in enumerate(self.rates, 1):
            branches.append(layers.conv(x, self.width, 3, f"aspp_branch{index}", dilation=rate))
        pooled = pooled_branch(layers, x, self.width, "aspp_pool")
        merged = [pooled, *branches] if self.pool_first else [*branches, pooled]
        x = layers.conv(layers.concat(merged, "aspp_concat"), self.width, self.merge_kernel, "aspp_merge")
        return layers.dropout(x, 0.5, "aspp_dropout")
