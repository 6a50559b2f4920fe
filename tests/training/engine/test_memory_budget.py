"""Smaller batches under a memory budget do not change results."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.models.build import build_model
from hrnet_tf.models.inference import Inference
from hrnet_tf.models.quantization import activation_ranges
from hrnet_tf.spec.memory import live_bytes
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.image.geometry import STANDARD
from mobile_eval.tasks.pose.predictions import load_keypoints
from training import quantize
from training.callbacks.validation import measure
from training.config import TrainingConfig
from training.data.examples import evaluation_inputs
from training.quantize import calibration_batches, calibration_groups


@pytest.fixture(scope="module")
def folded(spec: HRNetSpec) -> Any:
    keras.utils.set_random_seed(1)
    model = build_model(spec, folded=True)
    kernel, bias = model.get_layer("head_heatmaps").get_weights()
    model.get_layer("head_heatmaps").set_weights([np.random.default_rng(0).normal(0, 0.3, kernel.shape), bias])
    return model


@pytest.mark.slow
def test_validation_in_small_batches(folded: Any, spec: HRNetSpec, config: TrainingConfig) -> None:
    data, sizes = load_keypoints(config.data.train).head(10), []
    inference = Inference(folded, (*spec.input_size, 3))

    def recording_inference(images: np.ndarray) -> Any:
        sizes.append(len(images))
        return inference(images)

    score = measure(recording_inference, data, spec)
    assert measure(recording_inference, data, spec, memory_budget=4 * live_bytes(spec)) == pytest.approx(score, abs=1e-9)
    assert sizes == [10, 4, 4, 2]
    inputs = evaluation_inputs(data.items, spec)
    np.testing.assert_allclose(inference(inputs), folded.predict_on_batch(inputs), atol=1e-5)


def test_inference_uses_changed_weights(folded: Any, spec: HRNetSpec) -> None:
    inference, images = Inference(folded, (*spec.input_size, 3)), np.zeros((2, *spec.input_size, 3), np.float32)
    before, layer = inference(images), folded.get_layer("head_heatmaps")
    layer.bias.assign_add(np.ones(17, np.float32))
    np.testing.assert_allclose(inference(images), before + 1, atol=1e-5)
    layer.bias.assign_sub(np.ones(17, np.float32))


@pytest.mark.slow
def test_ranges_in_small_batches(folded: Any, spec: HRNetSpec, config: TrainingConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantize, "GROUP_ITEMS", 8)
    data = load_keypoints(config.data.train).head(20)
    ranges, budget_ranges = (
        activation_ranges(folded, calibration_groups(calibration_batches(data, spec, STANDARD), size)) for size in (8, 3)
    )
    assert ranges.keys() == budget_ranges.keys() == {layer.name for layer in folded.layers}
    inputs = evaluation_inputs(data.items, spec)
    outputs = keras.Model(folded.input, [layer.output for layer in folded.layers]).predict_on_batch(inputs)
    groups = (slice(0, 8), slice(8, 16), slice(16, 20))
    for layer, values in zip(folded.layers, outputs, strict=True):
        expected = np.mean([[values[group].min(), values[group].max()] for group in groups], axis=0)
        np.testing.assert_allclose(ranges[layer.name], expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(budget_ranges[layer.name], expected, rtol=1e-4, atol=1e-5)
