"""The layers that networks to compare with are written in: values by definition, folding, and layers that record themselves."""

from __future__ import annotations

import numpy as np
import pytest

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.checkpoints.entry import Entry, from_variable, official_shape, to_variable
from hrnet_tf.models.baselines.resampling import AdaptiveMean, Resize
from hrnet_tf.models.folding import fold_batch_norm
from hrnet_tf.models.keras_layers import KerasLayers
from hrnet_tf.models.layers import Upsampling, convolution
from hrnet_tf.runs.weights import model_weights, set_model_weights
from hrnet_tf.spec.baselines.layers import ConvUnit
from hrnet_tf.spec.baselines.trace import Maps, Tracer

RNG = np.random.default_rng(0)
MAPS = RNG.standard_normal((2, 5, 7, 3)).astype(np.float32)


def interpolated(values: np.ndarray, axis: int, positions: np.ndarray) -> np.ndarray:
    """Values at fractional positions along an axis, between the two neighbors."""
    return np.apply_along_axis(lambda line: np.interp(positions, np.arange(len(line)), line), axis, values)


def test_aligned_upsampling_keeps_the_corners() -> None:
    expected = interpolated(interpolated(MAPS, 1, np.linspace(0, 4, 10)), 2, np.linspace(0, 6, 14))
    np.testing.assert_allclose(Upsampling(2, "aligned")(MAPS).numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(Resize((10, 14), "aligned")(MAPS).numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "aligned"])
@pytest.mark.parametrize("training", [False, True])
def test_resizing_one_pixel_repeats_it(interpolation: str, training: bool) -> None:
    pixel = MAPS[:, :1, :1]
    result = Resize((3, 4), interpolation)(pixel, training=training).numpy()
    np.testing.assert_array_equal(result, np.broadcast_to(pixel, (2, 3, 4, 3)))


def test_resizing_to_a_size_that_is_no_multiple() -> None:
    result = Resize((7, 12), "nearest")(MAPS).numpy()
    rows, columns = np.arange(7) * 5 // 7, np.arange(12) * 7 // 12
    np.testing.assert_array_equal(result, MAPS[:, rows][:, :, columns])


@pytest.mark.parametrize("bins", [2, 3, 5])
def test_adaptive_means_over_windows_that_overlap(bins: int) -> None:
    result = AdaptiveMean(bins)(MAPS).numpy()
    for row in range(bins):
        for column in range(bins):
            window = MAPS[:, row * 5 // bins : -(-(row + 1) * 5 // bins), column * 7 // bins : -(-(column + 1) * 7 // bins)]
            np.testing.assert_allclose(result[:, row, column], window.mean((1, 2)), atol=1e-6)


def test_adaptive_means_are_pooling_where_windows_are_equal() -> None:
    layers, maps = KerasLayers({}), keras.Input((6, 9, 2))
    kinds = [type(keras.Model(maps, layers.adaptive_mean(maps, bins, "pool")).layers[-1]).__name__ for bins in (1, 3, 2)]
    assert kinds == ["GlobalAveragePooling2D", "AveragePooling2D", "AdaptiveMean"]


@pytest.mark.parametrize(("stride", "dilation"), [(1, 2), (2, 1)])
def test_depthwise_convolutions_pad_and_fold(stride: int, dilation: int) -> None:
    models = []
    for folded in (False, True):
        image = keras.Input((5, 7, 3))
        unit = KerasLayers({}, folded=folded).depthwise(image, 3, "unit", stride=stride, dilation=dilation)
        models.append(keras.Model(image, unit))
    weights = {name: RNG.uniform(0.5, 1.5, array.shape).astype(np.float32) for name, array in model_weights(models[0]).items()}
    set_model_weights(models[0], weights)
    set_model_weights(models[1], fold_batch_norm(weights))
    padded = np.pad(MAPS, ((0, 0), (dilation, dilation), (dilation, dilation), (0, 0)))
    kernel = weights["unit_conv1/depthwise_kernel"][..., 0]
    taps = (padded[:, dilation * y :, dilation * x :][:, :5, :7] * kernel[y, x] for y in range(3) for x in range(3))
    scale = weights["unit_bn1/gamma"] / np.sqrt(weights["unit_bn1/moving_variance"] + 1e-5)
    expected = (sum(taps)[:, ::stride, ::stride] - weights["unit_bn1/moving_mean"]) * scale + weights["unit_bn1/beta"]
    for model in models:
        np.testing.assert_allclose(model(MAPS, training=False).numpy(), np.maximum(expected, 0), atol=1e-4)
    tracer = Tracer()
    result = tracer.depthwise(Maps(3, (5, 7)), 3, "unit", stride=stride, dilation=dilation)
    assert result.size == expected.shape[1:3]
    assert tracer.weighted[0].cost.parameters == 3 * 9 + 2 * 3
    assert tracer.weighted[0].cost.multiply_adds == 3 * 9 * result.size[0] * result.size[1]


def test_depthwise_kernels_of_checkpoints() -> None:
    entry = Entry("conv.weight", "unit_conv1/depthwise_kernel")
    array = RNG.standard_normal((4, 1, 3, 5))
    assert official_shape(entry, to_variable(entry, array).shape) == array.shape
    np.testing.assert_array_equal(to_variable(entry, array)[2, 1, :, 0], array[:, 0, 2, 1])
    np.testing.assert_array_equal(from_variable(entry, to_variable(entry, array)), array)


def test_dilated_convolutions_are_those_of_keras() -> None:
    unit = ConvUnit(4, 3, "unit", dilation=2)
    direct = convolution(unit, padding="same", use_bias=True, activation=None)
    direct.build(MAPS.shape)
    plain = type(direct).from_config(direct.get_config())
    plain.build(MAPS.shape)
    plain.set_weights(direct.get_weights())
    np.testing.assert_allclose(direct(MAPS).numpy(), plain(MAPS).numpy(), atol=1e-5)
