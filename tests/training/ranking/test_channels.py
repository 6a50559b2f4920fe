"""The importance of channels is what the loss changes by when a channel of all convolutions of its group is scaled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import KerasModel
from hrnet_tf.models.build import build_model
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.errors import HRNetError
from training.ranking.channels import ChannelScores, channel_importance
from training.ranking.gated_network import GatedNetwork
from training.ranking.keras_data import KerasRankingData
from training.ranking.rank import rank

# The convolutions that write to a group, by hand.
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
UNUSED = ("branch1", 3)  # a channel of zeros, see conftest.py


@pytest.fixture(scope="module")
def scores(micro_network: GatedNetwork, micro_data: KerasRankingData) -> ChannelScores:
    return channel_importance(micro_network, micro_data)


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
    micro_network: GatedNetwork, micro_data: KerasRankingData, scores: ChannelScores
) -> None:
    model, epsilon = micro_network.build(), 5e-3
    for group, layers in WRITERS.items():
        changes = [
            (
                loss_with(model, micro_data, layers, channel, 1 + epsilon)
                - loss_with(model, micro_data, layers, channel, 1 - epsilon)
            )
            / (2 * epsilon)
            for channel in (0, 3)
        ]
        measured = [scores[group][channel] for channel in (0, 3)]
        assert measured == pytest.approx(np.abs(changes), rel=0.05, abs=0.02 * max(scores[group])), group


@pytest.mark.slow
def test_only_a_channel_of_zeros_has_no_importance(
    micro_network: GatedNetwork, micro_data: KerasRankingData, scores: ChannelScores
) -> None:
    group, unused = UNUSED
    assert [channel for channel, score in enumerate(scores[group]) if score == 0] == [unused]
    model = micro_network.build()
    loss, _ = micro_data.measure(model)
    assert loss_with(model, micro_data, WRITERS[group], unused, 0) == loss
    assert loss_with(model, micro_data, WRITERS[group], 0, 0) != loss


@pytest.mark.slow
def test_every_group_is_ranked(micro: HRNetSpec, scores: ChannelScores) -> None:
    assert {group: len(values) for group, values in scores.items()} == dict(micro.full_widths)
    assert set(WRITERS) < set(scores)


@pytest.mark.slow
def test_rank_with_widths(micro_model: KerasModel, micro_examples: Any, micro: HRNetSpec, scores: ChannelScores) -> None:
    ranking = rank(micro_model, micro_examples, methods=["taylor", "random"], include_widths=True)
    assert ranking.channels["taylor"] == scores
    drawn = ranking.channels["random"]
    scaled = np.concatenate([np.multiply(values, len(values)) for values in drawn.values()])
    assert len(np.unique(scaled)) == sum(micro.full_widths.values())
    assert 0 <= scaled.min() < 0.05 < 0.95 < scaled.max() < 1
    narrower = micro.with_widths({"branch1": 4})
    with pytest.raises(HRNetError, match=r"`ranking` is of micro with 10 links, but .* 10 links and 1 narrowed widths"):
        ranking.check_spec(narrower)


@pytest.mark.slow
def test_channels_of_a_narrower_network(micro: HRNetSpec, micro_examples: Any) -> None:
    keras.utils.set_random_seed(0)
    removed = next(block for block in micro.live_blocks if str(block) == "stage3_module1_branch2_block0")
    narrow = build_model(micro.without({removed}).with_widths({"branch1": 4, "stem_conv1": 5}))
    narrow.compile("adam", "mse")
    channels = rank(narrow, micro_examples, methods="random", include_widths=True).channels["random"]
    assert {group: len(channels[group]) for group in ("branch1", "stem_conv1", "stem_conv2")} == {
        "branch1": 4,
        "stem_conv1": 5,
        "stem_conv2": 8,
    }
    assert "stage3_module1_branch2_block0_conv1" not in channels
