"""The layout of checkpoints, names of other code bases, and inferred networks."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from hrnet_tf.backend.types import KerasModel
from hrnet_tf.checkpoints import from_torch
from hrnet_tf.checkpoints.from_torch import load_into_network
from hrnet_tf.checkpoints.infer_spec import infer_network, kind_of
from hrnet_tf.checkpoints.layer_names import official_names
from hrnet_tf.checkpoints.layout import entries
from hrnet_tf.checkpoints.to_torch import official_arrays
from hrnet_tf.checkpoints.torch_reader import Arrays
from hrnet_tf.models.build import build_model
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.network import OBJECT_CONTEXT, HRNetSpec, StageSpec
from hrnet_tf.spec.presets import PRESETS, preset
from hrnet_tf.spec.units import FusionLink
from mobile_eval.errors import HRNetError
from tests.support.golden import GOLDEN

Make = Callable[[Network], Arrays]
Micro = Callable[..., HRNetSpec]
TASKS = ("pose", "landmarks", "segmentation", OBJECT_CONTEXT, "classification", "detection")

OPENMMLAB = {  # task: how OpenMMLab writes the official name
    "pose": [(r"^final_layer\.", "head.final_layer.")],
    "landmarks": [(r"^head\.([01])\.", r"head.conv_layers.\1."), (r"^head\.3\.", "head.final_layer.")],
    "segmentation": [
        (r"^last_layer\.0\.", "decode_head.convs.0.conv."),
        (r"^last_layer\.1\.", "decode_head.convs.0.bn."),
        (r"^last_layer\.3\.", "decode_head.conv_seg."),
    ],
    OBJECT_CONTEXT: [
        (r"^aux_head\.0\.", "decode_head.0.convs.0.conv."),
        (r"^aux_head\.1\.", "decode_head.0.convs.0.bn."),
        (r"^aux_head\.3\.", "decode_head.0.conv_seg."),
        (r"^conv3x3_ocr\.0\.", "decode_head.1.bottleneck.conv."),
        (r"^conv3x3_ocr\.1\.", "decode_head.1.bottleneck.bn."),
        (r"^ocr_distri_head\.conv_bn_dropout\.0\.", "decode_head.1.object_context_block.bottleneck.conv."),
        (r"^ocr_distri_head\.conv_bn_dropout\.1\.0\.", "decode_head.1.object_context_block.bottleneck.bn."),
        (r"^ocr_distri_head\.", "decode_head.1."),
        (r"f_pixel\.0\.", "query_project.0.conv."),
        (r"f_pixel\.1\.0\.", "query_project.0.bn."),
        (r"f_pixel\.2\.", "query_project.1.conv."),
        (r"f_pixel\.3\.0\.", "query_project.1.bn."),
        (r"f_object\.0\.", "key_project.0.conv."),
        (r"f_object\.1\.0\.", "key_project.0.bn."),
        (r"f_object\.2\.", "key_project.1.conv."),
        (r"f_object\.3\.0\.", "key_project.1.bn."),
        (r"f_down\.0\.", "value_project.conv."),
        (r"f_down\.1\.0\.", "value_project.bn."),
        (r"f_up\.0\.", "out_project.conv."),
        (r"f_up\.1\.0\.", "out_project.bn."),
        (r"^cls_head\.", "decode_head.1.conv_seg."),
    ],
    "classification": [
        (r"^incre_modules\.", "neck.increase_layers."),
        (r"^downsamp_modules\.(\d)\.0\.", r"neck.downsample_layers.\1.conv."),
        (r"^downsamp_modules\.(\d)\.1\.", r"neck.downsample_layers.\1.bn."),
        (r"^final_layer\.0\.", "neck.final_layer.conv."),
        (r"^final_layer\.1\.", "neck.final_layer.bn."),
        (r"^classifier\.", "head.fc."),
    ],
    "detection": [
        (r"^neck\.reduction_conv\.0\.", "neck.reduction_conv.conv."),
        (r"^neck\.fpn_conv\.(\d)\.", r"neck.fpn_convs.\1.conv."),
        (r"^bbox_head\.", "roi_head.bbox_head."),
    ],
}
TRUNK = re.compile(r"(conv\d|bn\d|layer1|transition\d|stage\d)\.")


def as_openmmlab(arrays: Arrays, task: str) -> Arrays:
    renamed = {}
    for name, array in arrays.items():
        new = f"backbone.{name}" if TRUNK.match(name) else name
        for pattern, replacement in OPENMMLAB[task]:
            new = re.sub(pattern, replacement, new)
        renamed[new] = array
    return renamed


@pytest.fixture(scope="module", autouse=True)
def networks_are_built_once(built: Callable[[Network], KerasModel]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(from_torch, "build_model", built)
        yield


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_every_variable_round_trips(task: str, micro: Micro, checkpoint: Make) -> None:
    spec = micro(task)
    arrays = checkpoint(spec)
    _, weights, report = load_into_network(arrays)
    assert {entry.variable for entry in entries(spec)} == set(weights)  # the variables of the Keras model
    assert (report.missing, report.unexpected) == ((), ())
    exported = official_arrays(spec, weights)
    assert list(exported) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(exported[name], array, err_msg=name, strict=True)


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_openmmlab_names_give_the_same_network(task: str, micro: Micro, checkpoint: Make) -> None:
    arrays = checkpoint(micro(task))
    expected = load_into_network(arrays)
    renamed = as_openmmlab(arrays, task)
    assert set(renamed) != set(arrays)
    without_bias = r"(decode_head\.(0\.)?convs|decode_head\.1\.bottleneck|neck\.(downsample_layers|final_layer)).*conv\.bias"
    biases = [name for name in renamed if re.fullmatch(without_bias, name)]
    spec, weights, report = load_into_network(renamed)
    half_pixels = {"interpolation": "bilinear"} if task == OBJECT_CONTEXT else {}
    assert spec == dataclasses.replace(expected[0], **half_pixels)
    for name, array in expected[1].items():
        np.testing.assert_array_equal(weights[name], array, err_msg=name)
    for name in biases:  # convolutions before a BatchNorm have no bias in OpenMMLab
        del renamed[name]
    _, weights, report = load_into_network(renamed)
    assert len(report.missing) == len(biases)
    assert all(name.endswith(".bias") for name in report.missing)


@pytest.mark.slow
def test_mmdetection_2_has_the_background_last(micro: Micro, checkpoint: Make) -> None:
    arrays = checkpoint(micro("detection"))
    renamed = as_openmmlab(arrays, "detection")
    for part in ("weight", "bias"):
        renamed[f"roi_head.bbox_head.fc_cls.{part}"] = np.roll(arrays[f"bbox_head.fc_cls.{part}"], -1, axis=0)
        renamed[f"roi_head.bbox_head.fc_reg.{part}"] = arrays[f"bbox_head.fc_reg.{part}"][4:]
    expected, weights = (load_into_network(checkpoint_arrays)[1] for checkpoint_arrays in (arrays, renamed))
    np.testing.assert_array_equal(expected["box_head_logits/bias"], renamed["roi_head.bbox_head.fc_cls.bias"])
    for name, array in expected.items():
        if name.startswith("box_head_deltas"):  # mmdetection 2 has no deltas of the background, the last class here
            np.testing.assert_array_equal(weights[name][..., :-4], array[..., :-4])
            assert not weights[name][..., -4:].any()
        else:
            np.testing.assert_array_equal(weights[name], array, err_msg=name)


def test_wrappers_and_counters_are_stripped() -> None:
    arrays = {f"module.model.{name}": np.zeros(1) for name in ("conv1.weight", "bn1.num_batches_tracked", "loss.weight")}
    assert list(official_names(arrays)) == ["conv1.weight"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "changes"),
    [
        ("pose", {"classes": 16, "width": 6}),
        ("segmentation", {"stages": (StageSpec(1, 2), StageSpec(2, 2))}),
        ("classification", {"block": "bottleneck", "width": 8}),
        ("pose", {"stages": (StageSpec(1, 1), StageSpec(1, 1))}),
    ],
)
def test_network_is_inferred_from_shapes(task: str, changes: dict[str, object], micro: Micro, checkpoint: Make) -> None:
    spec = micro(task, **changes)
    inferred = infer_network(official_names(checkpoint(spec)))
    assert isinstance(inferred, HRNetSpec)
    assert dataclasses.replace(inferred, name=spec.name, input_size=spec.input_size) == spec
    assert inferred.name == f"{task}-w{spec.width}"


@pytest.mark.parametrize("name", PRESETS)
def test_entries_of_each_preset_are_distinct(name: str) -> None:
    table = entries(preset(name))
    assert len({entry.name for entry in table}) == len(table) == len({entry.variable for entry in table})


@pytest.mark.parametrize(
    ("stem", "name"),
    [("pose_w32_256x192", "pose-w32"), ("classify_w18_224", "classify-w18"), ("segment_w18_128x256", "segment-w18")],
)
def test_entries_equal_the_official_names(stem: str, name: str) -> None:
    path = GOLDEN / f"{stem}.keys.json"
    if not path.is_file():
        pytest.skip(f"no golden outputs in {GOLDEN} (set HRNET_GOLDEN to their folder)")
    keys = {key for key in json.loads(path.read_text()) if not key.endswith("num_batches_tracked")}
    assert {entry.name for entry in entries(preset(name))} == keys


def test_unknown_layouts() -> None:
    with pytest.raises(HRNetError, match=r"encoder\.weight"):
        kind_of({"encoder.weight": np.zeros(1)})
    with pytest.raises(HRNetError, match="aux_head"):
        kind_of({"aux_head.0.weight": np.zeros(1)})


@pytest.mark.slow
def test_removed_links_are_exported_as_zeros(micro: Micro, checkpoint: Make) -> None:
    full = micro("pose")
    smaller = full.without({FusionLink(4, 0, 3, 0), FusionLink(3, 0, 0, 2)})
    _, weights, _ = load_into_network(checkpoint(full))
    variables = {entry.variable for entry in entries(smaller)}
    arrays = official_arrays(smaller, {name: array for name, array in weights.items() if name in variables})
    assert set(arrays) == set(checkpoint(full))
    assert not arrays["stage3.0.fuse_layers.2.0.1.1.weight"].any()
    spec, imported, _ = load_into_network(arrays)
    images = np.random.default_rng(0).standard_normal((1, 64, 64, 3)).astype(np.float32)
    outputs = []
    for network in (smaller, dataclasses.replace(spec, input_size=(64, 64))):
        model = build_model(network)
        for variable in model.weights:
            variable.assign(imported[variable.name.removesuffix(":0")])
        outputs.append(model(images, training=False).numpy())
    np.testing.assert_allclose(outputs[1], outputs[0], rtol=1e-4, atol=1e-5 * np.abs(outputs[0]).max())
