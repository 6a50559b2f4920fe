"""Removal steps: removed and unreachable parts, stored, applied again and measured."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hrnet_tf.models.build import build_model
from hrnet_tf.models.folding import fold_batch_norm
from hrnet_tf.runs.pruning import Plan, RemovalStep, units_kept
from hrnet_tf.runs.weights import model_weights, set_model_weights
from hrnet_tf.spec.complexity import complexity
from hrnet_tf.spec.network import HRNetSpec
from hrnet_tf.spec.units import FusionLink, Unit
from mobile_eval.tasks.pose.predictions import load_keypoints
from mobile_eval.typed import checked
from training.config import TrainingConfig
from training.pruning.removal_order import removal_order
from training.pruning.removal_steps import LossIncrease, measure_steps, removal_steps
from training.ranking.gated_network import GatedNetwork
from training.ranking.task_data import TaskRankingData
from training.tasks.pose.settings import PoseSettings


def multiply_adds(spec: HRNetSpec) -> float:
    return complexity(spec).multiply_adds


@pytest.fixture
def order(spec: HRNetSpec) -> list[HRNetSpec]:
    rng = np.random.default_rng(0)
    importance: dict[Unit, float] = {unit: float(rng.random()) for unit in (*sorted(spec.links), *sorted(spec.live_blocks))}
    return removal_order(spec, importance, multiply_adds)


def test_stored_steps_lead_to_the_same_network(spec: HRNetSpec, order: list[HRNetSpec]) -> None:
    steps = removal_steps(order, dict.fromkeys((*spec.links, *spec.live_blocks), 1.0), multiply_adds, multiply_adds(spec))
    stored = json.loads(json.dumps([step.to_json() for step in steps]))
    read = [checked(step, RemovalStep, "step") for step in stored]
    assert read == steps
    for count, reached in enumerate(order):
        assert Plan(spec, tuple(read[:count]), {}, "multiply-adds", 1.0, 1.0).spec == reached
    assert [step.cost for step in steps] == [multiply_adds(reached) for reached in order[1:]]
    assert steps[-1].ratio == pytest.approx(multiply_adds(order[-1]) / multiply_adds(spec))


def test_unreachable_parts_differ_from_removed_units(spec: HRNetSpec) -> None:
    link = FusionLink(4, 0, 3, 0)
    (step,) = removal_steps([spec, spec.without({link})], dict.fromkeys(spec.links, 2.0), multiply_adds, 1.0)
    assert step.removed == (link.name,)
    assert step.unreachable == ("stage4_module0_branch3",)
    assert step.importance == 2.0
    into = {FusionLink(3, 1, source, 2) for source in (0, 1)}
    out = {FusionLink(4, 0, 2, 0), FusionLink(4, 0, 3, 0)}
    (step,) = removal_steps([spec, spec.without(out)], dict.fromkeys(spec.links, 1.0), multiply_adds, 1.0)
    assert set(step.units) == out
    assert {"stage4_module0_branch2", "stage4_module0_branch3", *map(str, into)} <= set(step.unreachable)


@pytest.mark.slow
def test_metric_after_each_step(spec: HRNetSpec, order: list[HRNetSpec], config: TrainingConfig) -> None:
    model = build_model(spec)
    data = TaskRankingData.prepare(load_keypoints(config.data.train).head(8), spec, PoseSettings())
    steps = removal_steps(order[:4], dict.fromkeys((*spec.links, *spec.live_blocks), 1.0), multiply_adds, 1.0)
    measured = measure_steps(GatedNetwork.of(model), data, steps)
    for step, reached in zip(measured, order[1:4], strict=True):
        smaller = build_model(reached)
        set_model_weights(smaller, model_weights(model))
        loss, pck = data.measure(smaller)
        assert step.loss == pytest.approx(loss, rel=1e-4)
        assert step.score == pytest.approx(pck)


def test_units_kept(spec: HRNetSpec) -> None:
    assert units_kept(spec) == "17 of 17 links"
    assert units_kept(spec.without({next(iter(spec.live_blocks))})) == "17 of 17 links, 11 of 12 blocks"


@pytest.mark.slow
def test_loss_increase_is_that_of_the_smaller_network(spec: HRNetSpec, config: TrainingConfig) -> None:
    full = build_model(spec)
    weights = model_weights(full)
    data = TaskRankingData.prepare(load_keypoints(config.data.train).head(8), spec, PoseSettings())
    loss_increase = LossIncrease(GatedNetwork.of(full, include_blocks=True), data)
    smaller = spec.without(set(sorted(spec.links)[::3]) | set(sorted(spec.live_blocks)[:1]))
    removal = frozenset({min(smaller.links)})

    def loss(network: HRNetSpec) -> float:
        model = build_model(network, folded=True)
        set_model_weights(model, fold_batch_norm(weights))
        return data.measure(model)[0]

    assert loss_increase.loss(smaller) == pytest.approx(loss(smaller), rel=1e-4)
    expected = loss(smaller.without(removal)) - loss(smaller)
    assert loss_increase(smaller, removal) == pytest.approx(expected, abs=1e-4 * loss(smaller))


def test_importance_of_removals_may_depend_on_the_network(spec: HRNetSpec) -> None:
    """Of two links that can replace each other, only one is removed early."""
    pair = [FusionLink(3, 0, 1, 0), FusionLink(3, 1, 1, 0)]

    def importance(network: HRNetSpec, removal: frozenset[Unit]) -> float:
        if removal <= set(pair) and len(removal) == 1 and set(pair) <= network.links:
            return 0.0
        return 1e6 if removal & set(pair) else 1.0

    order = removal_order(spec, dict.fromkeys(spec.links, 1.0), lambda network: float(len(network.links)), importance)
    first = next(iter(order[0].links - order[1].links))
    assert first in pair
    assert order[-2].links & set(pair)
