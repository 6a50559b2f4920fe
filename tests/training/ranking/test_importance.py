"""Importance: every method separates unused from used units, on weights where these are known."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import Weights
from hrnet_tf.models.build import build_model
from hrnet_tf.models.gates import gates_of
from hrnet_tf.runs.weights import model_weights, set_model_weights
from hrnet_tf.spec.complexity import parts
from hrnet_tf.spec.memory import activation_bytes, live_bytes
from hrnet_tf.spec.network import HRNetSpec, StageSpec
from hrnet_tf.spec.units import FusionLink, ResidualBlock, Unit
from mobile_eval.errors import HRNetError
from mobile_eval.tasks.pose.predictions import load_keypoints
from training.config import TrainingConfig
from training.pruning.prune import reestimate_batch_norm
from training.ranking.data import ShuffledBatches
from training.ranking.gated_network import GatedNetwork
from training.ranking.learned_gates import LearnedGates
from training.ranking.methods import LeaveOneOut, RandomScores, Taylor, removal_effects
from training.ranking.rank import METHODS, rank_network
from training.ranking.scores import rank_correlation
from training.ranking.task_data import TaskRankingData
from training.tasks.pose.settings import PoseSettings

UNUSED: tuple[Unit, ...] = (FusionLink(3, 0, 2, 0), FusionLink(2, 0, 0, 1), ResidualBlock(3, 0, 0, 0))


@pytest.fixture(scope="module")
def spec() -> HRNetSpec:
    """Three branches."""
    stages = (StageSpec(1, 1), StageSpec(1, 1))
    return HRNetSpec("micro", 4, (32, 32), 17, stages, stem_width=8, stage1_blocks=1, stage1_width=4).full()


@pytest.fixture(scope="module")
def network(spec: HRNetSpec) -> GatedNetwork:
    """A network that uses all units but `UNUSED`, whose last BatchNorm is zero."""
    rng = np.random.default_rng(0)
    keras.utils.set_random_seed(0)
    model = build_model(spec)
    weights: Weights = dict(model_weights(model))
    for name, array in weights.items():
        if name.endswith(("gamma", "moving_variance")):
            weights[name] = rng.uniform(0.5, 1.5, array.shape).astype(np.float32)
        elif name.startswith("head_heatmaps/kernel"):
            weights[name] = rng.normal(0, 0.1, array.shape).astype(np.float32)
    for name, array in weights.items():
        if any(name.startswith(f"{unit}_") and name.endswith(("gamma", "beta")) for unit in UNUSED):
            weights[name] = np.zeros_like(array)
    set_model_weights(model, weights)
    return GatedNetwork.of(model, include_blocks=True)


@pytest.fixture(scope="module")
def data(spec: HRNetSpec, config: TrainingConfig, network: GatedNetwork) -> TaskRankingData:
    """Synthetic people with the network's own outputs as targets, so that the removal of any used unit increases the loss."""
    prepared = TaskRankingData.prepare(load_keypoints(config.data.train).head(16), spec, PoseSettings())
    inputs, _, weights = prepared.arrays
    outputs = np.asarray(network.build()(inputs, training=False))
    return dataclasses.replace(prepared, arrays=(inputs, outputs, np.ones_like(weights)))


def with_targets(data: TaskRankingData, heatmaps: np.ndarray) -> TaskRankingData:
    inputs, _, weights = data.arrays
    return dataclasses.replace(data, arrays=(inputs, heatmaps, weights))


@pytest.mark.slow
@pytest.mark.parametrize("score", [LeaveOneOut(), Taylor()], ids=["leave-one-out", "taylor"])
def test_unused_units_have_no_importance(network: GatedNetwork, data: TaskRankingData, score: Any) -> None:
    noisy = with_targets(data, data.arrays[1] + 0.05)  # at the minimum itself gradients are zero
    scores = score(network, noisy if isinstance(score, Taylor) else data)
    assert list(scores) == list(network.units)
    used = network.spec.without(UNUSED)
    importances = [scores[unit] for unit in (*used.links, *used.live_blocks)]
    assert len(importances) < len(scores) - len(UNUSED)  # units that lead only to an unused link are unused too
    assert max(abs(scores[unit]) for unit in UNUSED) < 1e-3 * min(importances)


