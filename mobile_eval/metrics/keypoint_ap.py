"""AP and AR of keypoints, exactly as COCO computes them (faster-coco-eval, a port of pycocotools).

Entries that COCO's evaluation needs are added to annotations without them: an area that is missing or not above 0 becomes 0.53
of the box's (as for CrowdPose), and `num_keypoints` is counted. Annotations, images and categories are renumbered, because the
evaluation accepts only numbers, and takes annotation 0 for no annotation.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

from mobile_eval.datasets.coco.schema import CocoData, Entry, Id, as_id, id_key, number_ids, valid_area
from mobile_eval.errors import HRNetError
from mobile_eval.metrics.metric import format_scores
from mobile_eval.metrics.oks import Array, annotation_oks
from mobile_eval.typed import JsonObject

AREA_OF_BOX = 0.53
MAX_PREDICTIONS = 20  # per image, best scores first
CATEGORY = 1  # number of the only category in the renumbered annotations


@dataclass(frozen=True)
class KeypointApResult:
    """COCO's ten keypoint scores, from 0 to 1; None if there are no annotations of that size.

    AP and AR are means over OKS thresholds 0.5, 0.55 ... 0.95. Medium areas are from 32^2 to 96^2 pixels, large ones above.
    """

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
        return format_scores({"AP": self.ap, "AP50": self.ap50, "AP75": self.ap75, "AR": self.ar})


def keypoint_ap(coco: CocoData, predictions: Sequence[Entry], sigmas: Sequence[float], category_id: Id) -> KeypointApResult:
    """AP and AR of keypoints.

    Args:
        coco: Content of a COCO annotation file; it is not changed.
        predictions: COCO keypoint results: image_id, category_id, keypoints, score.
        sigmas: OKS constants of the joints (K,) in COCO's convention (0.026 for the nose).
        category_id: Id of the evaluated category.

    Raises:
        HRNetError: A prediction is of an image that the annotations do not contain.
    """
    images = number_ids(image["id"] for image in coco["images"])
    truth = _renumbered(coco, category_id, images)
    key = id_key(category_id)
    predictions = [entry for entry in predictions if id_key(entry.get("category_id", category_id)) == key]
    unknown = next((entry["image_id"] for entry in predictions if id_key(entry["image_id"]) not in images), None)
    if unknown is not None:
        raise HRNetError(f"there are results for image {unknown}, which is not in the annotations")
    with _garbage_collection_paused():
        detections, points = _detections(predictions, images)
        similarities = _oks_by_image(truth["annotations"], [entry["image_id"] for entry in detections], points, sigmas)
        evaluation = _Evaluation(COCO(truth), COCO({**truth, "annotations": detections}), similarities)
        evaluation.params.catIds = [CATEGORY]
        evaluation.evaluate()
        evaluation.accumulate()
    return KeypointApResult(*summarize(evaluation)[:10])


def summarize(evaluation: COCOeval_faster) -> list[float | None]:
    """COCO's scores of an evaluation; None for those that it does not define (-1)."""
    evaluation.summarize()
    return [None if score == -1 else score for score in np.asarray(evaluation.all_stats, np.float64).tolist()]


@contextlib.contextmanager
def _garbage_collection_paused() -> Iterator[None]:
    """Pause the collection of reference cycles: with this many small objects it costs a fifth of the time and frees nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Evaluation(COCOeval_faster):  # type: ignore[misc]
    """COCO's evaluation with OKS (predictions, annotations) that is computed beforehand, by image."""

    def __init__(self, truth: COCO, detections: COCO, similarities: dict[int, Array]):
        super().__init__(truth, detections, iouType="keypoints")
        self.similarities = similarities

    def computeOks(self, imgId: int, catId: int) -> Array | list[float]:  # noqa: N802, N803
        return self.similarities.get(imgId, [])


