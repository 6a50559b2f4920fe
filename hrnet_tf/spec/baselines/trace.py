"""What the layers of a network cost, need in memory, and have as variables, without building them.

The layers are those of the network with BatchNorm folded, as `hrnet_tf.models.keras_layers` builds them.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hrnet_tf.spec.baselines.base import BaselineSpec
from hrnet_tf.spec.baselines.layers import NEAREST, ConvUnit, Layers
from hrnet_tf.spec.cost import Cost, conv_cost, deconv_cost, dense_cost, norm_cost
from mobile_eval.errors import HRNetError
from mobile_eval.typed import Size

RGB = 3


@dataclass(frozen=True, eq=False)
class Maps:
    """Feature maps (N, height, width, channels); vectors (N, channels) have the size (1, 1)."""

    channels: int
    size: Size

    @property
    def values(self) -> int:
        """Number of values for one image."""
        return self.channels * self.size[0] * self.size[1]

    def padded(self, border: int) -> int:
        """Number of values with a border of zeros."""
        return self.channels * (self.size[0] + 2 * border) * (self.size[1] + 2 * border)


@dataclass(frozen=True)
class WeightedLayer:
    """A layer with variables.

    Attributes:
        name: Name of the layer with the kernel, such as "stem_conv1"; of BatchNorm without one, of that.
        cost: Its cost.
        kernel: Name of its kernel among its variables; empty if it has none.
        bias: Whether it has a bias.
        norm: Name of its BatchNorm layer, if it has one.
    """

    name: str
    cost: Cost
    kernel: str = "kernel"
    bias: bool = False
    norm: str | None = None


@dataclass(frozen=True)
class Step:
    """A layer, with what pads its input and the ReLU behind it, and its values for one image.

    Attributes:
        name: Name of the layer.
        inputs: Values in memory before it runs, which it or a later layer reads.
        outputs: Values that its layers output.
    """

    name: str
    inputs: int
    outputs: int


@dataclass(frozen=True)
class Trace:
    """The layers of a network in their order.

    Attributes:
        weighted: The layers with variables.
        steps: All layers.
        outputs: The outputs of the network.
    """

    weighted: tuple[WeightedLayer, ...]
    steps: tuple[Step, ...]
    outputs: tuple[Maps, ...]

    def parts(self) -> dict[str, Cost]:
        """Return the cost of each part: of the layers whose names are equal up to the first underscore."""
        costs: dict[str, Cost] = {}
        for layer in self.weighted:
            part = layer.name.split("_")[0]
            costs[part] = costs.get(part, Cost()) + layer.cost
        return costs


@functools.lru_cache(maxsize=256)
def traced(spec: BaselineSpec, *, auxiliary: bool = False) -> Trace:
    """Return the layers of a network.

    Args:
        spec: The network.
        auxiliary: With those of outputs that only training needs.

    Example:
        >>> from hrnet_tf.spec.baselines.resnet import ResNetSpec
        >>> traced(ResNetSpec.presets()[0]).weighted[0].name
        'stem_conv1'
    """
    return traced_layers(Maps(RGB, spec.input_size), functools.partial(spec.forward, auxiliary=auxiliary))


def traced_layers(image: Maps, forward: Callable[[Layers[Maps], Maps], tuple[Maps, ...]]) -> Trace:
    """Return the layers that a function builds.

    Args:
        image: What the first layer reads.
        forward: Builds the layers, and returns the outputs.
    """
    tracer = Tracer()
    outputs = forward(tracer, image)
    return Trace(tuple(tracer.weighted), tracer.steps(image, outputs), outputs)


class Tracer(Layers[Maps]):
    """Layers that record themselves; see `layers.Layers`."""

    def __init__(self) -> None:
        self.weighted: list[WeightedLayer] = []
        self._calls: list[tuple[str, Sequence[Maps], Maps, int]] = []  # name, inputs, output, values of all outputs

    def steps(self, image: Maps, outputs: Sequence[Maps]) -> tuple[Step, ...]:
        """Return all layers; a value is freed after the last layer that reads it."""
        readers = Counter(id(x) for _, inputs, _, _ in self._calls for x in inputs)
        readers.update(map(id, outputs))
        steps, live = [], image.values
        for name, inputs, output, values in self._calls:
            steps.append(Step(name, live, values))
            live += output.values
            for x in inputs:
                readers[id(x)] -= 1
                live -= 0 if readers[id(x)] else x.values
        return tuple(steps)

    def conv_unit(self, x: Maps, unit: ConvUnit) -> Maps:
        channels = unit.channels or x.channels
        groups, kernel = (unit.groups, "kernel") if unit.channels else (channels, "depthwise_kernel")
        if x.channels % groups or channels % groups:
            raise HRNetError(f"`groups` of {unit.conv_name} must divide its {x.channels} and {channels} channels, got {groups}")
        result = Maps(channels, _strided(x.size, unit.stride))
        cost = conv_cost(x.channels, channels, unit.kernel, result.size, groups=groups, norm=unit.norm, bias=unit.bias)
        self.weighted.append(WeightedLayer(unit.conv_name, cost, kernel, bias=unit.bias, norm=unit.norm_name))
        return self._called(unit.conv_name, [x], result, x.padded(unit.border) if unit.border else 0)

    def deconv(self, x: Maps, channels: int, kernel: int, name: str) -> Maps:
        layer, result = f"{name}_conv1", Maps(channels, _scaled(x.size, 2))
        self.weighted.append(WeightedLayer(layer, deconv_cost(x.channels, channels, kernel, x.size), norm=f"{name}_bn1"))
        return self._called(layer, [x], result, 2 * result.values)  # rounding, and the ReLU

    def output_conv(self, x: Maps, channels: int, name: str) -> Maps:
        cost = conv_cost(x.channels, channels, 1, x.size, norm=False, bias=True)
        self.weighted.append(WeightedLayer(name, cost, bias=True))
        return self._called(name, [x], Maps(channels, x.size))

    def norm(self, x: Maps, name: str, *, relu: bool = True) -> Maps:
        layer = f"{name}_norm"
        self.weighted.append(WeightedLayer(layer, norm_cost(x.channels), kernel="", norm=layer))
        return self._called(layer, [x], Maps(x.channels, x.size))

    def relu(self, x: Maps, name: str) -> Maps:
        return self._called(name, [x], Maps(x.channels, x.size))

    def dropout(self, x: Maps, rate: float, name: str, *, channels: bool = False) -> Maps:
        return x

    def max_pool(self, x: Maps, kernel: int, name: str) -> Maps:
        border = (kernel - 1) // 2
        size = x.size[0] + 2 * border - kernel, x.size[1] + 2 * border - kernel
        result = Maps(x.channels, (size[0] // 2 + 1, size[1] // 2 + 1))
        return self._called(name, [x], result, x.padded(border) if border else 0)

    def upsample(self, x: Maps, factor: int, name: str, interpolation: str = NEAREST) -> Maps:
        return self._called(name, [x], Maps(x.channels, _scaled(x.size, factor)))

    def resize(self, x: Maps, like: Maps, name: str, interpolation: str = NEAREST) -> Maps:
        return self._called(name, [x], Maps(x.channels, like.size))

    def add(self, maps: Sequence[Maps], name: str, *, relu: bool = False) -> Maps:
        (channels, size), *others = ((x.channels, x.size) for x in maps)
        if any(other != (channels, size) for other in others):
            raise HRNetError(f"{name} adds maps of different shapes: {[(channels, size), *others]}")
        result = Maps(channels, size)
        return self._called(name, maps, result, (len(others) - 1 + relu) * result.values)

    def mean(self, maps: Sequence[Maps], name: str) -> Maps:
        total = self.add(maps, name)
        return self._called(name, [total], total)

    def concat(self, maps: Sequence[Maps], name: str) -> Maps:
        if len({x.size for x in maps}) > 1:
            raise HRNetError(f"{name} concatenates maps of different sizes: {[x.size for x in maps]}")
        return self._called(name, maps, Maps(sum(x.channels for x in maps), maps[0].size))

    def adaptive_mean(self, x: Maps, bins: int, name: str) -> Maps:
        return self._called(name, [x], Maps(x.channels, (bins, bins)))

    def global_mean(self, x: Maps, name: str) -> Maps:
        return self._called(name, [x], Maps(x.channels, (1, 1)))

    def region_means(self, features: Maps, regions: Maps, name: str) -> Maps:
        result = Maps(features.channels, (regions.channels, 1))
        return self._called(name, [features, regions], result, 2 * regions.values)  # transposed, and their softmax

    def attention(self, query: Maps, key: Maps, value: Maps, name: str) -> Maps:
        products = Maps(key.size[0], query.size).values
        return self._called(name, [query, key, value], query, key.values + 3 * products)  # scaled, and their softmax

    def dense(self, x: Maps, outputs: int, name: str) -> Maps:
        self.weighted.append(WeightedLayer(name, dense_cost(x.channels, outputs), bias=True))
        return self._called(name, [x], Maps(outputs, (1, 1)))

    def _called(self, name: str, inputs: Sequence[Maps], output: Maps, further: int = 0) -> Maps:
        """Record a layer, with the values of further layers beside its output."""
        self._calls.append((name, inputs, output, output.values + further))
        return output


def _strided(size: Size, stride: int) -> Size:
    """The size of a convolution's output, whose padding is symmetric and keeps the size at stride 1."""
    return (size[0] - 1) // stride + 1, (size[1] - 1) // stride + 1


def _scaled(size: Size, factor: int) -> Size:
    return size[0] * factor, size[1] * factor