@pytest.mark.slow
def test_leave_one_out_is_the_loss_of_the_smaller_network(network: GatedNetwork, data: TaskRankingData) -> None:
    unit = FusionLink(3, 0, 1, 0)
    effect = removal_effects(dataclasses.replace(network, units=(unit,)), data)[unit]
    smaller = build_model(network.spec.without({unit}))
    set_model_weights(smaller, model_weights(network.model))
    loss, pck = data.measure(smaller)
    full_loss, full_pck = data.measure(network.build())
    assert full_loss < 1e-9
    assert effect.loss_increase == pytest.approx(loss - full_loss, rel=1e-3)
    assert effect.drop == pytest.approx(full_pck - pck)


@pytest.mark.slow
def test_taylor_is_the_gradient_of_the_gate(network: GatedNetwork, data: TaskRankingData) -> None:
    unit = FusionLink(3, 0, 1, 0)
    zeros = with_targets(data, 0 * data.arrays[1])
    gated = dataclasses.replace(network, units=(unit,))
    model = gated.build()
    losses = []
    for factor in (0.999, 1.001):
        gates_of(model)[unit].factor.assign(factor)
        losses.append(zeros.measure(model)[0])
    assert Taylor(batch=len(zeros))(gated, zeros)[unit] == pytest.approx(abs(losses[1] - losses[0]) / 0.002, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["l0", "l1"])
def test_learned_gates_close_on_unused_units(network: GatedNetwork, data: TaskRankingData, kind: str) -> None:
    loss = float(np.mean(data.arrays[1] ** 2))
    noisy = with_targets(data, data.arrays[1] + np.float32(0.1 * np.sqrt(loss)))
    scores = LearnedGates(kind, strength=3.0, epochs=25, learning_rate=0.1)(network, noisy)
    unused = np.mean([scores[unit] for unit in UNUSED])
    assert unused < np.mean([value for unit, value in scores.items() if unit not in UNUSED])
    assert unused < {"l0": 0.9, "l1": 0.7}[kind]


def test_penalties_are_proportional_to_cost(network: GatedNetwork) -> None:
    units = (FusionLink(2, 0, 1, 0), FusionLink(2, 0, 0, 1))
    costs = [parts(network.spec)[unit.name].multiply_adds for unit in units]
    penalties = LearnedGates("l1", strength=2.0).penalties(dataclasses.replace(network, units=units), 0.5)
    assert sum(penalties.values()) == pytest.approx(1.0)
    assert penalties[units[0]] / penalties[units[1]] == pytest.approx(costs[0] / costs[1])


def test_unknown_penalty() -> None:
    with pytest.raises(HRNetError, match=r"`penalty`.*'l2'"):
        LearnedGates("l2")


def test_random_scores_depend_on_the_seed(network: GatedNetwork, data: TaskRankingData) -> None:
    first, repeated, second = (RandomScores(seed)(network, data) for seed in (1, 1, 2))
    assert first == repeated != second
    assert all(0 <= value < 1 for value in first.values())


@pytest.mark.slow
def test_stability_and_agreement(network: GatedNetwork, data: TaskRankingData) -> None:
    results = rank_network(network, data, ["leave-one-out", "random"], seed=4)
    full = LeaveOneOut()(network, data)
    stability = results.stability["leave-one-out"]
    assert stability is not None
    assert 0.5 < stability <= 1
    scores = results.importance()
    assert [scores[unit] for unit in full] == pytest.approx(list(full.values()), rel=1e-3, abs=1e-9)
    assert results.stability["random"] is None
    assert results.agreement["leave-one-out", "random"] == rank_correlation(scores, RandomScores(4)(network, data))
    assert (results.items, results.seed, results.spec) == (16, 4, network.spec)
    with pytest.raises(HRNetError, match=f"`methods` must be of {', '.join(METHODS)}, got 'luck'"):
        rank_network(network, data, ["luck"])


