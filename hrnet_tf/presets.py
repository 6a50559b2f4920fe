"""Names and the networks they stand for, and how to vary one.

Sizes: Deep High-Resolution Representation Learning (arXiv 1908.07919) and the official repositories; the
small trunks are the classification repository's W18-C-Small-v1 and -v2 with the pose head.
"""

from __future__ import annotations

import dataclasses
import re

from hrnet_tf.spec import HRNetSpec, StageSpec

COCO_JOINTS = 17
_PAPER = (StageSpec(1, 4), StageSpec(4, 4), StageSpec(3, 4))
_POSE_SIZE = (256, 192)

PRESETS: dict[str, HRNetSpec] = {
    spec.name: spec.full()
    for spec in (
        HRNetSpec("pose-w32", 32, _POSE_SIZE, COCO_JOINTS, _PAPER),
        HRNetSpec("pose-w48", 48, _POSE_SIZE, COCO_JOINTS, _PAPER),
        HRNetSpec(
            "pose-small-v1",
            16,
            _POSE_SIZE,
            COCO_JOINTS,
            (StageSpec(1, 2), StageSpec(1, 2), StageSpec(1, 2)),
            stage1_blocks=1,
            stage1_width=32,
        ),
        HRNetSpec(
            "pose-small-v2",
            18,
            _POSE_SIZE,
            COCO_JOINTS,
            (StageSpec(1, 2), StageSpec(3, 2), StageSpec(2, 2)),
            stage1_blocks=2,
        ),
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
