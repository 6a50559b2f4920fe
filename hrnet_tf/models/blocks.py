"""The two residual blocks (He et al., arXiv 1512.03385).

`gate`, where given, is applied to what a block adds to its identity path.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.models.layers import add_all, conv_unit
from hrnet_tf.spec.network import BOTTLENECK_EXPANSION

Gate = Callable[[Any], Any] | None


def basic_block(x: Any, channels: int, *, name: str, folded: bool = False, gate: Gate = None) -> Any:
    """Two 3x3 convolutions beside the identity."""
    y = conv_unit(x, channels, 3, name=name, index=1, folded=folded)
    y = conv_unit(y, channels, 3, name=name, index=2, relu=False, folded=folded)
    y = gate(y) if gate else y
    return keras.layers.ReLU(name=f"{name}_relu")(add_all([y, x], name=name))


def bottleneck_block(x: Any, width: int, *, name: str, stride: int = 1, folded: bool = False, gate: Gate = None) -> Any:
    """1x1 to `width`, 3x3 with `stride`, 1x1 to `4 * width`, beside the identity or, where shapes differ, a projection."""
    channels = BOTTLENECK_EXPANSION * width
    y = conv_unit(x, width, 1, name=name, index=1, folded=folded)
    y = conv_unit(y, width, 3, name=name, index=2, stride=stride, folded=folded)
    y = conv_unit(y, channels, 1, name=name, index=3, relu=False, folded=folded)
    y = gate(y) if gate else y
    if stride > 1 or x.shape[-1] != channels:
        x = conv_unit(x, channels, 1, name=f"{name}_shortcut", stride=stride, relu=False, folded=folded)
    return keras.layers.ReLU(name=f"{name}_relu")(add_all([y, x], name=name))


def residual_block(x: Any, channels: int, kind: str, *, name: str, folded: bool = False, gate: Gate = None) -> Any:
    """The block of that `kind`, "basic" or "bottleneck", that puts out `channels`."""
    if kind == "basic":
        return basic_block(x, channels, name=name, folded=folded, gate=gate)
    return bottleneck_block(x, channels // BOTTLENECK_EXPANSION, name=name, folded=folded, gate=gate)
