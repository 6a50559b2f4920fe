"""AP and AR by object keypoint similarity, exactly as COCO computes them (faster-coco-eval, a port of pycocotools).

Annotation files are completed where they lack what COCO's evaluation reads: an area becomes 0.53 times that of
the box (as for CrowdPose), `num_keypoints` is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from numpy.typing import NDArray

from mobile_eval.metrics.figures import show

AREA_OF_BOX = 0.53
POINTS = "points"  # entry for a prediction's joints (K, 2) as an array
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


def oks(coco: dict[str, Any], predictions: Sequence[dict[str, Any]], sigmas: Sequence[float], category_id: int) -> OksResult:
    """AP and AR of predictions (COCO results: image_id, category_id, keypoints, score) against a COCO annotation file.

    `sigmas` (K,) are the OKS constants of the joints, in COCO's convention (0.026 for the nose).
    """
    truth = completed(coco, category_id)
    unknown = {one["image_id"] for one in predictions} - {image["id"] for image in truth["images"]}
    if unknown:
        raise ValueError(f"there are results for image {min(unknown)}, which is not in the annotations")
    found = COCO({**truth, "annotations": as_annotations(predictions)})
    truth = COCO(truth)
    evaluation = _AllAtOnce(truth, found, iouType="keypoints", kpt_oks_sigmas=list(sigmas))
    evaluation.params.catIds = [category_id]
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    figures = [float(value) for value in np.asarray(evaluation.all_stats, np.float64)]
    return OksResult(*(None if value == NOT_DEFINED else value for value in figures))


class _AllAtOnce(COCOeval_faster):  # type: ignore[misc]
    """Computes the OKS of all pairs of an image at once; the matching and averaging are the library's."""

    def computeOks(self, imgId: int, catId: int) -> NDArray[np.float64] | list[float]:  # noqa: N802, N803
        """OKS (predictions, annotations) of an image, best predictions first, no more than count.

        The mean over labelled joints of exp(-d^2 / (2 area (2 sigma)^2)); of an annotation without labelled joints d is the
        distance to its box, doubled about its centre, over all joints.
        """
        truths, found = self.gt_dataset.get(imgId, catId), self.dt_dataset.get(imgId, catId)
        order = np.argsort([-one["score"] for one in found], kind="mergesort")[: self.params.maxDets[-1]]
        if not truths or not len(order):
            return []
        points = np.stack([found[i][POINTS] for i in order])[:, None]
        wanted = np.array([one["keypoints"] for one in truths], np.float64).reshape(len(truths), -1, 3)
        labelled = wanted[..., 2] > 0
        apart = points - wanted[..., :2]
        unlabelled = ~labelled.any(axis=1)
        if unlabelled.any():
            boxes = np.array([one["bbox"] for one in truths], np.float64)[unlabelled, None]
            low, high = boxes[..., :2] - boxes[..., 2:], boxes[..., :2] + 2 * boxes[..., 2:]
            apart[:, unlabelled] = np.maximum(low - points, 0) + np.maximum(points - high, 0)
            labelled[unlabelled] = True
        areas = np.array([one["area"] for one in truths], np.float64)[:, None] + np.spacing(1)
        variances = np.square(2 * np.asarray(self.params.kpt_oks_sigmas))
        similar = np.exp(-np.square(apart).sum(axis=-1) / variances / areas / 2)
        return np.asarray((similar * labelled).sum(axis=-1) / labelled.sum(axis=-1))


def as_annotations(predictions: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """COCO results as annotations, with boxes and areas of their joints, as `loadRes` makes them, all at once."""
    if not predictions:
        return []
    points = np.array([prediction["keypoints"] for prediction in predictions], np.float64).reshape(len(predictions), -1, 3)[
        ..., :2
    ]
    low, size = points.min(axis=1), np.ptp(points, axis=1)
    boxes, areas = np.concatenate([low, size], axis=1).tolist(), size.prod(axis=1).tolist()
    return [
        {**prediction, "id": number, "bbox": box, "area": area, "iscrowd": 0, POINTS: own}
        for number, (prediction, box, area, own) in enumerate(zip(predictions, boxes, areas, points, strict=True), 1)
    ]


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
