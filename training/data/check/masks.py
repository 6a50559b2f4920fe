"""The masks of a segmentation data set: pixels of each class, and masks that cannot be trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.segmentation import SegmentationDataset, SegmentationImage, read_mask
from mobile_eval.errors import HRNetError
from mobile_eval.image.prefetch import prefetch
from mobile_eval.metrics.confusion import IGNORED
from mobile_eval.progress import tracked
from mobile_eval.typed import Size
from training.data.check.images import ImageFacts
from training.data.check.labels import count_classes, imbalance, missing_labels
from training.data.check.result import ERROR, NOTE, TRAIN, Finding, LabelCount
from training.tasks.segmentation.examples import check_mask_size
from training.tasks.segmentation.task import check_classes

DAMAGED, UNKNOWN, OTHER_SIZE = PROBLEMS = ("damaged masks", "labels outside of the classes", "masks of another size")


@dataclass(frozen=True)
class MaskFacts:
    """What is kept of a mask: the pixels of each index (256,), and the kind and text of a problem."""

    pixels: NDArray[np.int64]
    kind: str = ""
    problem: str = ""


def summarize_masks(
    data: SegmentationDataset, images: list[ImageFacts], split: str, *, progress: bool = False
) -> tuple[tuple[LabelCount, ...], list[Finding]]:
    """Count the pixels of each class, and the masks that training refuses.

    Args:
        data: The data set.
        images: Its images.
        split: "train" or "val".
        progress: Show a progress bar.

    Returns:
        How often each class occurs, and the findings.
    """
    sizes = {facts.path: facts.size for facts in images}
    classes = len(data.classes)
    facts = list(
        tracked(
            prefetch(lambda item: _facts(item, classes, sizes[item.image_path]), data.images),
            f"{split} masks",
            total=len(data),
            show=progress,
        )
    )
    pixels = sum((mask.pixels for mask in facts), np.zeros(IGNORED + 1, np.int64))
    labels = count_classes(data.classes, pixels[:classes])
    findings = _problems(facts, split)
    if split == TRAIN:
        findings += _refused(data, pixels[:classes] > 0) + imbalance(labels, split)
    ignored = int(pixels[IGNORED]) / max(int(pixels.sum()), 1)
    findings += (
        [Finding("ignored pixels", f"{ignored:.2%} of the pixels are ignored ({IGNORED})", NOTE, split)] if ignored else []
    )
    return labels, findings + missing_labels(labels, split)


def _facts(item: SegmentationImage, classes: int, image_size: Size | None) -> MaskFacts:
    nothing = np.zeros(IGNORED + 1, np.int64)
    try:
        mask = read_mask(item.mask_path, IGNORED)
    except HRNetError as error:
        return MaskFacts(nothing, DAMAGED, str(error))
    pixels = np.bincount(mask.ravel(), minlength=IGNORED + 1)
    unknown = np.flatnonzero(pixels[classes:IGNORED]) + classes
    if len(unknown):
        indices = ", ".join(map(str, unknown.tolist()))
        return MaskFacts(pixels, UNKNOWN, f"{item.mask_path}: {indices}, with {classes} classes")
    try:
        check_mask_size(item, mask.shape, image_size or mask.shape)
    except HRNetError as error:
        return MaskFacts(pixels, OTHER_SIZE, str(error))
    return MaskFacts(pixels)


def _problems(facts: list[MaskFacts], split: str) -> list[Finding]:
    findings = []
    for kind in PROBLEMS:
        problems = tuple(mask.problem for mask in facts if mask.kind == kind)
        text = f"{len(problems):,} masks with labels outside of the classes" if kind == UNKNOWN else f"{len(problems):,} {kind}"
        findings += [Finding(kind, text, ERROR, split, len(problems), problems)] if problems else []
    return findings


def _refused(data: SegmentationDataset, present: NDArray[np.bool_]) -> list[Finding]:
    """What training says of the classes that occur."""
    try:
        check_classes(data.classes, present)
    except HRNetError as error:
        return [Finding("classes", str(error), ERROR, TRAIN)]
    return []
