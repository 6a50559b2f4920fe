"""The two residual blocks (He et al., arXiv 1512.03385)."""

from __future__ import annotations

from collections.abc import Callable

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import Tensor
from hrnet_tf.models.layers import add_all, conv_unit
from hrnet_tf.spec.network import BOTTLENECK_EXPANSION

BlockGate = Callable[[Tensor], Tensor]  # applied to what a block adds to its identity path


def basic_block(x: Tensor, channels: int, *, name: str, folded: bool = False, gate: BlockGate | None = None) -> Tensor:
    """Add two 3x3 convolutions to the identity."""
    y = conv_unit(x, channels, 3, name=name, index=1, folded=folded)
    y = conv_unit(y, channels, 3, name=name, index=2, relu=False, folded=folded)
    y = gate(y) if gate else y
    return keras.layers.ReLU(name=f"{name}_relu")(add_all([y, x], name=name))


def bottleneck_block(
    x: Tensor, width: int, *, name: str, stride: int = 1, folded: bool = False, gate: BlockGate | None = None
) -> Tensor:
    """Add three convolutions to the identity, or to its projection if the shapes differ.

    Args:
        x: Feature maps (N, H, W, C).
        width: Inner width; the convolutions are 1x1 to `width`, 3x3 with `stride`, and 1x1 to `4 * width`.
        name: Prefix of the names of the layers.
        stride: Stride of the 3x3 convolution.
        folded: Whether BatchNorm is folded into the convolutions.
        gate: Applied to what the convolutions add.

    Returns:
        Feature maps (N, H / stride, W / stride, 4 * width).
    """
    channels = BOTTLENECK_EXPANSION * width
    y = conv_unit(x, width, 1, name=name, index=1, folded=folded)
    y = conv_unit(y, width, 3, name=name, index=2, stride=stride, folded=folded)
    y = conv_unit(y, channels, 1, name=name, index=3, relu=False, folded=folded)
    y = gate(y) if gate else y
    if stride > 1 or x.shape[-1] != channels:
        x = conv_unit(x, channels, 1, name=f"{name}_shortcut", stride=stride, relu=False, folded=folded)
    return keras.layers.ReLU(name=f"{name}_relu")(add_all([y, x], name=name))


def residual_block(
    x: Tensor, channels: int, kind: str, *, name: str, folded: bool = False, gate: BlockGate | None = None
) -> Tensor:
    """Build a block of that `kind`, "basic" or "bottleneck", with `channels` output channels."""
    if kind == "basic":
        return basic_block(x, channels, name=name, folded=folded, gate=gate)
    return bottleneck_block(x, channels // BOTTLENECK_EXPANSION, name=name, folded=folded, gate=gate)
