"""ResNets with feature pyramids, with deterministic weights, against float64 outputs of torchvision and mmdetection."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.checkpoints.baselines.faster_rcnn import FASTER_RCNN_OPENMMLAB, FASTER_RCNN_TORCHVISION
from hrnet_tf.checkpoints.entry import from_variable
from hrnet_tf.checkpoints.from_torch import load_into_network
from hrnet_tf.models.build import build_model
from hrnet_tf.models.detection.two_stage import stages_of
from hrnet_tf.runs.weights import model_weights, set_model_weights
from hrnet_tf.spec.presets import preset
from tests.support.golden import GOLDEN

pytestmark = [pytest.mark.slow, pytest.mark.external]

FILES = {
    "fpn_resnet50_torchvision_64x96": ("frcnn-r50-fpn-pytorch", FASTER_RCNN_TORCHVISION, "backbone."),
    "fpn_resnet50_caffe_mmdet_64x96": ("frcnn-r50-fpn", FASTER_RCNN_OPENMMLAB, ""),
    "fpn_resnext101_64x4d_mmdet_64x96": ("frcnn-x101-64x4d-fpn", FASTER_RCNN_OPENMMLAB, ""),
}


@pytest.mark.parametrize("stem", FILES)
def test_official_weights_give_the_official_pyramid(fill: Any, stem: str) -> None:
    golden, (name, layout, prefix) = np.load(GOLDEN / f"{stem}.npz"), FILES[stem]
    seed, height, width = (int(golden[key]) for key in ("seed", "height", "width"))
    spec = dataclasses.replace(preset(name), input_size=(height, width))
    model = build_model(spec)
    head = model_weights(model)  # the files have a trunk and its pyramid
    arrays = {entry.name: np.ascontiguousarray(from_variable(entry, head[entry.variable])) for entry in layout.head}
    state = fill.state_dict(GOLDEN / f"{stem}.keys.json", seed, float(golden["bn_gain"]))
    loaded, weights, report = load_into_network({**arrays, **{prefix + entry: array for entry, array in state.items()}}, spec)
    assert (loaded.name, report.missing, report.unexpected) == (name, (), ())
    set_model_weights(model, weights)
    image = fill.image(height, width, seed).transpose(0, 2, 3, 1).astype(np.float32)
    maps = stages_of(model).maps
    pyramid = [maps.output[f"P{level}"] for level in range(2, 6)]
    outputs = keras.Model(model.input, [*pyramid, model.get_layer("neck_P6").output]).predict_on_batch(image)
    for level, output in enumerate(outputs, 2):
        expected = golden["expected" if level == 2 else f"expected_p{level}"].transpose(0, 2, 3, 1)
        assert output.shape == expected.shape
        assert np.abs(output - expected).max() < 1e-4 * np.abs(expected).max()
