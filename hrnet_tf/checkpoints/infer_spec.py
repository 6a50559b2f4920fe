"""Infer the HRNet of a checkpoint from the names and shapes of its entries."""

from __future__ import annotations

import dataclasses

from hrnet_tf.checkpoints.baselines.registry import known_systems
from hrnet_tf.checkpoints.shapes import count, rows
from hrnet_tf.checkpoints.torch_reader import Arrays
from hrnet_tf.spec.network import OBJECT_CONTEXT, OBJECT_CONTEXT_WIDTH, TASK_HEADS, HRNetSpec, StageSpec
from hrnet_tf.spec.presets import PRESETS, default_size, interpolation_of
from mobile_eval.errors import HRNetError

TRUNK = "trunk"
_SIGNATURES = {  # an entry that only networks of this task have, and the one whose rows are the classes
    "classification": ("incre_modules.0.0.conv1.weight", "classifier.weight"),
    "segmentation": ("last_layer.0.weight", "last_layer.3.weight"),
    "landmarks": ("head.0.weight", "head.3.weight"),
    "detection": ("neck.reduction_conv.0.weight", "bbox_head.fc_cls.weight"),
    "pose": ("final_layer.weight", "final_layer.weight"),
    OBJECT_CONTEXT: ("conv3x3_ocr.0.weight", "cls_head.weight"),
}
KNOWN_LAYOUTS = "the official HRNet repositories', timm's, OpenMMLab's (mmpose, mmseg, mmdet, mmpretrain)"


def kind_of(arrays: Arrays) -> str:
    """Return the kind of a checkpoint.

    Args:
        arrays: Arrays by official names.

    Returns:
        The task of an HRNet, "object_context" for HRNet-OCR, or "trunk".

    Raises:
        HRNetError: If the layout is unknown.
    """
    has_stem = "conv1.weight" in arrays and "layer1.0.conv1.weight" in arrays
    if has_stem and any(name.startswith("stage2.") for name in arrays):
        return next((task for task, (signature, _) in _SIGNATURES.items() if signature in arrays), TRUNK)
    examples = ", ".join([*sorted(arrays)[:3], "..."]) if arrays else "none"
    known = f"{KNOWN_LAYOUTS}, and those of {known_systems()}"
    raise HRNetError(f"the layout of the checkpoint is unknown (entries: {examples}); known are {known}")


def infer_network(arrays: Arrays) -> HRNetSpec:
    """Return the HRNet of a checkpoint with a head.

    Args:
        arrays: Arrays by official names.

    Returns:
        The network at full connectivity, with the default input size of its task. It has the name of a preset if it differs
        from it at most in the number of classes.

    Raises:
        HRNetError: If the checkpoint has no head, or is of an unknown network.
    """
    kind = kind_of(arrays)
    if kind == TRUNK:
        raise HRNetError("the checkpoint has no head of an HRNet: give the network to initialize as `model`")
    stages = tuple(_stage(arrays, number) for number in (2, 3, 4) if count(arrays, rf"stage{number}\.(\d+)\."))
    bottleneck = "stage2.0.branches.0.0.conv3.weight" in arrays
    spec = HRNetSpec(
        name="hrnet",
        width=rows(arrays, f"stage2.0.branches.0.0.conv{3 if bottleneck else 2}.weight"),
        input_size=default_size(task_of(kind)),
        classes=classes_of(arrays, kind),
        stages=stages,
        stem_width=rows(arrays, "conv1.weight"),
        stage1_blocks=count(arrays, r"layer1\.(\d+)\."),
        stage1_width=rows(arrays, "layer1.0.conv1.weight"),
        task=task_of(kind),
        block="bottleneck" if bottleneck else "basic",
        **(_object_context(arrays) if kind == OBJECT_CONTEXT else {"interpolation": interpolation_of(kind)}),
    ).full()
    return _named(spec)


def _object_context(arrays: Arrays) -> dict[str, str | int | None]:
    """The values of a spec that HRNet-OCR has, and other networks do not."""
    features = rows(arrays, "conv3x3_ocr.0.weight")
    width = None if features == OBJECT_CONTEXT_WIDTH else features
    return {"head": OBJECT_CONTEXT, "interpolation": "aligned", "head_width": width}


def task_of(kind: str) -> str:
    """Return the task of an HRNet of a kind."""
    return "segmentation" if kind == OBJECT_CONTEXT else kind


def head_of(kind: str) -> str | None:
    """Return the head of an HRNet of a kind; None for a trunk."""
    return OBJECT_CONTEXT if kind == OBJECT_CONTEXT else TASK_HEADS.get(kind)


def classes_of(arrays: Arrays, kind: str) -> int:
    """Return the number of joints, landmarks or (foreground) classes of a checkpoint of that kind."""
    number = rows(arrays, _SIGNATURES[kind][1])
    return number - 1 if kind == "detection" else number


def _named(spec: HRNetSpec) -> HRNetSpec:
    for name, preset in PRESETS.items():
        if isinstance(preset, HRNetSpec) and dataclasses.replace(preset, name=spec.name, classes=spec.classes) == spec:
            return dataclasses.replace(spec, name=name)
    return dataclasses.replace(spec, name=f"{spec.task}-w{spec.width}")


def _stage(arrays: Arrays, number: int) -> StageSpec:
    modules = count(arrays, rf"stage{number}\.(\d+)\.")
    return StageSpec(modules, count(arrays, rf"stage{number}\.0\.branches\.0\.(\d+)\."))
