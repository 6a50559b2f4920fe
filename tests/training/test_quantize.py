"""Quantization-aware training of Keras models with heads of a user's own."""

from __future__ import annotations

import numpy as np
import pytest

from hrnet_tf.backend.keras_module import keras, tf
from hrnet_tf.backend.types import KerasModel
from hrnet_tf.models.build import build_model
from hrnet_tf.models.quantization import without_fake_quantization
from hrnet_tf.models.rebuild import rebuild
from hrnet_tf.models.trunk import is_quantized, spec_of
from hrnet_tf.networks import HRNet, HRNetBackbone
from hrnet_tf.runs.weights import model_weights
from mobile_eval.errors import HRNetError
from tests.support.own_heads import SIZE, SIZES, two_headed
from training.quantize import quantize

PIXELS = np.random.default_rng(0).uniform(0, 255, (6, SIZE, SIZE, 3)).astype(np.float32)


def snr_db(expected: np.ndarray, actual: np.ndarray) -> float:
    return float(10 * np.log10(np.sum(np.square(expected)) / np.sum(np.square(expected - actual))))


@pytest.fixture(scope="module")
def model() -> KerasModel:
    return two_headed()


@pytest.fixture(scope="module")
def quantized(model: KerasModel) -> KerasModel:
    return quantize(model, tf.data.Dataset.from_tensor_slices((PIXELS, np.zeros(6))).batch(4).repeat())


@pytest.mark.slow
def test_outputs_keep_their_structure_and_values(model: KerasModel, quantized: KerasModel) -> None:
    assert is_quantized(quantized)
    assert spec_of(quantized) == spec_of(model)
    expected, outputs = model.predict(PIXELS, verbose=0), quantized.predict(PIXELS, verbose=0)
    assert outputs.keys() == expected.keys() == {"maps", "classes"}
    for name in outputs:
        assert outputs[name].shape == expected[name].shape
        assert snr_db(expected[name], outputs[name]) > 15, name
    plain = without_fake_quantization(quantized).predict(PIXELS, verbose=0)
    for name in outputs:
        np.testing.assert_allclose(plain[name], expected[name], rtol=0, atol=1e-4 * np.abs(expected[name]).max())


@pytest.mark.slow
def test_every_kernel_is_rounded(quantized: KerasModel) -> None:
    names = set(model_weights(quantized))
    kernels = {name for name in names if name.endswith("kernel")}
    assert len(kernels) > 20
    assert {name for name in kernels if not {f"{name}_min", f"quant_{name}_min"} & names} == set()


@pytest.mark.slow
def test_training_with_a_loss_for_each_output(quantized: KerasModel) -> None:
    quantized.compile("sgd", {"maps": "mse", "classes": "categorical_crossentropy"})
    shapes = {name: (len(PIXELS), *output.shape[1:]) for name, output in quantized.output.items()}
    history = quantized.fit(PIXELS, {name: np.ones(shape, np.float32) for name, shape in shapes.items()}, verbose=0)
    assert np.isfinite(history.history["loss"][0])


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
