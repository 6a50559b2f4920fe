"""Checkpoints of networks for segmentation to compare with: names, inferred networks, and files of siblings."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import numpy as np
import pytest

from hrnet_tf.checkpoints.baselines.registry import find_layout
from hrnet_tf.checkpoints.from_torch import load_into_network
from hrnet_tf.checkpoints.to_torch import official_arrays
from hrnet_tf.checkpoints.torch_reader import Arrays
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.baselines.base import BaselineSpec
from hrnet_tf.spec.baselines.resnet_trunk import ResNetTrunk
from hrnet_tf.spec.baselines.segmentation.pspnet import PSPNetSpec
from hrnet_tf.spec.presets import preset
from mobile_eval.errors import HRNetError
from tests.support.baselines import classifier, deeplabv3, deeplabv3plus, pspnet, trunk
from tests.support.golden import GOLDEN

Make = Callable[[Network], Arrays]

SIZE = (1024, 2048)
OPENMMLAB = ResNetTrunk.of_depth(101, stem="deep", stem_width=32, output_stride=8)
FILES: dict[str, BaselineSpec] = {  # golden file: network
    "deeplabv3_r101_deck_320x352": preset("deeplabv3-r101"),  # type: ignore[dict-item]
    "deeplabv3_r101_torchvision_320x352": preset("deeplabv3-r101-torchvision"),  # type: ignore[dict-item]
    "pspnet_r101_semseg_161x209": preset("pspnet-r101"),  # type: ignore[dict-item]
    "pspnet_r101_mmseg_160x208": PSPNetSpec(name="pspnet", input_size=SIZE, classes=19, trunk=OPENMMLAB, aligned=False),
    "deeplabv3plus_xception71_os16_320x352": preset("deeplabv3plus-x71-smp"),  # type: ignore[dict-item]
    "unetplusplus_r101_deck_128x160": preset("unetpp-r101"),  # type: ignore[dict-item]
    "unetplusplus_r101_smp_64x96": preset("unetpp-r101-smp"),  # type: ignore[dict-item]
}
LONGER = trunk(output_stride=8, blocks=(1, 1, 3, 1))
WITHOUT_AUXILIARY = ("deeplabv3_r101_deck_320x352",)


@pytest.mark.parametrize(("stem", "spec"), FILES.items(), ids=list(FILES))
def test_entries_and_networks_of_official_files(stem: str, spec: BaselineSpec) -> None:
    path = GOLDEN / f"{stem}.keys.json"
    if not path.is_file():
        pytest.skip(f"no golden outputs in {GOLDEN} (set HRNET_GOLDEN to their folder)")
    entries = json.loads(path.read_text()).items()
    arrays = {name: np.empty(shape, np.float32) for name, shape in entries if not name.endswith("num_batches_tracked")}
    layout = find_layout(arrays)
    assert layout is not None
    assert {entry.name for entry in layout.entries(spec, auxiliary=stem not in WITHOUT_AUXILIARY)} == set(arrays)
    assert layout.infer(arrays) == spec


def auxiliary(arrays: Arrays, classes: int) -> Arrays:
    """The entries of torchvision's auxiliary head."""
    shapes = {"0.weight": (256, 128, 3, 3), "4.weight": (classes, 256, 1, 1), "4.bias": (classes,)}
    shapes |= {f"1.{part}": (256,) for part in ("weight", "bias", "running_mean", "running_var")}
    return {**arrays, **{f"aux_classifier.{name}": np.ones(shape, np.float32) for name, shape in shapes.items()}}


@pytest.mark.slow
def test_auxiliary_heads_of_checkpoints(checkpoint: Make) -> None:
    spec = deeplabv3(refined=True)
    arrays = auxiliary(checkpoint(spec), 5)
    inferred, weights, report = load_into_network({f"module.{name}": array for name, array in arrays.items()})
    assert inferred == dataclasses.replace(spec, input_size=SIZE)
    assert weights["auxiliary_logits/kernel"].shape == (1, 1, 256, 5)
    assert report.unexpected == ()
    assert official_arrays(spec, weights).keys() >= arrays.keys()
    with pytest.raises(HRNetError, match=r"aux_classifier\.4\.weight has shape \(21, 256, 1, 1\), expected \(5, 256, 1, 1\)"):
        load_into_network(auxiliary(arrays, 21))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (deeplabv3(), deeplabv3(trunk=LONGER), r"no backbone\.layer3\.2\.conv1\.weight"),
        (deeplabv3(trunk=LONGER), deeplabv3(), r"has backbone\.layer3\.2\.bn1\.bias, which"),
        (deeplabv3(refined=True), deeplabv3(), r"classifier\.1\.weight has shape \(16, 16, 3, 3\)"),
        (deeplabv3(), deeplabv3(refined=True), r"no classifier\.4\.weight"),
        (pspnet(), deeplabv3(), "is a PSPNet, but `model` is deeplabv3"),
        (deeplabv3(), preset("segment-small-v1"), "is a DeepLabv3, but `model` is segment-small-v1"),
        (pspnet(), pspnet(width=8), r"has shape \(16, 256, 1, 1\), expected \(8, 256, 1, 1\)"),
    ],
)
def test_checkpoints_of_siblings(source: BaselineSpec, target: Network, message: str, checkpoint: Make) -> None:
    with pytest.raises(HRNetError, match=message):
        load_into_network(checkpoint(source), target)


@pytest.mark.slow
def test_an_imagenet_resnet_initializes_the_trunk(checkpoint: Make) -> None:
    arrays = checkpoint(classifier())
    spec, weights, report = load_into_network(arrays, deeplabv3())
    assert spec.name == "deeplabv3"
    assert report.unexpected == ("fc.bias", "fc.weight")
    np.testing.assert_array_equal(weights["stage4_block0_conv3/kernel"], arrays["layer4.0.conv3.weight"].transpose(2, 3, 1, 0))


@pytest.mark.slow
def test_timm_s_xception_initializes_the_trunk(checkpoint: Make) -> None:
    spec = deeplabv3plus()
    network = checkpoint(spec)
    flattened = {name.removeprefix("encoder.model."): array for name, array in network.items() if name.startswith("encoder.")}
    arrays = {name.replace("_", ".", 1): array for name, array in flattened.items()}
    arrays["head.fc.weight"] = np.ones((1000, 32), np.float32)
    with pytest.raises(HRNetError, match="Xception without a head: give the network to initialize as `model`"):
        load_into_network(arrays)
    loaded, weights, report = load_into_network(arrays, spec)
    assert loaded == spec
    assert report.unexpected == ("head.fc.weight",)
    kernel = weights["xception_block3_depthwise_conv2/depthwise_kernel"]
    np.testing.assert_array_equal(kernel[..., 0], arrays["blocks.3.stack.conv2.conv_dw.weight"][:, 0].transpose(1, 2, 0))
    assert all(name.startswith(("decoder.", "segmentation_head.")) for name in report.missing)
