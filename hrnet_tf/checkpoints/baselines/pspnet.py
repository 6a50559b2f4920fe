"""The names of PSPNet in the author's repository (hszhao/semseg) and mmsegmentation."""

from __future__ import annotations

from hrnet_tf.checkpoints.baselines.deeplabv3 import OPENMMLAB_CLASSES, OPENMMLAB_HEAD_RULES, OUTPUT_STRIDE
from hrnet_tf.checkpoints.baselines.layout import Layout, Rule
from hrnet_tf.checkpoints.baselines.resnet import trunk_inside, trunk_rules
from hrnet_tf.checkpoints.shapes import rows
from hrnet_tf.checkpoints.torch_reader import Arrays
from hrnet_tf.spec.baselines.base import BaselineSpec, named
from hrnet_tf.spec.baselines.segmentation.base import CITYSCAPES_SIZE
from hrnet_tf.spec.baselines.segmentation.pspnet import PSPNetSpec

LEVELS, CLASSES = "ppm.features.0.1.weight", "cls.4.weight"
OPENMMLAB_LEVELS = "decode_head.psp_modules.0.1.conv.weight"


def _network(arrays: Arrays) -> BaselineSpec:
    return named(
        PSPNetSpec(
            name="pspnet",
            input_size=CITYSCAPES_SIZE,
            classes=rows(arrays, CLASSES),
            trunk=trunk_inside(arrays, "", "layer0", output_stride=OUTPUT_STRIDE, contract_dilation=False),
            width=rows(arrays, LEVELS),
        )
    )


def _openmmlab_network(arrays: Arrays) -> BaselineSpec:
    return PSPNetSpec(
        name="pspnet",
        input_size=CITYSCAPES_SIZE,
        classes=rows(arrays, OPENMMLAB_CLASSES),
        trunk=trunk_inside(arrays, "backbone.", "stem", output_stride=OUTPUT_STRIDE),
        width=rows(arrays, OPENMMLAB_LEVELS),
        aligned=False,
    )


def _is_aligned(spec: BaselineSpec) -> bool:
    return isinstance(spec, PSPNetSpec) and spec.aligned


PSPNET = Layout(
    name="semseg",
    kind=PSPNetSpec,
    matches=lambda arrays: LEVELS in arrays,
    infer=_network,
    classes=CLASSES,
    rules=(
        *trunk_rules("", "layer0"),
        Rule(r"pyramid_level(\d)_conv1", r"ppm.features.\1.1", r"ppm.features.\1.2"),
        Rule("head_mix_conv1", "cls.0", "cls.1"),
        Rule("head_logits", "cls.4"),
        Rule("auxiliary_conv1", "aux.0", "aux.1"),
        Rule("auxiliary_logits", "aux.4"),
    ),
    covers=_is_aligned,
)
PSPNET_OPENMMLAB = Layout(
    name="OpenMMLab",
    kind=PSPNetSpec,
    matches=lambda arrays: OPENMMLAB_LEVELS in arrays,
    infer=_openmmlab_network,
    classes=OPENMMLAB_CLASSES,
    rules=(
        *trunk_rules("backbone.", "stem"),
        Rule(r"pyramid_level(\d)_conv1", r"decode_head.psp_modules.\1.1.conv", r"decode_head.psp_modules.\1.1.bn"),
        Rule("head_mix_conv1", "decode_head.bottleneck.conv", "decode_head.bottleneck.bn"),
        *OPENMMLAB_HEAD_RULES,
    ),
    covers=lambda spec: not _is_aligned(spec),
)
