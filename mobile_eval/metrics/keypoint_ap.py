"""AP and AR by object keypoint similarity, exactly as COCO computes them (faster-coco-eval, a port of pycocotools).

Annotation files are completed where they lack what COCO's evaluation reads: an area that is missing or not above 0 becomes 0.53
times that of the box (as for CrowdPose), `num_keypoints` is counted. Annotations, images and categories are numbered anew: the
evaluation takes numbers only, and an annotation 0 for none.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from numpy.typing import NDArray

from mobile_eval.datasets.coco.schema import Id, as_id, key_of, numbered, usable_area
from mobile_eval.errors import HRNetError
from mobile_eval.metrics.metric import format_scores

AREA_OF_BOX = 0.53
COUNTED = 20  # predictions of an image, the best ones
CATEGORY = 1  # the number of the one that is evaluated
NOT_DEFINED = -1.0  # what COCO's evaluation answers where there is nothing to find


@dataclass(frozen=True)
class KeypointApResult:
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
        return format_scores({"AP": self.ap, "AP50": self.ap50, "AP75": self.ap75, "AR": self.ar})


def keypoint_ap(
    coco: dict[str, Any], predictions: Sequence[Mapping[str, Any]], sigmas: Sequence[float], category_id: Id
) -> KeypointApResult:
    """AP and AR of predictions (COCO results: image_id, category_id, keypoints, score) against a COCO annotation file.

    `sigmas` (K,) are the OKS constants of the joints, in COCO's convention (0.026 for the nose).
    """
    images = numbered(image["id"] for image in coco["images"])
    truth = completed(coco, category_id, images)
    predictions = [one for one in predictions if key_of(one.get("category_id", category_id)) == key_of(category_id)]
    unknown = next((one["image_id"] for one in predictions if key_of(one["image_id"]) not in images), None)
    if unknown is not None:
        raise HRNetError(f"there are results for image {unknown}, which is not in the annotations")
    with _no_garbage():
        annotations, points = as_annotations(predictions, images)
        similar = pairwise_oks(truth["annotations"], [one["image_id"] for one in annotations], points, sigmas)
        evaluation = _WithOks(COCO(truth), COCO({**truth, "annotations": annotations}), similar)
        evaluation.params.catIds = [CATEGORY]
        evaluation.evaluate()
        evaluation.accumulate()
    evaluation.summarize()
    figures = [float(value) for value in np.asarray(evaluation.all_stats, np.float64)]
    return KeypointApResult(*(None if value == NOT_DEFINED else value for value in figures))


@contextlib.contextmanager
def _no_garbage() -> Iterator[None]:
    """No looking for garbage in cycles: with so many small objects, none of them garbage, a fifth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _WithOks(COCOeval_faster):  # type: ignore[misc]
    """Takes the OKS of each image (predictions, annotations) as it is given; the matching and averaging are the library's."""

    def __init__(self, truth: COCO, found: COCO, similar: dict[int, NDArray[np.float64]]):
        super().__init__(truth, found, iouType="keypoints")
        self.similar = similar

    def computeOks(self, imgId: int, catId: int) -> NDArray[np.float64] | list[float]:  # noqa: N802, N803
        return self.similar.get(imgId, [])


def as_annotations(
    predictions: Sequence[Mapping[str, Any]], numbers: Mapping[str, int]
) -> tuple[list[dict[str, Any]], NDArray[np.float64]]:
    """COCO results as annotations, with boxes and areas of their joints, as `loadRes` makes them, and those joints (N, K, 2).

    By image, whose `numbers` are by their ids' keys; of each only those that are counted: the best first, of equal ones what came
    first.
    """
    if not predictions:
        return [], np.zeros((0, 0, 2))
    images = np.array([numbers[str(as_id(one["image_id"]))] for one in predictions])
    order = np.lexsort((-np.array([one["score"] for one in predictions], np.float64), images))
    images = images[order]
    kept = np.arange(len(order)) - np.searchsorted(images, images) < COUNTED
    counted = order[kept].tolist()
    points = np.array([predictions[i]["keypoints"] for i in counted], np.float64).reshape(len(counted), -1, 3)[..., :2]
    by_joint = np.ascontiguousarray(points.swapaxes(0, 1))  # (K, N, 2): several times as fast to look through
    low = by_joint.min(axis=0)
    size = by_joint.max(axis=0) - low
    boxes, areas = np.concatenate([low, size], axis=1).tolist(), size.prod(axis=1).tolist()
    found = []
    for number, (i, image, box, area) in enumerate(zip(counted, images[kept].tolist(), boxes, areas, strict=True), 1):
        place = {"id": number, "image_id": image, "category_id": CATEGORY, "score": predictions[i]["score"]}
        found.append({**place, "bbox": box, "area": area, "iscrowd": 0})
    return found, points


