"""Latency at any width, from synthetic profiles whose operators take known times."""

from __future__ import annotations

import dataclasses
import math

import pytest

from hrnet_tf.spec.architectures import network_description
from hrnet_tf.spec.convolutions import Convolution, convolutions
from hrnet_tf.spec.network import HRNetSpec
from hrnet_tf.spec.units import FusionLink, ResidualBlock
from mobile_eval.benchmark.environment import Environment
from mobile_eval.benchmark.profile import OperatorTime, ProfileResult, part_of
from mobile_eval.errors import HRNetError
from training.pruning.cost_model import latency_cost_model, narrower
from training.pruning.costs import Costs

ENVIRONMENT = Environment("cpu", "x86_64", 2, "Linux", "3.11", "unavailable", 2400.0, "unavailable", "2026-01-01", (0, 1))
LOGITS_MS, ADDITION_MS, PADDING_MS = 0.01, 2e-7, 1e-7  # for the head, per value


def own_ms(convolution: Convolution) -> float:
    positions = math.prod(convolution.size)
    return 1e-3 + 3e-8 * positions * convolution.target + 1e-9 * convolution.multiply_adds


def beside(convolution: Convolution) -> dict[str, float]:
    """Times of the other operators of a convolution, by their layers."""
    positions, name = math.prod(convolution.size), convolution.part
    times = {}
    if convolution.stride > 1:
        padding = convolution.name.replace("_conv", "_pad")
        times[padding] = PADDING_MS * positions * convolution.stride**2 * convolution.source
    if "_block" in name and name.startswith("stage2") and convolution.name.endswith("_conv2"):
        times[f"{name}_add1"] = ADDITION_MS * positions * convolution.target
    return times


def profile_of(spec: HRNetSpec) -> ProfileResult:
    times: list[tuple[str, float]] = [("head_pool", LOGITS_MS)]
    for convolution in convolutions(spec):
        times += [(convolution.name, own_ms(convolution)), *beside(convolution).items()]
    operators = tuple(OperatorTime(index, "X", layer, part_of(layer), ms) for index, (layer, ms) in enumerate(times))
    network = network_description(spec)
    return ProfileResult("m.tflite", "0" * 64, "litert", 1, network, operators, sum(ms for _, ms in times), ENVIRONMENT)


def expected_ms(spec: HRNetSpec) -> float:
    return profile_of(spec).measured_ms


@pytest.fixture(scope="module")
def wide(spec: HRNetSpec) -> HRNetSpec:
    return dataclasses.replace(spec, width=16, stem_width=16, stage1_width=8, stage1_blocks=2).full()


def test_narrower_networks_cost_what_their_operators_take(wide: HRNetSpec) -> None:
    model = latency_cost_model(wide, *map(profile_of, (narrower(wide, 0.5), wide, narrower(wide, 0.25))))
    assert model.fixed == pytest.approx(LOGITS_MS)
    smaller = wide.without({FusionLink(4, 0, 3, 0), ResidualBlock(2, 0, 0, 0), ResidualBlock(1, 0, 0, 1)})
    for spec in (wide, narrower(wide, 0.5), narrower(wide, 0.75), smaller):
        assert model.cost(spec) == pytest.approx(expected_ms(spec), rel=1e-6)
    uneven = smaller.with_widths({"stem_conv1": 8, "branch1": 8, "stage3_module0_link0to2_conv1": 4})
    assert model.cost(uneven) == pytest.approx(expected_ms(uneven), rel=1e-6)


def test_a_slow_convolution_is_slow_at_every_width(wide: HRNetSpec) -> None:
    """One that takes three times as long as others of its kind, where the regression does not fit."""
    slow = "stage3_module0_branch1_block0_conv1"

    def slowed(profiled: ProfileResult) -> ProfileResult:
        times = [dataclasses.replace(one, ms=one.ms * (3 if one.layer == slow else 1)) for one in profiled.operators]
        return dataclasses.replace(profiled, operators=tuple(times), measured_ms=sum(one.ms for one in times))

    full, half = slowed(profile_of(wide)), slowed(profile_of(narrower(wide, 0.5)))
    block = ResidualBlock(3, 0, 1, 0)
    model = latency_cost_model(wide, full)
    times = {one.layer: one.ms for one in full.operators}
    saved = model.cost(wide) - model.cost(wide.without({block}))
    assert saved == pytest.approx(times[slow] + times[f"{block}_conv2"], rel=1e-6)
    model = latency_cost_model(wide, full, half)
    assert model.cost(wide) == pytest.approx(full.measured_ms, rel=1e-9)
    assert model.cost(narrower(wide, 0.5)) == pytest.approx(half.measured_ms, rel=0.01)
    for one in (one for one in convolutions(narrower(wide, 0.75)) if one.part == block.name):
        assert model.price(one) == pytest.approx(own_ms(one) * (3 if one.name == slow else 1), rel=0.1)


