"""Check the training set and the validation set of a task: what is in them, and what training would refuse."""

from __future__ import annotations

from dataclasses import dataclass

from mobile_eval.datasets.base import DataSource, TaskDataset
from mobile_eval.datasets.coco.detection import DetectionDataset
from mobile_eval.datasets.coco.invalid_labels import MAX_INVALID_SHARE
from mobile_eval.datasets.coco.keypoints import KeypointDataset
from mobile_eval.datasets.segmentation import SegmentationDataset
from mobile_eval.errors import HRNetError
from mobile_eval.tasks.registry import get_task
from training.data.check.duplicates import duplicates_between, duplicates_within
from training.data.check.images import ImageFacts, damaged_images, read_images, spread
from training.data.check.labels import summarize_labels
from training.data.check.masks import summarize_masks
from training.data.check.result import ERROR, NOTE, TRAIN, VAL, DataCheck, Finding, SetSummary, ordered
from training.tasks.registry import training_task


@dataclass(frozen=True)
class _CheckedSet:
    """A set that could be loaded."""

    data: TaskDataset
    images: list[ImageFacts]
    summary: SetSummary
    findings: list[Finding]


def check_data(task: str, train: DataSource, val: DataSource | None = None, *, progress: bool = False) -> DataCheck:
    """Read a data set as training does, and report what is in it and what is wrong with it.

    Every image and mask is read once. Some 200 bytes of each are kept.

    Args:
        task: The task: pose, landmarks, segmentation, classification, detection, or one that is registered.
        train: The training set.
        val: The validation set, if any.
        progress: Show progress bars.

    Returns:
        The result; `ok` is whether the data can be trained on.

    Raises:
        HRNetError: There is no such task, or a source lacks what the task needs.

    Example:
        >>> check = check_data("pose", DataSource(Path("images"), Path("train.json")))  # doctest: +SKIP
        >>> check.ok, check.sets["train"].items  # doctest: +SKIP
        (True, 6995)
    """
    sources = {TRAIN: train, **({VAL: val} if val else {})}
    for split, source in sources.items():
        get_task(task).check_source(source, f"checking the {split} set of {task}")
    findings = [] if val else [Finding("no validation set", "no validation set is given", NOTE)]
    sets: dict[str, _CheckedSet] = {}
    for split, source in sources.items():
        try:
            sets[split] = _checked_set(task, source, split, progress=progress)
        except HRNetError as error:
            findings.append(Finding("refused", str(error), ERROR, split))
            continue
        findings += sets[split].findings
    if len(sets) == len((TRAIN, VAL)):
        findings += _different_labels(sets[TRAIN].data, sets[VAL].data)
        findings += duplicates_between(sets[TRAIN].images, sets[VAL].images)
    pairs, skeleton = _structure(next(iter(sets.values())).data) if sets else (None, ())
    return DataCheck(task, {split: each.summary for split, each in sets.items()}, ordered(findings), pairs, skeleton)


def _checked_set(task: str, source: DataSource, split: str, *, progress: bool) -> _CheckedSet:
    """Load and read a set; HRNetError if it cannot be loaded."""
    data: TaskDataset = get_task(task).load(source)
    labels = summarize_labels(data, split)
    images = read_images(data, f"{split} images", progress=progress)
    counts, findings = labels.labels, [*labels.findings, *damaged_images(data, images, split, MAX_INVALID_SHARE)]
    if isinstance(data, SegmentationDataset):
        counts, of_masks = summarize_masks(data, images, split, progress=progress)
        findings += of_masks
    sizes = [facts.size for facts in images if facts.size]
    summary = SetSummary(
        images=len(images),
        items=len(data),
        noun=training_task(task).noun,
        counted=_counted(data),
        boxes=labels.boxes,
        heights=spread(height for height, _ in sizes),
        widths=spread(width for _, width in sizes),
        box_heights=labels.box_heights,
        box_widths=labels.box_widths,
        labels=counts,
    )
    return _CheckedSet(data, images, summary, findings + duplicates_within(images, split))


def _counted(data: TaskDataset) -> str:
    """What is counted of each label."""
    kinds = {KeypointDataset: "labelled", DetectionDataset: "boxes", SegmentationDataset: "pixels"}
    return next((name for kind, name in kinds.items() if isinstance(data, kind)), "images")


def _different_labels(train: TaskDataset, val: TaskDataset) -> list[Finding]:
    if train.names == val.names:
        return []
    missing, added = (sorted(set(a) - set(b)) for a, b in ((train.names, val.names), (val.names, train.names)))
    parts = [f"only in {split}: {', '.join(names)}" for split, names in ((TRAIN, missing), (VAL, added)) if names]
    text = f"the two sets have different labels: {'; '.join(parts) or 'their order differs'}"
    return [Finding("different labels", text, ERROR, "", len(missing) + len(added))]


def _structure(data: TaskDataset) -> tuple[tuple[tuple[str, str], ...] | None, tuple[tuple[str, str], ...]]:
    """The pairs and the skeleton of a keypoint data set, by name."""
    if not isinstance(data, KeypointDataset):
        return None, ()
    names, pairs = data.names, data.category.flip_pairs
    skeleton = tuple((names[a], names[b]) for a, b in data.category.skeleton)
    return None if pairs is None else tuple((names[a], names[b]) for a, b in pairs), skeleton
