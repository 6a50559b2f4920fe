"""A narrower network computes what the full one computes with its channels at zero."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import KerasModel
from hrnet_tf.models.build import build_model
from hrnet_tf.models.rebuild import rebuild
from hrnet_tf.runs.weights import model_weights, set_model_weights
from hrnet_tf.spec.convolutions import convolutions
from hrnet_tf.spec.network import HRNetSpec, StageSpec
from hrnet_tf.spec.units import FusionLink, ResidualBlock
from mobile_eval.errors import HRNetError

RNG = np.random.default_rng(3)
IMAGES = RNG.standard_normal((2, 32, 32, 3)).astype(np.float32)
POSE = HRNetSpec("micro", 4, (32, 32), 3, (StageSpec(1, 1),) * 2, stem_width=6, stage1_blocks=2, stage1_width=3).full()
SPECS = {
    "heatmap": POSE,
    "dense": dataclasses.replace(POSE, task="segmentation").full(),
    "object context": dataclasses.replace(
        POSE, task="segmentation", head="object_context", head_width=4, interpolation="aligned"
    ).full(),
    "classification": dataclasses.replace(POSE, task="classification", head_width=3).full(),
    "centers": dataclasses.replace(POSE, task="detection", head="centers", head_width=3).full(),
    "bottleneck": dataclasses.replace(POSE, block="bottleneck").full(),
    "joined streams": dataclasses.replace(POSE, stem_width=4, stage1_width=1).full(),
}


def randomized(spec: HRNetSpec) -> KerasModel:
    """A model with random weights and statistics."""
    keras.utils.set_random_seed(0)
    model = build_model(spec)
    weights = model_weights(model)
    set_model_weights(model, {name: array + RNG.uniform(0.05, 0.5, array.shape) for name, array in weights.items()})
    return model


def joined(outputs: Any) -> NDArray[np.float32]:
    """The values of all outputs in one array."""
    arrays = [outputs[name].numpy() for name in sorted(outputs)] if isinstance(outputs, dict) else [outputs.numpy()]
    return np.concatenate([array.ravel() for array in arrays])


def half(spec: HRNetSpec) -> dict[str, list[int]]:
    """About half of the channels of every group, not the first ones."""
    halves = {group: max(1, width // 2) for group, width in spec.full_widths.items()}
    return {group: sorted(RNG.choice(spec.full_widths[group], count, replace=False)) for group, count in halves.items()}


def zeroed(model: KerasModel, spec: HRNetSpec, kept: dict[str, list[int]]) -> KerasModel:
    """The full model, in which what every convolution writes to the removed channels is zero."""
    weights = model_weights(model)
    for convolution in convolutions(spec):
        if convolution.writes in kept:
            removed = np.setdiff1d(np.arange(convolution.target), kept[convolution.writes])
            for part in ("gamma", "beta"):
                weights[f"{convolution.name.replace('_conv', '_bn')}/{part}"][removed] = 0
    zeros = build_model(spec)
    set_model_weights(zeros, weights)
    return zeros


@pytest.mark.slow
@pytest.mark.parametrize("name", SPECS)
def test_pruned_channels_are_zero_channels(name: str) -> None:
    spec = SPECS[name]
    model, kept = randomized(spec), half(spec)
    narrow = spec.with_widths({group: len(indices) for group, indices in kept.items()})
    smaller = rebuild(model, narrow, channels=kept)
    assert smaller.spec == narrow
    assert smaller.count_params() < 0.75 * model.count_params()
    expected = joined(zeroed(model, spec, kept)(IMAGES))
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(joined(smaller(IMAGES)), expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())


@pytest.mark.slow
def test_narrow_network_is_folded_and_narrowed_again() -> None:
    model, kept = randomized(POSE), half(POSE)
    smaller = rebuild(model, POSE.with_widths({group: len(indices) for group, indices in kept.items()}), channels=kept)
    folded = rebuild(smaller, folded=True)
    expected = smaller(IMAGES).numpy()
    np.testing.assert_allclose(folded(IMAGES).numpy(), expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    again = rebuild(smaller, smaller.spec.with_widths({"branch0": 1}), channels={"branch0": [1]})
    twice = {**kept, "branch0": [kept["branch0"][1]]}
    expected = zeroed(model, POSE, twice)(IMAGES).numpy()
    np.testing.assert_allclose(again(IMAGES).numpy(), expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())


@pytest.mark.slow
def test_first_block_of_stage_1_stays_and_the_others_leave_their_identity() -> None:
    model = randomized(POSE)
    block = ResidualBlock(1, 0, 0, 1)
    smaller = rebuild(model, POSE.without({block}))
    weights = model_weights(model)
    for part in ("gamma", "beta"):
        weights[f"stage1_block1_bn3/{part}"][:] = 0
    set_model_weights(model, weights)
    expected = model(IMAGES).numpy()
    np.testing.assert_allclose(smaller(IMAGES).numpy(), expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())
    with pytest.raises(HRNetError, match="stage1_block0"):
        POSE.without({ResidualBlock(1, 0, 0, 0)})


@pytest.mark.slow
def test_head_on_the_second_branch_computes_what_its_link_gave() -> None:
    """Heatmaps of the full network, whose branch 0 adds nothing at the end, before the last ReLU changes them."""
    model = randomized(POSE)
    moved = rebuild(model, POSE.reading([1]))
    assert moved.output_shape == model.output_shape == (None, 8, 8, 3)
    assert moved.spec.full() == POSE
    link = FusionLink(3, 0, 1, 0)
    folded = model_weights(rebuild(model, folded=True))
    maps = keras.Model(moved.input, moved.get_layer("head_heatmaps").input)(IMAGES).numpy()
    linked = maps @ folded[f"{link}_conv1/kernel"][0, 0] + folded[f"{link}_conv1/bias"]
    expected = linked @ folded["head_heatmaps/kernel"][0, 0] + folded["head_heatmaps/bias"]
    heatmaps = keras.Model(moved.input, moved.get_layer("head_heatmaps").output)(IMAGES).numpy()
    np.testing.assert_allclose(heatmaps, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    assert rebuild(moved, POSE, folded=True).output_shape == model.output_shape


@pytest.mark.slow
@pytest.mark.parametrize(
    ("channels", "message"),
    [
        ({}, r"`channels` of branch0 must be 2 of its 4 channels in order, got \[\]"),
        ({"branch0": [0, 4]}, r"got \[0, 4\]"),
        ({"branch0": [1, 0]}, r"got \[1, 0\]"),
        ({"branch0": [1, 1]}, r"got \[1, 1\]"),
        ({"branch0": [1, 2, 3]}, r"got \[1, 2, 3\]"),
    ],
)
def test_channels_that_do_not_fit(channels: dict[str, list[int]], message: str) -> None:
    with pytest.raises(HRNetError, match=message):
        rebuild(build_model(POSE), POSE.with_widths({"branch0": 2}), channels=channels)
