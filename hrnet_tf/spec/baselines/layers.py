"""The layers that networks are written in, whatever runs them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")  # feature maps (N, H, W, C) or vectors (N, C): tensors of Keras, or their shapes

NEAREST, BILINEAR, ALIGNED = "nearest", "bilinear", "aligned"  # "aligned": bilinear, with PyTorch's align_corners=True


class Layers(Protocol[T]):
    """Builds or counts layers. Padding is PyTorch's: symmetric, `dilation * (kernel // 2)` for convolutions.

    The part of a network that a layer is counted with is its name up to the first underscore.
    """

    def conv(
        self,
        x: T,
        channels: int,
        kernel: int,
        name: str,
        *,
        index: int = 1,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = False,
        norm: bool = True,
        relu: bool = True,
        output: bool = False,
    ) -> T:
        """Build a convolution, BatchNorm and ReLU.

        Args:
            x: Feature maps. The convolution that reads the image must be named "stem" or "..._stem".
            channels: Number of output channels.
            kernel: Size of the kernel, odd.
            name: Prefix of the names of the layers: `{name}_conv{index}`, `{name}_bn{index}`, `{name}_relu{index}`.
            index: Suffix of these names.
            stride: Stride.
            dilation: Dilation.
            groups: Number of groups; group g of the outputs reads group g of the inputs.
            bias: Whether the convolution has a bias.
            norm: Whether BatchNorm follows.
            relu: Whether a ReLU follows.
            output: Whether the result is an output of the network, which is computed in float32.
        """
        ...

    def deconv(self, x: T, channels: int, kernel: int, name: str) -> T:
        """Build a transposed convolution to twice the size, BatchNorm and ReLU; see `conv` for the names."""
        ...

    def depthwise(
        self,
        x: T,
        kernel: int,
        name: str,
        *,
        index: int = 1,
        stride: int = 1,
        dilation: int = 1,
        norm: bool = True,
        relu: bool = True,
    ) -> T:
        """Build a depthwise convolution, BatchNorm and ReLU; see `conv` for the arguments."""
        ...

    def output_conv(self, x: T, channels: int, name: str) -> T:
        """Build a 1x1 convolution with bias, named `name`, to an output of the network in float32."""
        ...

    def norm(self, x: T, name: str, *, relu: bool = True) -> T:
        """Build BatchNorm that follows no convolution, `{name}_norm`, and a ReLU."""
        ...

    def relu(self, x: T, name: str) -> T:
        """Build a ReLU of maps that another layer reads without it; others are part of the layer before."""
        ...

    def dropout(self, x: T, rate: float, name: str, *, channels: bool = False) -> T:
        """Build dropout of values, or of full channels, for training."""
        ...

    def max_pool(self, x: T, kernel: int, name: str) -> T:
        """Build the maximum over windows at stride 2; odd windows are centered, for values that are not negative."""
        ...

    def upsample(self, x: T, factor: int, name: str, interpolation: str = NEAREST) -> T:
        """Build upsampling by an integer factor; `interpolation` is "nearest", "bilinear" or "aligned"."""
        ...

    def resize(self, x: T, like: T, name: str, interpolation: str = NEAREST) -> T:
        """Build upsampling to the size of other maps, by any factor; from 1x1, each pixel is the same."""
        ...

    def add(self, maps: Sequence[T], name: str, *, relu: bool = False) -> T:
        """Build the sum of maps of one shape, and a ReLU."""
        ...

    def mean(self, maps: Sequence[T], name: str) -> T:
        """Build the mean of several maps of one shape, an output of the network."""
        ...

    def concat(self, maps: Sequence[T], name: str) -> T:
        """Build the concatenation of the channels of maps of one size."""
        ...

    def adaptive_mean(self, x: T, bins: int, name: str) -> T:
        """Build the means over bins x bins windows, that overlap where the size is no multiple (PyTorch's AdaptiveAvgPool2d)."""
        ...

    def global_mean(self, x: T, name: str) -> T:
        """Build the mean over all pixels: vectors (N, C)."""
        ...

    def dense(self, x: T, outputs: int, name: str) -> T:
        """Build a dense layer with bias, named `name`, from vectors to an output of the network in float32."""
        ...
