"""Infer the network of a checkpoint from the names and shapes of its entries."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable

from hrnet_tf.checkpoints.torch_reader import Arrays
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.baseline import RESNET_BLOCKS, SimpleBaselineSpec
from hrnet_tf.spec.network import HRNetSpec, StageSpec
from hrnet_tf.spec.presets import PRESETS, default_size, interpolation_of
from mobile_eval.errors import HRNetError

RESNET_CLASSIFICATION = "resnet classification"  # weights for the trunk of a SimpleBaseline
SIMPLE_BASELINE = "simple-baseline"
TRUNK = "trunk"
_SIGNATURES = {  # an entry that only networks of this task have, and the one whose rows are the classes
    "classification": ("incre_modules.0.0.conv1.weight", "classifier.weight"),
    "segmentation": ("last_layer.0.weight", "last_layer.3.weight"),
    "landmarks": ("head.0.weight", "head.3.weight"),
    "detection": ("neck.reduction_conv.0.weight", "bbox_head.fc_cls.weight"),
    "pose": ("final_layer.weight", "final_layer.weight"),
}
MAX_COUNT = 1024  # blocks or modules in sequence; no network has as many
KNOWN_LAYOUTS = "the official HRNet and SimpleBaseline repositories', timm's, and OpenMMLab's (mmpose, mmseg, mmdet, mmpretrain)"


def kind_of(arrays: Arrays) -> str:
    """Return the kind of a checkpoint.

    Args:
        arrays: Arrays by official names.

    Returns:
        The task of an HRNet, "simple-baseline", "resnet classification", or "trunk".

    Raises:
        HRNetError: If the layout is unknown.
    """
    if any(name.startswith(("ocr_", "aux_head", "conv3x3_ocr")) for name in arrays):
        raise HRNetError("the checkpoint is an HRNet with an OCR head (conv3x3_ocr, aux_head), which is not supported")
    if "conv1.weight" in arrays and "layer1.0.conv1.weight" in arrays:
        if any(name.startswith("stage2.") for name in arrays):
            return next((task for task, (signature, _) in _SIGNATURES.items() if signature in arrays), TRUNK)
        if any(name.startswith("deconv_layers.") for name in arrays):
            return SIMPLE_BASELINE
        if "layer4.0.conv1.weight" in arrays:
            return RESNET_CLASSIFICATION
    examples = ", ".join([*sorted(arrays)[:3], "..."]) if arrays else "none"
    raise HRNetError(f"the layout of the checkpoint is unknown (entries: {examples}); known are {KNOWN_LAYOUTS}")


def infer_network(arrays: Arrays) -> Network:
    """Return the network of a checkpoint with a head.

    Args:
        arrays: Arrays by official names.

    Returns:
        The network at full connectivity, with the default input size of its task. It has the name of a preset if it differs
        from it at most in the number of classes.

    Raises:
        HRNetError: If the checkpoint has no head, or is of an unknown network.
    """
    kind = kind_of(arrays)
    if kind in (TRUNK, RESNET_CLASSIFICATION):
        raise HRNetError("the checkpoint has no head of an HRNet or SimpleBaseline: give the network to initialize as `model`")
    if kind == SIMPLE_BASELINE:
        return _simple_baseline(arrays)
    stages = tuple(_stage(arrays, number) for number in (2, 3, 4) if _count(arrays, rf"stage{number}\.(\d+)\."))
    bottleneck = "stage2.0.branches.0.0.conv3.weight" in arrays
    spec = HRNetSpec(
        name="hrnet",
        width=_rows(arrays, f"stage2.0.branches.0.0.conv{3 if bottleneck else 2}.weight"),
        input_size=default_size(kind),
        classes=classes_of(arrays, kind),
        stages=stages,
        stem_width=_rows(arrays, "conv1.weight"),
        stage1_blocks=_count(arrays, r"layer1\.(\d+)\."),
        stage1_width=_rows(arrays, "layer1.0.conv1.weight"),
        task=kind,
        block="bottleneck" if bottleneck else "basic",
        interpolation=interpolation_of(kind),
    ).full()
    return _named(spec)


def classes_of(arrays: Arrays, kind: str) -> int:
    """Return the number of joints, landmarks or (foreground) classes of a checkpoint of that kind."""
    if kind == SIMPLE_BASELINE:
        return _rows(arrays, "final_layer.weight")
    rows = _rows(arrays, _SIGNATURES[kind][1])
    return rows - 1 if kind == "detection" else rows


def _named(spec: HRNetSpec) -> HRNetSpec:
    for name, preset in PRESETS.items():
        if isinstance(preset, HRNetSpec) and dataclasses.replace(preset, name=spec.name, classes=spec.classes) == spec:
            return dataclasses.replace(spec, name=name)
    return dataclasses.replace(spec, name=f"{spec.task}-w{spec.width}")


def _simple_baseline(arrays: Arrays) -> SimpleBaselineSpec:
    blocks = tuple(_count(arrays, rf"layer{stage}\.(\d+)\.") for stage in (1, 2, 3, 4))
    depth = next((depth for depth, known in RESNET_BLOCKS.items() if known == blocks), None)
    if depth is None or "layer1.0.conv3.weight" not in arrays:
        raise HRNetError(f"the ResNet of a SimpleBaseline must have depth 50, 101 or 152, got {blocks} blocks")
    name = f"simple-baseline-r{depth}"
    return SimpleBaselineSpec(name, depth, default_size("pose"), classes_of(arrays, SIMPLE_BASELINE))


def _stage(arrays: Arrays, number: int) -> StageSpec:
    modules = _count(arrays, rf"stage{number}\.(\d+)\.")
    return StageSpec(modules, _count(arrays, rf"stage{number}\.0\.branches\.0\.(\d+)\."))


def _count(arrays: Iterable[str], pattern: str) -> int:
    """One more than the largest index that `pattern` matches at the start of a name."""
    matches = (re.match(pattern, name) for name in arrays)
    count = max((int(match[1]) + 1 for match in matches if match), default=0)
    if count > MAX_COUNT:
        raise HRNetError(f"the checkpoint is of an unknown network: indices up to {count - 1} match {pattern}")
    return count


def _rows(arrays: Arrays, name: str) -> int:
    if name not in arrays:
        raise HRNetError(f"the checkpoint is of an unknown network: it has no {name}")
    if not arrays[name].ndim:
        raise HRNetError(f"{name} must be an array, got a single number")
    return int(arrays[name].shape[0])
