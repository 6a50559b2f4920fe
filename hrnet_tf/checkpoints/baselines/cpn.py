"""The names of CPNs in the PyTorch port (GengDavid/pytorch-cpn)."""

from __future__ import annotations

from hrnet_tf.checkpoints.baselines.layout import Layout, Rule, prefixed
from hrnet_tf.checkpoints.baselines.resnet import TRUNK_RULES
from hrnet_tf.checkpoints.torch_reader import Arrays
from hrnet_tf.spec.baselines.base import BaselineSpec
from hrnet_tf.spec.baselines.cpn import LEVELS, CPNSpec
from mobile_eval.errors import HRNetError


def _network(arrays: Arrays) -> BaselineSpec:
    raise HRNetError(
        "the checkpoint of a CPN does not tell which convolutions of its ResNet have the stride: give `model`, such as "
        "cpn-r50-pytorch (the 3x3 ones, as in the PyTorch port) or cpn-r50 (the first 1x1 ones)"
    )


def _block(layers: str, official: str, groups: int) -> tuple[Rule, Rule]:
    """The rules of a bottleneck with a projection; `groups` is the number of groups of the expression `layers`."""
    index = f"\\{groups + 1}"
    return (
        Rule(rf"{layers}_conv(\d)", f"{official}.conv{index}", f"{official}.bn{index}"),
        Rule(f"{layers}_shortcut_conv1", f"{official}.downsample.0", f"{official}.downsample.1"),
    )


CPN = Layout(
    name="pytorch-cpn",
    kind=CPNSpec,
    matches=lambda arrays: any(name.startswith("refine_net.cascade.") for name in arrays),
    infer=_network,
    classes="refine_net.final_predict.1.weight",
    rules=(
        *prefixed("resnet.", TRUNK_RULES),
        Rule(r"global_lateral(\d)_conv1", r"global_net.laterals.\1.0", r"global_net.laterals.\1.1"),
        *(
            Rule(f"global_merge{level}_conv1", f"global_net.upsamples.{level - 1}.1", f"global_net.upsamples.{level - 1}.2")
            for level in range(1, LEVELS)
        ),
        Rule(r"global_predict(\d)_conv1", r"global_net.predict.\1.0", r"global_net.predict.\1.1"),
        Rule(r"global_predict(\d)_conv2", r"global_net.predict.\1.3"),
        Rule(r"global_predict(\d)_norm", norm=r"global_net.predict.\1.5"),
        *_block(r"refine_level(\d)_block(\d)", r"refine_net.cascade.\1.\2", groups=2),
        *_block("refine_merged", "refine_net.final_predict.0", groups=0),
        Rule("head_conv1", "refine_net.final_predict.1", "refine_net.final_predict.2"),
    ),
    note="the weights of pytorch-cpn expect RGB images in 0..1 minus (0.4815, 0.4547, 0.4038), without a standard deviation",
)
