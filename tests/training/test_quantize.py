"""Keras models that are quantized, and those that cannot be; tests/conversion/test_own_heads.py trains and converts them."""

from __future__ import annotations

import numpy as np
import pytest

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import KerasModel
from hrnet_tf.models.build import build_model
from hrnet_tf.models.rebuild import rebuild
from hrnet_tf.networks import HRNet, HRNetBackbone
from hrnet_tf.runs.weights import model_weights
from mobile_eval.errors import HRNetError
from tests.support.own_heads import SIZE, SIZES
from training.quantize import quantize

PIXELS = np.random.default_rng(0).uniform(0, 255, (6, SIZE, SIZE, 3)).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pose-small-v1", "segment-small-v1", "classify-small-v1", "landmarks-small-v1"])
def test_folded_layers_of_the_package_are_those_of_its_runs(name: str) -> None:
    """A run stores the weights by the names of these layers, and builds the model without a calibration."""
    spec = HRNet.preset(name, outputs=3, **SIZES)
    expected, actual = model_weights(build_model(spec, folded=True)), model_weights(rebuild(build_model(spec), folded=True))
    assert {key: value.shape for key, value in actual.items()} == {key: value.shape for key, value in expected.items()}


def test_mixed_precision_becomes_float32() -> None:
    policy = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        folded = rebuild(HRNet("pose-small-v1", outputs=5, **SIZES), folded=True)
    finally:
        keras.mixed_precision.set_global_policy(policy)
    assert {layer.compute_dtype for layer in folded.layers} == {"float32"}


def with_head(layer: object, name: str = "own") -> KerasModel:
    backbone = HRNetBackbone("pose-small-v1", **SIZES)
    return keras.Model(backbone.input, layer(backbone.pyramid_outputs["P2"]), name=name)  # type: ignore[operator]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (keras.layers.LayerNormalization(name="own_norm"), r"own_norm \(LayerNormalization\).*replace it"),
        (lambda x: x + 1.0, r"\(TFOpLambda\).*such as Add"),
        (keras.layers.Activation("elu", name="own_elu"), r"own_elu \(Activation elu\)"),
        (keras.layers.Conv2D(3, 1, activation="elu", name="own_conv"), r"own_conv_activation \(Activation elu\)"),
    ],
)
def test_layer_that_cannot_be_quantized_is_named(layer: object, message: str) -> None:
    with pytest.raises(HRNetError, match=message):
        quantize(with_head(layer), PIXELS)


@pytest.mark.slow
@pytest.mark.parametrize("calibration", [[], np.zeros((2, 32, 32, 3)), np.full((1, SIZE, SIZE, 3), np.nan), "images", None, 3])
def test_bad_calibration(calibration: object) -> None:
    model = HRNet("pose-small-v1", outputs=5, **SIZES | {"modules": (1,)})
    with pytest.raises(HRNetError, match="`calibration`"):
        quantize(model, calibration)


def test_models_that_cannot_be_quantized() -> None:
    backbone = HRNetBackbone("pose-small-v1", **SIZES)
    extra = keras.Input((SIZE, SIZE, 3), name="extra")
    x = keras.layers.Concatenate()([backbone.pyramid_outputs["P2"], keras.layers.AveragePooling2D(4)(extra)])
    with pytest.raises(HRNetError, match="one input"):
        quantize(keras.Model([backbone.input, extra], x), PIXELS)
    image = keras.Input((8, 8, 3))
    with pytest.raises(HRNetError, match="foreign"):
        quantize(keras.Model(image, keras.layers.Conv2D(2, 3)(image), name="foreign"), PIXELS)
