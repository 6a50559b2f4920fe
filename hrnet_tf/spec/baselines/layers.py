"""The layers that networks are written in, whatever runs them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypedDict, TypeVar

if TYPE_CHECKING:
    from typing_extensions import Unpack  # in `typing` from Python 3.11 on

T = TypeVar("T")  # feature maps (N, H, W, C) or vectors (N, C): tensors of Keras, or their shapes

NEAREST, BILINEAR, ALIGNED = "nearest", "bilinear", "aligned"  # "aligned": bilinear, with PyTorch's align_corners=True
XCEPTION = "xception"  # prefix of the names of Xception's layers, whose BatchNorm has TensorFlow's epsilon
EPSILON, TENSORFLOW_EPSILON = 1e-5, 1e-3


def epsilon_of(name: str) -> float:
    """Return the epsilon of the BatchNorm layer of that name: what its variance is increased by."""
    return TENSORFLOW_EPSILON if name.startswith(XCEPTION) else EPSILON


class ConvSettings(TypedDict, total=False):
    """Attributes of a `ConvUnit` that have a default."""

    index: int
    stride: int
    dilation: int
    groups: int
    bias: bool
    norm: bool
    relu: bool
    output: bool


@dataclass(frozen=True)
class ConvUnit:
    """A convolution, BatchNorm and ReLU.

    Attributes:
        channels: Number of output channels; None for a depthwise convolution, which has as many as its input.
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

    channels: int | None
    kernel: int
    name: str
    index: int = 1
    stride: int = 1
    dilation: int = 1
    groups: int = 1
    bias: bool = False
    norm: bool = True
    relu: bool = True
    output: bool = False

    @property
    def conv_name(self) -> str:
        """Name of the convolution."""
        return f"{self.name}_conv{self.index}"

    @property
    def norm_name(self) -> str | None:
        """Name of its BatchNorm; None if it has none."""
        return f"{self.name}_bn{self.index}" if self.norm else None

    @property
    def border(self) -> int:
        """Number of zeros on each side of the input, if the stride is not 1; else the padding is symmetric anyway."""
        return self.dilation * (self.kernel // 2) if self.stride > 1 else 0


class Layers(ABC, Generic[T]):
    """Builds or counts layers. Padding is PyTorch's: symmetric, `dilation * (kernel // 2)` for convolutions.

    The part of a network that a layer is counted with is its name up to the first underscore.
    """

    def conv(self, x: T, channels: int, kernel: int, name: str, **settings: Unpack[ConvSettings]) -> T:
        """Build a convolution, BatchNorm and ReLU.

        Args:
            x: Feature maps. The convolution that reads the image must be named "stem" or "..._stem".
            channels: Number of output channels.
            kernel: Size of the kernel.
            name: Prefix of the names of the layers.
            settings: Other attributes of `ConvUnit`.
        """
        return self.conv_unit(x, ConvUnit(channels, kernel, name, **settings))

    def depthwise(self, x: T, kernel: int, name: str, **settings: Unpack[ConvSettings]) -> T:
        """Build a depthwise convolution, BatchNorm and ReLU; see `conv` for the arguments."""
        return self.conv_unit(x, ConvUnit(None, kernel, name, **settings))

    @abstractmethod
    def conv_unit(self, x: T, unit: ConvUnit) -> T:
        """Build a convolution, BatchNorm and ReLU."""

    @abstractmethod
    def deconv(self, x: T, channels: int, kernel: int, name: str) -> T:
        """Build a transposed convolution to twice the size, BatchNorm and ReLU; see `ConvUnit` for the names."""

    @abstractmethod
    def output_conv(self, x: T, channels: int, name: str) -> T:
        """Build a 1x1 convolution with bias, named `name`, to an output of the network in float32."""

    @abstractmethod
    def norm(self, x: T, name: str, *, relu: bool = True) -> T:
        """Build BatchNorm that follows no convolution, `{name}_norm`, and a ReLU."""

    @abstractmethod
    def relu(self, x: T, name: str) -> T:
        """Build a ReLU of maps that another layer reads without it; others are part of the layer before."""

    @abstractmethod
    def dropout(self, x: T, rate: float, name: str, *, channels: bool = False) -> T:
        """Build dropout of values, or of full channels, for training."""

    @abstractmethod
    def max_pool(self, x: T, kernel: int, name: str) -> T:
        """Build the maximum over windows at stride 2; odd windows are centered, for values that are not negative."""

    @abstractmethod
    def upsample(self, x: T, factor: int, name: str, interpolation: str = NEAREST) -> T:
        """Build upsampling by an integer factor; `interpolation` is "nearest", "bilinear" or "aligned"."""

    @abstractmethod
    def resize(self, x: T, like: T, name: str, interpolation: str = NEAREST) -> T:
        """Build upsampling to the size of other maps, by any factor; from 1x1, each pixel is the same."""

    @abstractmethod
    def add(self, maps: Sequence[T], name: str, *, relu: bool = False) -> T:
        """Build the sum of maps of one shape, and a ReLU."""

    @abstractmethod
    def mean(self, maps: Sequence[T], name: str) -> T:
        """Build the mean of several maps of one shape, an output of the network."""

    @abstractmethod
    def concat(self, maps: Sequence[T], name: str) -> T:
        """Build the concatenation of the channels of maps of one size."""

    @abstractmethod
    def adaptive_mean(self, x: T, bins: int, name: str) -> T:
        """Build the means over bins x bins windows, that overlap where the size is no multiple (PyTorch's AdaptiveAvgPool2d)."""

    @abstractmethod
    def global_mean(self, x: T, name: str) -> T:
        """Build the mean over all pixels: vectors (N, C)."""

    @abstractmethod
    def region_means(self, features: T, regions: T, name: str) -> T:
        """Build the means of features (N, H, W, C), weighted by a softmax of regions (N, H, W, K) over pixels: (N, K, 1, C)."""

    @abstractmethod
    def attention(self, query: T, key: T, value: T, name: str) -> T:
        """Build the attention of queries (N, H, W, D) to keys and values (N, K, 1, D): (N, H, W, D)."""

    @abstractmethod
    def dense(self, x: T, outputs: int, name: str) -> T:
        """Build a dense layer with bias, named `name`, from vectors to an output of the network in float32."""
