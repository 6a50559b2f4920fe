"""The network that a checkpoint was made from, read off its entries' names and shapes."""

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

RESNET_CLASSIFICATION = "resnet classification"  # trains SimpleBaseline's trunk
TRUNK = "trunk"
_SIGNATURES = {  # the entry that only a network of this kind has, and the one that counts its classes
    "classification": ("incre_modules.0.0.conv1.weight", "classifier.weight"),
    "segmentation": ("last_layer.0.weight", "last_layer.3.weight"),
    "landmarks": ("head.0.weight", "head.3.weight"),
    "detection": ("neck.reduction_conv.0.weight", "bbox_head.fc_cls.weight"),
    "pose": ("final_layer.weight", "final_layer.weight"),
}
MOST = 1024  # blocks or modules in a row: far above any network's
KNOWN = "the official HRNet and SimpleBaseline repositories', timm's, and OpenMMLab's (mmpose, mmseg, mmdet, mmpretrain)"


def kind_of(arrays: Arrays) -> str:
    """The task of a checkpoint (official names), or "simple-baseline", "resnet classification" or "trunk".

    Raises HRNetError where the layout is not known.
    """
    if any(name.startswith(("ocr_", "aux_head", "conv3x3_ocr")) for name in arrays):
        raise HRNetError("the checkpoint is HRNet with an OCR head (conv3x3_ocr, aux_head), which this package does not have")
    if "conv1.weight" in arrays and "layer1.0.conv1.weight" in arrays:
        if any(name.startswith("stage2.") for name in arrays):
            return next((task for task, (signature, _) in _SIGNATURES.items() if signature in arrays), TRUNK)
        if any(name.startswith("deconv_layers.") for name in arrays):
            return "simple-baseline"
        if "layer4.0.conv1.weight" in arrays:
            return RESNET_CLASSIFICATION
    few = ", ".join(sorted(arrays)[:3]) or "none at all"
    raise HRNetError(f"the checkpoint's entries ({few}, ...) are of no layout that is known: {KNOWN}")


def derive_network(arrays: Arrays) -> Network:
    """The full-connectivity network of a checkpoint with a head; its input size is its task's usual one.

    It has a preset's name where it equals one but for the number of classes.
    """
    kind = kind_of(arrays)
    if kind in (TRUNK, RESNET_CLASSIFICATION):
        raise HRNetError("the checkpoint has no head of HRNet's or SimpleBaseline's: say with `model` which network it starts")
    if kind == "simple-baseline":
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
    """Number of joints, landmarks or classes that a checkpoint of that kind answers with (detection: foreground ones)."""
    if kind == "simple-baseline":
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
        raise HRNetError(f"a SimpleBaseline on a ResNet with {blocks} blocks is not known: depths are 50, 101 and 152")
    name = f"simple-baseline-r{depth}"
    return SimpleBaselineSpec(name, depth, default_size("pose"), classes_of(arrays, "simple-baseline"))


def _stage(arrays: Arrays, number: int) -> StageSpec:
    modules = _count(arrays, rf"stage{number}\.(\d+)\.")
    return StageSpec(modules, _count(arrays, rf"stage{number}\.0\.branches\.0\.(\d+)\."))


def _count(arrays: Iterable[str], pattern: str) -> int:
    """One more than the largest index that `pattern` finds at the start of a name."""
    found = (re.match(pattern, name) for name in arrays)
    count = max((int(match[1]) + 1 for match in found if match), default=0)
    if count > MOST:
        raise HRNetError(f"the checkpoint's names count up to {count - 1} ({pattern}): it is of no network that is known")
    return count


def _rows(arrays: Arrays, name: str) -> int:
    if name not in arrays:
        raise HRNetError(f"the checkpoint has no {name}: it is of no network that is known")
    if not arrays[name].ndim:
        raise HRNetError(f"{name} is a single number, expected an array")
    return int(arrays[name].shape[0])
