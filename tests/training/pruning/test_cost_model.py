"""Costs: multiply-adds equal the closed form, milliseconds come from a profile of the same network."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from hrnet_tf.spec.complexity import complexity
from hrnet_tf.spec.convolutions import convolutions
from hrnet_tf.spec.network import HRNetSpec
from hrnet_tf.spec.presets import preset
from hrnet_tf.spec.units import FusionLink, ResidualBlock
from mobile_eval.benchmark.profile import ProfileResult
from mobile_eval.errors import HRNetError
from training.pruning.candidate_latency import LatencyRatio
from training.pruning.cost_model import latency_cost_model, multiply_adds_cost_model, profile_network
from training.pruning.width_matching import widest_within, with_width


@pytest.mark.parametrize("name", ["pose-w32", "pose-small-v2", "segment-w18", "classify-w44-bottleneck"])
def test_multiply_adds_equal_the_closed_form(name: str) -> None:
    spec = preset(name)
    assert isinstance(spec, HRNetSpec)
    model = multiply_adds_cost_model(spec)
    rng = np.random.default_rng(0)
    for share in (0.0, 0.3, 0.9):
        units = sorted((*spec.links, *spec.live_blocks), key=str)
        smaller = spec.without({unit for unit in units if rng.random() < share})
        narrow = smaller.with_widths({group: int(rng.integers(1, width + 1)) for group, width in spec.full_widths.items()})
        for network in (smaller, narrow):
            assert model.cost(network) == complexity(network).multiply_adds
            assert model.cost(network) - model.fixed == sum(one.multiply_adds for one in convolutions(network))


@pytest.fixture(scope="module")
def profiled(spec: HRNetSpec) -> ProfileResult:
    return profile_network(spec, progress=False)


@pytest.mark.slow
def test_milliseconds_add_up(spec: HRNetSpec, profiled: ProfileResult) -> None:
    model = latency_cost_model(spec, profiled)
    assert {operator.part for operator in profiled.operators} >= {"stem", "stage1", "head", "stage3_module1_branch2_block0"}
    assert "other" not in profiled.parts_ms()
    full = model.cost(spec)
    assert full == pytest.approx(profiled.measured_ms, rel=1e-6)
    link, block = FusionLink(4, 0, 3, 0), ResidualBlock(2, 0, 0, 0)
    unreachable = ("transition3_branch3", "stage4_module0_branch3_block0", link.name)
    prices = {convolution: model.price(convolution) for convolution in convolutions(spec)}
    for removed, parts in ((link, unreachable), (block, (block.name,))):
        saved = math.fsum(price for convolution, price in prices.items() if convolution.part in parts)
        assert full - model.cost(spec.without({removed})) == pytest.approx(saved)
    assert min(prices.values()) >= 0
    assert 0 <= model.fixed < 0.1 * full


@pytest.mark.slow
def test_profiles_of_another_network(spec: HRNetSpec, profiled: ProfileResult) -> None:
    again = ProfileResult.from_json(profiled.to_json())
    assert again.parts_ms() == profiled.parts_ms()
    with pytest.raises(HRNetError, match="width is 4, not 8"):
        latency_cost_model(dataclasses.replace(spec, width=8), again)
    with pytest.raises(HRNetError, match=profiled.model):
        latency_cost_model(spec, dataclasses.replace(profiled, network=None))
    for bad_spec in ("x", [1], {"width": None}):
        with pytest.raises(HRNetError, match=profiled.model):
            latency_cost_model(spec, dataclasses.replace(profiled, network={"spec": bad_spec}))
    pruned = {**(profiled.network or {}), "spec": spec.without({FusionLink(4, 0, 3, 0)}).to_json()}
    with pytest.raises(HRNetError, match=r"`profile`.* full network, got 0"):
        latency_cost_model(spec, dataclasses.replace(profiled, network=pruned))


def test_widest_network_that_is_fast_enough() -> None:
    widths: list[int] = []

    def too_slow(width: int) -> bool:
        widths.append(width)
        return width > 11

    assert widest_within(16, too_slow) == 11
    assert len(widths) <= 4
    assert widest_within(16, lambda width: False) == 15
    with pytest.raises(HRNetError, match="width 1 "):
        widest_within(16, lambda width: True)


def test_all_widths_shrink_in_proportion(spec: HRNetSpec) -> None:
    narrow = with_width(spec, 1)
    assert (narrow.width, narrow.stem_width, narrow.stage1_width) == (1, 2, 1)  # of 4, 8 and 4
    assert with_width(spec, spec.width) == spec
    assert narrow.links == spec.links


@pytest.mark.slow
@pytest.mark.parametrize("width", [1, 2, 3])
def test_latency_of_the_narrowest_networks(small: HRNetSpec, width: int) -> None:
    narrow = dataclasses.replace(small, width=width)
    assert 0.2 < LatencyRatio(narrow, rounds=20)(narrow) < 5