def test_rank_correlation_by_hand() -> None:
    units = [FusionLink(2, 0, 0, 1), FusionLink(2, 0, 1, 0), FusionLink(3, 0, 0, 1), FusionLink(3, 0, 1, 0)]
    scores = [dict(zip(units, values, strict=True)) for values in ((1.0, 2.0, 3.0, 4.0), (10.0, 20.0, 40.0, 30.0), (1.0,) * 4)]
    assert rank_correlation(scores[0], scores[1]) == pytest.approx(1 - 6 * 2 / (4 * 15))  # Spearman: two ranks off by one
    assert rank_correlation(scores[0], scores[2]) is None
    with pytest.raises(HRNetError, match="different units"):
        rank_correlation(scores[0], {units[0]: 1.0})


@pytest.mark.slow
def test_examples_that_do_not_fit_into_memory(network: GatedNetwork, spec: HRNetSpec, config: TrainingConfig) -> None:
    data = load_keypoints(config.data.train).head(7)
    stored = TaskRankingData.prepare(data, spec, PoseSettings())
    streamed = TaskRankingData.prepare(data, spec, PoseSettings(), memory_budget=2 * live_bytes(spec))
    assert stored.arrays is not None
    assert streamed.arrays is None
    assert [len(inputs) for inputs, _, _ in streamed.batches()] == [2, 2, 2, 1]
    for index, array in enumerate(stored.arrays):
        np.testing.assert_array_equal(np.concatenate([batch[index] for batch in streamed.batches()]), array)
    for half, stored_half in zip(streamed.halves(), stored.halves(), strict=True):
        np.testing.assert_array_equal(np.concatenate([batch[1] for batch in half.batches()]), stored_half.arrays[1])
    model = network.build()
    assert streamed.measure(model) == pytest.approx(stored.measure(model), rel=1e-5)
    streamed_scores, stored_scores = (Taylor(batch=1)(network, examples) for examples in (streamed, stored))
    assert list(streamed_scores.values()) == pytest.approx(list(stored_scores.values()), rel=1e-4, abs=1e-12)


@pytest.mark.slow
def test_gates_learn_from_streamed_examples(network: GatedNetwork, spec: HRNetSpec, config: TrainingConfig) -> None:
    streamed = dataclasses.replace(
        TaskRankingData.prepare(load_keypoints(config.data.train).head(5), spec, PoseSettings()),
        arrays=None,
        memory_budget=3 * activation_bytes(spec),
    )
    batches = ShuffledBatches(streamed, streamed.batch_size(16, training=True), seed=0)
    assert [len(batches[number][0]) for number in range(len(batches))] == [3, 2]
    before = np.concatenate([batches[number][0] for number in range(2)])
    batches.on_epoch_end()
    after = np.concatenate([batches[number][0] for number in range(2)])
    assert not np.array_equal(before, after)
    np.testing.assert_array_equal(np.sort(before, axis=0), np.sort(after, axis=0))
    scores = LearnedGates("l0", epochs=1)(network, streamed)
    assert set(scores) == set(network.units)
    assert all(0 < score < 1 for score in scores.values())


def test_batch_norm_weighs_batches_by_size() -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.BatchNormalization(input_shape=(4, 4, 3))])
    crops = np.random.default_rng(0).normal(0, 1, (65, 4, 4, 3)).astype(np.float32)
    crops[64] += 100
    reestimate_batch_norm(model, [crops[:64], crops[64:]])
    np.testing.assert_allclose(model.layers[0].moving_mean.numpy(), crops.mean((0, 1, 2)), rtol=1e-4)


def test_batch_norm_statistics_are_those_of_the_images() -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.BatchNormalization(input_shape=(4, 4, 3))])
    crops = np.random.default_rng(0).normal(3.0, 2.0, (128, 4, 4, 3)).astype(np.float32)
    reestimate_batch_norm(model, [crops[:64], crops[64:]])
    norm = model.layers[0]
    np.testing.assert_allclose(norm.moving_mean.numpy(), crops.mean((0, 1, 2)), rtol=1e-3)
    np.testing.assert_allclose(norm.moving_variance.numpy(), crops.var((0, 1, 2)), rtol=0.02)
    assert norm.momentum == 0.99
