"""The result of checking a data set: what each set contains, and findings."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mobile_eval.messages import number_of
from mobile_eval.tables import DataFrame, data_frame
from mobile_eval.typed import JsonObject

NOTE, WARNING, ERROR = SEVERITIES = ("note", "warning", "error")
TRAIN, VAL = SPLITS = ("train", "val")
MAX_EXAMPLES = 3  # of a finding, in the text
MAX_ROWS = 40  # of the table of labels, in the text
MAX_NAMES = 12  # of labels in a line of the text
Row = Sequence[str]


@dataclass(frozen=True)
class Spread:
    """The smallest, the median and the largest of some numbers."""

    minimum: float
    median: float
    maximum: float


@dataclass(frozen=True)
class Finding:
    """Something about the data that a user should know.

    Args:
        kind: What it is, such as "damaged images".
        text: The finding in words. Parameters are in backticks.
        severity: "note", "warning", or "error": training refuses the data.
        split: "train" or "val"; "" for both together.
        count: How many there are; 0 where nothing is counted.
        examples: The first of them, such as paths with reasons.
    """

    kind: str
    text: str
    severity: str = WARNING
    split: str = ""
    count: int = 0
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = f"{self.split}: " if self.split else ""
        examples = "".join(f"\n    {example}" for example in self.examples[:MAX_EXAMPLES])
        more = "\n    ..." if self.count > MAX_EXAMPLES and self.examples else ""
        return f"{self.severity}: {where}{self.text}{examples}{more}"


@dataclass(frozen=True)
class LabelCount:
    """How often a label occurs.

    Args:
        name: Name of the joint, landmark or class.
        count: Number of labelled joints, of images (classification), boxes (detection) or pixels (segmentation).
        share: Fraction of the instances in which the joint is labelled, or of all images, boxes or labelled pixels.
        visible: Fraction of the labelled joints that are visible (2 in COCO's format); None for classes.
    """

    name: str
    count: int
    share: float
    visible: float | None = None


@dataclass(frozen=True)
class SetSummary:
    """What a training or validation set contains.

    Args:
        images: Number of images with items.
        items: Number of items: instances for pose and landmarks, otherwise images.
        noun: What the items are called.
        counted: What is counted of each label: "labelled" (joints), "images", "boxes" or "pixels".
        boxes: Number of boxes; None for tasks without boxes.
        heights: Heights of the images that can be read, in pixels.
        widths: Their widths, in pixels.
        box_heights: Heights of the boxes, in pixels.
        box_widths: Widths of the boxes, in pixels.
        labels: How often each label occurs, in their order.
    """

    images: int
    items: int
    noun: str
    counted: str
    boxes: int | None = None
    heights: Spread | None = None
    widths: Spread | None = None
    box_heights: Spread | None = None
    box_widths: Spread | None = None
    labels: tuple[LabelCount, ...] = ()

    def lines(self) -> list[str]:
        """The summary in words."""
        items = number_of(self.items, self.noun)
        counts = items if self.noun == "images" else f"{items} in {number_of(self.images, 'images')}"
        boxes = f", {number_of(self.boxes, 'boxes')}" if self.boxes is not None and self.noun == "images" else ""
        sizes = _sizes("images", self.heights, self.widths), _sizes("boxes", self.box_heights, self.box_widths)
        return [counts + boxes, *filter(None, sizes)]


@dataclass(frozen=True)
class DataCheck:
    """The result of `check_data`.

    Args:
        task: The task.
        sets: What is in the sets that could be loaded, by "train" and "val".
        findings: What is wrong, or should be known; the errors first.
        pairs: Pairs (left, right) of joint names that swap in a mirrored image; None if they are not known.
        skeleton: Bones as pairs of joint names.
    """

    task: str
    sets: dict[str, SetSummary]
    findings: tuple[Finding, ...]
    pairs: tuple[tuple[str, str], ...] | None = None
    skeleton: tuple[tuple[str, str], ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the data can be trained on."""
        return not self._count(ERROR)

    @property
    def verdict(self) -> str:
        """The result in a line."""
        errors, warnings = (number_of(self._count(severity), f"{severity}s") for severity in (ERROR, WARNING))
        return f"can be trained on: {warnings}" if self.ok else f"cannot be trained on: {errors}, {warnings}"

    def of_kind(self, kind: str, split: str = "") -> Finding | None:
        """The finding of a kind and a set; None if there is none."""
        return next((finding for finding in self.findings if (finding.kind, finding.split) == (kind, split)), None)

    def __str__(self) -> str:
        sets = [f"{split + ':':<6} {line}" for split, summary in self.sets.items() for line in summary.lines()]
        skeleton = [f"skeleton: {', '.join(f'{a}-{b}' for a, b in self.skeleton)}"] if self.skeleton else []
        structure = [*filter(None, [self._mirroring()]), *skeleton]
        blocks = sets, _table(self._rows()), structure, list(map(str, self.findings)), [self.verdict]
        return "\n\n".join("\n".join(block) for block in blocks if block)

    def to_json(self) -> JsonObject:
        """Plain data: the verdict, the sets with their labels, pairs, skeleton and findings."""
        return {"ok": self.ok, "verdict": self.verdict, **dataclasses.asdict(self)}

    def to_pandas(self) -> DataFrame:
        """How often each label occurs, a row for each label and set. Raises HRNetError where pandas is not installed."""
        labels = [(split, label) for split, summary in self.sets.items() for label in summary.labels]
        return data_frame([{"split": split, **dataclasses.asdict(label)} for split, label in labels])

    def _count(self, severity: str) -> int:
        return sum(finding.severity == severity for finding in self.findings)

    def _mirroring(self) -> str:
        """The number of pairs, and the joints in none; "" without pairs."""
        if not self.pairs or not self.sets:
            return ""
        paired = {name for pair in self.pairs for name in pair}
        names = [label.name for label in next(iter(self.sets.values())).labels if label.name not in paired]
        listed = f" ({', '.join(names)})" if 0 < len(names) <= MAX_NAMES else ""
        return f"mirrored: {number_of(len(self.pairs), 'pairs')}, {number_of(len(names), 'joints')} without a counterpart{listed}"

    def _rows(self) -> list[Row]:
        """The table of labels: a row for each, with columns for each set; a single row if all are the same."""
        labels = {split: {label.name: label for label in summary.labels} for split, summary in self.sets.items()}
        names = list(dict.fromkeys(name for by_name in labels.values() for name in by_name))
        if not names:
            return []
        has_joints = any(label.visible is not None for by_name in labels.values() for label in by_name.values())
        mirrored = {a: b for pair in self.pairs or () for a, b in (pair, pair[::-1])}
        columns = [
            f"{split} {name}" for split in labels for name in (self.sets[split].counted, "visible" if has_joints else "share")
        ]
        header = ["joint" if has_joints else "class", *columns, *(["mirrored"] if mirrored else [])]
        cells = {name: [cell for by_name in labels.values() for cell in _cells(by_name.get(name), has_joints)] for name in names}
        if len(names) > 1 and has_joints and len(set(map(tuple, cells.values()))) == 1:
            return [header[: len(columns) + 1], [f"each of {len(names)}", *cells[names[0]]]]
        return [header, *([name, *cells[name], *([mirrored.get(name, "")] if mirrored else [])] for name in names)]


def ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings, errors first."""
    return tuple(sorted(findings, key=lambda finding: -SEVERITIES.index(finding.severity)))


def _sizes(name: str, heights: Spread | None, widths: Spread | None) -> str:
    if heights is None or widths is None:
        return ""
    sizes = zip(dataclasses.astuple(heights), dataclasses.astuple(widths), strict=True)
    low, middle, high = (f"{height:.0f}x{width:.0f}" for height, width in sizes)
    return f"{name} of {low}" if low == high else f"{name} of {low} to {high}, median {middle} (height x width)"


def _cells(label: LabelCount | None, is_joint: bool) -> tuple[str, str]:
    if label is None:
        return "-", "-"
    visible = "-" if label.visible is None else f"{label.visible:.1%}"
    return (f"{label.share:.1%}", visible) if is_joint else (f"{label.count:,}", f"{label.share:.2%}")


def _table(rows: Sequence[Row]) -> list[str]:
    """Rows with aligned columns; the middle of a long table is left out."""
    if not rows:
        return []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]
    left_out = len(lines) - 1 - MAX_ROWS
    return lines if left_out <= 0 else [*lines[: MAX_ROWS // 2 + 1], f"... {left_out:,} more", *lines[-MAX_ROWS // 2 :]]
