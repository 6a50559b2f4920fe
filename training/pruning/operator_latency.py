"""Latency of single convolutions at any width, from profiles of the full network and of narrower ones.

The operators of a profile belong to convolutions: each to the one that computes it, and additions, upsampling and padding to one
beside them. A regression over all profiled convolutions with the same kernel estimates how latency depends on the sizes of input,
output and weights and on the multiply-adds, with coefficients that are not negative. Kernels of a processor compute several
channels at once, and what is left over takes as long as a whole group: channels are rounded up to the multiples that fit the
profiles best. Each convolution's estimate is multiplied by its measured over its estimated time, the median of all profiles.

Operators that are timed alone find their input and weights in the caches and know nothing of the time between operators. So
measured networks calibrate the sum: it gets a time for each convolution and for each weight, and factors for the rest.
"""

from __future__ import annotations

import copy
import itertools
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
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
LEAST_SHARE = 1e-3  # of the longest time of a kind, below which errors are not relative
HEAD = "head"  # the part of a head, of which only convolutions that read branches depend on widths
INPUT_MULTIPLES, OUTPUT_MULTIPLES = (1, 4, 8), (1, 4, 8, 16, 32)  # of channels that kernels compute at once
UNCALIBRATED = (1.0, 1.0, 0.0, 0.0)  # coefficients of the terms of a convolution: times alone and beside, and no others
EXACTLY, STIFFNESS = 100.0, 0.1  # weights of the full network, and of what was before, in a calibration


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
Paddings: TypeAlias = tuple[int, int]  # multiples of input and output channels
Features = Callable[[Convolution], list[float]]
Kind = Callable[[Convolution], object]
Time = Callable[[MeasuredConvolution], float]


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
    """Latency of convolutions in ms: factors times what was measured alone, and a time for each convolution and each weight.

    Args:
        full: The convolutions of the full network, by name.
        profiles: Those of all profiled networks.

    Attributes:
        coefficients: Coefficients of the terms, see `terms`.
    """

    def __init__(self, full: Measured, profiles: Sequence[Measured]):
        self.full = full
        self.coefficients = np.asarray(UNCALIBRATED)
        paddings = _best_paddings(profiles)
        self._own = _Estimate(full, profiles, _kernel, partial(_convolution_features, paddings=paddings), _own_ms)
        self._beside = _Estimate(full, profiles, _kind_beside, _beside_features, _beside_ms)
        self._known: dict[tuple[str, int, int, Size], float] = {}

    def __call__(self, convolution: Convolution) -> float:
        """Return the latency of a convolution at its widths. Raises HRNetError if the full network does not have it."""
        key = convolution.name, convolution.source, convolution.target, convolution.size
        if key not in self._known:
            self._known[key] = float(self.coefficients @ self.terms(convolution))
        return self._known[key]

    def terms(self, convolution: Convolution) -> NDArray[np.float64]:
        """Return the time of a convolution, that of what runs beside it, 1 for the convolution itself, and its number of weights.

        Raises:
            HRNetError: The full network does not have it.
        """
        if convolution.name not in self.full:
            raise HRNetError(f"`profile` is of another network: it has no {convolution.name}; profile the full one")
        return np.asarray([self._own(convolution), self._beside(convolution), 1.0, _weights(convolution)])

    def calibrated(self, full: HRNetSpec, full_ms: float, fixed: float, ratios: Mapping[HRNetSpec, float]) -> ConvolutionLatency:
        """Return this latency with the coefficients that fit measured networks best. The full network takes what it did.

        Args:
            full: The full network.
            full_ms: Its measured time in ms.
            fixed: Time in ms that no width and no unit changes; the coefficient of the first term is applied to it.
            ratios: The measured latency of smaller networks over that of the full one.
        """
        totals = np.asarray([self._totals(spec, fixed) for spec in (full, *ratios)])
        of_full = np.maximum(totals[0], SMALLEST_MS)
        relative = totals[1:] / of_full / np.asarray(list(ratios.values()))[:, None]
        before = self.coefficients * totals[0] / float(self.coefficients @ totals[0])  # share of each term in the full network
        matrix = np.vstack([relative, EXACTLY * np.ones((1, len(before))), STIFFNESS * np.eye(len(before))])
        shares, _ = nnls(matrix, np.concatenate([np.ones(len(ratios)), [EXACTLY], STIFFNESS * before]))
        calibrated = copy.copy(self)
        calibrated.coefficients, calibrated._known = shares / shares.sum() * full_ms / of_full, {}
        return calibrated

    def _totals(self, spec: HRNetSpec, fixed: float) -> NDArray[np.float64]:
        """The sums of the terms over a network's convolutions, with `fixed` in the first one."""
        totals = np.sum([self.terms(convolution) for convolution in convolutions(spec)], axis=0)
        totals[0] += fixed
        return np.asarray(totals)


