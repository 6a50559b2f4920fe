"""The stacked hourglass, for pose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hrnet_tf.spec.baselines.base import AuxiliaryOutput, BaselineSpec
from hrnet_tf.spec.baselines.layers import Layers, T
from hrnet_tf.spec.baselines.simple_baseline import COCO_KEYPOINTS, COCO_SIZE
from hrnet_tf.spec.network import MAX_SIZE
from mobile_eval.errors import HRNetError

STACKS = (1, 2, 4, 8)  # of the published networks
MAX_STACKS = 16
LEVELS = 4  # of an hourglass: its input has stride 4, its innermost maps stride 64


@dataclass(frozen=True, kw_only=True)
class HourglassSpec(BaselineSpec):
    """Hourglasses one after another, each with heatmaps of its own (Newell et al., arXiv 1603.06937).

    In training all heatmaps are supervised, the last ones are the prediction. The layers are those of the PyTorch port with
    published weights (bearpaw/pytorch-pose).

    Attributes:
        stacks: Number of hourglasses.
        width: Number of channels of an hourglass, a multiple of 4.
        stem_width: Number of channels of the second of the three residual units before the first hourglass: `width` in the port,
            half of it in the authors' code. The first has half of `width`, the 7x7 convolution before it a quarter.
    """

    stacks: int
    width: int = 256
    stem_width: int = 256

    architecture: ClassVar[str] = "hourglass"
    title: ClassVar[str] = "stacked hourglass"
    task: ClassVar[str] = "pose"
    recipe: ClassVar[str] = "hourglass"
    input_multiple: ClassVar[int] = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.stacks <= MAX_STACKS:
            raise HRNetError(f"`stacks` must be from 1 to {MAX_STACKS}, got {self.stacks}")
        for name, width, multiple in (("width", self.width, 4), ("stem_width", self.stem_width, 2)):
            if not multiple <= width <= MAX_SIZE or width % multiple:
                raise HRNetError(f"`{name}` must be a multiple of {multiple} up to {MAX_SIZE}, got {width}")

    @classmethod
    def presets(cls) -> tuple[HourglassSpec, ...]:
        return tuple(
            cls(name=f"hourglass-{stacks}", input_size=COCO_SIZE, classes=COCO_KEYPOINTS, stacks=stacks) for stacks in STACKS
        )

    @property
    def auxiliary_outputs(self) -> tuple[AuxiliaryOutput, ...]:
        return (AuxiliaryOutput(weight=1.0),) * (self.stacks - 1)

    def forward(self, layers: Layers[T], image: T, *, auxiliary: bool = False) -> tuple[T, ...]:
        x, heatmaps = self._stem(layers, image), []
        for stack in range(self.stacks):
            name = f"stack{stack}"
            y = self._hourglass(layers, x, LEVELS - 1, name)
            y = _residual(layers, y, (self.width, self.width), f"{name}_residual")
            y = layers.conv(y, self.width, 1, f"{name}_features", bias=True)
            heatmaps.append(layers.output_conv(y, self.classes, f"{name}_heatmaps"))
            if stack < self.stacks - 1:
                y = _linear(layers, y, self.width, f"{name}_remap_features")
                x = layers.add([x, y, _linear(layers, heatmaps[-1], self.width, f"{name}_remap_heatmaps")], f"{name}_remap")
        return (heatmaps[-1], *(heatmaps[:-1] if auxiliary else ()))

    def _stem(self, layers: Layers[T], image: T) -> T:
        quarter, half = self.width // 4, self.width // 2
        x = layers.conv(image, quarter, 7, "stem", stride=2, bias=True)
        x = layers.max_pool(_residual(layers, x, (quarter, half), "stem_residual1"), 2, "stem_pool")
        x = _residual(layers, x, (half, self.stem_width), "stem_residual2")
        return _residual(layers, x, (self.stem_width, self.width), "stem_residual3")

    def _hourglass(self, layers: Layers[T], x: T, level: int, stack: str) -> T:
        """Build the levels of an hourglass from `level`, the outermost, inwards to 0."""
        name, widths = f"{stack}_level{level}", (self.width, self.width)
        skip = _residual(layers, x, widths, f"{name}_residual0")
        y = _residual(layers, layers.max_pool(x, 2, f"{name}_pool"), widths, f"{name}_residual1")
        y = self._hourglass(layers, y, level - 1, stack) if level else _residual(layers, y, widths, f"{name}_residual3")
        y = layers.upsample(_residual(layers, y, widths, f"{name}_residual2"), 2, f"{name}_up")
        return layers.add([skip, y], f"{name}_sum")


def _residual(layers: Layers[T], x: T, widths: tuple[int, int], name: str) -> T:
    """A bottleneck with BatchNorm and ReLU before its convolutions; `widths` are the channels of its input and output."""
    source, target = widths
    y = layers.norm(x, name)
    y = layers.conv(y, target // 2, 1, name, index=1, bias=True)
    y = layers.conv(y, target // 2, 3, name, index=2, bias=True)
    y = _linear(layers, y, target, name, index=3)
    return layers.add([y, x if source == target else _linear(layers, x, target, f"{name}_shortcut")], name)


def _linear(layers: Layers[T], x: T, channels: int, name: str, index: int = 1) -> T:
    """A 1x1 convolution with bias and nothing else."""
    return layers.conv(x, channels, 1, name, index=index, bias=True, norm=False, relu=False)
