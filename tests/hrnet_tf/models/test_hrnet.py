"""Models built from specs: layers, folding, quantization, padding and upsampling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import Weights
from hrnet_tf.models.build import build_model
from hrnet_tf.models.folding import fold_batch_norm
from hrnet_tf.models.keras_layers import KerasLayers
from hrnet_tf.models.layers import Upsampling
from hrnet_tf.models.quantization import activation_ranges, build_quantized_model, initialize_ranges
from hrnet_tf.runs.weights import model_weights, set_model_weights
from hrnet_tf.spec.network import HRNetSpec
from hrnet_tf.spec.units import FusionLink
from mobile_eval.errors import HRNetError

RandomWeights = Callable[[Any], Weights]


def images(spec: HRNetSpec) -> NDArray[np.float32]:
    return np.random.default_rng(1).standard_normal((2, *spec.input_size, 3)).astype(np.float32)


def test_output_is_one_heatmap_per_keypoint_at_stride_4(spec: HRNetSpec) -> None:
    assert build_model(spec).output_shape == (None, 16, 16, 17)


@pytest.mark.slow
def test_removed_links_and_unreachable_branches_are_not_built(spec: HRNetSpec) -> None:
    smaller = spec.without({FusionLink(4, 0, 3, 0), FusionLink(3, 0, 0, 2)})
    names = [layer.name for layer in build_model(smaller).layers]
    assert any(name.startswith("stage4_module0_branch2") for name in names)
    for absent in ("stage4_module0_link3to0", "stage4_module0_branch3", "transition3", "stage3_module0_link0to2"):
        assert not [name for name in names if name.startswith(absent)]


@pytest.mark.slow
def test_folding_batch_norm_preserves_the_outputs(spec: HRNetSpec, random_weights: RandomWeights) -> None:
    model, folded = build_model(spec), build_model(spec, folded=True)
    set_model_weights(model, random_weights(model))
    set_model_weights(folded, fold_batch_norm(model_weights(model)))
    expected = model(images(spec), training=False).numpy()
    np.testing.assert_allclose(folded(images(spec), training=False).numpy(), expected, atol=1e-4 * np.abs(expected).max())
    assert len(folded.layers) < 0.7 * len(model.layers)


@pytest.mark.slow
def test_initial_quantized_network_approximates_the_folded_one(spec: HRNetSpec, random_weights: RandomWeights) -> None:
    model, folded = build_model(spec), build_model(spec, folded=True)
    weights = fold_batch_norm(random_weights(model))
    set_model_weights(folded, weights)
    quantized = build_quantized_model(spec, weights)
    initialize_ranges(quantized, activation_ranges(folded, [[images(spec)]]))
    expected = folded(images(spec), training=False).numpy()
    difference = np.abs(quantized(images(spec), training=False).numpy() - expected)
    assert difference.max() < 0.2 * np.ptp(expected)
    assert difference.mean() < 0.03 * np.ptp(expected)
    upsampling = [layer for layer in quantized.layers if isinstance(getattr(layer, "layer", None), Upsampling)]
    assert upsampling
    assert not any(weight.name.endswith(("_min:0", "_max:0")) for layer in upsampling for weight in layer.weights)


def test_strided_convolution_pads_one_pixel_per_side() -> None:
    image = keras.Input((8, 8, 1))
    model = keras.Model(image, KerasLayers(folded=True).conv(image, 1, 3, "unit", stride=2, relu=False))
    model.set_weights([np.ones((3, 3, 1, 1)), np.zeros(1)])
    result = model(np.ones((1, 8, 8, 1)), training=False).numpy()[0, :, :, 0]
    assert result.tolist() == [[4, 6, 6, 6], [6, 9, 9, 9], [6, 9, 9, 9], [6, 9, 9, 9]]


def test_nearest_upsampling_repeats_pixels() -> None:
    maps = np.arange(2 * 3 * 2, dtype=np.float32).reshape(1, 2, 3, 2)
    expected = maps.repeat(4, axis=1).repeat(4, axis=2)
    for training in (False, True):
        np.testing.assert_array_equal(Upsampling(4)(maps, training=training).numpy(), expected)


def test_weights_of_another_network(spec: HRNetSpec) -> None:
    model = build_model(spec)
    weights = model_weights(model)
    with pytest.raises(HRNetError, match="stem_conv1/kernel"):
        set_model_weights(model, {})
    with pytest.raises(HRNetError, match=r"stem_conv1/kernel.*\(3,\).*\(3, 3, 3, 8\)"):
        set_model_weights(model, {**weights, "stem_conv1/kernel": np.zeros(3)})
