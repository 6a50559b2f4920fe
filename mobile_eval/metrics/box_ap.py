"""Average precision of boxes, exactly as COCO computes it (faster-coco-eval, a port of pycocotools)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

from mobile_eval.datasets.coco.schema import as_id, key_of, numbered, usable_area
from mobile_eval.errors import HRNetError
from mobile_eval.files import read_json
from mobile_eval.metrics.keypoint_ap import NOT_DEFINED
from mobile_eval.metrics.metric import format_scores

FIGURES = 12
TABLES = {"image": "images", "category": "categories"}  # what ids are of, and where it is listed


@dataclass(frozen=True)
class BoxApResult:
    """COCO's twelve figures of boxes, 0..1; None where the annotations hold no object of that size.

    AP is the mean over IoU 0.5, 0.55 ... 0.95; AR1, AR10 and AR100 are with that many boxes an image at most.
    """

    ap: float | None
    ap50: float | None
    ap75: float | None
    ap_small: float | None
    ap_medium: float | None
    ap_large: float | None
    ar1: float | None
    ar10: float | None
    ar100: float | None
    ar_small: float | None
    ar_medium: float | None
    ar_large: float | None

    def __str__(self) -> str:
        return format_scores({"AP": self.ap, "AP50": self.ap50, "AP75": self.ap75, "AR100": self.ar100})


def box_ap_of_files(annotations: Path | str, results: Path | str) -> BoxApResult:
    """`box_map` of a COCO instances file and a COCO detection results file."""
    coco, found = read_json(annotations, "annotation file"), read_json(results, "detections")
    if not isinstance(coco, dict) or not {"images", "categories", "annotations"} <= set(coco):
        raise HRNetError(f"{annotations} is not a COCO annotation file: it must hold images, categories and annotations")
    if not isinstance(found, list):
        raise HRNetError(f"{results} is not a COCO detection results file, a list of image_id, category_id, bbox and score")
    return box_ap(coco, found)


def box_ap(coco: dict[str, Any], results: Sequence[dict[str, Any]]) -> BoxApResult:
    """AP and AR of `results` (COCO detection results: image_id, category_id, bbox, score) against a COCO annotation file.

    Annotations without an area above 0 get their box's, and crowds without a box are left out. Images and categories are numbered
    anew: the evaluation takes numbers only. Raises HRNetError, naming the entry, for results of images or categories that the
    annotations do not know, and for what is no box.
    """
    numbers = {f"{kind}_id": numbered(entry["id"] for entry in coco[table]) for kind, table in TABLES.items()}
    truth = [
        _numbered(_annotation(entry, number), f"annotation {number}", numbers)
        for number, entry in enumerate(coco["annotations"], 1)
        if not (entry.get("iscrowd") and "bbox" not in entry)
    ]
    found = [_numbered(_result(entry, number), f"result {number}", numbers) for number, entry in enumerate(results, 1)]
    tables = {
        table: [{**entry, "id": numbers[f"{kind}_id"][str(as_id(entry["id"]))]} for entry in coco[table]]
        for kind, table in TABLES.items()
    }
    evaluation = COCOeval_faster(COCO({**tables, "annotations": truth}), COCO({**tables, "annotations": found}), iouType="bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    figures = [float(value) for value in np.asarray(evaluation.all_stats, np.float64)[:FIGURES]]
    return BoxApResult(*(None if value == NOT_DEFINED else value for value in figures))


def _annotation(entry: dict[str, Any], number: int) -> dict[str, Any]:
    """An annotation with all that COCO's evaluation reads."""
    box = _box(entry, f"annotation {number}")
    area = entry["area"] if usable_area(entry.get("area")) else box[2] * box[3]
    completed = {"area": area, "iscrowd": int(entry.get("iscrowd") or 0)}
    return {**entry, "id": number, "bbox": box, **completed}


def _numbered(entry: dict[str, Any], where: str, numbers: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """An annotation or a result with the numbers of its image and category."""
    own = {name: known.get(key_of(entry[name]) or "") for name, known in numbers.items()}
    for name, number in own.items():
        if number is None:
            raise HRNetError(f"{where}: {name} {entry[name]!r} is not in the annotations")
    return {**entry, **own}


def _result(entry: dict[str, Any], number: int) -> dict[str, Any]:
    """A result as an annotation."""
    where = f"result {number}"
    box = _box(entry, where)
    if not isinstance(entry.get("score"), int | float):
        raise HRNetError(f"{where}: its score must be a number, got {entry.get('score')!r}")
    return {**entry, "id": number, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}


def _box(entry: dict[str, Any], where: str) -> list[float]:
    """The entry's box; it may be without area, as some of COCO's are."""
    missing = [name for name in ("image_id", "category_id", "bbox") if not isinstance(entry, dict) or name not in entry]
    if missing:
        raise HRNetError(f"{where} has no {missing[0]}")
    try:
        x, y, width, height = map(float, entry["bbox"])
    except (TypeError, ValueError):
        raise HRNetError(f"{where}: bbox must be [x, y, width, height], got {entry['bbox']!r}") from None
    if not all(map(math.isfinite, (x, y, width, height))):
        raise HRNetError(f"{where}: bbox must be finite, got {entry['bbox']}")
    if not (width >= 0 and height >= 0):
        raise HRNetError(f"{where}: bbox {entry['bbox']} is inside out")
    return [x, y, width, height]
