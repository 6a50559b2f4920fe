"""Restoring a run from a float32 file: the same outputs, and BatchNorm statistics that match the data."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from conversion.convert import convert_run
from conversion.options import ConvertOptions
from conversion.restore import restore_run
from hrnet_tf.models.build import build_model
from hrnet_tf.runs.run import Run, save_run
from hrnet_tf.runs.weights import load_weights, model_weights, save_weights, set_model_weights
from hrnet_tf.spec.network import HRNetSpec
from hrnet_tf.spec.units import FusionLink, ResidualBlock
from mobile_eval.errors import HRNetError
from mobile_eval.model.archive import embed_description, read_description
from mobile_eval.tasks.pose.predictions import load_keypoints
from training.config import TrainingConfig
from training.data.examples import evaluation_inputs

pytestmark = pytest.mark.slow


def test_restored_run_has_the_same_outputs(spec: HRNetSpec, config: TrainingConfig, tmp_path: Path) -> None:
    smaller = spec.without({FusionLink(4, 0, 3, 0), ResidualBlock(3, 0, 1, 0)})
    category = json.loads(config.data.train.path("annotations").read_text())["categories"][0]
    run = Run(tmp_path / "run", "train", smaller, category, config.to_json())
    save_run(run)
    model = build_model(smaller)
    rng = np.random.default_rng(0)
    weights = dict(model_weights(model))
    for name, array in weights.items():
        if name.endswith(("gamma", "moving_variance")):
            weights[name] = rng.uniform(0.5, 1.5, array.shape).astype(np.float32)
        elif name.endswith(("beta", "moving_mean")) or name.startswith("head"):
            weights[name] = rng.normal(0, 0.2, array.shape).astype(np.float32)
    save_weights(run.weights_path, weights)
    data = load_keypoints(config.data.train)
    convert_run(run, ConvertOptions("float32"), tmp_path / "m.tflite")

    restored = restore_run(tmp_path / "m.tflite", data, tmp_path / "restored")
    assert Run.load(restored.path).spec == smaller
    restored_model = build_model(smaller)
    set_model_weights(model, weights)
    set_model_weights(restored_model, load_weights(restored.weights_path))
    crops = evaluation_inputs(data.instances, smaller)
    expected = model.predict_on_batch(crops)
    np.testing.assert_allclose(restored_model.predict_on_batch(crops), expected, atol=1e-4 * np.abs(expected).max())
    training = np.asarray(restored_model(crops, training=True))  # with the batch statistics of these crops
    np.testing.assert_allclose(training, expected, atol=2e-2 * np.abs(expected).max())

    with pytest.raises(HRNetError, match="restored already exists"):
        restore_run(tmp_path / "m.tflite", data, tmp_path / "restored")
    description = read_description(tmp_path / "m.tflite")
    del description.network["spec"]
    embed_description(tmp_path / "m.tflite", description)
    with pytest.raises(HRNetError, match="spec"):
        restore_run(tmp_path / "m.tflite", data, tmp_path / "other")