def _detections(predictions: Sequence[Entry], image_numbers: Mapping[str, int]) -> tuple[list[JsonObject], Array]:
    """Predictions as annotations with the box and area of their keypoints, as pycocotools' `loadRes` makes them.

    Args:
        predictions: COCO keypoint results.
        image_numbers: Numbers of the images, by `id_key`.

    Returns:
        Annotations sorted by image, of each image only those that count: best score first, equal scores in their order. And
        their keypoints (N, K, 2).
    """
    if not predictions:
        return [], np.zeros((0, 0, 2))
    images = np.array([image_numbers[str(as_id(entry["image_id"]))] for entry in predictions])
    order = np.lexsort((-np.array([entry["score"] for entry in predictions], np.float64), images))
    images = images[order]
    counts = np.arange(len(order)) - np.searchsorted(images, images) < MAX_PREDICTIONS
    counted = order[counts].tolist()
    points = np.array([predictions[i]["keypoints"] for i in counted], np.float64).reshape(len(counted), -1, 3)[..., :2]
    by_joint = np.ascontiguousarray(points.swapaxes(0, 1))  # (K, N, 2): several times faster to reduce
    low = by_joint.min(axis=0)
    size = by_joint.max(axis=0) - low
    boxes, areas = np.concatenate([low, size], axis=1).tolist(), size.prod(axis=1).tolist()
    entries = [
        {
            "id": number,
            "image_id": image,
            "category_id": CATEGORY,
            "score": predictions[i]["score"],
            "bbox": box,
            "area": area,
            "iscrowd": 0,
        }
        for number, (i, image, box, area) in enumerate(zip(counted, images[counts].tolist(), boxes, areas, strict=True), 1)
    ]
    return entries, points


def _oks_by_image(
    annotations: Sequence[Entry], images: Sequence[int], points: Array, sigmas: Sequence[float]
) -> dict[int, Array]:
    """OKS (predictions, annotations) of each image that has both.

    Args:
        annotations: The renumbered annotations.
        images: Image numbers of the predictions (N,), sorted.
        points: Keypoints of the predictions (N, K, 2).
        sigmas: OKS constants of the joints (K,).
    """
    if not annotations or not images:
        return {}
    annotated = np.array([entry["image_id"] for entry in annotations])
    order = np.argsort(annotated, kind="stable")
    annotated = annotated[order]
    keypoints = np.array([annotations[i]["keypoints"] for i in order], np.float64).reshape(len(annotations), -1, 3)
    boxes = np.array([annotations[i]["bbox"] for i in order], np.float64)
    areas = np.array([annotations[i]["area"] for i in order], np.float64)
    predicted = np.array(images)
    first = np.searchsorted(annotated, predicted)
    counts = np.searchsorted(annotated, predicted, side="right") - first
    similarities = np.zeros((len(predicted), counts.max()))
    for column in range(similarities.shape[1]):
        rows = np.flatnonzero(counts > column)
        pairs = first[rows] + column
        similarities[rows, column] = annotation_oks(points[rows], keypoints[pairs], boxes[pairs], areas[pairs], sigmas)
    starts = np.flatnonzero(np.diff(predicted, prepend=predicted[0] - 1))
    ends = [*starts[1:], len(predicted)]
    return {images[int(a)]: similarities[a:b, : counts[a]] for a, b in zip(starts, ends, strict=True) if counts[a]}


def _renumbered(coco: CocoData, category_id: Id, image_numbers: Mapping[str, int]) -> JsonObject:
    """The annotations of a category with all entries that COCO's evaluation reads.

    Args:
        coco: Content of an annotation file. Annotations without keypoints or box, such as crowds, are left out.
        category_id: Id of the category.
        image_numbers: Numbers of the images, by `id_key`.
    """
    annotations: list[JsonObject] = []
    for annotation in coco["annotations"]:
        image = image_numbers.get(id_key(annotation["image_id"]) or "")
        in_category = id_key(annotation.get("category_id", category_id)) == id_key(category_id)
        if image is None or not in_category or not (annotation.get("keypoints") and annotation.get("bbox")):
            continue
        width, height = annotation["bbox"][2:]
        added = {
            "id": len(annotations) + 1,
            "image_id": image,
            "category_id": CATEGORY,
            "iscrowd": int(annotation.get("iscrowd") or 0),
            "area": valid_area(annotation.get("area")) or AREA_OF_BOX * width * height,
            "num_keypoints": sum(v is not None and v > 0 for v in annotation["keypoints"][2::3]),
        }
        annotations.append({**annotation, **added})
    images = [{**image, "id": image_numbers[str(as_id(image["id"]))]} for image in coco["images"]]
    return {"images": images, "categories": [{"id": CATEGORY, "name": "evaluated"}], "annotations": annotations}
