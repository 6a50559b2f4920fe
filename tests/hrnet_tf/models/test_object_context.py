"""The head of HRNet-OCR: values by definition, costs, training, and what becomes of it in a file."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from conversion.convert import convert
from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import KerasModel, Weights
from hrnet_tf.models.build import build_model
from hrnet_tf.models.heads import full_size
from hrnet_tf.runs.weights import model_weights, set_model_weights
from hrnet_tf.spec.activations import activation_parts
from hrnet_tf.spec.complexity import parts
from hrnet_tf.spec.network import HRNetSpec, StageSpec
from hrnet_tf.spec.presets import preset
from mobile_eval.errors import HRNetError
from training.optim.auxiliary import auxiliary_trainer, without_auxiliary
from training.tasks.segmentation.settings import SegmentationSettings
from training.tasks.segmentation.task import TASK, pixel_loss

CLASSES, FEATURES, INNER = 5, 6, 3
SPEC = HRNetSpec(
    "micro",
    4,
    (32, 48),
    CLASSES,
    (StageSpec(1, 1),) * 2,
    stem_width=4,
    stage1_blocks=1,
    stage1_width=2,
    task="segmentation",
    head="object_context",
    head_width=FEATURES,
    interpolation="aligned",
).full()
Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def model() -> KerasModel:
    """A network with random weights and both outputs."""
    model = build_model(SPEC, auxiliary=True)
    rng = np.random.default_rng(0)
    weights = {
        name: rng.uniform(0.5, 1.5, array.shape) if name.endswith(("gamma", "variance")) else rng.normal(0, 0.3, array.shape)
        for name, array in model_weights(model).items()
    }
    set_model_weights(model, {name: array.astype(np.float32) for name, array in weights.items()})
    return model


@pytest.fixture(scope="module")
def images() -> NDArray[np.float32]:
    return np.random.default_rng(1).standard_normal((2, *SPEC.input_size, 3)).astype(np.float32)


def convolved(x: Array, weights: Weights, conv: str) -> Array:
    """A convolution of maps (H, W, C) with its bias, if it has one, and a border of zeros."""
    kernel = weights[f"{conv}/kernel"].astype(np.float64)
    border = kernel.shape[0] // 2
    padded = np.pad(x, ((border, border), (border, border), (0, 0)))
    rows, columns = x.shape[:2]
    taps = ((i, j) for i in range(kernel.shape[0]) for j in range(kernel.shape[1]))
    y = sum(np.einsum("hwc,cd->hwd", padded[i : i + rows, j : j + columns], kernel[i, j]) for i, j in taps)
    return np.asarray(y + weights.get(f"{conv}/bias", 0.0))


def unit(x: Array, weights: Weights, name: str, index: int = 1) -> Array:
    """A convolution, BatchNorm and ReLU."""
    y, norm = convolved(x, weights, f"{name}_conv{index}"), f"{name}_bn{index}"
    mean, variance, gamma, beta = (weights[f"{norm}/{part}"] for part in ("moving_mean", "moving_variance", "gamma", "beta"))
    return np.maximum((y - mean) / np.sqrt(variance + 1e-5) * gamma + beta, 0)


def softmax(x: Array, axis: int) -> Array:
    values = np.exp(x - x.max(axis, keepdims=True))
    return np.asarray(values / values.sum(axis, keepdims=True))


def head_by_definition(gathered: Array, weights: Weights) -> tuple[Array, Array]:
    """Logits and regions (H, W, classes) of the concatenated branches (H, W, C), as the paper defines them."""
    regions = convolved(unit(gathered, weights, "head_mix"), weights, "head_regions")
    pixels = unit(gathered, weights, "head_pixels")
    objects = np.einsum("hwk,hwc->kc", softmax(regions.reshape(-1, CLASSES), 0).reshape(regions.shape), pixels)[:, None]
    key, query = (unit(unit(x, weights, name), weights, name, 2) for x, name in ((objects, "head_key"), (pixels, "head_query")))
    value = unit(objects, weights, "head_value")[:, 0]
    attention = softmax(np.einsum("hwd,kd->hwk", query, key[:, 0]) / math.sqrt(INNER), -1)
    context = unit(np.einsum("hwk,kd->hwd", attention, value), weights, "head_context")
    return convolved(unit(np.concatenate([context, pixels], -1), weights, "head_fuse"), weights, "head_logits"), regions


def test_outputs_are_those_of_the_definition(model: KerasModel, images: NDArray[np.float32]) -> None:
    gathered = keras.Model(model.input, model.get_layer("head_gathered").output)(images, training=False).numpy()
    outputs = [output.numpy() for output in model(images, training=False)]
    weights = model_weights(model)
    for index, maps in enumerate(gathered):
        for output, expected in zip(outputs, head_by_definition(maps.astype(np.float64), weights), strict=True):
            assert np.ptp(expected) > 0.1
            np.testing.assert_allclose(output[index], expected, atol=1e-4 * np.abs(expected).max())


def test_branches_are_upsampled_with_the_corners_in_one_place(model: KerasModel, images: NDArray[np.float32]) -> None:
    upsampling = model.get_layer("head_up2")
    low, high = (keras.Model(model.input, x)(images, training=False).numpy() for x in (upsampling.input, upsampling.output))
    np.testing.assert_allclose(high[:, [0, 0, -1, -1], [0, -1, 0, -1]], low[:, [0, 0, -1, -1], [0, -1, 0, -1]], atol=1e-5)
    assert full_size(without_auxiliary(model)).get_layer("head_full_size").interpolation == "aligned"


def test_costs_are_those_of_the_layers(model: KerasModel) -> None:
    head = [layer for layer in model.layers if layer.name.startswith("head_")]
    assert parts(SPEC)["head"].parameters == sum(math.prod(weight.shape) for layer in head for weight in layer.trainable_weights)
    convolutions = [layer for layer in head if hasattr(layer, "kernel")]
    counts = [math.prod(layer.output_shape[1:3]) * math.prod(layer.kernel.shape) for layer in convolutions]
    assert parts(SPEC)["head"].multiply_adds == sum(counts)
    assert {"head_gathered", "head_attention"} <= {part.name for part in activation_parts(SPEC)}


def test_sizes_of_the_published_network() -> None:
    sizes = parts(preset("segment-w48-ocr"))
    assert sum(cost.parameters for cost in sizes.values()) == 70_372_678
    assert round(sum(cost.multiply_adds for cost in sizes.values()) / 2**30, 1) == 1206.4


def test_regions_are_trained_with_their_weight(model: KerasModel, images: NDArray[np.float32]) -> None:
    trainer = auxiliary_trainer(TASK, model, SPEC, pixel_loss(SegmentationSettings()))
    classes = np.random.default_rng(2).integers(0, CLASSES, (len(images), *SPEC.input_size)).astype(np.float32)
    logits, regions = model(images, training=False)
    losses = [float(trainer.loss_of_output(classes, output)) for output in (logits, regions)]
    expected = losses[0] + 0.4 * losses[1]
    assert float(trainer.loss_from_outputs(images, classes, [logits, regions])) == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_files_compute_it_in_float_and_refuse_int8(model: KerasModel, images: NDArray[np.float32], tmp_path: Path) -> None:
    network = without_auxiliary(model)
    file = convert(network, tmp_path / "ocr.tflite", format="float32", representative_data=images)
    expected = network.predict_on_batch(images)
    np.testing.assert_allclose(file.predict(images), expected, atol=1e-4 * np.abs(expected).max())
    with pytest.raises(HRNetError, match=r"head_objects \(RegionMeans\) cannot be quantized: .* convert to float32"):
        convert(network, tmp_path / "int8.tflite", format="int8", representative_data=images)
