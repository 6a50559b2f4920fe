"""The two residual blocks (He et al., arXiv 1512.03385)."""

from __future__ import annotations

from dataclasses import dataclass

from hrnet_tf.spec.baselines.layers import Layers, T


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


def basic_block(layers: Layers[T], x: T, channels: int, name: str, options: BlockOptions) -> T:
    """Add two 3x3 convolutions to the identity, or to its projection."""
    y = layers.conv(x, channels, 3, name, index=1, stride=options.stride, dilation=options.dilation)
    y = layers.conv(y, channels, 3, name, index=2, relu=False)
    return layers.add([y, _shortcut(layers, x, channels, name, options)], name, relu=True)


def bottleneck_block(layers: Layers[T], x: T, widths: tuple[int, int], name: str, options: BlockOptions) -> T:
    """Add a 1x1, a 3x3 and a 1x1 convolution to the identity, or to its projection; `widths` are inside and outside."""
    inner, outer = widths
    first, second = (options.stride, 1) if options.strides_first else (1, options.stride)
    y = layers.conv(x, inner, 1, name, index=1, stride=first)
    y = layers.conv(y, inner, 3, name, index=2, stride=second, dilation=options.dilation, groups=options.groups)
    y = layers.conv(y, outer, 1, name, index=3, relu=False)
    return layers.add([y, _shortcut(layers, x, outer, name, options)], name, relu=True)


def _shortcut(layers: Layers[T], x: T, channels: int, name: str, options: BlockOptions) -> T:
    if not options.project:
        return x
    return layers.conv(x, channels, 1, f"{name}_shortcut", stride=options.stride, relu=False)
