"""Prices: multiply-adds equal the closed form, milliseconds come from a real profile, other networks' are refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hrnet_tf.spec.complexity import complexity
from hrnet_tf.spec.network import FusionLink, HRNetSpec, ResidualBlock
from hrnet_tf.spec.presets import preset
from mobile_eval.benchmark.profile import ProfileResult
from mobile_eval.errors import HRNetError
from training.pruning.candidate_latency import LatencyRatio
from training.pruning.cost_model import latency_cost_model, multiply_adds_cost_model, profile_full_network
from training.pruning.width_matching import scaled, widest_within


@pytest.mark.parametrize("name", ["pose-w32", "pose-small-v2", "segment-w18", "classify-w44-bottleneck"])
def test_multiply_adds_are_the_closed_forms(name: str) -> None:
    spec = preset(name)
    assert isinstance(spec, HRNetSpec)
    table = multiply_adds_cost_model(spec)
    rng = np.random.default_rng(0)
    for share in (0.0, 0.3, 0.9):
        units = sorted((*spec.links, *spec.live_blocks), key=str)
        smaller = spec.without({unit for unit in units if rng.random() < share})
        assert table.price(smaller) == pytest.approx(complexity(smaller).multiply_adds, rel=1e-9)


@pytest.fixture(scope="module")
def profiled(spec: HRNetSpec) -> ProfileResult:
    return profile_full_network(spec, progress=False)


@pytest.mark.slow
def test_milliseconds_add_up_and_go_with_their_part(spec: HRNetSpec, profiled: ProfileResult) -> None:
    table = latency_cost_model(spec, profiled)
    assert {operator.part for operator in profiled.operators} >= {"stem", "stage1", "head", "stage3_module1_branch2_block0"}
    assert "other" not in profiled.parts_ms()
    whole = table.price(spec)
    assert whole == pytest.approx(profiled.measured_ms, rel=1e-6)
    link, block = FusionLink(4, 0, 3, 0), ResidualBlock(2, 0, 0, 0)
    freed = ("transition3_branch3", "stage4_module0_branch3_block0", link.name)
    assert whole - table.price(spec.without({link})) == pytest.approx(sum(table.parts[name] for name in freed))
    assert whole - table.price(spec.without({block})) == pytest.approx(table.parts[block.name])
    assert min(table.parts.values()) >= 0
    assert table.fixed > 0


@pytest.mark.slow
def test_profiles_of_other_networks_are_refused(spec: HRNetSpec, profiled: ProfileResult) -> None:
    again = ProfileResult.from_json(profiled.to_json())
    assert again.parts_ms() == profiled.parts_ms()
    with pytest.raises(HRNetError, match="is of another network: its width is 4, not 8"):
        latency_cost_model(dataclasses.replace(spec, width=8), again)
    with pytest.raises(HRNetError, match=r"does not say of which network it is"):
        latency_cost_model(spec, dataclasses.replace(profiled, network=None))
    for foreign in ("x", [1], {"width": None}):
        with pytest.raises(HRNetError, match=r"does not say of which network it is|is of another network: its width is None"):
            latency_cost_model(spec, dataclasses.replace(profiled, network={"spec": foreign}))
    pruned = {**(profiled.network or {}), "spec": spec.without({FusionLink(4, 0, 3, 0)}).to_json()}
    with pytest.raises(HRNetError, match="of a pruned network; profile the full one"):
        latency_cost_model(spec, dataclasses.replace(profiled, network=pruned))


def test_the_widest_network_that_is_fast_enough() -> None:
    asked: list[int] = []

    def slower(width: int) -> bool:
        asked.append(width)
        return width > 11

    assert widest_within(16, slower) == 11
    assert len(asked) <= 4
    assert widest_within(16, lambda width: False) == 15
    with pytest.raises(HRNetError, match="not even a network of width 1"):
        widest_within(16, lambda width: True)


def test_a_narrower_network_is_narrower_everywhere(spec: HRNetSpec) -> None:
    narrow = scaled(spec, 1)
    assert (narrow.width, narrow.stem_width, narrow.stage1_width) == (1, 2, 1)  # of 4, 8 and 4
    assert scaled(spec, spec.width) == spec
    assert narrow.links == spec.links


@pytest.mark.slow
@pytest.mark.parametrize("width", [1, 2, 3])
def test_the_narrowest_networks_can_be_timed(spec: HRNetSpec, width: int) -> None:
    narrow = dataclasses.replace(spec, width=width)
    assert 0.2 < LatencyRatio(narrow, rounds=20)(narrow) < 5
