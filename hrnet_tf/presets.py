"""Names and the networks they stand for, and how to vary one.

Sizes: Deep High-Resolution Representation Learning (arXiv 1908.07919) and the official repositories. The
bottleneck networks are those of the paper's table, not the repositories' W44; the small pose networks are
the classification repository's small trunks with the pose head.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from hrnet_tf.spec import HRNetSpec, StageSpec

_SIZES = {  # task: the paper's input size (height, width), and joints, landmarks or classes
    "pose": ((256, 192), 17),  # COCO
    "landmarks": ((256, 256), 98),  # WFLW
    "segmentation": ((1024, 2048), 19),  # Cityscapes
    "classification": ((224, 224), 1000),  # ImageNet
    "detection": ((800, 1216), 80),  # COCO
}
_INTERPOLATIONS = {"landmarks": "bilinear", "segmentation": "bilinear"}  # of the official code bases; nearest elsewhere
_STANDARD = (StageSpec(1, 4), StageSpec(4, 4), StageSpec(3, 4))


def _hrnet(name: str, task: str, width: int, stages: tuple[StageSpec, ...] = _STANDARD, **sizes: Any) -> HRNetSpec:
    input_size, classes = _SIZES[task]
    interpolation = _INTERPOLATIONS.get(task, "nearest")
    return HRNetSpec(name, width, input_size, classes, stages, task=task, interpolation=interpolation, **sizes).full()


def _small_v1(name: str, task: str) -> HRNetSpec:
    return _hrnet(name, task, 16, (StageSpec(1, 2),) * 3, stage1_blocks=1, stage1_width=32)


def _small_v2(name: str, task: str) -> HRNetSpec:
    return _hrnet(name, task, 18, (StageSpec(1, 2), StageSpec(3, 2), StageSpec(2, 2)), stage1_blocks=2)


PRESETS: dict[str, HRNetSpec] = {
    spec.name: spec
    for spec in (
        *(_hrnet(f"pose-w{width}", "pose", width) for width in (32, 48)),
        _small_v1("pose-small-v1", "pose"),
        _small_v2("pose-small-v2", "pose"),
        *(_hrnet(f"segment-w{width}", "segmentation", width) for width in (18, 40, 48)),
        _small_v1("segment-small-v1", "segmentation"),
        _small_v2("segment-small-v2", "segmentation"),
        _hrnet("landmarks-w18", "landmarks", 18),
        *(_hrnet(f"detect-w{width}", "detection", width) for width in (18, 32, 40, 48)),
        *(_hrnet(f"classify-w{width}", "classification", width) for width in (18, 30, 32, 40, 44, 48, 64)),
        _small_v1("classify-small-v1", "classification"),
        _small_v2("classify-small-v2", "classification"),
        *(_hrnet(f"classify-w{width}-bottleneck", "classification", width, block="bottleneck") for width in (44, 76, 96)),
    )
}


def preset(name: str) -> HRNetSpec:
    """The full-connectivity network of that name."""
    if name not in PRESETS:
        raise ValueError(f"no model named {name!r}; there are {', '.join(PRESETS)}")
    return PRESETS[name]


def parse_size(text: str) -> tuple[int, int]:
    """(height, width) from "256x192"."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None:
        raise ValueError(f"not a size: {text!r}, expected HEIGHTxWIDTH such as 256x192")
    return int(match[1]), int(match[2])


def customized(
    spec: HRNetSpec,
    *,
    input_size: tuple[int, int] | None = None,
    width: int | None = None,
    modules: str | None = None,
    blocks: int | None = None,
    stem_width: int | None = None,
    stage1_blocks: int | None = None,
    stage1_width: int | None = None,
) -> HRNetSpec:
    """The full-connectivity network like `spec` but for what is given; `modules` as in "1,4,3"."""
    counts = [stage.modules for stage in spec.stages]
    if modules is not None:
        if not re.fullmatch(r"\d+(,\d+){0,2}", modules):
            raise ValueError(f"not numbers of modules: {modules!r}, expected one a stage such as 1,4,3")
        counts = [int(count) for count in modules.split(",")]
    depth = spec.stages[0].blocks if blocks is None else blocks
    return dataclasses.replace(
        spec,
        input_size=input_size or spec.input_size,
        width=width or spec.width,
        stages=tuple(StageSpec(count, depth) for count in counts),
        stem_width=stem_width or spec.stem_width,
        stage1_blocks=stage1_blocks or spec.stage1_blocks,
        stage1_width=stage1_width or spec.stage1_width,
        links=frozenset(),
    ).full()
