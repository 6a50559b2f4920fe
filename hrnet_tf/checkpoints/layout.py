"""The table of which entry of an official checkpoint is which variable of this package's networks.

Names are those of the official repositories' state dicts. HRNets for pose, classification, segmentation and landmarks share the
names of the trunk; detection has them under `backbone.`, which is omitted here. In `fuse_layers.i.j`, i is the target branch and
j the source.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hrnet_tf.checkpoints.torch_reader import AnyArray
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.baseline import RESNET_BLOCKS, SimpleBaselineSpec
from hrnet_tf.spec.network import FIRST_STAGE, HRNetSpec
from hrnet_tf.spec.units import BranchModule, FusionLink
from mobile_eval.tasks.detection.constants import POOLED_SIZE, PYRAMID_LEVELS

BATCH_NORM_PARTS = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}


@dataclass(frozen=True)
class Entry:
    """An array of a checkpoint.

    Attributes:
        name: Its official name.
        variable: Its name in this package.
        optional: Whether some code bases omit it (a bias).
        flattened: Whether it is a dense kernel on flattened maps, which are channels-first there and channels-last here.
        per_class: For the outputs of a detector, the number of rows per class; the background is first there and last here.
    """

    name: str
    variable: str
    optional: bool = False
    flattened: bool = False
    per_class: int = 0


def entries(spec: Network) -> list[Entry]:
    """Return all entries of a network's official checkpoint, in the order of the network."""
    if isinstance(spec, SimpleBaselineSpec):
        return list(_simple_baseline(spec))
    return [*_trunk(spec), *_head(spec)]


def to_variable(entry: Entry, array: AnyArray) -> AnyArray:
    """Transpose an array from PyTorch's order of axes to Keras's.

    Kernels of convolutions go from (O, I, H, W) to (H, W, I, O), of transposed ones from (I, O, H, W) to (H, W, O, I), and of
    dense layers from (O, I) to (I, O).
    """
    array = np.roll(array, -entry.per_class, axis=0) if entry.per_class else array
    if array.ndim == 4:
        return array.transpose(2, 3, 1, 0)
    if entry.flattened:
        size = POOLED_SIZE
        return array.reshape(len(array), -1, size, size).transpose(2, 3, 1, 0).reshape(-1, len(array))
    return array.T


def from_variable(entry: Entry, array: AnyArray) -> AnyArray:
    """Transpose an array from Keras's order of axes to PyTorch's, the inverse of `to_variable`."""
    if array.ndim == 4:
        return array.transpose(3, 2, 0, 1)
    if entry.flattened:
        size = POOLED_SIZE
        return array.reshape(size, size, -1, array.shape[1]).transpose(3, 2, 0, 1).reshape(array.shape[1], -1)
    return np.roll(array.T, entry.per_class, axis=0) if entry.per_class else array.T


def _conv(name: str, variable: str, *, bias: bool = False, optional: bool = False) -> Iterator[Entry]:
    """A convolution or dense layer."""
    yield Entry(f"{name}.weight", f"{variable}/kernel")
    if bias:
        yield Entry(f"{name}.bias", f"{variable}/bias", optional)


def _unit(conv: str, norm: str, variable: str, index: int = 1, *, bias: bool = False) -> Iterator[Entry]:
    """A convolution and its BatchNorm. A bias is optional, because BatchNorm can replace it."""
    yield from _conv(conv, f"{variable}_conv{index}", bias=bias, optional=True)
    for official, keras_name in BATCH_NORM_PARTS.items():
        yield Entry(f"{norm}.{official}", f"{variable}_bn{index}/{keras_name}")


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
        case "classification":
            yield from _classification(spec)
        case _:
            yield from _detector()


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


def _simple_baseline(spec: SimpleBaselineSpec) -> Iterator[Entry]:
    """torchvision's names for the ResNet, and a Sequential of three times deconvolution, BatchNorm and ReLU."""
    yield from _unit("conv1", "bn1", "stem")
    for stage, blocks in enumerate(RESNET_BLOCKS[spec.depth], 1):
        for block in range(blocks):
            yield from _block(f"layer{stage}.{block}", f"stage{stage}_block{block}", 3, shortcut=block == 0)
    for step in range(3):
        yield from _unit(f"deconv_layers.{3 * step}", f"deconv_layers.{3 * step + 1}", f"deconvolution{step + 1}")
    yield from _conv("final_layer", "head_heatmaps", bias=True)
