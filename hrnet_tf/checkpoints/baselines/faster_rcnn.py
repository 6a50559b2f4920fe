"""The names of Faster R-CNN on ResNets in torchvision and mmdetection."""

from __future__ import annotations

from hrnet_tf.checkpoints.baselines.layout import Layout, Rule, prefixed
from hrnet_tf.checkpoints.baselines.resnet import TRUNK_RULES, trunk_inside
from hrnet_tf.checkpoints.entry import Entry
from hrnet_tf.checkpoints.shapes import rows
from hrnet_tf.checkpoints.torch_reader import Arrays
from hrnet_tf.spec.baselines.base import BaselineSpec, named
from hrnet_tf.spec.baselines.faster_rcnn import COCO_SIZE, PYRAMID_CHANNELS, FasterRCNNSpec
from hrnet_tf.spec.baselines.resnet_trunk import ResNetTrunk
from mobile_eval.errors import HRNetError

TORCHVISION_PYRAMID, TORCHVISION_CLASSES = "backbone.fpn.layer_blocks.0.0.weight", "roi_heads.box_predictor.cls_score.weight"
OPENMMLAB_PYRAMID, OPENMMLAB_CLASSES = "neck.fpn_convs.0.conv.weight", "roi_head.bbox_head.fc_cls.weight"
LEVELS = range(2, 6)


def _head(rpn: tuple[str, str, str], boxes: tuple[str, str, str, str], *, background_first: bool) -> tuple[Entry, ...]:
    """The entries of the head by the official names of its layers."""
    layers = dict(zip(("rpn_conv", "rpn_objectness", "rpn_deltas"), rpn, strict=True))
    dense = dict(zip(("box_head_dense1", "box_head_dense2", "box_head_logits", "box_head_deltas"), boxes, strict=True))
    entries = []
    for variable, official in (layers | dense).items():
        for part, name in (("weight", "kernel"), ("bias", "bias")):
            per_class = {"box_head_logits": 1, "box_head_deltas": 4}.get(variable, 0) if background_first else 0
            entries.append(
                Entry(
                    f"{official}.{part}",
                    f"{variable}/{name}",
                    flattened=(variable, name) == ("box_head_dense1", "kernel"),
                    per_class=per_class,
                    absent_rows=4 if variable == "box_head_deltas" and not background_first else 0,
                )
            )
    return tuple(entries)


def _network(arrays: Arrays, trunk: ResNetTrunk, pyramid: str, classes: str) -> BaselineSpec:
    width = rows(arrays, pyramid)
    return named(
        FasterRCNNSpec(
            name="frcnn",
            input_size=COCO_SIZE,
            classes=rows(arrays, classes) - 1,
            trunk=trunk,
            head_width=None if width == PYRAMID_CHANNELS else width,
        )
    )


def _torchvision_network(arrays: Arrays) -> BaselineSpec:
    return _network(arrays, trunk_inside(arrays, "backbone.body."), TORCHVISION_PYRAMID, TORCHVISION_CLASSES)


def _openmmlab_network(arrays: Arrays) -> BaselineSpec:
    trunk = trunk_inside(arrays, "backbone.")
    if trunk.groups == 1:
        raise HRNetError(
            "the checkpoint of mmdetection does not tell which convolutions of its ResNet have the stride: give `model`, such as "
            "frcnn-r50-fpn (style caffe: the first 1x1 ones) or frcnn-r50-fpn-pytorch (style pytorch: the 3x3 ones)"
        )
    return _network(arrays, trunk, OPENMMLAB_PYRAMID, OPENMMLAB_CLASSES)


FASTER_RCNN_OPENMMLAB = Layout(
    name="OpenMMLab",
    kind=FasterRCNNSpec,
    matches=lambda arrays: "neck.lateral_convs.0.conv.weight" in arrays and OPENMMLAB_CLASSES in arrays,
    infer=_openmmlab_network,
    classes=OPENMMLAB_CLASSES,
    background=True,
    rules=(
        *prefixed("backbone.", TRUNK_RULES),
        Rule(r"neck_lateral(\d)_conv1", r"neck.lateral_convs.\1.conv"),
        *(Rule(f"neck_P{level}_conv1", f"neck.fpn_convs.{level - 2}.conv") for level in LEVELS),
    ),
    head=_head(
        ("rpn_head.rpn_conv", "rpn_head.rpn_cls", "rpn_head.rpn_reg"),
        (
            "roi_head.bbox_head.shared_fcs.0",
            "roi_head.bbox_head.shared_fcs.1",
            "roi_head.bbox_head.fc_cls",
            "roi_head.bbox_head.fc_reg",
        ),
        background_first=False,
    ),
    note="mmdetection's ResNets of style caffe are trained on BGR images minus a mean, not divided by a standard deviation",
)
FASTER_RCNN_TORCHVISION = Layout(
    name="torchvision",
    kind=FasterRCNNSpec,
    matches=lambda arrays: TORCHVISION_PYRAMID in arrays and TORCHVISION_CLASSES in arrays,
    infer=_torchvision_network,
    classes=TORCHVISION_CLASSES,
    background=True,
    rules=(
        *prefixed("backbone.body.", TRUNK_RULES),
        Rule(r"neck_lateral(\d)_conv1", r"backbone.fpn.inner_blocks.\1.0"),
        *(Rule(f"neck_P{level}_conv1", f"backbone.fpn.layer_blocks.{level - 2}.0") for level in LEVELS),
    ),
    head=_head(
        ("rpn.head.conv.0.0", "rpn.head.cls_logits", "rpn.head.bbox_pred"),
        (
            "roi_heads.box_head.fc6",
            "roi_heads.box_head.fc7",
            "roi_heads.box_predictor.cls_score",
            "roi_heads.box_predictor.bbox_pred",
        ),
        background_first=True,
    ),
    renames=(  # of older files
        (r"(backbone\.fpn\.(?:inner|layer)_blocks\.\d)\.(weight|bias)$", r"\1.0.\2"),
        (r"rpn\.head\.conv\.(weight|bias)$", r"rpn.head.conv.0.0.\1"),
    ),
    note="torchvision's COCO weights are trained with a BatchNorm epsilon of 0, here it is 1e-5",
)
