"""Checkpoints of Faster R-CNN on ResNets: mmdetection's and torchvision's names, the background, and files of siblings."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import numpy as np
import pytest

from hrnet_tf.backend.types import KerasModel, Weights
from hrnet_tf.checkpoints.baselines.faster_rcnn import FASTER_RCNN_OPENMMLAB, FASTER_RCNN_TORCHVISION
from hrnet_tf.checkpoints.entry import from_variable
from hrnet_tf.checkpoints.from_torch import load_into_network
from hrnet_tf.checkpoints.to_torch import official_arrays
from hrnet_tf.checkpoints.torch_reader import Arrays
from hrnet_tf.runs.weights import model_weights
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.baselines.base import BaselineSpec
from hrnet_tf.spec.presets import preset
from mobile_eval.errors import HRNetError
from tests.support.baselines import faster_rcnn, trunk
from tests.support.golden import GOLDEN

Built = Callable[[Network], KerasModel]

GROUPED = faster_rcnn(trunk=trunk(groups=4, inner_factor=2))
FILES = {  # golden file of a trunk and its pyramid: network, layout, and what precedes the names in a detector's file
    "fpn_resnet50_torchvision_64x96": ("frcnn-r50-fpn-pytorch", FASTER_RCNN_TORCHVISION, "backbone."),
    "fpn_resnet50_caffe_mmdet_64x96": ("frcnn-r50-fpn", FASTER_RCNN_OPENMMLAB, ""),
    "fpn_resnext101_64x4d_mmdet_64x96": ("frcnn-x101-64x4d-fpn", FASTER_RCNN_OPENMMLAB, ""),
}


@pytest.mark.parametrize("stem", FILES)
def test_entries_of_official_trunks(stem: str) -> None:
    path = GOLDEN / f"{stem}.keys.json"
    if not path.is_file():
        pytest.skip(f"no golden outputs in {GOLDEN} (set HRNET_GOLDEN to their folder)")
    name, layout, prefix = FILES[stem]
    spec = preset(name)
    assert isinstance(spec, BaselineSpec)
    names = {prefix + entry for entry in json.loads(path.read_text()) if not entry.endswith("num_batches_tracked")}
    assert {entry.name for entry in layout.entries(spec)} - {entry.name for entry in layout.head} == names


def random_weights(model: KerasModel) -> Weights:
    rng = np.random.default_rng(0)
    return {name: rng.uniform(0.5, 1.5, array.shape).astype(np.float32) for name, array in model_weights(model).items()}


def torchvision_arrays(spec: BaselineSpec, weights: Weights) -> Arrays:
    entries = FASTER_RCNN_TORCHVISION.entries(spec)
    return {entry.name: np.ascontiguousarray(from_variable(entry, weights[entry.variable])) for entry in entries}


@pytest.mark.slow
def test_mmdetection_has_no_deltas_of_the_background(built: Built) -> None:
    weights = random_weights(built(GROUPED))
    arrays = official_arrays(GROUPED, weights)
    assert arrays["roi_head.bbox_head.fc_cls.weight"].shape == (3, 32)
    assert arrays["roi_head.bbox_head.fc_reg.weight"].shape == (8, 32)
    np.testing.assert_array_equal(arrays["roi_head.bbox_head.fc_cls.weight"][2], weights["box_head_logits/kernel"][:, 2])
    spec, loaded, report = load_into_network(arrays)
    assert dataclasses.replace(spec, input_size=(96, 64)) == GROUPED
    assert (report.missing, report.unexpected) == ((), ())
    assert not loaded["box_head_deltas/kernel"][:, 8:].any()
    for name, array in weights.items():
        kept = slice(None, 8) if name.startswith("box_head_deltas") else slice(None)
        np.testing.assert_array_equal(loaded[name][..., kept], array[..., kept], err_msg=name)
    again = official_arrays(spec, loaded)
    assert all(np.array_equal(array, again[name]) for name, array in arrays.items())


@pytest.mark.slow
def test_torchvision_has_the_background_first(built: Built) -> None:
    spec = faster_rcnn()
    weights = random_weights(built(spec))
    arrays = torchvision_arrays(spec, weights)
    assert arrays["roi_heads.box_predictor.bbox_pred.weight"].shape == (12, 32)
    np.testing.assert_array_equal(arrays["roi_heads.box_predictor.cls_score.weight"][0], weights["box_head_logits/kernel"][:, 2])
    older = {
        name.replace("blocks.0.0.", "blocks.0.").replace("rpn.head.conv.0.0.", "rpn.head.conv."): array
        for name, array in arrays.items()
    }
    assert older.keys() != arrays.keys()
    for file in (arrays, older):
        loaded_spec, loaded, report = load_into_network(file)
        assert dataclasses.replace(loaded_spec, input_size=(96, 64)) == spec
        assert (report.missing, report.unexpected) == ((), ())
        assert all(np.array_equal(loaded[name], array) for name, array in weights.items())


@pytest.mark.slow
def test_files_that_do_not_tell_or_are_of_siblings(built: Built) -> None:
    spec = faster_rcnn()
    arrays = official_arrays(spec, random_weights(built(spec)))
    with pytest.raises(HRNetError, match="give `model`, such as frcnn-r50-fpn"):
        load_into_network(arrays)
    caffe = faster_rcnn(trunk=trunk(style="caffe"))
    assert load_into_network(arrays, caffe)[0] == caffe
    for target, message in (
        (faster_rcnn(trunk=trunk(blocks=(1, 1, 3, 1))), r"no backbone\.layer3\.2\.conv1\.weight"),
        (faster_rcnn(head_width=16), r"neck\.lateral_convs\.\d\.conv\.weight has shape \(8, \d+, 1, 1\), expected \(16,"),
        (GROUPED, r"backbone\.layer1\.0\.conv1\.weight has shape \(8, 8, 1, 1\), expected \(16, 8, 1, 1\)"),
        (preset("detect-w18"), "is a Faster R-CNN, but `model` is detect-w18"),
    ):
        with pytest.raises(HRNetError, match=message):
            load_into_network(arrays, target)
