"""The two residual blocks of ResNets and HRNets (He et al., arXiv 1512.03385)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hrnet_tf.spec.baselines.layers import Layers, T
from hrnet_tf.spec.widths import BOTTLENECK_EXPANSION


@dataclass(frozen=True)
class BlockOptions:
    """What the blocks of ResNets differ in.

    Attributes:
        stride: Stride of the block.
        dilation: Dilation of the first 3x3 convolution.
        groups: Groups of the 3x3 convolution of a bottleneck.
        strides_first: Whether the first 1x1 convolution of a bottleneck has the stride (Caffe) instead of the 3x3 one.
        project: Whether a 1x1 convolution brings the identity to the shape of the output.
    """

    stride: int = 1
    dilation: int = 1
    groups: int = 1
    strides_first: bool = False
    project: bool = False


PLAIN, PROJECTED = BlockOptions(), BlockOptions(project=True)


def basic_block(
    layers: Layers[T],
    x: T,
    widths: tuple[int, int],
    name: str,
    options: BlockOptions = PLAIN,
    gate: Callable[[T], T] | None = None,
) -> T:
    """Add two 3x3 convolutions to the identity, or to its projection.

    Args:
        layers: Builds or counts layers.
        x: Feature maps (N, H, W, C).
        widths: Numbers of output channels of the convolutions.
        name: Prefix of the names of the layers.
        options: Stride, dilation and projection.
        gate: Applied to what the convolutions add.
    """
    y = layers.conv(x, widths[0], 3, name, index=1, stride=options.stride, dilation=options.dilation)
    y = layers.conv(y, widths[1], 3, name, index=2, relu=False)
    return _with_identity(layers, gate(y) if gate else y, x, widths[1], name, options)


def bottleneck_block(
    layers: Layers[T],
    x: T,
    widths: tuple[int, int, int],
    name: str,
    options: BlockOptions = PLAIN,
    gate: Callable[[T], T] | None = None,
) -> T:
    """Add a 1x1, a 3x3 and a 1x1 convolution to the identity, or to its projection; see `basic_block` for the arguments."""
    first, second = (options.stride, 1) if options.strides_first else (1, options.stride)
    y = layers.conv(x, widths[0], 1, name, index=1, stride=first)
    y = layers.conv(y, widths[1], 3, name, index=2, stride=second, dilation=options.dilation, groups=options.groups)
    y = layers.conv(y, widths[2], 1, name, index=3, relu=False)
    return _with_identity(layers, gate(y) if gate else y, x, widths[2], name, options)


def bottleneck_widths(inner: int) -> tuple[int, int, int]:
    """Return the widths of a bottleneck block that has 4 times as many channels outside as inside."""
    return inner, inner, BOTTLENECK_EXPANSION * inner


def _with_identity(layers: Layers[T], y: T, x: T, channels: int, name: str, options: BlockOptions) -> T:
    """Add the input of a block, or its projection, to what its convolutions output."""
    if options.project:
        x = layers.conv(x, channels, 1, f"{name}_shortcut", stride=options.stride, relu=False)
    return layers.add([y, x], name, relu=True)
