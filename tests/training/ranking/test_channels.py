"""The importance of channels is what the loss changes by when a channel of all convolutions of its group is scaled."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pytest

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import KerasModel
from hrnet_tf.models.build import build_model
from hrnet_tf.runs.weights import model_weights, set_model_weights
from hrnet_tf.spec.network import HRNetSpec, StageSpec
from mobile_eval.errors import HRNetError
from training.ranking.channels import ChannelScores, channel_importance
from training.ranking.gated_network import GatedNetwork
from training.ranking.keras_data import KerasRankingData
from training.ranking.rank import rank

RNG = np.random.default_rng(0)
COUNT = 6
IMAGES = RNG.standard_normal((COUNT, 32, 32, 3)).astype(np.float32)
MAPS = RNG.uniform(0, 1, (COUNT, 8, 8, 5)).astype(np.float32)
# The convolutions that write to a group, by hand. Stage 3 has two modules with three branches; the last leads to branch 0 only.
WRITERS = {
    "stem_conv1": ["stem_conv1"],
    "stage1": ["stage1_block0_conv3", "stage1_block0_shortcut_conv1"],
    "stage1_block0_conv2": ["stage1_block0_conv2"],
    "branch1": [
        "transition1_branch1_conv1",
        "stage2_module0_branch1_block0_conv2",
        "stage2_module0_link0to1_conv1",
        "stage3_module0_branch1_block0_conv2",
        "stage3_module0_link0to1_conv1",
        "stage3_module0_link2to1_conv1",
        "stage3_module1_branch1_block0_conv2",
    ],
    "stage3_module1_branch2_block0_conv1": ["stage3_module1_branch2_block0_conv1"],
    "stage3_module0_link0to2_conv1": ["stage3_module0_link0to2_conv1"],
}
UNUSED = ("branch1", 3)  # a channel whose weights are zero


@pytest.fixture(scope="module")
def spec() -> HRNetSpec:
    stages = (StageSpec(1, 1), StageSpec(2, 1))
    return HRNetSpec("micro", 4, (32, 32), 5, stages, stem_width=8, stage1_blocks=1, stage1_width=4).full()


@pytest.fixture(scope="module")
def model(spec: HRNetSpec) -> KerasModel:
    """A network that uses all channels but `UNUSED`."""
    keras.utils.set_random_seed(0)
    model, weights = build_model(spec), {}
    for name, array in model_weights(model).items():
        if name.endswith(("gamma", "moving_variance")):
            array = RNG.uniform(0.5, 1.5, array.shape).astype(np.float32)
        elif name.endswith(("beta", "head_heatmaps/kernel")):
            array = RNG.normal(0.1, 0.1, array.shape).astype(np.float32)
        if re.sub(r"_bn(\d)/(gamma|beta)", r"_conv\1", name) in WRITERS[UNUSED[0]]:
            array[..., UNUSED[1]] = 0
        weights[name] = array
    set_model_weights(model, weights)
    model.compile("adam", "mse")
    return model


@pytest.fixture(scope="module")
def network(model: KerasModel) -> GatedNetwork:
    return GatedNetwork.of(model)


@pytest.fixture(scope="module")
def data(model: KerasModel) -> KerasRankingData:
    return KerasRankingData.prepare((IMAGES, MAPS), model)


@pytest.fixture(scope="module")
def scores(network: GatedNetwork, data: KerasRankingData) -> ChannelScores:
    return channel_importance(network, data)


def loss_with(model: KerasModel, data: KerasRankingData, layers: Sequence[str], channel: int, factor: float) -> float:
    """The loss when a channel is scaled in the outputs of some convolutions of a folded model, whose weights are restored."""
    kept = {name: model.get_layer(name).get_weights() for name in layers}
    for name, (kernel, bias) in kept.items():
        scale = np.where(np.arange(len(bias)) == channel, np.float32(factor), 1)
        model.get_layer(name).set_weights([kernel * scale, bias * scale])
    loss, _ = data.measure(model)
    for name, arrays in kept.items():
        model.get_layer(name).set_weights(arrays)
    return loss


@pytest.mark.slow
def test_importance_is_the_gradient_of_a_factor_on_the_channel(
    network: GatedNetwork, data: KerasRankingData, scores: ChannelScores
) -> None:
    model, epsilon = network.build(), 2e-3
    for group, layers in WRITERS.items():
        changes = [
            (loss_with(model, data, layers, channel, 1 + epsilon) - loss_with(model, data, layers, channel, 1 - epsilon))
            / (2 * epsilon)
            for channel in (0, 3)
        ]
        measured = [scores[group][channel] for channel in (0, 3)]
        assert measured == pytest.approx(np.abs(changes), rel=0.05, abs=2e-4 * max(scores[group])), group


@pytest.mark.slow
def test_only_a_channel_of_zeros_has_no_importance(network: GatedNetwork, data: KerasRankingData, scores: ChannelScores) -> None:
    group, unused = UNUSED
    assert [channel for channel, score in enumerate(scores[group]) if score == 0] == [unused]
    model = network.build()
    loss, _ = data.measure(model)
    assert loss_with(model, data, WRITERS[group], unused, 0) == loss
    assert loss_with(model, data, WRITERS[group], 0, 0) != loss


@pytest.mark.slow
def test_every_group_is_ranked(spec: HRNetSpec, scores: ChannelScores) -> None:
    assert {group: len(values) for group, values in scores.items()} == dict(spec.full_widths)
    assert set(WRITERS) < set(scores)


@pytest.mark.slow
def test_rank_with_widths(model: KerasModel, spec: HRNetSpec, scores: ChannelScores) -> None:
    ranking = rank(model, (IMAGES, MAPS), methods=["taylor", "random"], include_widths=True)
    assert ranking.channels["taylor"] == scores
    drawn = np.concatenate(list(ranking.channels["random"].values()))
    assert len(np.unique(drawn)) == sum(spec.full_widths.values())
    assert 0 <= drawn.min() < 0.05 < 0.95 < drawn.max() < 1
    narrower = spec.with_widths({"branch1": 4})
    with pytest.raises(HRNetError, match=r"`ranking` is of micro with 10 links, but .* 10 links and 1 narrowed widths"):
        ranking.check_spec(narrower)


@pytest.mark.slow
def test_channels_of_a_narrower_network(spec: HRNetSpec) -> None:
    keras.utils.set_random_seed(0)
    removed = next(block for block in spec.live_blocks if str(block) == "stage3_module1_branch2_block0")
    narrow = build_model(spec.without({removed}).with_widths({"branch1": 4, "stem_conv1": 5}))
    narrow.compile("adam", "mse")
    channels = rank(narrow, (IMAGES, MAPS), methods="random", include_widths=True).channels["random"]
    assert {group: len(channels[group]) for group in ("branch1", "stem_conv1", "stem_conv2")} == {
        "branch1": 4,
        "stem_conv1": 5,
        "stem_conv2": 8,
    }
    assert "stage3_module1_branch2_block0_conv1" not in channels
