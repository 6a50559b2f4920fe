"""A SimpleBaseline as frozen data."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from hrnet_tf.spec.network import MAX_SIZE, check_input_size
from hrnet_tf.spec.units import FusionLink
from mobile_eval.errors import HRNetError
from mobile_eval.typed import JsonObject, Size, checked

RESNET_BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}  # bottleneck blocks of each stage
RESNET_STRIDE = 32
RESNET_WIDTH = 64  # channels of the stem, and inside the bottlenecks of stage 1
HEATMAP_STRIDE = 4
DECONVOLUTIONS, DECONVOLUTION_CHANNELS, DECONVOLUTION_KERNEL = 3, 256, 4


@dataclass(frozen=True)
class SimpleBaselineSpec:
    """A ResNet followed by three transposed convolutions to heatmaps (Xiao et al., arXiv 1804.06208).

    Attributes:
        name: The name of the network.
        depth: Number of layers of the ResNet: 50, 101 or 152.
        input_size: (height, width) of the input image in pixels.
        classes: Number of joints.
        task: Always "pose".
    """

    name: str
    depth: int
    input_size: tuple[int, int]
    classes: int
    task: str = "pose"

    def __post_init__(self) -> None:
        if self.depth not in RESNET_BLOCKS:
            raise HRNetError(f"`depth` must be one of {', '.join(map(str, RESNET_BLOCKS))}, got {self.depth}")
        if not 1 <= self.classes <= MAX_SIZE:
            raise HRNetError(f"`classes` must be between 1 and {MAX_SIZE}, got {self.classes}")
        if self.task != "pose":
            raise HRNetError(f"`task` of a SimpleBaseline must be pose, got {self.task!r}")
        check_input_size(self.input_size, RESNET_STRIDE)

    @property
    def head_kind(self) -> str:
        """The kind of the head, see `HRNetSpec.head_kind`."""
        return "heatmap"

    @property
    def links(self) -> frozenset[FusionLink]:
        """An empty set: the network has no fusion links."""
        return frozenset()

    @property
    def resnet_blocks(self) -> tuple[int, int, int, int]:
        """Number of bottleneck blocks in stages 1 to 4."""
        return RESNET_BLOCKS[self.depth]

    def resolution(self, branch: int) -> Size:
        """The (height, width) at stride `4 * 2**branch`; the heatmaps have that of branch 0."""
        stride = HEATMAP_STRIDE * 2**branch
        return self.input_size[0] // stride, self.input_size[1] // stride

    def to_json(self) -> JsonObject:
        """Return plain data for `spec.json`."""
        return dataclasses.asdict(self)

    def network_description(self) -> JsonObject:
        """Describe the shape of the network as plain data, for readers that do not know this package."""
        return {"depth": self.depth}

    @classmethod
    def from_json(cls, data: JsonObject) -> SimpleBaselineSpec:
        """Return the spec that `to_json` wrote.

        Raises:
            HRNetError: If the data are not those of a spec.
        """
        spec: SimpleBaselineSpec = checked(data, cls, "not the spec of a SimpleBaseline")
        return spec
