"""Networks for segmentation to compare with: costs, layers, invalid specs, JSON, and int8 files."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conversion.convert import convert
from hrnet_tf.api.quantization import quantize
from hrnet_tf.backend.keras_module import keras, tf
from hrnet_tf.backend.types import Weights
from hrnet_tf.models.build import build_model
from hrnet_tf.models.folding import fold_batch_norm
from hrnet_tf.runs.weights import model_weights, set_model_weights
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.baselines.resnet_trunk import ResNetTrunk
from hrnet_tf.spec.baselines.segmentation.base import SegmentationSpec
from hrnet_tf.spec.baselines.segmentation.xception import XceptionTrunk
from hrnet_tf.spec.baselines.trace import traced
from hrnet_tf.spec.complexity import complexity, parts
from hrnet_tf.spec.cost import Cost, total
from hrnet_tf.spec.memory import activation_bytes
from hrnet_tf.spec.presets import preset
from mobile_eval.errors import HRNetError
from mobile_eval.runtime.interpreter import make_interpreter
from tests.support.baselines import deeplabv3, deeplabv3plus, pspnet, unetplusplus

CountedParts = Callable[[Network], dict[str, Cost]]
RandomWeights = Callable[[Any], Weights]


MICRO = {
    "deeplabv3": deeplabv3(input_size=(64, 96)),
    "pspnet": pspnet(input_size=(96, 48)),
    "deeplabv3plus": deeplabv3plus(input_size=(64, 96)),
    "unetplusplus": unetplusplus(input_size=(64, 96)),
}
LAYERS = {"CONV_2D", "ADD", "PAD", "MAX_POOL_2D", "CONCATENATION", "DELEGATE", "QUANTIZE"}
OPERATORS = {  # of int8 files, beside those
    "deeplabv3": {"MEAN", "RESIZE_NEAREST_NEIGHBOR"},
    "pspnet": {"MEAN", "AVERAGE_POOL_2D", "RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR"},
    "deeplabv3plus": {"MEAN", "RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR", "DEPTHWISE_CONV_2D", "RELU"},
    "unetplusplus": {"TRANSPOSE_CONV", "RELU", "MUL"},
}


@pytest.mark.parametrize(
    ("name", "parameters", "multiply_adds"),
    [
        ("deeplabv3-r101", 58_040_147, 1_909_910_405_120),
        ("deeplabv3-r101-torchvision", 58_630_483, 1_929_237_757_952),
        ("pspnet-r101", 65_707_475, 2_093_463_109_632),
        ("unetpp-r101", 59_537_849, 555_166_466_048),
    ],
)
def test_official_counts(name: str, parameters: int, multiply_adds: int) -> None:
    cost = complexity(preset(name))
    assert (cost.parameters, cost.multiply_adds) == (parameters, multiply_adds)


def test_official_counts_of_variants() -> None:
    def counts(name: str, **changes: Any) -> tuple[int, int]:
        cost = complexity(dataclasses.replace(preset(name), **changes))
        return cost.parameters, cost.multiply_adds

    openmmlab = ResNetTrunk.of_depth(101, stem="deep", stem_width=32, output_stride=8)
    assert counts("pspnet-r101", input_size=(1025, 2049)) == (65_707_475, 2_117_334_625_472)
    assert counts("pspnet-r101", trunk=openmmlab, aligned=False) == (65_602_931, 2_046_839_226_368)
    smp = {"head": "smp"}  # at output stride 8
    assert counts("deeplabv3plus-x71", **smp) == (43_463_915, 1_468_167_618_560)
    merged = {"width": 512, "merge_kernel": 3, "pool_first": True}
    assert counts("deeplabv3-r101", trunk=openmmlab, **merged) == (84_740_467, 2_776_932_286_464)


@pytest.mark.parametrize(
    ("name", "parameters", "multiply_adds"),
    [
        ("deeplabv3-r101-torchvision", 60_995_174, 2_006_706_552_832),
        ("pspnet-r101", 68_072_166, 2_170_931_904_512),
        ("unetpp-r101", 59_537_849, 555_166_466_048),
    ],
)
def test_official_counts_with_auxiliary_heads(name: str, parameters: int, multiply_adds: int) -> None:
    spec = preset(name)
    assert isinstance(spec, SegmentationSpec)
    cost = total(traced(spec, auxiliary=True).parts().values())
    assert (cost.parameters, cost.multiply_adds) == (parameters, multiply_adds)


def test_parts_of_deeplabv3() -> None:
    costs = parts(preset("deeplabv3-r101"))
    branches = 17_179_869_184 + 3 * 154_618_822_656 + 524_288
    assert costs["aspp"].multiply_adds == branches + 10_737_418_240
    assert costs["stage3"].multiply_adds == 852_551_008_256
    assert costs["head"].multiply_adds == 159_383_552


def test_multiply_adds_of_unetplusplus_by_the_profilers_rule() -> None:
    cost = complexity(preset("unetpp-r101"))
    assert cost.multiply_adds + 3 * cost.deconvolution_multiply_adds == 748_439_994_368


@pytest.mark.slow
@pytest.mark.parametrize(("height", "width"), [(65, 97), (64, 104)])
def test_windows_and_sizes_that_do_not_divide(
    height: int, width: int, counted_parts: CountedParts, random_weights: RandomWeights
) -> None:
    spec = pspnet(input_size=(height, width))
    assert counted_parts(spec) == parts(spec)
    model, folded = build_model(spec), build_model(spec, folded=True)
    set_model_weights(model, random_weights(model))
    set_model_weights(folded, fold_batch_norm(model_weights(model)))
    images = np.random.default_rng(1).standard_normal((2, height, width, 3)).astype(np.float32)
    expected = model(images, training=False).numpy()
    assert expected.shape[1:3] == (-(-height // 8), -(-width // 8))
    np.testing.assert_allclose(folded(images, training=False).numpy(), expected, atol=1e-4 * np.abs(expected).max())
    values = sum(int(np.prod(layer.output_shape[1:])) for layer in folded.layers[1:])
    assert activation_bytes(spec) == 4 * (values + height * width * 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", MICRO)
def test_dropout_is_for_training(name: str) -> None:
    rates = [layer.rate for layer in build_model(MICRO[name], auxiliary=True).layers if "dropout" in layer.name]
    assert rates == {"deeplabv3": [0.5, 0.1], "pspnet": [0.1, 0.1], "deeplabv3plus": [0.1], "unetplusplus": []}[name]
    assert not [layer for layer in build_model(MICRO[name], folded=True).layers if "dropout" in layer.name]


def test_dilated_branches() -> None:
    layers = [layer for layer in build_model(deeplabv3()).layers if layer.name.startswith("aspp_branch")]
    rates = [layer.dilation_rate[0] for layer in layers if isinstance(layer, keras.layers.Conv2D)]
    assert rates == [1, 12, 24, 36]


@pytest.mark.parametrize(("output_stride", "dilations"), [(8, (1, 2, 2, 4)), (16, (1, 1, 1, 2))])
def test_xception_is_dilated_where_its_output_stride_is_reached(output_stride: int, dilations: tuple[int, ...]) -> None:
    trunk = XceptionTrunk(stem=(4, 4), entry=(4,) * 5, middle_blocks=1, exit=(4,) * 4, output_stride=output_stride)
    model = build_model(deeplabv3plus(trunk=trunk))
    units = [model.get_layer(f"xception_block{block}_depthwise_conv3") for block in (4, 5, 6, 7)]
    assert tuple(unit.dilation_rate[0] for unit in units) == dilations
    assert model.get_layer("xception_block4_shortcut_conv1").strides == (16 // 8 if output_stride == 16 else 1,) * 2
    rates = [model.get_layer(f"aspp_branch{branch}_depthwise_conv1").dilation_rate[0] for branch in (1, 2, 3)]
    assert rates == [rate * 16 // output_stride for rate in (6, 12, 18)]
    norms = {layer.name: layer.epsilon for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)}
    assert {epsilon for name, epsilon in norms.items() if name.startswith("xception")} == {1e-3}
    assert {epsilon for name, epsilon in norms.items() if not name.startswith("xception")} == {1e-5}


@pytest.mark.parametrize(
    ("trunk", "offending"),
    [
        ({"output_stride": 32}, "`output_stride` of an Xception must be 8 or 16, got 32"),
        ({"entry": (8, 8)}, "`entry` of an Xception.*got 2"),
        ({"middle_blocks": 0}, "`middle_blocks` of a Xception.*got 0"),
    ],
)
def test_invalid_xceptions(trunk: dict[str, Any], offending: str) -> None:
    with pytest.raises(HRNetError, match=offending):
        XceptionTrunk(**trunk)


@pytest.mark.parametrize(
    ("name", "change", "offending"),
    [
        ("deeplabv3-r50", {"width": 0}, "`width` of a DeepLabv3.*got 0"),
        ("deeplabv3-r50", {"rates": (12, 0, 36)}, "`rates`.*got 12, 0, 36"),
        ("deeplabv3-r50", {"input_size": (65, 97)}, "got 65x97"),
        ("pspnet-r50", {"bins": ()}, "`bins` of a PSPNet.*got none"),
        ("pspnet-r50", {"input_size": (66, 97)}, "multiples of 8, or larger by 1.*got 66x97"),
        ("pspnet-r50", {"input_size": (65, 97), "aligned": False}, "got 65x97"),
        ("deeplabv3plus-x71", {"head": "dense"}, "`head` of a DeepLabv3.*'dense'"),
        ("deeplabv3plus-x71", {"input_size": (40, 48)}, "multiples of 16, or larger by 1.*got 40x48"),
        ("unetpp-r101", {"widths": (0, 1, 2)}, "`widths` of a UNet.*got 0, 1, 2"),
        ("unetpp-r101", {"trunk": ResNetTrunk.of_depth(101, output_stride=8)}, "output_stride.*got 8"),
    ],
)
def test_invalid_specs(name: str, change: dict[str, Any], offending: str) -> None:
    with pytest.raises(HRNetError, match=offending):
        dataclasses.replace(preset(name), **change)


@pytest.mark.slow
@pytest.mark.journey
@pytest.mark.parametrize("name", OPERATORS)
def test_int8_files_have_no_float_tensor(name: str, random_weights: RandomWeights, tmp_path: Path) -> None:
    spec = MICRO[name]
    model = build_model(spec)
    set_model_weights(model, random_weights(model))
    images = np.random.default_rng(1).standard_normal((8, *spec.input_size, 3)).astype(np.float32)
    expected = model(images, training=False).numpy()
    for network in (model, quantize(model, images)):
        file = convert(network, tmp_path / "int8.tflite", representative_data=images)
        assert file.description.output.stride == spec.output_stride
        assert np.abs(file.predict(images) - expected).mean() < 0.03 * np.ptp(expected)
        interpreter = make_interpreter(file.path)
        assert {details["dtype"] for details in interpreter.get_tensor_details()} <= {np.int8, np.int32}
        operators = {op["op_name"] for op in interpreter._get_ops_details()}  # none that splits a dilated convolution
        assert operators <= LAYERS | OPERATORS[name]


@pytest.mark.slow
def test_windows_that_overlap_cannot_be_trained_to_int8() -> None:
    with pytest.raises(HRNetError, match=r"pyramid_level2_mean \(AdaptiveMean\).*`input_size`"):
        quantize(build_model(pspnet(input_size=(64, 96))), np.zeros((1, 64, 96, 3), np.float32))


@pytest.mark.parametrize("name", ["deeplabv3", "pspnet"])
def test_dilated_convolutions_do_not_move_pixels_into_the_batch(name: str) -> None:
    model = build_model(MICRO[name])
    quantized = quantize(model, calibration=np.zeros((1, *model.input_shape[1:]), np.float32))
    for network in (model, quantized):
        graph = tf.function(network).get_concrete_function(tf.TensorSpec((1, *model.input_shape[1:]))).graph
        kinds = {operation.type for operation in graph.get_operations()}
        assert "Conv2D" in kinds
        assert "SpaceToBatchND" not in kinds
