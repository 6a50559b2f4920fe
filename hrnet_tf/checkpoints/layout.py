"""The table of which entry of an official checkpoint is which variable of this package's networks.

Names are those of the official repositories' state dicts. HRNets for pose, classification, segmentation and landmarks share the
names of the trunk; detection has them under `backbone.`, which is omitted here. In `fuse_layers.i.j`, i is the target branch and
j the source.
"""

from __future__ import annotations

from collections.abc import Iterator

from hrnet_tf.checkpoints.baselines.registry import official_layout
from hrnet_tf.checkpoints.entry import Entry, norm_entries
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.baselines.base import BaselineSpec
from hrnet_tf.spec.network import FIRST_STAGE, HRNetSpec
from hrnet_tf.spec.units import BranchModule, FusionLink
from mobile_eval.tasks.detection.constants import PYRAMID_LEVELS


def entries(spec: Network) -> list[Entry]:
    """Return all entries of a network's official checkpoint, in the order of the network.

    Those of networks that HRNet is compared with are in `hrnet_tf.checkpoints.baselines`.
    """
    if isinstance(spec, BaselineSpec):
        return official_layout(spec).entries(spec)
    return [*_trunk(spec), *_head(spec)]


def _conv(name: str, variable: str, *, bias: bool = False, optional: bool = False) -> Iterator[Entry]:
    """A convolution or dense layer."""
    yield Entry(f"{name}.weight", f"{variable}/kernel")
    if bias:
        yield Entry(f"{name}.bias", f"{variable}/bias", optional)


def _unit(conv: str, norm: str, variable: str, index: int = 1, *, bias: bool = False) -> Iterator[Entry]:
    """A convolution and its BatchNorm. A bias is optional, because BatchNorm can replace it."""
    yield from _conv(conv, f"{variable}_conv{index}", bias=bias, optional=True)
    yield from norm_entries(norm, f"{variable}_bn{index}")


def _block(name: str, variable: str, convolutions: int, *, shortcut: bool = False) -> Iterator[Entry]:
    """A residual block of 2 (basic) or 3 (bottleneck) convolutions, with or without projection."""
    for index in range(1, convolutions + 1):
        yield from _unit(f"{name}.conv{index}", f"{name}.bn{index}", variable, index)
    if shortcut:
        yield from _unit(f"{name}.downsample.0", f"{name}.downsample.1", f"{variable}_shortcut")


def _trunk(spec: HRNetSpec) -> Iterator[Entry]:
    for index in (1, 2):
        yield from _unit(f"conv{index}", f"bn{index}", "stem", index)
    for block in spec.stage1_blocks_kept:
        projected = block == 0 and spec.has_projection
        yield from _block(f"layer1.{block}", f"stage1_block{block}", 3, shortcut=projected)
    live = spec.liveness()
    for stage in range(FIRST_STAGE, spec.last_stage + 1):
        yield from _transition(spec, stage)
        for branch in sorted(b for b in live.branches if b.stage == stage):
            for block_of_branch in spec.blocks(branch):
                place = f"stage{stage}.{branch.module}.branches.{branch.branch}.{block_of_branch.block}"
                yield from _block(place, block_of_branch.name, 2 if spec.block == "basic" else 3)
        for link in sorted(link for link in live.links if link.stage == stage):
            yield from _link(link)


def _transition(spec: HRNetSpec, stage: int) -> Iterator[Entry]:
    newest, name = stage - 1, f"transition{stage - 1}"
    if stage == FIRST_STAGE and spec.has_first_transition:
        yield from _unit(f"{name}.0.0", f"{name}.0.1", f"{name}_branch0")
    if BranchModule(stage, 0, newest) in spec.liveness().branches:
        yield from _unit(f"{name}.{newest}.0.0", f"{name}.{newest}.0.1", f"{name}_branch{newest}")


def _link(link: FusionLink) -> Iterator[Entry]:
    place = f"stage{link.stage}.{link.module}.fuse_layers.{link.target}.{link.source}"
    if link.source > link.target:
        yield from _unit(f"{place}.0", f"{place}.1", link.name)
        return
    for step in range(link.target - link.source):
        yield from _unit(f"{place}.{step}.0", f"{place}.{step}.1", link.name, step + 1)


def _head(spec: HRNetSpec) -> Iterator[Entry]:
    match spec.head_kind:
        case "heatmap":
            yield from _conv("final_layer", "head_heatmaps", bias=True)
        case "multiscale_heatmap":
            yield from _dense("head", "head_heatmaps")
        case "dense":
            yield from _dense("last_layer", "head_logits")
        case "object_context":
            yield from _object_context()
        case "classification":
            yield from _classification(spec)
        case "centers":  # of this package, not of the official repositories
            return
        case _:
            yield from _detector()


def _object_context() -> Iterator[Entry]:
    yield from _dense("aux_head", "head_regions")
    yield from _unit("conv3x3_ocr.0", "conv3x3_ocr.1", "head_pixels", bias=True)
    attention = "ocr_distri_head.object_context_block"
    for official, variable, steps in (("f_pixel", "head_query", 2), ("f_object", "head_key", 2), ("f_down", "head_value", 1)):
        for step in range(steps):
            place = f"{attention}.{official}"
            yield from _unit(f"{place}.{2 * step}", f"{place}.{2 * step + 1}.0", variable, step + 1)
    yield from _unit(f"{attention}.f_up.0", f"{attention}.f_up.1.0", "head_context")
    yield from _unit("ocr_distri_head.conv_bn_dropout.0", "ocr_distri_head.conv_bn_dropout.1.0", "head_fuse")
    yield from _conv("cls_head", "head_logits", bias=True)


def _dense(name: str, output: str) -> Iterator[Entry]:
    yield from _unit(f"{name}.0", f"{name}.1", "head_mix", bias=True)
    yield from _conv(f"{name}.3", output, bias=True)


def _classification(spec: HRNetSpec) -> Iterator[Entry]:
    for branch in spec.outputs:
        yield from _block(f"incre_modules.{branch}.0", f"head_widen{branch}", 3, shortcut=True)
    for step in range(len(spec.outputs) - 1):
        yield from _unit(f"downsamp_modules.{step}.0", f"downsamp_modules.{step}.1", f"head_down{step + 1}", bias=True)
    yield from _unit("final_layer.0", "final_layer.1", "head_features", bias=True)
    yield from _conv("classifier", "head_logits", bias=True)


def _detector() -> Iterator[Entry]:
    yield from _conv("neck.reduction_conv.0", "neck_reduce", bias=True)
    for level in range(PYRAMID_LEVELS):
        yield from _conv(f"neck.fpn_conv.{level}", f"neck_P{level + 2}_conv", bias=True)
    for official, variable in (("rpn_conv", "rpn_conv"), ("rpn_cls", "rpn_objectness"), ("rpn_reg", "rpn_deltas")):
        yield from _conv(f"rpn_head.{official}", variable, bias=True)
    yield Entry("bbox_head.shared_fcs.0.weight", "box_head_dense1/kernel", flattened=True)
    yield Entry("bbox_head.shared_fcs.0.bias", "box_head_dense1/bias")
    yield from _conv("bbox_head.shared_fcs.1", "box_head_dense2", bias=True)
    for official, variable, rows in (("fc_cls", "box_head_logits", 1), ("fc_reg", "box_head_deltas", 4)):
        yield Entry(f"bbox_head.{official}.weight", f"{variable}/kernel", per_class=rows)
        yield Entry(f"bbox_head.{official}.bias", f"{variable}/bias", per_class=rows)
