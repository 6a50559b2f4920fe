"""The trunk of DeepLabv3+: an Xception with strided separable convolutions in place of pooling (arXiv 1802.02611, figure 4)."""

from __future__ import annotations

from dataclasses import dataclass

from hrnet_tf.spec.baselines.layers import XCEPTION, Layers, T
from hrnet_tf.spec.baselines.segmentation.base import check_numbers
from mobile_eval.errors import HRNetError

OUTPUT_STRIDES = (8, 16)
STEM_STRIDE = 2
LOW_LEVEL_BLOCK = 2  # whose second unit has the features of low level


@dataclass(frozen=True)
class Block:
    """Three separable convolutions, with a ReLU before each, added to the input.

    Attributes:
        widths: Number of output channels of each.
        stride: Stride of the last one where the trunk is not dilated.
        project: Whether a 1x1 convolution brings the input to the shape of the output.
    """

    widths: tuple[int, int, int]
    stride: int = 1
    project: bool = True


@dataclass(frozen=True, kw_only=True)
class XceptionTrunk:
    """An aligned Xception; the default sizes are those of Xception-71.

    Attributes:
        stem: Number of output channels of the two convolutions before the blocks.
        entry: Number of output channels of the blocks of the entry flow; every second one is strided, from the first one on.
        middle_blocks: Number of blocks of the middle flow.
        exit: Number of output channels of the first block of the exit flow, and of the three separable convolutions behind it.
        output_stride: Stride of the output: where it is reached, convolutions are dilated in place of strided.
    """

    stem: tuple[int, int] = (32, 64)
    entry: tuple[int, ...] = (128, 256, 256, 728, 728)
    middle_blocks: int = 16
    exit: tuple[int, int, int, int] = (1024, 1536, 1536, 2048)
    output_stride: int = 8

    def __post_init__(self) -> None:
        check_numbers("Xception", stem=self.stem, entry=self.entry, middle_blocks=self.middle_blocks, exit=self.exit)
        if self.output_stride not in OUTPUT_STRIDES:
            choices = " or ".join(map(str, OUTPUT_STRIDES))
            raise HRNetError(f"`output_stride` of an Xception must be {choices}, got {self.output_stride}")
        if len(self.entry) <= LOW_LEVEL_BLOCK:
            raise HRNetError(f"`entry` of an Xception must have more than {LOW_LEVEL_BLOCK} blocks, got {len(self.entry)}")

    def blocks(self) -> tuple[Block, ...]:
        """Return the blocks that are added to their input: all but the last separable convolutions."""
        entry = (Block((width,) * 3, 1 if index % 2 else 2) for index, width in enumerate(self.entry))
        last = self.entry[-1]
        middle = (Block((last,) * 3, project=False),) * self.middle_blocks
        return (*entry, *middle, Block((last, self.exit[0], self.exit[0]), 2))

    def forward(self, layers: Layers[T], image: T, *, rectified: bool) -> tuple[T, T]:
        """Build the trunk.

        Args:
            layers: Builds or counts layers.
            image: Images (N, H, W, 3).
            rectified: Whether the features of low level are those after the ReLU (timm) or before it (TensorFlow).

        Returns:
            The features of low level, at stride 4, and the output.
        """
        x = layers.conv(image, self.stem[0], 3, f"{XCEPTION}_stem", index=1, stride=2)
        low = x = layers.conv(x, self.stem[1], 3, f"{XCEPTION}_stem", index=2)
        at, dilation = STEM_STRIDE, 1
        for index, block in enumerate(self.blocks()):
            stride = block.stride if at < self.output_stride else 1
            name = f"{XCEPTION}_block{index}"
            tapped = index == LOW_LEVEL_BLOCK and not rectified
            x, unit = _block(layers, x, block, name, stride=stride, dilation=dilation, tapped=tapped)
            low = unit if index == LOW_LEVEL_BLOCK else low
            at, dilation = at * stride, dilation * block.stride // stride
        for unit_index, width in enumerate(self.exit[1:], 1):
            x = _separable(layers, x, width, f"{XCEPTION}_block{index + 1}", unit_index, dilation=dilation, exit_flow=True)
        return low, x


def _block(layers: Layers[T], x: T, block: Block, name: str, *, stride: int, dilation: int, tapped: bool) -> tuple[T, T]:
    """Build a block; return its output, and that of its second convolution: before the ReLU if `tapped`, else after it."""
    first, second, third = block.widths
    y = _separable(layers, layers.relu(x, f"{name}_relu"), first, name, 1, dilation=dilation)
    unit = _separable(layers, y, second, name, 2, dilation=dilation, relu=not tapped)
    y = layers.relu(unit, f"{name}_relu2") if tapped else unit
    y = _separable(layers, y, third, name, 3, stride=stride, dilation=dilation, relu=False)
    shortcut = layers.conv(x, third, 1, f"{name}_shortcut", stride=stride, relu=False) if block.project else x
    return layers.add([y, shortcut], name), unit


def _separable(
    layers: Layers[T],
    x: T,
    width: int,
    name: str,
    index: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    relu: bool = True,
    exit_flow: bool = False,
) -> T:
    """Build a separable convolution with BatchNorm after both parts; in the exit flow, a ReLU follows the first one, too."""
    x = layers.depthwise(x, 3, f"{name}_depthwise", index=index, stride=stride, dilation=dilation, relu=exit_flow)
    return layers.conv(x, width, 1, f"{name}_pointwise", index=index, relu=relu)
