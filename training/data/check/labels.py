"""The labels of a data set: how often each occurs, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.base import TaskDataset
from mobile_eval.datasets.classification import ClassificationDataset
from mobile_eval.datasets.coco.detection import DetectionDataset
from mobile_eval.datasets.coco.invalid_labels import InvalidLabels
from mobile_eval.datasets.coco.keypoints import KeypointDataset
from mobile_eval.datasets.flip_pairs import sided_without_pair, unknown_pairs_message
from mobile_eval.messages import number_of
from mobile_eval.typed import Size
from training.data.check.images import spread
from training.data.check.result import MAX_NAMES, NOTE, TRAIN, WARNING, Finding, LabelCount, Spread

MARGIN_PX = 2.0  # rounding puts boxes slightly outside the image
VISIBLE = 2
IMBALANCE = 10  # a class that is as many times as rare as another is worth a note
Boxes = NDArray[np.float64]  # (N, 4) as x, y, width, height


@dataclass(frozen=True)
class LabelSummary:
    """The labels of a set: its part of a `SetSummary`, and findings."""

    labels: tuple[LabelCount, ...] = ()
    boxes: int | None = None
    box_heights: Spread | None = None
    box_widths: Spread | None = None
    findings: tuple[Finding, ...] = ()


def summarize_labels(data: TaskDataset, split: str) -> LabelSummary:
    """The labels of a data set. Those in masks are counted by `training.data.check.masks`.

    Args:
        data: The data set.
        split: "train" or "val".
    """
    if isinstance(data, KeypointDataset):
        return _keypoints(data, split)
    if isinstance(data, DetectionDataset):
        return _detection(data, split)
    if isinstance(data, ClassificationDataset):
        labels = count_classes(data.classes, np.bincount([image.label for image in data.images], minlength=len(data.classes)))
        return LabelSummary(labels, findings=(*_notes([data.skipped_summary], split), *imbalance(labels, split)))
    return LabelSummary(findings=tuple(_notes([data.skipped_summary], split)))


def count_classes(names: Sequence[str], counts: NDArray[np.int64]) -> tuple[LabelCount, ...]:
    """How often each class occurs.

    Args:
        names: The classes.
        counts: Number of images, boxes or pixels of each class (classes,).
    """
    total = max(int(counts.sum()), 1)
    return tuple(LabelCount(name, int(count), float(count / total)) for name, count in zip(names, counts, strict=True))


def imbalance(labels: Sequence[LabelCount], split: str) -> list[Finding]:
    """A note where a class of the training set is much rarer than another.

    Args:
        labels: How often each class occurs.
        split: "train" or "val".
    """
    present = sorted((label for label in labels if label.count), key=lambda label: label.count)
    if split != TRAIN or not present or present[-1].count < IMBALANCE * present[0].count:
        return []
    rare, common = present[0], present[-1]
    text = f"{rare.name} is {common.count / rare.count:.0f} times as rare as {common.name}: consider `balance_classes`"
    return [Finding("imbalance", text, NOTE, split)]


def missing_labels(labels: Sequence[LabelCount], split: str) -> list[Finding]:
    """The labels that do not occur in a set."""
    names = tuple(label.name for label in labels if not label.count)
    listed = ", ".join(names[:MAX_NAMES]) + (f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else "")
    return [Finding("missing labels", f"no label of {listed}", WARNING, split, len(names))] if names else []


def _keypoints(data: KeypointDataset, split: str) -> LabelSummary:
    visibility = np.stack([instance.keypoints[:, 2] for instance in data.instances])
    labelled, visible = (visibility > 0).sum(axis=0), (visibility >= VISIBLE).sum(axis=0)
    labels = tuple(
        LabelCount(name, int(count), float(count / len(data)), float(seen / max(count, 1)))
        for name, count, seen in zip(data.names, labelled, visible, strict=True)
    )
    boxes = np.array([instance.box for instance in data.instances], np.float64)
    findings = [
        *_invalid(data.invalid, data.remarks, split),
        *missing_labels(labels, split),
        *(_sides(data) if split == TRAIN else ()),
        *_beyond(boxes, [instance.image_size for instance in data.instances], split),
    ]
    return _with_boxes(labels, boxes, findings)


def _detection(data: DetectionDataset, split: str) -> LabelSummary:
    boxes, classes = (np.concatenate([getattr(image, name) for image in data.images]) for name in ("boxes", "labels"))
    labels = count_classes(data.classes, np.bincount(classes, minlength=len(data.classes)))
    sizes = [image.image_size for image in data.images for _ in image.boxes]
    findings = [
        *_invalid(data.invalid, data.remarks, split),
        *missing_labels(labels, split),
        *_beyond(boxes, sizes, split),
    ]
    return _with_boxes(labels, boxes, findings)


def _with_boxes(labels: tuple[LabelCount, ...], boxes: Boxes, findings: Sequence[Finding]) -> LabelSummary:
    return LabelSummary(labels, len(boxes), spread(boxes[:, 3]), spread(boxes[:, 2]), tuple(findings))


def _invalid(invalid: Sequence[InvalidLabels], remarks: Sequence[str], split: str) -> list[Finding]:
    """The invalid labels that the loader skipped, as warnings, and what else it remarked, as notes."""
    warnings = [
        Finding(f"invalid {labels.noun}", labels.summary(), WARNING, split, labels.invalid)
        for labels in invalid
        if labels.invalid
    ]
    return [*warnings, *_notes([remark for remark in remarks if remark not in {each.text for each in warnings}], split)]


def _notes(remarks: Sequence[str], split: str) -> list[Finding]:
    return [Finding("remark", remark, NOTE, split) for remark in remarks if remark]


def _sides(data: KeypointDataset) -> list[Finding]:
    """Joints whose mirror image is not known."""
    names, pairs = data.names, data.category.flip_pairs
    if pairs is None:
        return [Finding("unknown pairs", f"images cannot be flipped: {unknown_pairs_message(names)}", WARNING, TRAIN, len(names))]
    paired = {index for pair in pairs for index in pair}
    unclear = sided_without_pair(names, paired)
    if not unclear:
        return []
    listed = ", ".join(unclear)
    text = f"{number_of(len(unclear), 'joints')} with a side but without a counterpart: {listed}; set `flip_pairs`"
    return [Finding("unclear sides", text, WARNING, TRAIN, len(unclear))]


def _beyond(boxes: Boxes, sizes: Sequence[Size | None], split: str) -> list[Finding]:
    """Boxes that reach beyond their image. The loaders skip those that lie outside."""
    limits = np.array([size or (np.inf, np.inf) for size in sizes], np.float64).reshape(-1, 2)[:, ::-1]
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    count = int(((low < -MARGIN_PX) | (high > limits + MARGIN_PX)).any(axis=1).sum())
    text = f"{number_of(count, 'boxes')} of {len(boxes):,} reach beyond the image"
    return [Finding("boxes beyond the image", text, NOTE, split, count)] if count else []
