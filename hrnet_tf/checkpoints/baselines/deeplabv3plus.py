"""The names of DeepLabv3+ with Xception-71 in segmentation-models-pytorch, and of the trunk in timm.

The authors' network is published for TensorFlow only. Here, its entries have smp's names, with `bn` and what smp does not have;
the variables of TensorFlow's checkpoints are renamed to them.
"""

from __future__ import annotations

from hrnet_tf.checkpoints.baselines.deeplab_tensorflow import RENAMES
from hrnet_tf.checkpoints.baselines.layout import Layout, Rule
from hrnet_tf.checkpoints.shapes import count, rows
from hrnet_tf.checkpoints.torch_reader import Arrays
from hrnet_tf.spec.baselines.base import BaselineSpec, named
from hrnet_tf.spec.baselines.segmentation.base import CITYSCAPES_SIZE
from hrnet_tf.spec.baselines.segmentation.deeplabv3plus import SMP, TENSORFLOW, DeepLabV3PlusSpec
from hrnet_tf.spec.baselines.segmentation.xception import XceptionTrunk
from mobile_eval.errors import HRNetError

CLASSES, BRANCHES, LOW_LEVEL = "segmentation_head.0.weight", "decoder.aspp.0.convs.0.0.weight", "decoder.block1.0.weight"
REFINED = "decoder.aspp.1.0.weight"
BLOCK = r"encoder\.model\.blocks_(\d+)\."
TRUNK = "stem.0.conv.weight", "blocks.0.stack.conv1.conv_dw.weight"  # of timm's Xceptions
OUTPUT_STRIDE = 16


def _trunk_rules(stem: str, block: str) -> tuple[Rule, ...]:
    return (
        Rule("xception_stem_conv1", f"{stem}0.conv", f"{stem}0.bn"),
        Rule("xception_stem_conv2", f"{stem}1.conv", f"{stem}1.bn"),
        Rule(r"xception_block(\d+)_shortcut_conv1", rf"{block}\1.shortcut.conv", rf"{block}\1.shortcut.bn"),
        Rule(r"xception_block(\d+)_depthwise_conv(\d)", rf"{block}\1.stack.conv\2.conv_dw", rf"{block}\1.stack.conv\2.bn_dw"),
        Rule(r"xception_block(\d+)_pointwise_conv(\d)", rf"{block}\1.stack.conv\2.conv_pw", rf"{block}\1.stack.conv\2.bn_pw"),
    )


def _network(arrays: Arrays) -> BaselineSpec:
    blocks = count(arrays, BLOCK)
    prefix = "encoder.model.blocks_"
    projected = [f"{prefix}{index}.shortcut.conv.weight" in arrays for index in range(blocks)]
    entry = projected.index(False) if False in projected else blocks
    exit_block, first = f"{prefix}{blocks - 1}.stack", f"{prefix}{blocks - 2}.stack.conv3.conv_pw.weight"
    units = (f"{exit_block}.conv{unit}.conv_pw.weight" for unit in (1, 2, 3))
    widths = [rows(arrays, name) for name in (first, *units)]
    trunk = XceptionTrunk(
        stem=(rows(arrays, "encoder.model.stem_0.conv.weight"), rows(arrays, "encoder.model.stem_1.conv.weight")),
        entry=tuple(rows(arrays, f"{prefix}{index}.stack.conv3.conv_pw.weight") for index in range(entry)),
        middle_blocks=blocks - entry - 2,
        exit=(widths[0], widths[1], widths[2], widths[3]),
        output_stride=OUTPUT_STRIDE,
    )
    return named(
        DeepLabV3PlusSpec(
            name="deeplabv3plus",
            input_size=CITYSCAPES_SIZE,
            classes=rows(arrays, CLASSES),
            trunk=trunk,
            head=SMP if REFINED in arrays else TENSORFLOW,
            width=rows(arrays, BRANCHES),
            low_width=rows(arrays, LOW_LEVEL),
        )
    )


def _no_network(arrays: Arrays) -> BaselineSpec:
    raise HRNetError("the checkpoint is an Xception without a head: give the network to initialize as `model`")


DEEPLABV3PLUS = Layout(
    name="smp",
    kind=DeepLabV3PlusSpec,
    matches=lambda arrays: "encoder.model.stem_0.conv.weight" in arrays and BRANCHES in arrays,
    infer=_network,
    classes=CLASSES,
    rules=(
        *_trunk_rules("encoder.model.stem_", "encoder.model.blocks_"),
        Rule("aspp_branch0_conv1", "decoder.aspp.0.convs.0.0", "decoder.aspp.0.convs.0.1"),
        Rule(r"aspp_branch(\d)_depthwise_conv1", r"decoder.aspp.0.convs.\1.0.0", r"decoder.aspp.0.convs.\1.0.bn"),
        Rule(r"aspp_branch(\d)_pointwise_conv1", r"decoder.aspp.0.convs.\1.0.1", r"decoder.aspp.0.convs.\1.1"),
        Rule("aspp_pool_conv1", "decoder.aspp.0.convs.4.1", "decoder.aspp.0.convs.4.2"),
        Rule("aspp_merge_conv1", "decoder.aspp.0.project.0", "decoder.aspp.0.project.1"),
        Rule("aspp_refine_depthwise_conv1", "decoder.aspp.1.0"),
        Rule("aspp_refine_pointwise_conv1", "decoder.aspp.1.1", "decoder.aspp.2"),
        Rule("decoder_low_conv1", "decoder.block1.0", "decoder.block1.1"),
        Rule("decoder_unit0_depthwise_conv1", "decoder.block2.0.0", "decoder.block2.0.bn"),
        Rule("decoder_unit0_pointwise_conv1", "decoder.block2.0.1", "decoder.block2.1"),
        Rule("decoder_unit1_depthwise_conv1", "decoder.block3.0.0", "decoder.block3.0.bn"),
        Rule("decoder_unit1_pointwise_conv1", "decoder.block3.0.1", "decoder.block3.1"),
        Rule("head_logits", "segmentation_head.0"),
    ),
    renames=RENAMES,
)
XCEPTION_TENSORFLOW = Layout(
    name="tensorflow",
    kind=DeepLabV3PlusSpec,
    matches=lambda arrays: "encoder.model.stem_0.conv.weight" in arrays and BRANCHES not in arrays,
    infer=_no_network,
    classes="xception_71/logits/weights",
    rules=_trunk_rules("encoder.model.stem_", "encoder.model.blocks_"),
    renames=RENAMES,
    ignored=r"xception_71/logits/(weights|biases)",
    covers=lambda _: False,
    initializes=lambda spec: isinstance(spec, DeepLabV3PlusSpec),
)
XCEPTION_TIMM = Layout(
    name="timm",
    kind=DeepLabV3PlusSpec,
    matches=lambda arrays: all(name in arrays for name in TRUNK),
    infer=_no_network,
    classes="head.fc.weight",
    rules=_trunk_rules("stem.", "blocks."),
    ignored=r"head\.fc\.(weight|bias)",
    covers=lambda _: False,
    initializes=lambda spec: isinstance(spec, DeepLabV3PlusSpec),
)
