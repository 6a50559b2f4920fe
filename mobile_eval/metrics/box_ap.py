"""AP and AR of boxes, exactly as COCO computes them (faster-coco-eval, a port of pycocotools)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from faster_coco_eval import COCO, COCOeval_faster

from mobile_eval.datasets.coco.schema import TABLES, CocoData, Entry, as_float, as_id, id_key, number_ids, valid_area
from mobile_eval.errors import HRNetError
from mobile_eval.files import read_json
from mobile_eval.metrics.keypoint_ap import summarize
from mobile_eval.metrics.metric import format_scores
from mobile_eval.typed import JsonObject, brief

REQUIRED = ("image_id", "category_id", "bbox")


@dataclass(frozen=True)
class BoxApResult:
    """COCO's twelve box scores, from 0 to 1; None if there are no annotations of that size.

    AP is the mean over IoU thresholds 0.5, 0.55 ... 0.95. AR1, AR10 and AR100 allow at most that many boxes per image. Small
    areas are below 32^2 pixels, large ones above 96^2.
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
    """`box_ap` of a COCO instances file and a COCO detection results file."""
    coco, predictions = read_json(annotations, "annotation file"), read_json(results, "detections")
    if not isinstance(coco, dict) or not set(TABLES) <= set(coco):
        raise HRNetError(f"{annotations} is not a COCO annotation file: it must hold {', '.join(TABLES)}")
    if not isinstance(predictions, list):
        raise HRNetError(f"{results} is not a COCO detection results file, a list of image_id, category_id, bbox and score")
    return box_ap(coco, predictions)  # type: ignore[arg-type]  # its entries are checked below


def box_ap(coco: CocoData, predictions: Sequence[Entry]) -> BoxApResult:
    """AP and AR of boxes.

    An annotation without an area above 0 gets the area of its box; crowds without a box are left out. Images and categories
    are renumbered, because the evaluation accepts only numbers.

    Args:
        coco: Content of a COCO annotation file; it is not changed.
        predictions: COCO detection results: image_id, category_id, bbox (x, y, width, height), score.

    Raises:
        HRNetError: A prediction has an unknown image or category, or an invalid box or score. The message names the entry.
    """
    images, categories = (number_ids(entry["id"] for entry in coco[name]) for name in ("images", "categories"))
    numbers = {"image_id": images, "category_id": categories}
    truth = [
        _renumbered(_annotation(entry, place), f"annotation {place}", numbers)
        for place, entry in enumerate(coco["annotations"], 1)
        if not (entry.get("iscrowd") and "bbox" not in entry)
    ]
    detections = [_renumbered(_detection(entry, place), f"result {place}", numbers) for place, entry in enumerate(predictions, 1)]
    tables = {
        "images": [{**entry, "id": images[str(as_id(entry["id"]))]} for entry in coco["images"]],
        "categories": [{**entry, "id": categories[str(as_id(entry["id"]))]} for entry in coco["categories"]],
    }
    evaluation = COCOeval_faster(
        COCO({**tables, "annotations": truth}), COCO({**tables, "annotations": detections}), iouType="bbox"
    )
    evaluation.evaluate()
    evaluation.accumulate()
    return BoxApResult(*summarize(evaluation)[:12])


def _annotation(entry: Entry, place: int) -> JsonObject:
    """An annotation with all entries that COCO's evaluation reads."""
    box = _box(entry, f"annotation {place}")
    area = valid_area(entry.get("area")) or box[2] * box[3]
    return {**entry, "id": place, "bbox": box, "area": area, "iscrowd": int(entry.get("iscrowd") or 0)}


def _detection(entry: Entry, place: int) -> JsonObject:
    """A result as an annotation."""
    box = _box(entry, f"result {place}")
    if as_float(entry.get("score")) is None:
        raise HRNetError(f"result {place}: its score must be a number, got {brief(entry.get('score'))}")
    return {**entry, "id": place, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}


def _renumbered(entry: Entry, where: str, numbers: Mapping[str, Mapping[str, int]]) -> JsonObject:
    """An entry with the numbers of its image and category."""
    ids = {name: known.get(id_key(entry[name]) or "") for name, known in numbers.items()}
    for name, number in ids.items():
        if number is None:
            raise HRNetError(f"{where}: {name} {brief(entry[name])} is not in the annotations")
    return {**entry, **ids}


def _box(entry: Entry, where: str) -> list[float]:
    """The box of an entry; its area may be 0, as that of some of COCO's boxes is."""
    missing = next((name for name in REQUIRED if not isinstance(entry, dict) or name not in entry), None)
    if missing:
        raise HRNetError(f"{where} has no {missing}")
    try:
        x, y, width, height = map(float, entry["bbox"])
    except (TypeError, ValueError):
        raise HRNetError(f"{where}: bbox must be [x, y, width, height], got {brief(entry['bbox'])}") from None
    if not all(map(math.isfinite, (x, y, width, height))):
        raise HRNetError(f"{where}: bbox must be finite, got {brief(entry['bbox'])}")
    if not (width >= 0 and height >= 0):
        raise HRNetError(f"{where}: bbox {brief(entry['bbox'])} has a negative width or height")
    return [x, y, width, height]
