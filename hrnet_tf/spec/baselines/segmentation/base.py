"""What networks for segmentation have in common: the auxiliary head, the pooled branch, and how logits are enlarged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hrnet_tf.spec.baselines.base import BaselineSpec
from hrnet_tf.spec.baselines.layers import Layers, T
from hrnet_tf.spec.network import MAX_SIZE
from mobile_eval.errors import HRNetError
from mobile_eval.typed import Size

CITYSCAPES_SIZE, CITYSCAPES_CLASSES = (1024, 2048), 19
AUXILIARY_WIDTH = 256


@dataclass(frozen=True, kw_only=True)
class SegmentationSpec(BaselineSpec):
    """A network for segmentation, whose logits have a fraction of the size of the image."""

    task: ClassVar[str] = "segmentation"

    @property
    def is_aligned(self) -> bool:
        """Whether logits are enlarged with the corners in one place (PyTorch's align_corners=True)."""
        return False


def check_numbers(owner: str, **numbers: int | tuple[int, ...]) -> None:
    """Raise HRNetError unless all numbers of a network, by the names of its fields, are from 1 to `MAX_SIZE`."""
    for name, value in numbers.items():
        values = value if isinstance(value, tuple) else (value,)
        if not values or not all(1 <= number <= MAX_SIZE for number in values):
            raise HRNetError(f"`{name}` of a {owner} must be from 1 to {MAX_SIZE}, got {', '.join(map(str, values)) or 'none'}")


def check_aligned_size(size: Size, multiple: int) -> None:
    """Raise HRNetError unless height and width are multiples of a number, or larger by one than these."""
    if min(size) < multiple or any(side % multiple > 1 or side > MAX_SIZE for side in size):
        raise HRNetError(
            f"`input_size`: height and width must be multiples of {multiple}, or larger by 1, up to {MAX_SIZE}, "
            f"got {size[0]}x{size[1]}"
        )


def pooled_branch(layers: Layers[T], x: T, width: int, name: str) -> T:
    """Build the branch of the mean over all pixels: a 1x1 convolution of it, repeated for each pixel."""
    pooled = layers.conv(layers.adaptive_mean(x, 1, f"{name}_mean"), width, 1, name)
    return layers.resize(pooled, x, f"{name}_up")


def auxiliary_head(layers: Layers[T], x: T, classes: int, *, channels: bool = False) -> T:
    """Build logits of the features of stage 3, which only training needs; `channels`: dropout of full channels."""
    x = layers.conv(x, AUXILIARY_WIDTH, 3, "auxiliary")
    return layers.output_conv(layers.dropout(x, 0.1, "auxiliary_dropout", channels=channels), classes, "auxiliary_logits")