def pairwise_oks(
    truths: Sequence[dict[str, Any]], images: Sequence[int], points: NDArray[np.float64], sigmas: Sequence[float]
) -> dict[int, NDArray[np.float64]]:
    """OKS (predictions, annotations) of each image that has both.

    Predicted `points` (N, K, 2) are those of `images` (N,), of each image one after another. The annotations of an image keep
    their order.
    """
    if not truths or not images:
        return {}
    own = np.array([one["image_id"] for one in truths])
    order = np.argsort(own, kind="stable")
    own = own[order]
    joints = np.array([truths[i]["keypoints"] for i in order], np.float64).reshape(len(truths), -1, 3)
    boxes = np.array([truths[i]["bbox"] for i in order], np.float64)
    areas = np.array([truths[i]["area"] for i in order], np.float64)
    asked = np.array(images)
    first = np.searchsorted(own, asked)
    counts = np.searchsorted(own, asked, side="right") - first
    similar = np.zeros((len(asked), counts.max()))
    for column in range(similar.shape[1]):
        rows = np.flatnonzero(counts > column)
        pairs = first[rows] + column
        similar[rows, column] = oks_of_pairs(points[rows], joints[pairs], boxes[pairs], areas[pairs], sigmas)
    begins = np.flatnonzero(np.diff(asked, prepend=asked[0] - 1))
    ends = [*begins[1:], len(asked)]
    return {images[int(a)]: similar[a:b, : counts[a]] for a, b in zip(begins, ends, strict=True) if counts[a]}


def oks_of_pairs(
    points: NDArray[np.float64],
    joints: NDArray[np.float64],
    boxes: NDArray[np.float64],
    areas: NDArray[np.float64],
    sigmas: Sequence[float],
) -> NDArray[np.float64]:
    """OKS (N,) of predicted points (N, K, 2) and annotated joints (N, K, 3) with boxes (N, 4) and areas (N,).

    The mean over labelled joints of exp(-d^2 / (2 area (2 sigma)^2)); of an annotation without labelled joints d is the
    distance to its box, doubled about its centre, over all joints.
    """
    labelled = joints[..., 2] > 0
    apart = points - joints[..., :2]
    unlabelled = ~labelled.any(axis=1)
    if unlabelled.any():
        corners, sizes = boxes[unlabelled, None, :2], boxes[unlabelled, None, 2:]
        outside = points[unlabelled]
        apart[unlabelled] = np.maximum(corners - sizes - outside, 0) + np.maximum(outside - corners - 2 * sizes, 0)
        labelled[unlabelled] = True
    variances = np.square(2 * np.asarray(sigmas))
    similar = np.exp(-np.square(apart).sum(axis=-1) / variances / (areas[:, None] + np.spacing(1)) / 2)
    return np.asarray(np.where(labelled, similar, 0.0).sum(axis=-1) / labelled.sum(axis=-1))


def completed(coco: dict[str, Any], category_id: Id, images: Mapping[str, int]) -> dict[str, Any]:
    """A copy of an annotation file that has every entry COCO's evaluation reads, of this category only.

    Images have the numbers that `images` gives by the keys of their ids. Crowds without keypoints or box are left out.
    """
    annotations: list[dict[str, Any]] = []
    for annotation in coco["annotations"]:
        image = images.get(key_of(annotation["image_id"]) or "")
        of_category = key_of(annotation.get("category_id", category_id)) == key_of(category_id)
        if image is None or not of_category or not (annotation.get("keypoints") and annotation.get("bbox")):
            continue
        width, height = annotation["bbox"][2:]
        area = annotation.get("area")
        numbers = {"id": len(annotations) + 1, "image_id": image, "category_id": CATEGORY}
        annotations.append(
            {
                **annotation,
                **numbers,
                "iscrowd": int(annotation.get("iscrowd") or 0),
                "area": area if usable_area(area) else AREA_OF_BOX * width * height,
                "num_keypoints": sum(v is not None and v > 0 for v in annotation["keypoints"][2::3]),
            }
        )
    entries = [{**image, "id": images[str(as_id(image["id"]))]} for image in coco["images"]]
    return {"images": entries, "categories": [{"id": CATEGORY, "name": "evaluated"}], "annotations": annotations}
