"""The weights of a Keras model go to an official checkpoint and come back equal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.checkpoints.to_torch import export_checkpoint
from hrnet_tf.models.rebuild import rebuild
from hrnet_tf.networks import HRNet, HRNetBackbone
from hrnet_tf.runs.weights import model_weights, set_model_weights
from mobile_eval.errors import HRNetError

RNG = np.random.default_rng(5)
SIZES = {"input_size": 64, "width": 4, "modules": (1, 1, 1), "stem_width": 8, "stage1_width": 4, "blocks": 1}


@pytest.mark.slow
def test_checkpoint_of_a_model_is_loaded_equal(tmp_path: Path) -> None:
    model = HRNet("pose-small-v1", input_size=64)
    entries = export_checkpoint(model, tmp_path / "small.safetensors")
    again = HRNet.from_checkpoint(tmp_path / "small.safetensors", input_size=64)
    before, after = model_weights(model), model_weights(again)
    assert entries > len(before)
    assert before.keys() == after.keys()
    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array)


@pytest.mark.slow
def test_models_without_a_place_in_the_layout_are_refused(tmp_path: Path) -> None:
    with pytest.raises(HRNetError, match="head"):
        export_checkpoint(HRNetBackbone("pose-small-v1", **SIZES), tmp_path / "x.npz")
    with pytest.raises(HRNetError, match=r"x\.h5"):
        export_checkpoint(HRNet("pose-small-v1", **SIZES), tmp_path / "x.h5")
    with pytest.raises(HRNetError, match="foreign"):
        export_checkpoint(keras.Sequential(name="foreign"), tmp_path / "x.npz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_checkpoint_of_a_narrowed_model_is_a_full_network_that_computes_the_same(tmp_path: Path) -> None:
    model = HRNet("pose-small-v1", **SIZES)
    weights = {name: array + RNG.uniform(0.05, 0.5, array.shape) for name, array in model_weights(model).items()}
    set_model_weights(model, weights)
    widths = {"stem_conv1": 5, "stage1": 9, "branch0": 2, "branch2": 7, "stage3_module0_link0to2_conv1": 1}
    kept = {group: sorted(RNG.choice(model.spec.full_widths[group], size, replace=False)) for group, size in widths.items()}
    smaller = rebuild(model, model.spec.with_widths(widths), channels=kept)
    export_checkpoint(smaller, tmp_path / "small.npz")
    again = HRNet.from_checkpoint(tmp_path / "small.npz", input_size=64)
    assert again.spec.full_widths["stage1"] == 16
    assert again.spec.widths == ()
    images = RNG.standard_normal((2, 64, 64, 3)).astype(np.float32)
    expected = smaller.predict(images, verbose=0)
    np.testing.assert_allclose(again.predict(images, verbose=0), expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@pytest.mark.slow
def test_moved_head_has_no_place_in_the_layout(tmp_path: Path) -> None:
    model = HRNet("pose-small-v1", **SIZES)
    with pytest.raises(HRNetError, match="reads branch 1"):
        export_checkpoint(rebuild(model, model.spec.reading([1])), tmp_path / "x.npz")
