"""The names of UNet++ in segmentation-models-pytorch, and of the one that the HRNet paper compares with.

The latter has no published weights: its names are this package's.
"""

from __future__ import annotations

from hrnet_tf.checkpoints.baselines.layout import Layout, Rule
from hrnet_tf.checkpoints.baselines.resnet import trunk_inside, trunk_rules
from hrnet_tf.checkpoints.shapes import rows
from hrnet_tf.checkpoints.torch_reader import Arrays
from hrnet_tf.spec.baselines.base import BaselineSpec, named
from hrnet_tf.spec.baselines.segmentation.base import CITYSCAPES_SIZE
from hrnet_tf.spec.baselines.segmentation.unetplusplus import UNetPlusPlusSpec
from hrnet_tf.spec.baselines.segmentation.unetplusplus_smp import UNetPlusPlusSmpSpec

CLASSES, FIRST_NODES = "heads.0.weight", tuple(f"nodes.{row}_1.conv.weight" for row in range(3))

SMP_CLASSES, SMP_NODES = "segmentation_head.0.weight", tuple(f"decoder.blocks.x_0_{column}.conv1.0.weight" for column in range(5))


def _network(arrays: Arrays) -> BaselineSpec:
    first, second, third = (rows(arrays, name) for name in FIRST_NODES)
    return named(
        UNetPlusPlusSpec(
            name="unetpp",
            input_size=CITYSCAPES_SIZE,
            classes=rows(arrays, CLASSES),
            trunk=trunk_inside(arrays, "encoder."),
            widths=(first, second, third),
        )
    )


def _smp_network(arrays: Arrays) -> BaselineSpec:
    first, second, third, fourth, fifth = (rows(arrays, name) for name in SMP_NODES)
    return named(
        UNetPlusPlusSmpSpec(
            name="unetpp-smp",
            input_size=CITYSCAPES_SIZE,
            classes=rows(arrays, SMP_CLASSES),
            trunk=trunk_inside(arrays, "encoder."),
            widths=(first, second, third, fourth, fifth),
        )
    )


UNETPLUSPLUS = Layout(
    name="hrnet_tf",
    kind=UNetPlusPlusSpec,
    matches=lambda arrays: FIRST_NODES[0] in arrays,
    infer=_network,
    classes=CLASSES,
    rules=(
        *trunk_rules("encoder."),
        Rule(r"deconvolution_(\d)to(\d)_conv1", r"nodes.\1_\2.up", r"nodes.\1_\2.up_bn"),
        Rule(r"node_(\d)to(\d)_conv1", r"nodes.\1_\2.conv", r"nodes.\1_\2.conv_bn"),
        *(Rule(f"head_logits{step + 1}", f"heads.{step}") for step in range(3)),
    ),
)
UNETPLUSPLUS_SMP = Layout(
    name="smp",
    kind=UNetPlusPlusSmpSpec,
    matches=lambda arrays: SMP_NODES[0] in arrays,
    infer=_smp_network,
    classes=SMP_CLASSES,
    rules=(
        *trunk_rules("encoder."),
        Rule(r"node_(\d)to(\d)_conv(\d)", r"decoder.blocks.x_\1_\2.conv\3.0", r"decoder.blocks.x_\1_\2.conv\3.1"),
        Rule("head_conv1", "segmentation_head.0"),
    ),
)
