"""UNet++ as segmentation-models-pytorch builds it, for segmentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hrnet_tf.spec.baselines.layers import Layers, T
from hrnet_tf.spec.baselines.resnet_trunk import ResNetTrunk
from hrnet_tf.spec.baselines.segmentation.base import CITYSCAPES_CLASSES, CITYSCAPES_SIZE, SegmentationSpec, check_numbers
from mobile_eval.errors import HRNetError


@dataclass(frozen=True, kw_only=True)
class UNetPlusPlusSmpSpec(SegmentationSpec):
    """A ResNet and nested skip connections at strides 2 to 32, whose nodes are as wide as the ResNet's maps.

    Node (i, j) has the stride of map j + 1 of the ResNet, counted from the deepest one. It merges node (i, j - 1), upsampled, the
    nodes (i + 1, j) ... (j, j), and this map; node (j, j) has map j in place of a node before it.

    Attributes:
        trunk: The ResNet.
        widths: Number of channels of the nodes (0, j); the last one has the stride 1.
    """

    trunk: ResNetTrunk
    widths: tuple[int, int, int, int, int] = (256, 128, 64, 32, 16)

    architecture: ClassVar[str] = "unetplusplus-smp"
    title: ClassVar[str] = "UNet++ of segmentation-models-pytorch"
    recipe: ClassVar[str] = "unetplusplus"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_numbers(self.title, widths=self.widths)
        if self.trunk.output_stride != 32 or self.trunk.stem == "3x3":
            actual = f"{self.trunk.output_stride} and {self.trunk.stem}"
            raise HRNetError(f"`output_stride` and `stem` of a UNet++'s ResNet must be 32 and 7x7 or deep, got {actual}")

    @classmethod
    def presets(cls) -> tuple[UNetPlusPlusSmpSpec, ...]:
        trunk = ResNetTrunk.of_depth(101)
        return (cls(name="unetpp-r101-smp", input_size=CITYSCAPES_SIZE, classes=CITYSCAPES_CLASSES, trunk=trunk),)

    @property
    def output_stride(self) -> int:
        return 1

    def forward(self, layers: Layers[T], image: T, *, auxiliary: bool = False) -> tuple[T, ...]:
        stem = self.trunk.build_stem(layers, image)
        maps = [*reversed(self.trunk.build_stages(layers, stem)), stem]
        skip_widths = [*(self.trunk.outer_width(stage) for stage in (3, 2, 1)), self.trunk.stem_channels]
        nodes: dict[int, T] = {}  # the newest node of each i
        for column, (skip, width) in enumerate(zip(maps[1:], skip_widths, strict=True)):
            below = {**nodes, column: maps[column]}
            nodes = {}
            for row in range(column, -1, -1):
                joined = [self._upsampled(layers, below[row], row, column), *(nodes[i] for i in range(row + 1, column + 1)), skip]
                x = layers.concat(joined, f"node_{row}to{column}_concat")
                nodes[row] = self._node(layers, x, width if row else self.widths[column], row, column)
        last = len(skip_widths)
        x = self._node(layers, self._upsampled(layers, nodes[0], 0, last), self.widths[last], 0, last)
        return (layers.conv(x, self.classes, 3, "head", bias=True, norm=False, relu=False, output=True),)

    @staticmethod
    def _upsampled(layers: Layers[T], x: T, row: int, column: int) -> T:
        return layers.upsample(x, 2, f"node_{row}to{column}_up")

    @staticmethod
    def _node(layers: Layers[T], x: T, width: int, row: int, column: int) -> T:
        name = f"node_{row}to{column}"
        return layers.conv(layers.conv(x, width, 3, name, index=1), width, 3, name, index=2)
