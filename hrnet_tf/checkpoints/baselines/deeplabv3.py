"""The names of DeepLabv3 in torchvision and mmsegmentation, and of the network that the HRNet paper compares with.

The last one has no published weights. Its names are torchvision's, with the classifier directly behind the merged branches.
"""

from __future__ import annotations

from hrnet_tf.checkpoints.baselines.layout import Layout, Rule
from hrnet_tf.checkpoints.baselines.resnet import trunk_inside, trunk_rules
from hrnet_tf.checkpoints.shapes import rows
from hrnet_tf.checkpoints.torch_reader import Arrays
from hrnet_tf.spec.baselines.base import BaselineSpec, named
from hrnet_tf.spec.baselines.segmentation.base import CITYSCAPES_SIZE
from hrnet_tf.spec.baselines.segmentation.deeplabv3 import DeepLabV3Spec

BRANCHES, REFINED, PAPER = "classifier.0.convs.0.0.weight", "classifier.4.weight", "classifier.1.weight"
OPENMMLAB_BRANCHES, OPENMMLAB_CLASSES = "decode_head.aspp_modules.0.conv.weight", "decode_head.conv_seg.weight"
OUTPUT_STRIDE = 8
TORCHVISION_RULES = (
    *trunk_rules("backbone."),
    Rule(r"aspp_branch(\d)_conv1", r"classifier.0.convs.\1.0", r"classifier.0.convs.\1.1"),
    Rule("aspp_pool_conv1", "classifier.0.convs.4.1", "classifier.0.convs.4.2"),
    Rule("aspp_merge_conv1", "classifier.0.project.0", "classifier.0.project.1"),
    Rule("auxiliary_conv1", "aux_classifier.0", "aux_classifier.1"),
    Rule("auxiliary_logits", "aux_classifier.4"),
)
OPENMMLAB_HEAD_RULES = (
    Rule("head_logits", "decode_head.conv_seg"),
    Rule("auxiliary_conv1", "auxiliary_head.convs.0.conv", "auxiliary_head.convs.0.bn"),
    Rule("auxiliary_logits", "auxiliary_head.conv_seg"),
)


def _network(arrays: Arrays, classes: str) -> BaselineSpec:
    return named(
        DeepLabV3Spec(
            name="deeplabv3",
            input_size=CITYSCAPES_SIZE,
            classes=rows(arrays, classes),
            trunk=trunk_inside(arrays, "backbone.", output_stride=OUTPUT_STRIDE),
            width=rows(arrays, BRANCHES),
            refined=classes == REFINED,
        )
    )


def _openmmlab_network(arrays: Arrays) -> BaselineSpec:
    return DeepLabV3Spec(
        name="deeplabv3",
        input_size=CITYSCAPES_SIZE,
        classes=rows(arrays, OPENMMLAB_CLASSES),
        trunk=trunk_inside(arrays, "backbone.", "stem", output_stride=OUTPUT_STRIDE),
        width=rows(arrays, OPENMMLAB_BRANCHES),
        merge_kernel=3,
        pool_first=True,
    )


def _is_refined(spec: BaselineSpec) -> bool:
    return isinstance(spec, DeepLabV3Spec) and spec.refined


def _is_openmmlab(spec: BaselineSpec) -> bool:
    return isinstance(spec, DeepLabV3Spec) and spec.trunk.stem == "deep"


DEEPLABV3 = Layout(
    name="paper",
    kind=DeepLabV3Spec,
    matches=lambda arrays: BRANCHES in arrays and REFINED not in arrays,
    infer=lambda arrays: _network(arrays, PAPER),
    classes=PAPER,
    rules=(*TORCHVISION_RULES, Rule("head_logits", "classifier.1")),
    covers=lambda spec: not _is_refined(spec) and not _is_openmmlab(spec),
)
DEEPLABV3_TORCHVISION = Layout(
    name="torchvision",
    kind=DeepLabV3Spec,
    matches=lambda arrays: BRANCHES in arrays and REFINED in arrays,
    infer=lambda arrays: _network(arrays, REFINED),
    classes=REFINED,
    rules=(*TORCHVISION_RULES, Rule("head_refine_conv1", "classifier.1", "classifier.2"), Rule("head_logits", "classifier.4")),
    covers=_is_refined,
)
DEEPLABV3_OPENMMLAB = Layout(
    name="OpenMMLab",
    kind=DeepLabV3Spec,
    matches=lambda arrays: OPENMMLAB_BRANCHES in arrays,
    infer=_openmmlab_network,
    classes=OPENMMLAB_CLASSES,
    rules=(
        *trunk_rules("backbone.", "stem"),
        Rule(r"aspp_branch(\d)_conv1", r"decode_head.aspp_modules.\1.conv", r"decode_head.aspp_modules.\1.bn"),
        Rule("aspp_pool_conv1", "decode_head.image_pool.1.conv", "decode_head.image_pool.1.bn"),
        Rule("aspp_merge_conv1", "decode_head.bottleneck.conv", "decode_head.bottleneck.bn"),
        *OPENMMLAB_HEAD_RULES,
    ),
    covers=_is_openmmlab,
)
