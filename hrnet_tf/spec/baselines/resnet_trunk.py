"""The trunk of ResNets and ResNeXts, in all forms that the systems of this folder have."""

from __future__ import annotations

from dataclasses import dataclass

from hrnet_tf.spec.baselines.blocks import PROJECTED, BlockOptions, basic_block, bottleneck_block, bottleneck_widths
from hrnet_tf.spec.baselines.layers import Layers, T
from hrnet_tf.spec.network import BLOCKS, MAX_MODULES, MAX_SIZE
from hrnet_tf.spec.widths import BOTTLENECK_EXPANSION
from mobile_eval.errors import HRNetError

DEPTHS = {  # blocks of stages 1 to 4
    38: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    72: (3, 4, 23, 3),
    101: (3, 4, 23, 3),
    106: (3, 8, 36, 3),
    152: (3, 8, 36, 3),
}
BASIC_DEPTHS = (38, 72, 106)  # of the HRNet paper: basic blocks after stage 1, and a bottleneck after stage 4
STEMS = ("7x7", "3x3", "deep")
PYTORCH, CAFFE = STYLES = ("pytorch", "caffe")
OUTPUT_STRIDES = (8, 16, 32)
LAST_STAGE = 4


@dataclass(frozen=True, kw_only=True)
class ResNetTrunk:
    """A ResNet without its classifier (He et al., arXiv 1512.03385).

    Attributes:
        blocks: Number of residual blocks in stages 1 to 4.
        kinds: Their kinds, "basic" or "bottleneck".
        stem: "7x7": a 7x7 convolution and max-pooling; "3x3": two strided 3x3 convolutions (HRNet's paper, arXiv 1908.07919);
            "deep": three 3x3 convolutions, the last twice as wide, and max-pooling (PSPNet).
        stem_width: Number of channels of the first convolution.
        width: Inner channels of the blocks of stage 1; they double from stage to stage.
        inner_factor: Inner channels of a bottleneck per channel of a ResNet's: 4 for ResNeXt 64x4d.
        groups: Groups of the 3x3 convolutions of bottlenecks: 64 for ResNeXt 64x4d.
        style: Where a strided bottleneck has its stride: "pytorch": in the 3x3 convolution; "caffe": in the first 1x1.
        output_stride: Stride of the last stage; below 32, stages are dilated in place of strided.
        contract_dilation: Whether the first block of a dilated stage has the dilation of the stage before (torchvision,
            OpenMMLab) or that of its own stage (PSPNet).
        extra_bottleneck: Whether a bottleneck of the inner width of a bottleneck stage 4 follows (HRNet's paper).
    """

    blocks: tuple[int, int, int, int]
    kinds: tuple[str, str, str, str] = ("bottleneck",) * 4
    stem: str = "7x7"
    stem_width: int = 64
    width: int = 64
    inner_factor: int = 1
    groups: int = 1
    style: str = PYTORCH
    output_stride: int = 32
    contract_dilation: bool = True
    extra_bottleneck: bool = False

    def __post_init__(self) -> None:
        for name, numbers, largest in (
            ("blocks", self.blocks, MAX_MODULES),
            ("stem_width", (self.stem_width,), MAX_SIZE),
            ("width", (self.width,), MAX_SIZE),
            ("inner_factor", (self.inner_factor,), MAX_SIZE),
            ("groups", (self.groups,), MAX_SIZE),
        ):
            if not all(1 <= number <= largest for number in numbers):
                raise HRNetError(f"`{name}` of a ResNet must be from 1 to {largest}, got {', '.join(map(str, numbers))}")
        for name, value, choices in (
            *(("kinds", kind, BLOCKS) for kind in self.kinds),
            ("stem", self.stem, STEMS),
            ("style", self.style, STYLES),
            ("output_stride", self.output_stride, OUTPUT_STRIDES),
        ):
            if value not in choices:
                raise HRNetError(f"`{name}` of a ResNet must be one of {', '.join(map(str, choices))}, got {value!r}")
        if self.inner_width(1) % self.groups:
            raise HRNetError(f"`groups` must divide the {self.inner_width(1)} inner channels of stage 1, got {self.groups}")

    @classmethod
    def of_depth(cls, depth: int, **changes: object) -> ResNetTrunk:
        """Return the trunk of a ResNet with that number of layers.

        Args:
            depth: 50, 101 or 152; of the HRNet paper also 38, 72 or 106.
            changes: Fields that differ from the defaults.

        Raises:
            HRNetError: If there is no such ResNet.
        """
        if depth not in DEPTHS:
            raise HRNetError(f"`depth` of a ResNet must be one of {', '.join(map(str, DEPTHS))}, got {depth}")
        if depth in BASIC_DEPTHS:
            changes = {"kinds": ("bottleneck", "basic", "basic", "basic"), "extra_bottleneck": True, **changes}
        return cls(blocks=DEPTHS[depth], **changes)  # type: ignore[arg-type]

    def inner_width(self, stage: int) -> int:
        """Return the number of inner channels of the blocks of a stage."""
        return self.width * 2 ** (stage - 1) * (self.inner_factor if self.kinds[stage - 1] == "bottleneck" else 1)

    def outer_width(self, stage: int) -> int:
        """Return the number of channels of the output of a stage."""
        expansion = BOTTLENECK_EXPANSION if self.kinds[stage - 1] == "bottleneck" else 1
        return self.width * 2 ** (stage - 1) * expansion

    def stride(self, stage: int) -> int:
        """Return the stride of the output of a stage."""
        return min(2 ** (stage + 1), self.output_stride)

    def forward(self, layers: Layers[T], image: T) -> tuple[T, ...]:
        """Build the trunk.

        Args:
            layers: Builds or counts layers.
            image: Images (N, H, W, 3).

        Returns:
            The outputs of stages 1 to 4; the last one after the extra bottleneck, if there is one.
        """
        return self.build_stages(layers, self.build_stem(layers, image))

    def build_stages(self, layers: Layers[T], x: T) -> tuple[T, ...]:
        """Build what follows the convolutions of the stem, see `forward`."""
        outputs = []
        if self.stem != "3x3":
            x = layers.max_pool(x, 3, "stem_pool")
        channels = self.stem_channels
        for stage in range(1, LAST_STAGE + 1):
            x = self._stage(layers, x, stage, channels)
            channels = self.outer_width(stage)
            outputs.append(x)
        if self.extra_bottleneck:
            inner = self.width * 2 ** (LAST_STAGE - 1)
            name = f"stage{LAST_STAGE + 1}_block0"
            outputs[-1] = bottleneck_block(layers, x, bottleneck_widths(inner), name, PROJECTED)
        return tuple(outputs)

    @property
    def stem_channels(self) -> int:
        """The number of channels of the stem's output."""
        return 2 * self.stem_width if self.stem == "deep" else self.stem_width

    def build_stem(self, layers: Layers[T], image: T) -> T:
        """Build the convolutions of the stem: the output has stride 2, of the stem "3x3" stride 4."""
        width = self.stem_width
        if self.stem == "7x7":
            return layers.conv(image, width, 7, "stem", stride=2)
        x = layers.conv(image, width, 3, "stem", index=1, stride=2)
        if self.stem == "3x3":
            return layers.conv(x, width, 3, "stem", index=2, stride=2)
        return layers.conv(layers.conv(x, width, 3, "stem", index=2), 2 * width, 3, "stem", index=3)

    def _stage(self, layers: Layers[T], x: T, stage: int, channels: int) -> T:
        """Build a stage whose input has that number of channels."""
        stride = self.stride(stage) // self.stride(stage - 1) if stage > 1 else 1
        dilation = 2 ** (stage + 1) // self.stride(stage)
        before = 2**stage // self.stride(stage - 1) if stage > 1 else 1
        inner, outer = self.inner_width(stage), self.outer_width(stage)
        for block in range(self.blocks[stage - 1]):
            options = BlockOptions(
                stride=1 if block else stride,
                dilation=before if block == 0 and self.contract_dilation else dilation,
                groups=self.groups,
                strides_first=self.style == CAFFE,
                project=block == 0 and (stride > 1 or channels != outer),
            )
            name = f"stage{stage}_block{block}"
            if self.kinds[stage - 1] == "bottleneck":
                x = bottleneck_block(layers, x, (inner, inner, outer), name, options)
            else:
                x = basic_block(layers, x, (outer, outer), name, options)
        return x


def style_of(spec: object) -> str | None:
    """Return where the ResNet of a network has its strides, "pytorch" or "caffe"; None for a network without a ResNet."""
    trunk = getattr(spec, "trunk", None)
    return trunk.style if isinstance(trunk, ResNetTrunk) else None
