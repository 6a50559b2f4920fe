"""The two residual blocks (He et al., arXiv 1512.03385)."""

from __future__ import annotations

from collections.abc import Callable

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import Tensor
from hrnet_tf.models.layers import add_all, conv_unit
from hrnet_tf.spec.widths import BOTTLENECK_EXPANSION

BlockGate = Callable[[Tensor], Tensor]  # applied to what a block adds to its identity path


def basic_block(x: Tensor, widths: tuple[int, int], *, name: str, folded: bool = False, gate: BlockGate | None = None) -> Tensor:
    """Add two 3x3 convolutions to the identity. `widths` are their numbers of output channels; the last is that of `x`."""
    y = conv_unit(x, widths[0], 3, name=name, index=1, folded=folded)
    y = conv_unit(y, widths[1], 3, name=name, index=2, relu=False, folded=folded)
    y = gate(y) if gate else y
    return keras.layers.ReLU(name=f"{name}_relu")(add_all([y, x], name=name))


def bottleneck_block(
    x: Tensor,
    widths: tuple[int, int, int],
    *,
    name: str,
    project: bool = False,
    folded: bool = False,
    gate: BlockGate | None = None,
) -> Tensor:
    """Add three convolutions to the identity, or to its projection.

    Args:
        x: Feature maps (N, H, W, C).
        widths: Numbers of output channels of the convolutions, which are 1x1, 3x3 and 1x1.
        name: Prefix of the names of the layers.
        project: Whether a 1x1 convolution brings the identity to the shape of the output.
        folded: Whether BatchNorm is folded into the convolutions.
        gate: Applied to what the convolutions add.

    Returns:
        Feature maps (N, H, W, widths[2]).
    """
    y = conv_unit(x, widths[0], 1, name=name, index=1, folded=folded)
    y = conv_unit(y, widths[1], 3, name=name, index=2, folded=folded)
    y = conv_unit(y, widths[2], 1, name=name, index=3, relu=False, folded=folded)
    y = gate(y) if gate else y
    if project:
        x = conv_unit(x, widths[2], 1, name=f"{name}_shortcut", relu=False, folded=folded)
    return keras.layers.ReLU(name=f"{name}_relu")(add_all([y, x], name=name))


def bottleneck_widths(inner: int) -> tuple[int, int, int]:
    """Return the widths of a bottleneck block of the paper, which has 4 times as many channels outside as inside."""
    return inner, inner, BOTTLENECK_EXPANSION * inner
