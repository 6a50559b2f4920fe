"""What a SimpleBaseline is: frozen data."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from hrnet_tf.spec.network import LARGEST_SIZE, FusionLink
from mobile_eval.errors import HRNetError
from mobile_eval.typed import checked

RESNET_BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}  # bottleneck blocks of each stage
RESNET_STRIDE = 32
RESNET_WIDTH = 64  # channels of the stem, and inside the bottlenecks of stage 1
HEATMAP_STRIDE = 4
DECONVOLUTIONS, DECONVOLUTION_CHANNELS, DECONVOLUTION_KERNEL = 3, 256, 4


@dataclass(frozen=True)
class SimpleBaselineSpec:
    """A ResNet of `depth` layers and three transposed convolutions to heatmaps (Xiao et al., arXiv 1804.06208).

    `input_size` is (height, width) in pixels, `classes` the number of joints.
    """

    name: str
    depth: int
    input_size: tuple[int, int]
    classes: int
    task: str = "pose"

    def __post_init__(self) -> None:
        if self.depth not in RESNET_BLOCKS:
            raise HRNetError(f"depth must be one of {', '.join(map(str, RESNET_BLOCKS))}, got {self.depth}")
        if not 1 <= self.classes <= LARGEST_SIZE:
            raise HRNetError(f"classes must be between 1 and {LARGEST_SIZE}, got {self.classes}")
        if self.task != "pose":
            raise HRNetError(f"a SimpleBaseline is for pose, got task {self.task!r}")
        if min(self.input_size) < RESNET_STRIDE or any(size % RESNET_STRIDE or size > LARGEST_SIZE for size in self.input_size):
            height, width = self.input_size
            raise HRNetError(
                f"input size {height}x{width}: height and width must be multiples of {RESNET_STRIDE}, up to {LARGEST_SIZE}"
            )

    @property
    def head_kind(self) -> str:
        """The kind of the head, as of an `HRNetSpec`."""
        return "heatmap"

    @property
    def links(self) -> frozenset[FusionLink]:
        """Its fusion links: it has none."""
        return frozenset()

    @property
    def resnet_blocks(self) -> tuple[int, int, int, int]:
        """Number of bottleneck blocks in stages 1 to 4."""
        return RESNET_BLOCKS[self.depth]

    def resolution(self, branch: int) -> tuple[int, int]:
        """(height, width) at stride 4 * 2**branch; its heatmaps are at branch 0's."""
        stride = HEATMAP_STRIDE * 2**branch
        return self.input_size[0] // stride, self.input_size[1] // stride

    def to_json(self) -> dict[str, Any]:
        """Plain data for `spec.json`."""
        return dataclasses.asdict(self)

    def network_description(self) -> dict[str, Any]:
        """The shape of what is built, as plain data for readers that do not know this package."""
        return {"depth": self.depth}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> SimpleBaselineSpec:
        """The spec that `to_json` wrote."""
        spec: SimpleBaselineSpec = checked(data, cls, "not the spec of a SimpleBaseline")
        return spec
