"""ResNets: costs of their stages, layers, dilation, styles, invalid specs and JSON."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.models.build import build_model
from hrnet_tf.spec.architectures import Network, network_from_json, network_to_json
from hrnet_tf.spec.baselines.resnet import ResNetSpec
from hrnet_tf.spec.baselines.resnet_trunk import ResNetTrunk
from hrnet_tf.spec.complexity import parts
from hrnet_tf.spec.presets import preset
from mobile_eval.errors import HRNetError
from tests.support.baselines import classifier


def network(trunk: ResNetTrunk, size: tuple[int, int]) -> ResNetSpec:
    return ResNetSpec(name="resnet", input_size=size, classes=5, trunk=trunk)


# Parts of the paper's networks (parameters, multiply-adds), by the official blocks
STAGES = {
    "resnet-38": {
        "stem": (38_848, 137_281_536),
        "stage1": (215_808, 667_942_912),
        "stage2": (1_362_176, 1_066_139_648),
        "stage3": (6_822_400, 1_335_885_824),
        "stage4": (13_114_368, 642_252_800),
        "stage5": (4_728_832, 231_211_008),
        "head": (2_049_000, 2_048_000),
    },
    "resnet-152": {
        "stem": (38_848, 137_281_536),
        "stage1": (215_808, 667_942_912),
        "stage2": (2_339_840, 1_901_068_288),
        "stage3": (40_613_888, 8_015_314_944),
        "stage4": (14_964_736, 809_238_528),
        "head": (2_049_000, 2_048_000),
    },
}


@pytest.mark.parametrize("name", STAGES)
def test_official_counts_of_stages(name: str) -> None:
    costs = {part: (cost.parameters, cost.multiply_adds) for part, cost in parts(preset(name)).items()}
    assert costs == STAGES[name]


@pytest.mark.parametrize(
    ("depth", "style", "changes", "size", "parameters", "multiply_adds"),
    [
        (50, "pytorch", {}, (800, 1216), 23_508_032, 79_240_396_800),
        (50, "caffe", {}, (800, 1216), 23_508_032, 74_757_734_400),
        (101, "caffe", {}, (800, 1216), 42_500_160, 146_729_369_600),
        (152, "caffe", {}, (800, 1216), 58_143_808, 218_701_004_800),
        (101, "pytorch", {"inner_factor": 4, "groups": 64}, (800, 1216), 81_406_272, 299_700_224_000),
        (101, "pytorch", {"output_stride": 8}, (1024, 2048), 42_500_160, 1_417_976_741_888),
    ],
)
def test_official_counts_of_trunks(
    depth: int, style: str, changes: dict[str, Any], size: tuple[int, int], parameters: int, multiply_adds: int
) -> None:
    costs = parts(network(ResNetTrunk.of_depth(depth, style=style, **changes), size))
    trunk = [cost for part, cost in costs.items() if part != "head"]
    assert sum(cost.parameters for cost in trunk) == parameters
    assert sum(cost.multiply_adds for cost in trunk) == multiply_adds


def convolutions(spec: Network, attribute: str) -> dict[str, int]:
    """By name, the convolutions of a built network whose stride or dilation is not 1."""
    layers = [layer for layer in build_model(spec).layers if isinstance(layer, keras.layers.Conv2D)]
    return {layer.name: getattr(layer, attribute)[0] for layer in layers if getattr(layer, attribute)[0] > 1}


def test_caffe_strides_in_the_first_convolution() -> None:
    for style, conv in (("pytorch", "conv2"), ("caffe", "conv1")):
        strided = {f"stage{stage}_block0_{name}" for stage in (2, 3, 4) for name in (conv, "shortcut_conv1")}
        assert set(convolutions(classifier(style=style), "strides")) == {"stem_conv1", *strided}


@pytest.mark.parametrize(
    ("output_stride", "contract", "dilations"),
    [
        (8, True, {"stage3_block1": 2, "stage4_block0": 2, "stage4_block1": 4}),
        (8, False, {"stage3_block0": 2, "stage3_block1": 2, "stage4_block0": 4, "stage4_block1": 4}),
        (16, True, {"stage4_block1": 2}),
        (16, False, {"stage4_block0": 2, "stage4_block1": 2}),
    ],
)
def test_dilation(output_stride: int, contract: bool, dilations: dict[str, int]) -> None:
    spec = classifier(blocks=(1, 1, 2, 2), output_stride=output_stride, contract_dilation=contract)
    expected = {f"{block}_conv2": dilation for block, dilation in dilations.items()}
    assert convolutions(spec, "dilation_rate") == expected
    last = build_model(spec).get_layer("stage4_block1_relu").output_shape
    assert last == (None, 64 // output_stride, 64 // output_stride, 256)


def test_json_round_trip() -> None:
    spec = preset("resnet-106")
    stored = json.loads(json.dumps(network_to_json(spec)))
    assert stored["trunk"]["kinds"] == ["bottleneck", "basic", "basic", "basic"]
    assert network_from_json(stored) == spec
    with pytest.raises(HRNetError, match="trunk: blocks must have 4 entries"):
        network_from_json({**stored, "trunk": {"blocks": [3, 4]}})


@pytest.mark.parametrize(
    ("change", "offending"),
    [
        ({"blocks": (3, 0, 6, 3)}, "blocks.*got 3, 0, 6, 3"),
        ({"kinds": ("basic", "basic", "basic", "wide")}, "kinds.*'wide'"),
        ({"stem": "5x5"}, "stem.*'5x5'"),
        ({"style": "tf"}, "style.*'tf'"),
        ({"output_stride": 4}, "output_stride.*got 4"),
        ({"groups": 3}, "groups.*8 inner channels.*got 3"),
        ({"width": 0}, "width.*got 0"),
    ],
)
def test_invalid_trunks(change: dict[str, Any], offending: str) -> None:
    with pytest.raises(HRNetError, match=offending):
        classifier(**change)


def test_invalid_networks() -> None:
    with pytest.raises(HRNetError, match=r"`depth`.*got 34"):
        ResNetTrunk.of_depth(34)
    with pytest.raises(HRNetError, match="got 100x64"):
        dataclasses.replace(preset("resnet-50"), input_size=(100, 64))
