"""Checkpoints of the networks that HRNet is compared with: names, inferred networks, and files of siblings."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import numpy as np
import pytest

from hrnet_tf.checkpoints.baselines.hourglass import AUTHORS
from hrnet_tf.checkpoints.baselines.registry import find_layout, official_layout
from hrnet_tf.checkpoints.entry import from_variable
from hrnet_tf.checkpoints.from_torch import load_into_network
from hrnet_tf.checkpoints.to_torch import official_arrays
from hrnet_tf.checkpoints.torch_reader import Arrays
from hrnet_tf.models.build import build_model
from hrnet_tf.runs.weights import model_weights
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.baselines.base import BaselineSpec
from hrnet_tf.spec.presets import PRESETS, preset
from mobile_eval.errors import HRNetError
from tests.support.baselines import NETWORKS, classifier, cpn, hourglass, simple_baseline
from tests.support.golden import GOLDEN

Make = Callable[[Network], Arrays]

BASELINES = [name for name, spec in PRESETS.items() if isinstance(spec, BaselineSpec)]
FILES = {  # golden file: preset
    "simple_baseline_r50_256x192": "simple-baseline-r50",
    "cpn50_256x192": "cpn-r50-pytorch",
    "hourglass8_256x192": "hourglass-8",
    "resnet38_paper_224": "resnet-38",
    "resnet50_paper_224": "resnet-50",
    "resnet50_torchvision_224": "resnet-50-torchvision",
}


def named(spec: BaselineSpec) -> BaselineSpec:
    """The spec at the input size that an import gives it."""
    return dataclasses.replace(spec, input_size=next(iter(type(spec).presets())).input_size)


def shapes(stem: str) -> dict[str, tuple[int, ...]]:
    path = GOLDEN / f"{stem}.keys.json"
    if not path.is_file():
        pytest.skip(f"no golden outputs in {GOLDEN} (set HRNET_GOLDEN to their folder)")
    entries = json.loads(path.read_text()).items()
    return {name: tuple(shape) for name, shape in entries if not name.endswith("num_batches_tracked")}


@pytest.mark.parametrize(("stem", "name"), FILES.items())
def test_entries_and_networks_of_official_files(stem: str, name: str) -> None:
    arrays = {key: np.empty(shape, np.float32) for key, shape in shapes(stem).items()}
    layout, spec = find_layout(arrays), preset(name)
    assert layout is not None
    assert isinstance(spec, BaselineSpec)
    renamed = layout.renamed(arrays)
    assert {entry.name for entry in layout.entries(spec, auxiliary=True)} == set(renamed)
    if name.startswith("cpn"):
        with pytest.raises(HRNetError, match="give `model`, such as cpn-r50-pytorch"):
            layout.infer(renamed)
    else:
        assert layout.infer(renamed) == spec


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_every_variable_round_trips(name: str, checkpoint: Make) -> None:
    spec = NETWORKS[name]
    arrays = checkpoint(spec)
    inferred, weights, report = load_into_network(arrays, spec if "cpn" in name else None)
    assert named(inferred) == named(spec)
    assert (report.missing, report.unexpected) == ((), ())
    exported = official_arrays(spec, weights)
    assert list(exported) == list(arrays)
    for entry, array in arrays.items():
        np.testing.assert_array_equal(exported[entry], array, err_msg=entry, strict=True)


@pytest.mark.slow
def test_openmmlab_names_give_the_same_network(checkpoint: Make) -> None:
    arrays = checkpoint(simple_baseline())
    heads = ("deconv_layers", "final_layer")
    for head in ("head", "keypoint_head"):
        renamed = {f"{head if name.startswith(heads) else 'backbone'}.{name}": array for name, array in arrays.items()}
        spec, weights, _ = load_into_network(renamed)
        assert spec == named(simple_baseline())
        np.testing.assert_array_equal(weights["head_heatmaps/bias"], arrays["final_layer.bias"])
    classes = checkpoint(classifier())
    renamed = {f"{'head' if name.startswith('fc') else 'backbone'}.{name}": array for name, array in classes.items()}
    assert load_into_network(renamed)[0] == named(classifier())


@pytest.mark.slow
def test_a_resnet_initializes_the_trunk_of_other_networks(checkpoint: Make) -> None:
    arrays = checkpoint(classifier())
    spec, weights, report = load_into_network(arrays, simple_baseline())
    assert spec == simple_baseline()
    assert report.unexpected == ("fc.bias", "fc.weight")
    assert report.missing[0] == "deconv_layers.0.weight"
    assert report.missing[-1] == "final_layer.bias"
    np.testing.assert_array_equal(weights["stage4_block0_conv3/kernel"], arrays["layer4.0.conv3.weight"].transpose(2, 3, 1, 0))
    without_head = {name: array for name, array in arrays.items() if not name.startswith("fc.")}
    assert load_into_network(without_head, simple_baseline())[2].missing == report.missing
    with pytest.raises(HRNetError, match=r"without a head.*`model`"):
        load_into_network(without_head)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (classifier(), classifier(blocks=(1, 1, 3, 1)), r"no layer3\.2\.conv1\.weight, expected with shape \(32, 128, 1, 1\)"),
        (classifier(blocks=(1, 1, 3, 1)), classifier(), r"has layer3\.2\.bn1\.bias, which resnet does not have"),
        (classifier(blocks=(1, 1, 3, 1)), simple_baseline(), r"has layer3\.2\.bn1\.bias, which simple-baseline"),
        (classifier(), classifier(stem="3x3"), r"conv1\.weight has shape \(8, 3, 7, 7\), expected \(8, 3, 3, 3\)"),
        (classifier(stem="3x3"), classifier(), r"conv1\.weight has shape \(8, 3, 3, 3\), expected \(8, 3, 7, 7\)"),
        (classifier(groups=4, inner_factor=2), classifier(groups=2, inner_factor=2), r"conv2\.weight has shape \(16, 4, 3, 3\)"),
        (hourglass(1), hourglass(2), r"no fc_\.0\.weight"),
        (hourglass(2), hourglass(1), r"has fc\.1\.0\.bias, which hourglass does not have"),
        (cpn(), cpn(blocks=(1, 1, 3, 1)), r"no resnet\.layer3\.2\.conv1\.weight"),
        (cpn(), hourglass(), "is a CPN, but `model` is hourglass"),
        (simple_baseline(), classifier(), "is a SimpleBaseline, but `model` is resnet"),
        (classifier(), preset("pose-small-v1"), "is a ResNet, but `model` is pose-small-v1"),
    ],
)
def test_checkpoints_of_siblings(source: BaselineSpec, target: Network, message: str, checkpoint: Make) -> None:
    with pytest.raises(HRNetError, match=message):
        load_into_network(checkpoint(source), target)


@pytest.mark.slow
def test_strides_of_a_trunk_are_noted(checkpoint: Make) -> None:
    arrays = checkpoint(classifier())
    assert load_into_network(arrays, cpn())[2].notes == ()
    (note,) = load_into_network(arrays, cpn(style="caffe"))[2].notes
    assert "stride in layer2.0.conv1" in note


def test_networks_much_larger_than_their_file_are_not_built() -> None:
    sizes = {"score.0.weight": 5, "fc.0.0.weight": 4096, "layer2.0.conv3.weight": 4096}
    arrays = {name: np.zeros((rows, 1, 1, 1), np.float32) for name, rows in sizes.items()}
    with pytest.raises(HRNetError, match=r"8,198 values, but a stacked hourglass of its sizes has .* parameters"):
        load_into_network({**arrays, "hg.0.hg.3.0.0.bn1.weight": np.zeros(1, np.float32)})


@pytest.mark.slow
def test_damaged_sizes(checkpoint: Make) -> None:
    for entry, value, message in (
        ("layer1.0.conv2.weight", np.zeros((8, 5, 3, 3), np.float32), r"conv2\.weight has shape \(8, 5, 3, 3\)"),
        ("layer1.0.conv2.weight", np.zeros(8, np.float32), r"layer1\.0\.conv2\.weight has shape \(8,\)"),
        ("layer1.0.conv1.weight", np.zeros((), np.float32), r"layer1\.0\.conv1\.weight must be an array"),
        ("layer1.0.conv3.weight", np.zeros((1, 8, 1, 1), np.float32), "`width` of a ResNet"),
    ):
        with pytest.raises(HRNetError, match=message):
            load_into_network({**checkpoint(classifier()), entry: value})


@pytest.mark.slow
def test_global_predictions_of_cpn_are_imported_and_exported(checkpoint: Make) -> None:
    spec = cpn()
    weights = {name: np.asarray(array) for name, array in model_weights(build_model(spec, auxiliary=True)).items()}
    arrays = official_arrays(spec, weights)
    assert set(arrays) - set(checkpoint(spec)) == {name for name in arrays if name.startswith("global_net.predict.")}
    _, loaded, report = load_into_network({f"module.{name}": array for name, array in arrays.items()}, spec)
    assert report.notes[0].startswith("the weights of pytorch-cpn expect RGB images in 0..1")
    for name, array in weights.items():
        np.testing.assert_array_equal(loaded[name], array, err_msg=name)


@pytest.mark.slow
def test_authors_names_of_the_hourglass() -> None:
    spec = hourglass(stem_width=8)
    weights = {name: np.asarray(array) for name, array in model_weights(build_model(spec)).items()}
    entries = AUTHORS.entries(spec)
    arrays = {entry.name: from_variable(entry, weights[entry.variable]) for entry in entries}
    assert "hgs.1.0.low2.low2.low2.low2.conv3.conv.weight" in arrays
    unused = {"hgs.0.0.up1.skip_layer.conv.weight": np.zeros((16, 16, 1, 1), np.float32)}
    inferred, loaded, report = load_into_network({f"model.module.{name}": array for name, array in (arrays | unused).items()})
    assert named(inferred) == named(spec)
    assert report.unexpected == tuple(unused)
    for name, array in weights.items():
        np.testing.assert_array_equal(loaded[name], array, err_msg=name)


@pytest.mark.parametrize("name", BASELINES)
def test_layouts_name_each_layer_once(name: str) -> None:
    spec = preset(name)
    assert isinstance(spec, BaselineSpec)
    entries = official_layout(spec).entries(spec, auxiliary=True)
    assert len({entry.name for entry in entries}) == len(entries) == len({entry.variable for entry in entries})
    assert official_layout(dataclasses.replace(spec, classes=2)) is official_layout(spec)
