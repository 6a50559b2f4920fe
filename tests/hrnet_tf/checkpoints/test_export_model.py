"""The weights of a Keras model go to an official checkpoint and come back equal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.checkpoints.to_torch import export_checkpoint
from hrnet_tf.networks import HRNet, HRNetBackbone
from hrnet_tf.runs.weights import model_weights
from mobile_eval.errors import HRNetError

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


def test_models_without_a_place_in_the_layout_are_refused(tmp_path: Path) -> None:
    with pytest.raises(HRNetError, match="head"):
        export_checkpoint(HRNetBackbone("pose-small-v1", **SIZES), tmp_path / "x.npz")
    with pytest.raises(HRNetError, match=r"x\.h5"):
        export_checkpoint(HRNet("pose-small-v1", **SIZES), tmp_path / "x.h5")
    with pytest.raises(HRNetError, match="foreign"):
        export_checkpoint(keras.Sequential(name="foreign"), tmp_path / "x.npz")
    assert list(tmp_path.iterdir()) == []
