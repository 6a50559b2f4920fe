"""Translate the layer names of other code bases to those of the official repositories.

timm uses the names of the official classification repository. OpenMMLab (mmpose, mmsegmentation, mmdetection, mmpretrain) has the
trunk under `backbone.` and other names for heads and necks.
"""

from __future__ import annotations

import re

import numpy as np

from hrnet_tf.checkpoints.torch_reader import Arrays
from mobile_eval.errors import HRNetError

# Prefixes of a network's names: the segmentation repository's FullModel, Lightning, averages of weights.
PREFIXES = ("model", "net", "network", "ema", "ema_model", "averaged_model")
# What PyTorch inserts for wrapped modules, at any depth: DataParallel, torch.compile, FSDP, activation checkpointing, Fabric.
MODULE_WRAPPERS = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module")
IGNORED = re.compile(r"(.*\.)?num_batches_tracked|loss\..*")

OPENMMLAB_REGIONS = r"decode_head\.1\.conv_seg"  # the classifier of mmsegmentation's HRNet-OCR
_COMMON = [
    (r"backbone\.(.*)", r"\1"),
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
_OBJECT_CONTEXT = [  # mmsegmentation's cascade of a head for the regions and an OCR head
    (r"decode_head\.0\.convs\.0\.conv\.(.*)", r"aux_head.0.\1"),
    (r"decode_head\.0\.convs\.0\.bn\.(.*)", r"aux_head.1.\1"),
    (r"decode_head\.0\.conv_seg\.(.*)", r"aux_head.3.\1"),
    (r"decode_head\.1\.bottleneck\.conv\.(.*)", r"conv3x3_ocr.0.\1"),
    (r"decode_head\.1\.bottleneck\.bn\.(.*)", r"conv3x3_ocr.1.\1"),
    (r"decode_head\.1\.object_context_block\.bottleneck\.conv\.(.*)", r"ocr_distri_head.conv_bn_dropout.0.\1"),
    (r"decode_head\.1\.object_context_block\.bottleneck\.bn\.(.*)", r"ocr_distri_head.conv_bn_dropout.1.0.\1"),
    *(
        (rf"decode_head\.1\.object_context_block\.{theirs}\.{layer}\.(.*)", rf"ocr_distri_head.object_context_block.{place}.\1")
        for theirs, layer, place in (
            (r"query_project\.0", "conv", "f_pixel.0"),
            (r"query_project\.0", "bn", "f_pixel.1.0"),
            (r"query_project\.1", "conv", "f_pixel.2"),
            (r"query_project\.1", "bn", "f_pixel.3.0"),
            (r"key_project\.0", "conv", "f_object.0"),
            (r"key_project\.0", "bn", "f_object.1.0"),
            (r"key_project\.1", "conv", "f_object.2"),
            (r"key_project\.1", "bn", "f_object.3.0"),
            ("value_project", "conv", "f_down.0"),
            ("value_project", "bn", "f_down.1.0"),
            ("out_project", "conv", "f_up.0"),
            ("out_project", "bn", "f_up.1.0"),
        )
    ),
    (OPENMMLAB_REGIONS + r"\.(.*)", r"cls_head.\1"),
]
_LANDMARKS = [  # mmpose's head with convolutions before the last one
    (r"head\.conv_layers\.([01])\.(.*)", r"head.\1.\2"),
    (r"head\.final_layer\.(.*)", r"head.3.\1"),
]
_POSE = [(r"(?:keypoint_head|head)\.final_layer\.(.*)", r"final_layer.\1")]


def has_openmmlab_regions(arrays: Arrays) -> bool:
    """Return whether a checkpoint without wrappers is of mmsegmentation's HRNet-OCR."""
    return any(re.match(OPENMMLAB_REGIONS, name) for name in arrays)


def unwrapped(arrays: Arrays) -> Arrays:
    """Return the arrays of a checkpoint without the names of wrappers, and without counters and losses.

    Raises:
        HRNetError: If two entries get the same name, as in a checkpoint with both weights and their average.
    """
    plain: Arrays = {}
    original_names: dict[str, str] = {}
    for name, array in arrays.items():
        stripped = _without_wrappers(name)
        if IGNORED.fullmatch(stripped):
            continue
        if stripped in plain:
            raise HRNetError(
                f"the checkpoint has two networks, with {original_names[stripped]} and {name}: save one of them alone"
            )
        plain[stripped], original_names[stripped] = array, name
    return plain


def official_names(arrays: Arrays) -> Arrays:
    """Rename the arrays of a checkpoint of an HRNet to the official names.

    Raises:
        HRNetError: If two entries get the same name, as in a checkpoint with both weights and their average.
    """
    arrays = unwrapped(arrays)
    has_mix_layers = any(name.startswith("head.conv_layers.") for name in arrays)
    rules = [*_COMMON, *_OBJECT_CONTEXT, *(_LANDMARKS if has_mix_layers else _POSE)]
    return _background_first({_rename(name, rules): array for name, array in arrays.items()})


def has_counters(arrays: Arrays) -> bool:
    """Return whether BatchNorm counted its batches: PyTorch's does since 0.4.1, InPlaceABN does not."""
    return any(name.endswith("num_batches_tracked") for name in arrays)


def _background_first(arrays: Arrays) -> Arrays:
    """Move the background class to the front, as in the official detection repository.

    mmdetection 2 has it last, without box deltas; zeros are added.
    """
    names = [f"bbox_head.{name}.{part}" for part in ("bias", "weight") for name in ("fc_cls", "fc_reg")]
    if not all(name in arrays and arrays[name].ndim for name in names):
        return arrays
    logits, deltas, *_ = (arrays[name] for name in names)
    if len(deltas) != 4 * (len(logits) - 1):
        return arrays
    moved = dict(arrays)
    for part in ("weight", "bias"):
        moved[f"bbox_head.fc_cls.{part}"] = np.roll(arrays[f"bbox_head.fc_cls.{part}"], 1, axis=0)
        regression = arrays[f"bbox_head.fc_reg.{part}"]
        moved[f"bbox_head.fc_reg.{part}"] = np.concatenate([np.zeros_like(regression[:4]), regression])
    return moved


def _without_wrappers(name: str) -> str:
    parts = [part for part in name.split(".") if part not in MODULE_WRAPPERS]
    while len(parts) > 1 and parts[0] in PREFIXES:
        del parts[0]
    return ".".join(parts)


def _rename(name: str, rules: list[tuple[str, str]]) -> str:
    for pattern, replacement in rules:
        renamed, count = re.subn(rf"^{pattern}$", replacement, name)
        if count:
            return renamed
    return name
