"""Faster R-CNN on ResNets: counts, the pyramid at sizes that are no multiple of 64, invalid specs, and files of two stages."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conversion.checks.verify import check_fully_int8
from conversion.convert import convert
from hrnet_tf.api.quantization import quantize
from hrnet_tf.backend.keras_module import keras
from hrnet_tf.models.build import build_model
from hrnet_tf.models.detection.faster_rcnn import decode_detections
from hrnet_tf.models.detection.two_stage import stages_of
from hrnet_tf.runs.weights import model_weights, set_model_weights
from hrnet_tf.spec.architectures import network_from_json, network_to_json
from hrnet_tf.spec.baselines.resnet_trunk import ResNetTrunk
from hrnet_tf.spec.complexity import parts
from hrnet_tf.spec.detection import pyramid_sizes
from hrnet_tf.spec.memory import activation_bytes, live_bytes
from hrnet_tf.spec.presets import preset
from mobile_eval.errors import HRNetError
from mobile_eval.runtime.interpreter import make_interpreter
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.detection.detector import detector_of
from tests.support.baselines import faster_rcnn

PREDICTIONS = ("box_head_logits/kernel", "box_head_deltas/kernel", "rpn_objectness/kernel", "rpn_deltas/kernel")


def test_official_counts_of_parts() -> None:
    costs = parts(preset("frcnn-r50-fpn"))
    trunk = [cost for part, cost in costs.items() if part.startswith("st")]
    assert sum(cost.multiply_adds for cost in trunk) == 74_757_734_400
    assert sum(cost.parameters for cost in trunk) + costs["neck"].parameters == 26_852_416
    assert sum(cost.multiply_adds for cost in trunk) + costs["neck"].multiply_adds == 129_857_126_400
    assert (costs["rpn"].parameters, costs["rpn"].multiply_adds) == (593_935, 593_664 * 80_997)
    assert costs["box_head"].parameters == 14_310_805


def test_the_pyramid_rounds_up() -> None:
    assert pyramid_sizes(preset("frcnn-r50-fpn")) == [(200, 304), (100, 152), (50, 76), (25, 38), (13, 19)]  # type: ignore[arg-type]
    spec = faster_rcnn()
    assert pyramid_sizes(spec) == [(24, 16), (12, 8), (6, 4), (3, 2), (2, 1)]
    model = build_model(spec)
    shapes = {name: maps.shape[1:3] for name, maps in stages_of(model).maps.output.items() if "_" not in name}
    assert shapes == {"P2": (24, 16), "P3": (12, 8), "P4": (6, 4), "P5": (3, 2)}
    assert model.output["rpn_logits"].shape == (None, 3 * (24 * 16 + 12 * 8 + 6 * 4 + 3 * 2 + 2))


@pytest.mark.slow
def test_counts_equal_the_built_model() -> None:
    spec = faster_rcnn()
    built = dict.fromkeys(parts(spec), 0)
    for variable in build_model(spec).trainable_weights:
        layer = variable.name.split("/")[0]
        built["box_head" if layer.startswith("box_head") else layer.split("_")[0]] += int(np.prod(variable.shape))
    assert built == {part: cost.parameters for part, cost in parts(spec).items()}
    assert 0 < live_bytes(spec) < activation_bytes(spec)


def test_json_round_trip() -> None:
    spec = preset("frcnn-x101-64x4d-fpn")
    assert network_from_json(json.loads(json.dumps(network_to_json(spec)))) == spec


@pytest.mark.parametrize(
    ("change", "offending"),
    [
        ({"head_width": 0}, "`head_width` of a Faster R-CNN.*got 0"),
        ({"trunk": ResNetTrunk.of_depth(50, output_stride=8)}, "output_stride.*got 8"),
        ({"input_size": (32, 64)}, "at least 64, got 32x64"),
        ({"input_size": (100, 64)}, "multiples of 32.*got 100x64"),
    ],
)
def test_invalid_specs(change: dict[str, Any], offending: str) -> None:
    with pytest.raises(HRNetError, match=offending):
        dataclasses.replace(preset("frcnn-r50-fpn"), **change)


@pytest.mark.slow
@pytest.mark.journey
def test_files_of_two_stages(tmp_path: Path) -> None:
    keras.utils.set_random_seed(2)  # whose network finds some forty objects in noise
    spec = faster_rcnn()
    model, rng = build_model(spec), np.random.default_rng(0)
    weights = model_weights(model)
    weights |= {name: (0.3 * rng.standard_normal(weights[name].shape)).astype(np.float32) for name in PREDICTIONS}
    set_model_weights(model, weights)
    pictures = rng.integers(0, 255, (4, *spec.input_size, 3), np.uint8)
    images = (pictures / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    images = images.astype(np.float32)
    file = convert(model, tmp_path / "float32.tflite", format="float32", representative_data=images)
    assert max(parity.max_error / max(parity.largest, 1) for parity in file.conversion.parities) < 1e-4
    expected = decode_detections(model.predict_on_batch(images[:1]), spec.input_size)
    objects = detector_of(TFLiteModel(file.path)).detect(pictures[0])
    count = int(expected.counts[0])
    assert len(objects) == count > 5
    converted, built = (boxes[np.lexsort(np.round(boxes).T)] for boxes in (objects.boxes, expected.boxes[0, :count]))
    np.testing.assert_allclose(converted, built, atol=5e-3)  # objects of almost equal scores may change places
    for network in (model, quantize(model, images)):
        integer = convert(network, tmp_path / "int8.tflite", representative_data=images)
        for path in integer.conversion.paths[:2]:
            check_fully_int8(make_interpreter(path))
        assert min(parity.snr_db for parity in integer.conversion.parities) > 10
