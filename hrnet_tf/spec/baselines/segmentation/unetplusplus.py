"""UNet++, for segmentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hrnet_tf.spec.baselines.base import AuxiliaryOutput
from hrnet_tf.spec.baselines.layers import Layers, T
from hrnet_tf.spec.baselines.resnet_trunk import LAST_STAGE, ResNetTrunk
from hrnet_tf.spec.baselines.segmentation.base import CITYSCAPES_CLASSES, CITYSCAPES_SIZE, SegmentationSpec, check_numbers
from mobile_eval.errors import HRNetError

DEPTHS = (101,)
DECONVOLUTION_KERNEL = 4


@dataclass(frozen=True, kw_only=True)
class UNetPlusPlusSpec(SegmentationSpec):
    """A ResNet and nested skip connections at strides 4 to 32 (Zhou et al., arXiv 1807.10165).

    Node (i, j) of row i (stride 4 * 2^i) merges the nodes before it in its row, and node (i + 1, j - 1), upsampled by a
    transposed convolution: the authors' blocks for transposed convolutions. The logits are the mean of one head for each node of
    row 0 (deep supervision, the "accurate mode").

    Attributes:
        trunk: The ResNet, whose stages are the first nodes of the rows.
        widths: Number of channels of the nodes of rows 0 to 2.
    """

    trunk: ResNetTrunk
    widths: tuple[int, int, int] = (64, 128, 256)

    architecture: ClassVar[str] = "unetplusplus"
    title: ClassVar[str] = "UNet++"
    recipe: ClassVar[str] = "unetplusplus"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_numbers(self.title, widths=self.widths)
        if self.trunk.output_stride != 32:
            raise HRNetError(f"`output_stride` of a UNet++'s ResNet must be 32, got {self.trunk.output_stride}")

    @classmethod
    def presets(cls) -> tuple[UNetPlusPlusSpec, ...]:
        return tuple(
            cls(
                name=f"unetpp-r{depth}",
                input_size=CITYSCAPES_SIZE,
                classes=CITYSCAPES_CLASSES,
                trunk=ResNetTrunk.of_depth(depth),
            )
            for depth in DEPTHS
        )

    @property
    def auxiliary_outputs(self) -> tuple[AuxiliaryOutput, ...]:
        return (AuxiliaryOutput(weight=1.0),) * (LAST_STAGE - 1)

    def forward(self, layers: Layers[T], image: T, *, auxiliary: bool = False) -> tuple[T, ...]:
        rows = [[stage] for stage in self.trunk.forward(layers, image)]
        for step in range(1, len(rows)):
            for row in range(len(rows) - step):
                name = f"{row}to{step}"
                width, below = self.widths[row], rows[row + 1][step - 1]
                upsampled = layers.deconv(below, width, DECONVOLUTION_KERNEL, f"deconvolution_{name}")
                joined = layers.concat([upsampled, *rows[row]], f"node_{name}_concat")
                rows[row].append(layers.conv(joined, width, 3, f"node_{name}"))
        heads = [layers.output_conv(node, self.classes, f"head_logits{step}") for step, node in enumerate(rows[0][1:], 1)]
        logits = layers.mean(heads, "head_logits")
        return (logits, *heads) if auxiliary else (logits,)
