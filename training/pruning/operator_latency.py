"""Latency of single convolutions at any width, from profiles of the full network and of narrower ones.

The operators of a profile belong to convolutions: each to the one that computes it, and additions, upsampling and padding to one
beside them. A regression over all profiled convolutions with the same kernel estimates how latency depends on the sizes of input,
output and weights and on the multiply-adds, with coefficients that are not negative. The estimate is corrected for each
convolution such that it is what was measured at the profiled widths, and in between by interpolation.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from hrnet_tf.spec.convolutions import Convolution, convolutions
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.benchmark.profile import OperatorTime, ProfileResult
from mobile_eval.errors import HRNetError
from mobile_eval.typed import Size

PADDING = re.compile(r"(.+)_pad(\d+)")
SUMS = re.compile(r"stage(\d+)_module(\d+)_fuse(\d+)")
SMALLEST_MS = 1e-9
HEAD = "head"  # the part of a head, of which only convolutions that read branches depend on widths

Features = Callable[[Convolution], list[float]]


@dataclass(frozen=True)
class MeasuredConvolution:
    """A profiled convolution.

    Attributes:
        convolution: The convolution.
        ms: Its time.
        beside_ms: Time of its additions, upsampling and padding.
    """

    convolution: Convolution
    ms: float
    beside_ms: float


Measured: TypeAlias = Mapping[str, MeasuredConvolution]  # by name


def measured_convolutions(spec: HRNetSpec, profiled: ProfileResult) -> Measured:
    """Return the times of the convolutions of a network, by name.

    The operators of a profile do not quite add up to the time of the network: the time between operators is distributed equally
    among them, and if their sum is larger, all are scaled down.

    Args:
        spec: The profiled network.
        profiled: Its profile.
    """
    scale = min(profiled.measured_ms / profiled.sum_ms, 1.0)
    between_ms = max(profiled.measured_ms - profiled.sum_ms, 0.0) / len(profiled.operators)
    members = {convolution.name: convolution for convolution in convolutions(spec)}
    last_of = {convolution.part: name for name, convolution in members.items() if convolution.part != HEAD}
    into: dict[tuple[int, int, int], list[str]] = defaultdict(list)
    for link in spec.liveness().links:
        into[link.stage, link.module, link.target].append(last_of[link.name])
    kernels: dict[str, float] = defaultdict(float)
    beside: dict[str, float] = defaultdict(float)
    for operator in profiled.operators:
        ms = operator.ms * scale + between_ms
        if operator.layer in members:
            kernels[operator.layer] += ms
            continue
        owners = _owners(operator, members, last_of, into)
        for name in owners:
            beside[name] += ms / len(owners)
    return {name: MeasuredConvolution(members[name], kernels[name], beside[name]) for name in members if name in kernels}


def _owners(
    operator: OperatorTime,
    members: Mapping[str, Convolution],
    last_of: Mapping[str, str],
    into: Mapping[tuple[int, int, int], Sequence[str]],
) -> Sequence[str]:
    """The convolutions that an operator without a kernel belongs to; none if it is there for all of them."""
    layer = operator.layer or ""
    if (padding := PADDING.fullmatch(layer)) and (name := f"{padding[1]}_conv{padding[2]}") in members:
        return (name,)
    if sums := SUMS.match(layer):
        stage, module, target = map(int, sums.groups())
        return into.get((stage, module, target), ())
    part = layer
    while part:  # "stage1_block0_shortcut_add1" is beside "stage1_block0"
        if part in last_of:
            return (last_of[part],)
        part = part.rpartition("_")[0]
    return ()


class ConvolutionLatency:
    """Latency of convolutions in ms.

    Args:
        full: The convolutions of the full network, by name.
        profiles: Those of all profiled networks.
    """

    def __init__(self, full: Measured, profiles: Sequence[Measured]):
        self.full = full
        self._own = _Estimate(full, profiles, _kernel, _convolution_features, lambda measured: measured.ms)
        self._beside = _Estimate(full, profiles, _kind_beside, _beside_features, lambda measured: measured.beside_ms)
        self._known: dict[tuple[str, int, int, Size], float] = {}

    def __call__(self, convolution: Convolution) -> float:
        """Return the latency of a convolution at its widths. Raises HRNetError if the full network does not have it."""
        if convolution.name not in self.full:
            raise HRNetError(f"`profile` is of another network: it has no {convolution.name}; profile the full one")
        key = convolution.name, convolution.source, convolution.target, convolution.size
        if key not in self._known:
            self._known[key] = self._own(convolution) + self._beside(convolution)
        return self._known[key]


class _Estimate:
    """A regression over convolutions of the same kind, corrected to what was measured."""

    def __init__(
        self,
        full: Measured,
        profiles: Sequence[Measured],
        kind: Callable[[Convolution], object],
        features: Features,
        time: Callable[[MeasuredConvolution], float],
    ):
        self.kind, self.features = kind, features
        samples: dict[object, list[MeasuredConvolution]] = defaultdict(list)
        for measured in (measured for profile in profiles for measured in profile.values() if time(measured) > 0):
            samples[kind(measured.convolution)].append(measured)
        self.coefficients = {
            name: _fit([features(member.convolution) for member in members], [time(member) for member in members])
            for name, members in samples.items()
        }
        self.widest = {name: _width(measured.convolution) for name, measured in full.items()}
        self.corrections = {name: self._corrections(name, profiles, time) for name in full}

    def __call__(self, convolution: Convolution) -> float:
        widths, factors = self.corrections[convolution.name]
        relative = _width(convolution) / self.widest[convolution.name]
        return self._estimated(convolution) * float(np.interp(relative, widths, factors))

    def _estimated(self, convolution: Convolution) -> float:
        """What the regression estimates; convolutions that took no time have factors of 0."""
        coefficients = self.coefficients.get(self.kind(convolution))
        return 1.0 if coefficients is None else max(float(np.dot(self.features(convolution), coefficients)), SMALLEST_MS)

    def _corrections(
        self, name: str, profiles: Iterable[Measured], time: Callable[[MeasuredConvolution], float]
    ) -> tuple[list[float], list[float]]:
        """The relative widths at which a convolution was measured, and measured over estimated time."""
        points = {
            _width(measured.convolution) / self.widest[name]: time(measured) / self._estimated(measured.convolution)
            for measured in (profile[name] for profile in profiles if name in profile)
        }
        return sorted(points), [points[width] for width in sorted(points)]


def _fit(features: Sequence[Sequence[float]], times: Sequence[float]) -> NDArray[np.float64]:
    """Coefficients that are not negative, with the least relative errors."""
    matrix, target = np.asarray(features, np.float64), np.asarray(times, np.float64)
    weights = 1 / np.maximum(target, max(1e-3 * float(target.max()), SMALLEST_MS))
    scales = np.maximum(matrix.max(axis=0), 1.0)
    solution, _ = nnls(matrix / scales * weights[:, None], target * weights)
    return np.asarray(solution / scales)


def _width(convolution: Convolution) -> float:
    """The geometric mean of the numbers of channels that a convolution reads and writes."""
    return math.sqrt(convolution.source * convolution.target)


def _kernel(convolution: Convolution) -> object:
    return convolution.kernel, convolution.stride


def _convolution_features(convolution: Convolution) -> list[float]:
    """A constant, the numbers of input values, output values and weights, and the multiply-adds."""
    positions = math.prod(convolution.size)
    weights = convolution.kernel**2 * convolution.source * convolution.target
    inputs = positions * convolution.stride**2 * convolution.source
    return [1.0, inputs, positions * convolution.target, weights, weights * positions]


def _kind_beside(convolution: Convolution) -> object:
    """Padding, additions, or upsampling and additions."""
    is_up = "_link" in convolution.part and convolution.stride == 1
    return convolution.stride, is_up


def _beside_features(convolution: Convolution) -> list[float]:
    """A constant, and the numbers of output values and, for padding, of input values."""
    positions = math.prod(convolution.size)
    padded = positions * convolution.stride**2 * convolution.source if convolution.stride > 1 else 0.0
    return [1.0, padded, positions * convolution.target]
