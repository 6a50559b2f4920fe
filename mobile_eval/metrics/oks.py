"""AP and AR by object keypoint similarity, exactly as COCO computes them (faster-coco-eval, a port of pycocotools).

Annotation files are completed where they lack what COCO's evaluation reads: an area becomes 0.53 times that of
the box (as for CrowdPose), `num_keypoints` is counted.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

AREA_OF_BOX = 0.53
NOT_DEFINED = -1.0  # what COCO's evaluation answers where there is nothing to find


@dataclass(frozen=True)
class OksResult:
    """COCO's ten keypoint figures, 0..1; None where the annotations hold no person of that size."""

    ap: float | None
    ap50: float | None
    ap75: float | None
    ap_medium: float | None
    ap_large: float | None
    ar: float | None
    ar50: float | None
    ar75: float | None
    ar_medium: float | None
    ar_large: float | None

    def __str__(self) -> str:
        return f"AP {show(self.ap)}  AP50 {show(self.ap50)}  AP75 {show(self.ap75)}  AR {show(self.ar)}"


def show(value: float | None) -> str:
    """A share with four digits, or a dash."""
    return "-" if value is None else f"{value:.4f}"


def oks(coco: dict[str, Any], predictions: Sequence[dict[str, Any]], sigmas: Sequence[float], category_id: int) -> OksResult:
    """AP and AR of predictions (COCO results: image_id, category_id, keypoints, score) against a COCO annotation file.

    `sigmas` (K,) are the OKS constants of the joints, in COCO's convention (0.026 for the nose).
    """
    truth = COCO(completed(coco, category_id))
    found = truth.loadRes(copy.deepcopy(list(predictions)))
    evaluation = COCOeval_faster(truth, found, iouType="keypoints", kpt_oks_sigmas=list(sigmas))
    evaluation.params.catIds = [category_id]
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    figures = [float(value) for value in np.asarray(evaluation.all_stats, np.float64)]
    return OksResult(*(None if value == NOT_DEFINED else value for value in figures))


def completed(coco: dict[str, Any], category_id: int) -> dict[str, Any]:
    """A copy of an annotation file that has every entry COCO's evaluation reads, of this category only."""
    annotations = []
    for annotation in coco["annotations"]:
        if annotation.get("category_id", category_id) != category_id:
            continue
        width, height = annotation["bbox"][2:]
        area = annotation.get("area")
        annotations.append(
            {
                **annotation,
                "category_id": category_id,
                "iscrowd": int(annotation.get("iscrowd") or 0),
                "area": AREA_OF_BOX * width * height if area is None else area,
                "num_keypoints": annotation.get("num_keypoints", sum(v > 0 for v in annotation["keypoints"][2::3])),
            }
        )
    images = [dict(image) for image in coco["images"]]
    return {"images": images, "categories": [c for c in coco["categories"] if c["id"] == category_id], "annotations": annotations}
