"""Parameters and multiply-adds of layers.

As in the papers, multiply-adds are those of convolutions and dense layers only, and parameters are the trainable ones (two per
channel for BatchNorm). The papers print multiply-adds divided by 2**30 and call them GFLOPs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mobile_eval.typed import Size


@dataclass(frozen=True)
class Cost:
    """Parameters and multiply-adds for one image.

    Attributes:
        parameters: Number of trainable parameters.
        multiply_adds: Number of multiply-adds.
        norm_parameters: Those of the parameters that belong to BatchNorm. Some papers leave them out.
        deconvolution_multiply_adds: Those of the multiply-adds that belong to transposed convolutions. Some papers count them
            differently.
    """

    parameters: int = 0
    multiply_adds: int = 0
    norm_parameters: int = 0
    deconvolution_multiply_adds: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.parameters + other.parameters,
            self.multiply_adds + other.multiply_adds,
            self.norm_parameters + other.norm_parameters,
            self.deconvolution_multiply_adds + other.deconvolution_multiply_adds,
        )


def total(costs: Iterable[Cost]) -> Cost:
    """Return the sum of costs."""
    return sum(costs, Cost())


def conv_cost(
    source: int, target: int, kernel: int, size: Size, *, groups: int = 1, norm: bool = True, bias: bool = False
) -> Cost:
    """Return the cost of a convolution with output `size`, from `source` to `target` channels."""
    weights = kernel * kernel * source // groups * target
    norms = 2 * target if norm else 0
    return Cost(weights + norms + (target if bias else 0), weights * size[0] * size[1], norms)


def deconv_cost(source: int, target: int, kernel: int, size: Size) -> Cost:
    """Return the cost of a transposed convolution with BatchNorm and input `size`: each input pixel meets every weight once."""
    weights = kernel * kernel * source * target
    multiply_adds = weights * size[0] * size[1]
    return Cost(weights + 2 * target, multiply_adds, 2 * target, multiply_adds)


def norm_cost(channels: int) -> Cost:
    """Return the cost of a BatchNorm layer."""
    return Cost(2 * channels, norm_parameters=2 * channels)


def dense_cost(source: int, target: int, times: int = 1) -> Cost:
    """Return the cost of a dense layer with bias, applied `times` per image."""
    return Cost(source * target + target, source * target * times)
