"""DeepLabv3+, for segmentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hrnet_tf.spec.baselines.layers import ALIGNED, Layers, T
from hrnet_tf.spec.baselines.segmentation.base import (
    CITYSCAPES_CLASSES,
    CITYSCAPES_SIZE,
    SegmentationSpec,
    check_aligned_size,
    check_numbers,
    pooled_branch,
)
from hrnet_tf.spec.baselines.segmentation.xception import XceptionTrunk
from mobile_eval.errors import HRNetError

TENSORFLOW, SMP = HEADS = ("tensorflow", "smp")
RATES, RATES_STRIDE = (6, 12, 18), 16  # of the dilated branches, and the output stride that they are for


@dataclass(frozen=True, kw_only=True)
class DeepLabV3PlusSpec(SegmentationSpec):
    """An Xception, parallel dilated separable convolutions, and a decoder at stride 4 (Chen et al., arXiv 1802.02611).

    Attributes:
        trunk: The Xception.
        head: "tensorflow": the authors' (tensorflow/models, research/deeplab); "smp": that of segmentation-models-pytorch,
            without BatchNorm and ReLU inside of separable convolutions, with one more of these behind the branches and one less
            in the decoder, and with features of low level after a ReLU.
        width: Number of channels of each branch and of the decoder.
        low_width: Number of channels of the features of low level in the decoder.
    """

    trunk: XceptionTrunk
    head: str = TENSORFLOW
    width: int = 256
    low_width: int = 48

    architecture: ClassVar[str] = "deeplabv3plus"
    title: ClassVar[str] = "DeepLabv3+"
    recipe: ClassVar[str] = "deeplabv3plus"
    input_multiple: ClassVar[int] = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        check_numbers(self.title, width=self.width, low_width=self.low_width)
        if self.head not in HEADS:
            raise HRNetError(f"`head` of a {self.title} must be {' or '.join(HEADS)}, got {self.head!r}")

    @classmethod
    def presets(cls) -> tuple[DeepLabV3PlusSpec, ...]:
        """Return the authors' network with the output strides of evaluation (8) and training (16), and that of smp (16)."""

        def network(name: str, output_stride: int, head: str = TENSORFLOW) -> DeepLabV3PlusSpec:
            trunk = XceptionTrunk(output_stride=output_stride)
            return cls(name=name, input_size=CITYSCAPES_SIZE, classes=CITYSCAPES_CLASSES, trunk=trunk, head=head)

        return (
            network("deeplabv3plus-x71", 8),
            network("deeplabv3plus-x71-os16", 16),
            network("deeplabv3plus-x71-smp", 16, SMP),
        )

    @property
    def is_aligned(self) -> bool:
        return True

    @property
    def has_inner_norms(self) -> bool:
        """Whether BatchNorm and ReLU follow the depthwise part of the separable convolutions of the head."""
        return self.head == TENSORFLOW

    def check_input_size(self) -> None:
        check_aligned_size(self.input_size, self.input_multiple)

    def forward(self, layers: Layers[T], image: T, *, auxiliary: bool = False) -> tuple[T, ...]:
        low, features = self.trunk.forward(layers, image, rectified=self.head == SMP)
        low = layers.conv(low, self.low_width, 1, "decoder_low")
        x = layers.resize(self._aspp(layers, features), low, "decoder_up", ALIGNED)
        x = layers.concat([x, low], "decoder_concat")
        for index in range(2 if self.head == TENSORFLOW else 1):
            x = self._separable(layers, x, f"decoder_unit{index}")
        return (layers.output_conv(x, self.classes, "head_logits"),)

    def _aspp(self, layers: Layers[T], x: T) -> T:
        branches = [layers.conv(x, self.width, 1, "aspp_branch0")]
        for index, rate in enumerate(RATES, 1):
            dilation = rate * RATES_STRIDE // self.trunk.output_stride
            branches.append(self._separable(layers, x, f"aspp_branch{index}", dilation=dilation))
        pooled = pooled_branch(layers, x, self.width, "aspp_pool")
        merged = [pooled, *branches] if self.head == TENSORFLOW else [*branches, pooled]
        x = layers.conv(layers.concat(merged, "aspp_concat"), self.width, 1, "aspp_merge")
        x = layers.dropout(x, 0.1 if self.head == TENSORFLOW else 0.5, "aspp_dropout")
        return x if self.head == TENSORFLOW else self._separable(layers, x, "aspp_refine")

    def _separable(self, layers: Layers[T], x: T, name: str, *, dilation: int = 1) -> T:
        inner = self.has_inner_norms
        x = layers.depthwise(x, 3, f"{name}_depthwise", dilation=dilation, norm=inner, relu=inner)
        return layers.conv(x, self.width, 1, f"{name}_pointwise")