@pytest.mark.parametrize("multiples", [(1, 1), (4, 8), (8, 16)])
def test_kernels_that_compute_several_channels_at_once(wide: HRNetSpec, multiples: tuple[int, int]) -> None:
    def padded(spec: HRNetSpec) -> ProfileResult:
        times = []
        for one in convolutions(spec):
            source, target = (math.ceil(w / m) * m for w, m in zip((one.source, one.target), multiples, strict=True))
            times.append((one.name, 1e-3 + 1e-9 * math.prod(one.size) * one.kernel**2 * source * target))
        operators = tuple(OperatorTime(index, "X", layer, part_of(layer), ms) for index, (layer, ms) in enumerate(times))
        network, total = network_description(spec), sum(ms for _, ms in times)
        return ProfileResult("m.tflite", "0" * 64, "litert", 1, network, operators, total, ENVIRONMENT)

    model = latency_cost_model(wide, *(padded(narrower(wide, share)) for share in (1.0, 0.75, 0.5, 0.25)))
    for width in (5, 7, 12):
        spec = wide.with_widths({"branch1": width, "stem_conv1": width, "stage2_module0_branch0_block0_conv1": 3})
        assert model.cost(spec) == pytest.approx(padded(spec).measured_ms, rel=1e-6)


def test_additions_are_shared_by_the_links_into_a_branch(wide: HRNetSpec) -> None:
    profiled, sums = profile_of(wide), "stage3_module0_fuse0_add1"
    more = (*profiled.operators, OperatorTime(999, "ADD", sums, part_of(sums), 0.5))
    model = latency_cost_model(wide, dataclasses.replace(profiled, operators=more, measured_ms=profiled.measured_ms + 0.5))
    removed = FusionLink(3, 0, 1, 0)
    [convolution] = [one for one in convolutions(wide) if one.part == removed.name]
    saved = model.cost(wide) - model.cost(wide.without({removed}))
    assert saved == pytest.approx(own_ms(convolution) + 0.5 / 2, rel=1e-6)  # of two links into branch 0


def test_measured_networks_calibrate_the_sum(wide: HRNetSpec) -> None:
    """Each convolution and each weight takes time that operators do not when they are timed alone."""
    full = profile_of(wide)

    def slower(spec: HRNetSpec) -> ProfileResult:
        weights = sum(one.kernel**2 * one.source * one.target for one in convolutions(spec))
        beside = 2e-3 * len(convolutions(spec)) + 1e-6 * weights
        profiled = profile_of(spec)
        return dataclasses.replace(profiled, measured_ms=profiled.measured_ms + beside)

    removed = {FusionLink(4, 0, 3, 0), ResidualBlock(2, 0, 0, 0)}
    networks = [narrower(wide, 0.5), wide.without(removed), narrower(wide, 0.75).without(removed), narrower(wide, 0.25)]
    ratios = {spec: slower(spec).measured_ms / slower(wide).measured_ms for spec in networks}
    other = wide.without({FusionLink(3, 0, 0, 2), ResidualBlock(3, 0, 1, 0)}).with_widths({"branch1": 8})
    expected = slower(other).measured_ms / slower(wide).measured_ms
    for model in (
        latency_cost_model(wide, full, profile_of(networks[0]), ratios=ratios),
        latency_cost_model(wide, *map(slower, (wide, *networks))),
    ):
        assert model.cost(other) / model.cost(wide) == pytest.approx(expected, rel=0.01)
    assert model.cost(wide) == pytest.approx(slower(wide).measured_ms)
    uncalibrated = latency_cost_model(wide, full)
    assert abs(uncalibrated.cost(other) / uncalibrated.cost(wide) / expected - 1) > 0.03


def test_further_networks_calibrate_the_costs_of_a_pruning(wide: HRNetSpec) -> None:
    costs = Costs(wide, "keep_latency", profile=[profile_of(narrower(wide, share)) for share in (1.0, 0.5)])
    smaller = wide.without({FusionLink(4, 0, 3, 0), ResidualBlock(2, 0, 0, 0)})
    predicted = costs.model.cost(smaller) / costs.model.cost(wide)
    measured = 0.9 * predicted
    ratios = [model.cost(smaller) / model.cost(wide) for model in (costs.calibrate(smaller, measured), costs.model)]
    assert ratios[0] == ratios[1]
    assert abs(ratios[0] - measured) < 0.5 * abs(predicted - measured)
    assert costs.model.cost(wide) == pytest.approx(expected_ms(wide))


def test_bad_profiles(wide: HRNetSpec) -> None:
    full, half = profile_of(wide), profile_of(narrower(wide, 0.5))
    for profiles in ((half,), (full, full), ()):
        with pytest.raises(HRNetError, match=rf"`profile`.* full network, got {profiles.count(full)}"):
            latency_cost_model(wide, *profiles)
    damaged = {**(full.network or {}), "spec": {**wide.to_json(), "removed_links": ["stage9"]}}
    with pytest.raises(HRNetError, match=r"`profile` of m\.tflite.*stage9"):
        latency_cost_model(wide, full, dataclasses.replace(full, network=damaged))
    lacking = tuple(one for one in full.operators if one.layer != "stem_conv1")
    model = latency_cost_model(wide, dataclasses.replace(full, operators=lacking))
    with pytest.raises(HRNetError, match=r"`profile`.*no stem_conv1"):
        model.cost(wide)
