"""Small networks of each kind that HRNet is compared with."""

from __future__ import annotations

from typing import Any

from hrnet_tf.spec.baselines.base import BaselineSpec
from hrnet_tf.spec.baselines.cpn import CPNSpec
from hrnet_tf.spec.baselines.faster_rcnn import FasterRCNNSpec
from hrnet_tf.spec.baselines.hourglass import HourglassSpec
from hrnet_tf.spec.baselines.resnet import ResNetSpec
from hrnet_tf.spec.baselines.resnet_trunk import ResNetTrunk
from hrnet_tf.spec.baselines.segmentation.deeplabv3 import DeepLabV3Spec
from hrnet_tf.spec.baselines.segmentation.deeplabv3plus import DeepLabV3PlusSpec
from hrnet_tf.spec.baselines.segmentation.pspnet import PSPNetSpec
from hrnet_tf.spec.baselines.segmentation.unetplusplus import UNetPlusPlusSpec
from hrnet_tf.spec.baselines.segmentation.unetplusplus_smp import UNetPlusPlusSmpSpec
from hrnet_tf.spec.baselines.segmentation.xception import XceptionTrunk
from hrnet_tf.spec.baselines.simple_baseline import SimpleBaselineSpec

SIZE = (64, 64)


def trunk(**changes: Any) -> ResNetTrunk:
    """A ResNet of five bottlenecks and an eighth of the width."""
    return ResNetTrunk(**{"blocks": (1, 1, 2, 1), "stem_width": 8, "width": 8, **changes})


def classifier(**changes: Any) -> ResNetSpec:
    """A ResNet for classification with other changes than its sizes."""
    return ResNetSpec(name="resnet", input_size=SIZE, classes=5, trunk=trunk(**changes))


def simple_baseline(**changes: Any) -> SimpleBaselineSpec:
    return SimpleBaselineSpec(name="simple-baseline", input_size=SIZE, classes=5, trunk=trunk(**changes), deconvolution_width=16)


def cpn(**changes: Any) -> CPNSpec:
    return CPNSpec(name="cpn", input_size=SIZE, classes=5, trunk=trunk(**changes), width=16)


def hourglass(stacks: int = 2, stem_width: int = 16) -> HourglassSpec:
    return HourglassSpec(name="hourglass", input_size=SIZE, classes=5, stacks=stacks, width=16, stem_width=stem_width)


def deeplabv3(**changes: Any) -> DeepLabV3Spec:
    """A DeepLabv3 of output stride 8 with other changes than its sizes."""
    fields = {"input_size": SIZE, "trunk": trunk(output_stride=8), "width": 16, **changes}
    return DeepLabV3Spec(name="deeplabv3", classes=5, **fields)


def pspnet(**changes: Any) -> PSPNetSpec:
    """A PSPNet of output stride 8 with other changes than its sizes."""
    fields = {"input_size": SIZE, "trunk": DEEP_TRUNK, "width": 16, **changes}
    return PSPNetSpec(name="pspnet", classes=5, **fields)


def deeplabv3plus(**changes: Any) -> DeepLabV3PlusSpec:
    """A DeepLabv3+ with one block in the middle flow and other changes than its sizes."""
    xception = XceptionTrunk(stem=(8, 8), entry=(8, 16, 16), middle_blocks=1, exit=(16, 24, 24, 32), output_stride=16)
    fields = {"input_size": SIZE, "trunk": xception, "width": 16, "low_width": 8, **changes}
    return DeepLabV3PlusSpec(name="deeplabv3plus", classes=5, **fields)


def unetplusplus(**changes: Any) -> UNetPlusPlusSpec:
    fields = {"input_size": SIZE, "trunk": trunk(), "widths": (8, 16, 24), **changes}
    return UNetPlusPlusSpec(name="unetpp", classes=5, **fields)


def unetplusplus_smp(**changes: Any) -> UNetPlusPlusSmpSpec:
    fields = {"input_size": SIZE, "trunk": trunk(), "widths": (8, 8, 6, 6, 4), **changes}
    return UNetPlusPlusSmpSpec(name="unetpp-smp", classes=5, **fields)


def faster_rcnn(**changes: Any) -> FasterRCNNSpec:
    """A detector with a narrow head and other changes than its sizes."""
    fields = {"input_size": (96, 64), "trunk": trunk(), "head_width": 8, **changes}
    return FasterRCNNSpec(name="frcnn", classes=2, **fields)


DEEP_TRUNK = trunk(output_stride=8, stem="deep", contract_dilation=False)  # semseg's
OPENMMLAB_TRUNK = trunk(output_stride=8, stem="deep")
NETWORKS: dict[str, BaselineSpec] = {
    "simple baseline": simple_baseline(),
    "cpn": cpn(),
    "caffe cpn": cpn(style="caffe"),
    "hourglass": hourglass(stem_width=8),
    "deeplabv3": deeplabv3(),
    "deeplabv3, torchvision": deeplabv3(refined=True),
    "deeplabv3, OpenMMLab": deeplabv3(trunk=OPENMMLAB_TRUNK, merge_kernel=3, pool_first=True),
    "pspnet": pspnet(),
    "pspnet, OpenMMLab": pspnet(trunk=OPENMMLAB_TRUNK, aligned=False),
    "deeplabv3plus": deeplabv3plus(),
    "deeplabv3plus, smp": deeplabv3plus(head="smp"),
    "unetplusplus": unetplusplus(),
    "unetplusplus, smp": unetplusplus_smp(),
    "7x7": classifier(),
    "3x3": classifier(stem="3x3"),
    "basic": classifier(stem="3x3", kinds=("bottleneck", "basic", "basic", "basic"), extra_bottleneck=True),
    "grouped": classifier(groups=4, inner_factor=2),
}
VARIANTS: dict[str, BaselineSpec] = {  # without published weights
    "deep": classifier(stem="deep"),
    "caffe": classifier(style="caffe"),
    "dilated": classifier(output_stride=8),
}
