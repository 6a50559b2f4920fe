"""The way to a pruned network: told apart into what went and what fell dead, stored, and gone again."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from hrnet_tf.models.build import build_model
from hrnet_tf.models.folding import fold_batch_norm
from hrnet_tf.runs.weights import model_weights, set_model_weights
from hrnet_tf.spec.complexity import complexity
from hrnet_tf.spec.network import FusionLink, HRNetSpec, Unit
from mobile_eval.tasks.pose.predictions import load_keypoints
from training.config import TrainingConfig
from training.pruning.removal_order import removal_order
from training.pruning.removal_steps import RemovalStep, counted, measure_steps, removal_steps_between, replay
from training.pruning.rescoring import LossIncrease
from training.ranking.data import GatedNetwork, RankingData
from training.tasks.pose.settings import PoseSettings

TARGETS = PoseSettings()


def multiply_adds(spec: HRNetSpec) -> float:
    return complexity(spec).multiply_adds


@pytest.fixture
def order(spec: HRNetSpec) -> list[HRNetSpec]:
    rng = np.random.default_rng(0)
    importance: dict[Unit, float] = {unit: float(rng.random()) for unit in (*sorted(spec.links), *sorted(spec.live_blocks))}
    return removal_order(spec, importance, multiply_adds)


def test_a_stored_history_is_replayed(spec: HRNetSpec, order: list[HRNetSpec]) -> None:
    steps = removal_steps_between(order, dict.fromkeys((*spec.links, *spec.live_blocks), 1.0), multiply_adds, multiply_adds(spec))
    stored = json.loads(json.dumps([step.to_json() for step in steps]))
    read = [RemovalStep.from_json(step) for step in stored]
    assert read == steps
    for count, reached in enumerate(order):
        assert replay(spec, read[:count]) == reached
    assert [step.cost for step in steps] == [multiply_adds(reached) for reached in order[1:]]
    assert steps[-1].ratio == pytest.approx(multiply_adds(order[-1]) / multiply_adds(spec))


def test_what_fell_dead_is_not_what_was_removed(spec: HRNetSpec) -> None:
    link = FusionLink(4, 0, 3, 0)
    (step,) = removal_steps_between([spec, spec.without({link})], dict.fromkeys(spec.links, 2.0), multiply_adds, 1.0)
    assert step.removed == (link,)
    assert step.unreachable == ("stage4_module0_branch3",)
    assert step.importance == 2.0
    into = {FusionLink(3, 1, source, 2) for source in (0, 1)}
    out = {FusionLink(4, 0, 2, 0), FusionLink(4, 0, 3, 0)}
    (step,) = removal_steps_between([spec, spec.without(out)], dict.fromkeys(spec.links, 1.0), multiply_adds, 1.0)
    assert set(step.removed) == out
    assert {"stage4_module0_branch2", "stage4_module0_branch3", *map(str, into)} <= set(step.unreachable)


def test_the_metric_after_each_step_is_the_smaller_networks(
    spec: HRNetSpec, order: list[HRNetSpec], config: TrainingConfig
) -> None:
    weights = model_weights(build_model(spec))
    held = RankingData.prepare(load_keypoints(config.train).head(8), spec, PoseSettings())
    steps = removal_steps_between(order[:4], dict.fromkeys((*spec.links, *spec.live_blocks), 1.0), multiply_adds, 1.0)
    measured = measure_steps(GatedNetwork.of(spec, weights), held, steps)
    for step, reached in zip(measured, order[1:4], strict=True):
        model = build_model(reached)
        set_model_weights(model, weights)
        loss, pck = held.measure(model)
        assert step.loss == pytest.approx(loss, rel=1e-4)
        assert step.score == pytest.approx(pck)


def test_what_is_left_in_words(spec: HRNetSpec) -> None:
    assert counted(spec) == "17 of 17 links"
    assert counted(spec.without({next(iter(spec.live_blocks))})) == "17 of 17 links, 11 of 12 blocks"


@pytest.mark.slow
def test_reassessment_is_the_loss_of_the_smaller_network(spec: HRNetSpec, config: TrainingConfig) -> None:
    weights = model_weights(build_model(spec))
    held = RankingData.prepare(load_keypoints(config.train).head(8), spec, PoseSettings())
    asked = LossIncrease(GatedNetwork.of(spec, weights, blocks=True), held)
    smaller = spec.without(set(sorted(spec.links)[::3]) | set(sorted(spec.live_blocks)[:1]))
    move = frozenset({min(smaller.links)})

    def loss(part: HRNetSpec) -> float:
        model = build_model(part, folded=True)
        set_model_weights(model, fold_batch_norm(weights))
        return held.measure(model)[0]

    assert asked.loss(smaller) == pytest.approx(loss(smaller), rel=1e-4)
    assert asked(smaller, move) == pytest.approx(loss(smaller.without(move)) - loss(smaller), abs=1e-4 * loss(smaller))


def test_what_a_move_costs_by_then_decides(spec: HRNetSpec) -> None:
    """Two links that replace each other: once one is gone, the other is needed."""
    pair = [FusionLink(3, 0, 1, 0), FusionLink(3, 1, 1, 0)]

    def lost(at: HRNetSpec, move: frozenset[Unit]) -> float:
        return 0.0 if move <= set(pair) and len(move) == 1 and set(pair) <= at.links else 1e6 if move & set(pair) else 1.0

    order = removal_order(spec, dict.fromkeys(spec.links, 1.0), lambda at: float(len(at.links)), lost)
    gone = [next(iter(before.links - after.links)) for before, after in itertools.pairwise(order) if before.links > after.links]
    assert gone[0] in pair
    assert order[-2].links & set(pair)
