"""Other code bases' names made into the official repositories' names.

timm names everything as the official classification repository does. OpenMMLab (mmpose, mmsegmentation,
mmdetection, mmpretrain) has the trunk under `backbone.` and names of its own for heads and necks.
"""

from __future__ import annotations

import re

import numpy as np

from hrnet_tf.checkpoints.torch_reader import Arrays
from mobile_eval.errors import HRNetError

# What code bases put in front of a network's names: the segmentation repository's FullModel, Lightning, averages of weights.
WRAPPERS = ("model", "net", "network", "ema", "ema_model", "averaged_model")
# What PyTorch puts where a module is wrapped, at any depth: DataParallel, torch.compile, FSDP, activation checkpointing, Fabric.
WRAPPED = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module")
IGNORED = re.compile(r"(.*\.)?num_batches_tracked|loss\..*")

_COMMON = [
    (r"backbone\.(.*)", r"\1"),
    (r"(?:keypoint_head|head)\.(deconv_layers\..*)", r"\1"),
    (r"decode_head\.convs\.0\.conv\.(.*)", r"last_layer.0.\1"),
    (r"decode_head\.convs\.0\.bn\.(.*)", r"last_layer.1.\1"),
    (r"decode_head\.conv_seg\.(.*)", r"last_layer.3.\1"),
    (r"neck\.reduction_conv\.conv\.(.*)", r"neck.reduction_conv.0.\1"),
    (r"neck\.fpn_convs?\.(\d)\.(?:conv\.)?(weight|bias)", r"neck.fpn_conv.\1.\2"),
    (r"roi_head\.(bbox_head\..*)", r"\1"),
    (r"neck\.increase_layers\.(.*)", r"incre_modules.\1"),
    (r"neck\.downsample_layers\.(\d)\.conv\.(.*)", r"downsamp_modules.\1.0.\2"),
    (r"neck\.downsample_layers\.(\d)\.bn\.(.*)", r"downsamp_modules.\1.1.\2"),
    (r"neck\.final_layer\.conv\.(.*)", r"final_layer.0.\1"),
    (r"neck\.final_layer\.bn\.(.*)", r"final_layer.1.\1"),
    (r"head\.fc\.(.*)", r"classifier.\1"),
]
_LANDMARKS = [  # mmpose's head with convolutions before the last one
    (r"head\.conv_layers\.([01])\.(.*)", r"head.\1.\2"),
    (r"head\.final_layer\.(.*)", r"head.3.\1"),
]
_POSE = [(r"(?:keypoint_head|head)\.final_layer\.(.*)", r"final_layer.\1")]


def official_names(arrays: Arrays) -> Arrays:
    """The same arrays under official names; wrappers and what no network needs (counters, losses) are left out.

    Raises HRNetError where two entries have one name without their wrappers, as weights and their average saved together have.
    """
    bare: Arrays = {}
    found: dict[str, str] = {}
    for name, array in arrays.items():
        stripped = _without_wrappers(name)
        if IGNORED.fullmatch(stripped):
            continue
        if stripped in bare:
            raise HRNetError(f"the checkpoint holds two networks, {found[stripped]} and {name}: save the wanted one alone")
        bare[stripped], found[stripped] = array, name
    mixes = any(name.startswith("head.conv_layers.") for name in bare)
    rules = _COMMON + (_LANDMARKS if mixes else _POSE)
    return _background_first({_renamed(name, rules): array for name, array in bare.items()})


def has_counters(arrays: Arrays) -> bool:
    """Whether BatchNorm counted its batches: PyTorch's has since 0.4.1, InPlaceABN never did."""
    return any(name.endswith("num_batches_tracked") for name in arrays)


def _background_first(arrays: Arrays) -> Arrays:
    """mmdetection 2 has the background last, and no deltas for it; the official detection repository has it first."""
    names = [f"bbox_head.{name}.{part}" for part in ("bias", "weight") for name in ("fc_cls", "fc_reg")]
    if not all(name in arrays and arrays[name].ndim for name in names):
        return arrays
    logits, deltas, *_ = (arrays[name] for name in names)
    if len(deltas) != 4 * (len(logits) - 1):
        return arrays
    moved = dict(arrays)
    for part in ("weight", "bias"):
        moved[f"bbox_head.fc_cls.{part}"] = np.roll(arrays[f"bbox_head.fc_cls.{part}"], 1, axis=0)
        own = arrays[f"bbox_head.fc_reg.{part}"]
        moved[f"bbox_head.fc_reg.{part}"] = np.concatenate([np.zeros_like(own[:4]), own])
    return moved


def _without_wrappers(name: str) -> str:
    parts = [part for part in name.split(".") if part not in WRAPPED]
    while len(parts) > 1 and parts[0] in WRAPPERS:
        del parts[0]
    return ".".join(parts)


def _renamed(name: str, rules: list[tuple[str, str]]) -> str:
    for pattern, replacement in rules:
        renamed, count = re.subn(rf"^{pattern}$", replacement, name)
        if count:
            return renamed
    return name