class _Estimate:
    """A regression over convolutions of the same kind, corrected for each convolution."""

    def __init__(self, full: Measured, profiles: Sequence[Measured], kind: Kind, features: Features, time: Time):
        self.kind, self.features = kind, features
        self.coefficients = {
            name: _fit([features(member.convolution) for member in members], [time(member) for member in members])
            for name, members in _samples(profiles, kind, time).items()
        }
        self.corrections = {name: self._correction(name, profiles, time) for name in full}

    def __call__(self, convolution: Convolution) -> float:
        return self._estimated(convolution) * self.corrections[convolution.name]

    def _estimated(self, convolution: Convolution) -> float:
        """What the regression estimates; convolutions that took no time have corrections of 0."""
        coefficients = self.coefficients.get(self.kind(convolution))
        return 1.0 if coefficients is None else max(float(np.dot(self.features(convolution), coefficients)), SMALLEST_MS)

    def _correction(self, name: str, profiles: Iterable[Measured], time: Time) -> float:
        """Measured over estimated time of a convolution, the median of all profiles."""
        measured = [profile[name] for profile in profiles if name in profile]
        return float(np.median([time(entry) / self._estimated(entry.convolution) for entry in measured]))


def _samples(profiles: Sequence[Measured], kind: Kind, time: Time) -> dict[object, list[MeasuredConvolution]]:
    """The profiled convolutions that took any time, by kind."""
    samples: dict[object, list[MeasuredConvolution]] = defaultdict(list)
    for measured in (measured for profile in profiles for measured in profile.values() if time(measured) > 0):
        samples[kind(measured.convolution)].append(measured)
    return samples


def _best_paddings(profiles: Sequence[Measured]) -> Paddings:
    """The multiples that channels are rounded up to with which the regression is closest to what was measured."""
    samples = _samples(profiles, _kernel, _own_ms)

    def error(paddings: Paddings) -> float:
        errors: list[float] = []
        for members in samples.values():
            features = [_convolution_features(member.convolution, paddings) for member in members]
            times = [member.ms for member in members]
            estimated = np.asarray(features) @ _fit(features, times)
            errors += list(np.abs(estimated - times) / np.maximum(times, LEAST_SHARE * max(times)))
        return float(np.mean(errors)) if errors else 0.0

    return min(itertools.product(INPUT_MULTIPLES, OUTPUT_MULTIPLES), key=error)


def _fit(features: Sequence[Sequence[float]], times: Sequence[float]) -> NDArray[np.float64]:
    """Coefficients that are not negative, with the least relative errors."""
    matrix, target = np.asarray(features, np.float64), np.asarray(times, np.float64)
    weights = 1 / np.maximum(target, max(LEAST_SHARE * float(target.max()), SMALLEST_MS))
    scales = np.maximum(matrix.max(axis=0), 1.0)
    solution, _ = nnls(matrix / scales * weights[:, None], target * weights)
    return np.asarray(solution / scales)


def _own_ms(measured: MeasuredConvolution) -> float:
    return measured.ms


def _beside_ms(measured: MeasuredConvolution) -> float:
    return measured.beside_ms


def _weights(convolution: Convolution) -> int:
    return convolution.kernel**2 * convolution.source * convolution.target


def _kernel(convolution: Convolution) -> object:
    return convolution.kernel, convolution.stride


def _convolution_features(convolution: Convolution, paddings: Paddings) -> list[float]:
    """A constant, the numbers of input and output values, and those of weights and multiply-adds with padded channels."""
    positions = math.prod(convolution.size)
    source, target = (
        math.ceil(width / multiple) * multiple
        for width, multiple in zip((convolution.source, convolution.target), paddings, strict=True)
    )
    weights = convolution.kernel**2 * source * target
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
