"""Exact plans for Keras models: links, blocks and channels at once, pruned, stored and refused."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest

from hrnet_tf.backend.types import KerasModel
from hrnet_tf.models.trunk import hrnet_spec_of
from hrnet_tf.networks import HRNet
from hrnet_tf.runs.pruning import Plan, units_kept
from hrnet_tf.runs.ranking import Ranking
from hrnet_tf.spec.units import FusionLink, Unit
from mobile_eval.errors import HRNetError
from training.pruning.budget import Budget
from training.pruning.candidate_latency import candidates_of
from training.pruning.cost_model import narrower, profile_network
from training.pruning.plan import plan
from training.pruning.plan_run import PruneOptions
from training.pruning.prune import prune
from training.pruning.selection import candidates

SIZES = {"input_size": 32, "width": 8, "modules": (1, 1), "stem_width": 8, "stage1_width": 4, "blocks": 1}
EXACT = {"selection": "exact", "width_multiple": 2}


@pytest.fixture(scope="module")
def model() -> KerasModel:
    return HRNet("pose-small-v1", outputs=5, **SIZES)


@pytest.fixture(scope="module")
def ranking(model: KerasModel) -> Ranking:
    """Random importance of each link, block and channel."""
    spec, rng = hrnet_spec_of(model), np.random.default_rng(1)
    units: list[Unit] = [*sorted(spec.links), *sorted(spec.live_blocks)]
    scores = {unit: float(rng.random()) for unit in units}
    channels = {group: tuple(rng.random(width) / width) for group, width in spec.full_widths.items()}
    return Ranking(spec, 6, 0, {"taylor": scores}, {"taylor": None}, {}, channels={"taylor": channels})


@pytest.fixture(scope="module")
def exact(model: KerasModel, ranking: Ranking) -> Plan:
    return plan(model, ranking, keep_macs=0.5, **EXACT)


def multiply_adds(model: KerasModel) -> int:
    """The multiply-adds of the convolutions of a model by the shapes of its layers."""
    kernels = [(layer, weight) for layer in model.layers for weight in layer.weights if "kernel" in weight.name]
    return sum(math.prod(layer.output.shape[1:3]) * math.prod(kernel.shape) for layer, kernel in kernels)


@pytest.mark.slow
def test_candidates_are_measured_on_the_data(model: KerasModel, ranking: Ranking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "RANDOM_NETWORKS", 4)
    monkeypatch.setattr(candidates, "SELECTED_NETWORKS", 3)
    rng = np.random.default_rng(0)
    data = rng.standard_normal((4, 32, 32, 3)).astype(np.float32), rng.uniform(0, 1, (4, 8, 8, 5)).astype(np.float32)
    measured = plan(model, ranking, keep_macs=0.5, data=data, loss="mse", rerank=True, **EXACT)
    assert measured.bound is None
    assert measured.predicted_ratio <= 0.5
    [step] = measured.steps
    assert step.importance >= 0  # the logarithm of how many times the loss grows
    assert step.loss is not None
    assert prune(model, measured).spec == measured.spec


@pytest.mark.slow
def test_share_of_the_multiply_adds(model: KerasModel, ranking: Ranking, exact: Plan) -> None:
    smaller = prune(model, exact)
    assert 0.45 < exact.predicted_ratio <= 0.5
    assert exact.predicted_ratio == pytest.approx(multiply_adds(smaller) / multiply_adds(model), rel=1e-9)
    assert hrnet_spec_of(smaller) == exact.spec
    [step] = exact.steps
    assert exact.bound is not None
    assert exact.bound <= step.importance * (1 + 1e-9) <= 1.01 * exact.bound
    greedy = plan(model, ranking, keep_macs=0.8)
    assert plan(model, ranking, keep_macs=0.8, **EXACT).steps[0].importance <= sum(step.importance for step in greedy.steps)
    assert (greedy.channels, greedy.bound) == ({}, None)


def test_links_alone(model: KerasModel, ranking: Ranking) -> None:
    spec = hrnet_spec_of(model)
    scores = {unit: value for unit, value in ranking.importance("taylor").items() if isinstance(unit, FusionLink)}
    smaller = plan(model, Ranking(spec, 6, 0, {"taylor": scores}, {"taylor": None}, {}), keep_macs=0.75, selection="exact")
    assert (smaller.spec.removed_blocks, smaller.channels) == (frozenset(), {})
    [step] = smaller.steps
    assert {*step.units} <= spec.links
    assert any(place.startswith("stage3_module0_branch") for place in step.unreachable)


def test_the_weights_of_the_kept_channels_are_taken_over(model: KerasModel, exact: Plan) -> None:
    smaller = prune(model, exact)
    for group in ("stem_conv1", "stem_conv2"):
        kept = exact.channels.get(group, tuple(range(8)))
        bias = model.get_layer(group.replace("conv", "bn")).get_weights()[0][list(kept)]
        np.testing.assert_array_equal(smaller.get_layer(group.replace("conv", "bn")).get_weights()[0], bias)
    assert {group: len(kept) for group, kept in exact.channels.items()} == dict(exact.spec.widths)


def test_plain_data(exact: Plan) -> None:
    assert Plan.from_json(json.loads(json.dumps(exact.to_json()))) == exact
    assert f"{sum(map(exact.spec.width_of, exact.spec.full_widths))} of {sum(exact.spec.full_widths.values())} channels" in (
        units_kept(exact.spec)
    )
    assert str(exact).splitlines()[-1].startswith(units_kept(exact.spec))
    group, kept = next(iter(exact.channels.items()))
    with pytest.raises(HRNetError, match=rf"`channels` of {group}"):
        dataclasses.replace(exact, channels={group: (*kept, 99)})


@pytest.mark.slow
def test_latency_by_profiles_of_several_widths(model: KerasModel, ranking: Ranking) -> None:
    full = hrnet_spec_of(model)
    build = candidates_of(model)
    profiles = [profile_network(spec, build, rounds=5, progress=False) for spec in (narrower(full, 0.5), full)]
    predicted = plan(model, ranking, keep_latency=0.8, profile=profiles, **EXACT)
    assert predicted.cost_unit == "ms"
    assert predicted.full_cost == pytest.approx(profiles[1].measured_ms)
    assert predicted.predicted_ratio <= 0.8
    assert predicted.measured_ratio is None


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ({"selection": "best", "keep_macs": 0.5}, ("selection",)),
        ({"selection": "exact", "max_drop": 0.1}, ("max_drop", "selection")),
        ({"selection": "exact", "keep_macs": 0.5, "width_multiple": 0}, ("width_multiple",)),
        ({"selection": "exact", "keep_macs": 0.001}, ("keep_macs",)),
    ],
)
def test_bad_options(model: KerasModel, ranking: Ranking, options: dict[str, Any], parameters: tuple[str, ...]) -> None:
    with pytest.raises(HRNetError) as raised:
        plan(model, ranking, **options)
    assert raised.value.parameters == parameters


def test_ranking_of_other_widths(model: KerasModel, ranking: Ranking) -> None:
    channels = {**ranking.channels["taylor"], "branch1": (0.5,) * 3}
    with pytest.raises(HRNetError, match=r"`ranking`.* 3 scores of branch1, the network has 16 channels"):
        plan(model, dataclasses.replace(ranking, channels={"taylor": channels}), keep_macs=0.5, **EXACT)


LINKS_ONLY = {"selection": "greedy", "include_blocks": False, "include_widths": False, "rerank": False}
LINKS_AND_BLOCKS = {**LINKS_ONLY, "include_blocks": True}
ALL = {"selection": "exact", "include_blocks": True, "include_widths": True, "rerank": True}


@pytest.mark.parametrize(
    ("kinds", "budget", "given", "decided"),
    [
        ("links", {"keep_latency": 0.5}, {}, LINKS_ONLY),
        ("links blocks", {"keep_latency": 0.5}, {}, LINKS_AND_BLOCKS),
        ("links blocks widths", {"keep_latency": 0.5}, {}, ALL),
        ("links blocks widths", {"max_drop": 0.01}, {}, LINKS_AND_BLOCKS),
        ("links blocks widths", {"keep_macs": 0.5}, {"include_widths": False}, LINKS_AND_BLOCKS),
        ("links blocks widths", {"keep_macs": 0.5}, {"selection": "greedy"}, LINKS_AND_BLOCKS),
        ("links blocks widths", {"keep_macs": 0.5}, {"method": "random"}, {**ALL, "rerank": False}),
        (
            "links blocks widths",
            {"keep_macs": 0.5},
            {"rerank": False, "include_blocks": False},
            {**ALL, "rerank": False, "include_blocks": False},
        ),
        ("links", {"keep_macs": 0.5}, {"selection": "exact"}, {**LINKS_ONLY, "selection": "exact", "rerank": True}),
    ],
)
def test_options_are_decided_by_what_was_ranked(
    kinds: str, budget: dict[str, float], given: dict[str, Any], decided: dict[str, Any], ranking: Ranking
) -> None:
    scores = {unit: value for unit, value in ranking.importance().items() if "blocks" in kinds or unit in ranking.spec.links}
    channels = ranking.channels if "widths" in kinds else {}
    ranked = dataclasses.replace(ranking, scores={"taylor": scores}, channels=channels)
    options = PruneOptions.for_ranking(ranked, Budget(**budget), **given)
    assert {name: getattr(options, name) for name in decided} == decided


@pytest.mark.slow
def test_a_model_is_selected_exactly_where_candidates_can_be_measured(
    model: KerasModel, ranking: Ranking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "RANDOM_NETWORKS", 2)
    monkeypatch.setattr(candidates, "SELECTED_NETWORKS", 2)
    without_data = plan(model, ranking, keep_macs=0.6)
    assert without_data.channels == {}
    assert len(without_data.steps) > 1
    rng = np.random.default_rng(0)
    data = (rng.random((4, 32, 32, 3), np.float32), rng.random((4, 8, 8, 5), np.float32))
    with_data = plan(model, ranking, keep_macs=0.6, width_multiple=2, data=data, loss="mse")
    assert len(with_data.steps) == 1
    assert with_data.channels
