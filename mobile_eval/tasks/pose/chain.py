"""Accuracy and time of a detector and a pose model together, beside those of the model in true boxes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mobile_eval.benchmark.chain_timing import ChainTime, time_chains
from mobile_eval.datasets.coco.detector_boxes import DetectorBox
from mobile_eval.datasets.coco.keypoints import KeypointDataset
from mobile_eval.errors import HRNetError
from mobile_eval.files import check_output_file, check_output_folder
from mobile_eval.image.geometry import Array, Image
from mobile_eval.image.image_file import read_image
from mobile_eval.image.prefetch import prefetch
from mobile_eval.keypoints.inference import DecodingOptions, checked_decoding
from mobile_eval.messages import number_of
from mobile_eval.metrics.assignment import assign
from mobile_eval.metrics.identities import MIN_IOU, iou_matrix
from mobile_eval.metrics.keypoint_ap import KeypointApResult, keypoint_ap
from mobile_eval.metrics.metric import format_score
from mobile_eval.pipeline.detectors import open_detector
from mobile_eval.pipeline.options import MIN_BOX_SCORE
from mobile_eval.pipeline.pipeline import People, Pipeline
from mobile_eval.progress import tracked
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.base import TaskResult
from mobile_eval.tasks.pose.detector_boxes import rescored_results
from mobile_eval.tasks.pose.evaluate import PoseResult, evaluate_pose, oks_sigmas
from mobile_eval.tasks.pose.options import PoseEvalOptions
from mobile_eval.tasks.pose.predictions import KeypointResult, check_joints, write_predictions

MAX_BOXES = 100  # of an image, as detectors are evaluated
TIMED_IMAGES = 10


@dataclass(frozen=True, eq=False)
class ChainResult(TaskResult):
    """Accuracy and time of a detector and a pose model together.

    Attributes:
        model: File name of the model.
        detector: File name of the detector.
        images: Number of images.
        boxes: Number of the detector's boxes.
        recall: Share of the annotated people whom a box of the detector covers with an IoU of at least 0.5.
        oks: AP and AR of the chain: the detector's boxes, scores multiplied.
        true_boxes: Accuracy in the annotated boxes.
        times: Times for 1, 2 and 5 people.
        results: Poses of the chain as COCO results.
    """

    model: str
    detector: str
    images: int
    boxes: int
    recall: float
    oks: KeypointApResult
    true_boxes: PoseResult
    times: tuple[ChainTime, ...]
    results: list[KeypointResult]

    @property
    def share(self) -> float | None:
        """AP of the chain over AP in true boxes; None if that is 0 or not known."""
        best = self.true_boxes.oks.ap if self.true_boxes.oks else None
        return self.oks.ap / best if best and self.oks.ap is not None else None

    def to_json(self) -> dict[str, Any]:
        """Plain data: the figures in true boxes, and under "chain" those of the chain."""
        chain = {
            "detector": self.detector,
            "boxes": self.boxes,
            "recall": self.recall,
            "oks": dataclasses.asdict(self.oks),
            "share_of_true_boxes": self.share,
            "times": [dataclasses.asdict(entry) for entry in self.times],
        }
        return {**self.true_boxes.to_json(), "chain": chain}

    def __str__(self) -> str:
        share = "" if self.share is None else f", {self.share:.3f} of that in true boxes"
        lines = [
            f"{self.detector} and {self.model}: {number_of(self.boxes, 'boxes')} in {number_of(self.images, 'images')}",
            f"{self.oks}{share}",
            f"recall of the detector {format_score(self.recall)} (IoU {MIN_IOU:g})",
            *map(str, self.times),
            "in true boxes:",
            str(self.true_boxes),
        ]
        return "\n".join(lines)


def evaluate_chain(
    model: TFLiteModel, dataset: KeypointDataset, options: PoseEvalOptions, *, progress: bool = False
) -> ChainResult:
    """Run a detector on every image of a data set and a model in its boxes, and measure the poses.

    Args:
        model: A model whose joints are the data set's.
        dataset: Annotated people.
        options: `detector` is the detector's file; lowest score, flip test, decoding, sigmas, and files to write.
        progress: Show a progress bar.

    Raises:
        HRNetError: There is no detector or it cannot be run, or no OKS sigmas are known.
    """
    check_joints(model, dataset.category)
    sigmas = oks_sigmas(model, dataset, options)
    if sigmas is None:
        raise HRNetError(f"no OKS sigmas are known for the joints of {dataset.category.name!r}; give them with `sigmas`")
    check_output_file(options.predictions)
    if options.overlays:
        check_output_folder(options.overlays)
    pipeline = chain_of(model, options)
    detections: list[DetectorBox] = []
    keypoints: list[Array] = []
    covered = 0
    images = tracked(_images(dataset), model.path.name, total=len(dataset.coco["images"]), show=progress)
    for place, image in images:
        people = pipeline.predict(image)
        detections += [
            replace(place, box=_box(row), score=float(score)) for row, score in zip(people.boxes, people.box_scores, strict=True)
        ]
        keypoints += list(people.keypoints)
        covered += _covered(dataset, place, people)
    joints = len(dataset.category.joints)
    stacked = np.reshape(keypoints, (len(keypoints), joints, 3)).astype(np.float64)
    results = rescored_results(dataset.category_id, detections, stacked, sigmas, model.input_size)
    write_predictions(dataset, results, options)
    figures = keypoint_ap(dataset.coco, results or [_nobody(dataset, joints)], sigmas, dataset.category_id)
    alone = replace(options, detector=None, predictions=None, overlays=None, min_score=0.0)
    return ChainResult(
        model=model.path.name,
        detector=pipeline.detector.path.name,
        images=len(dataset.coco["images"]),
        boxes=len(detections),
        recall=covered / len(dataset.instances),
        oks=figures,
        true_boxes=evaluate_pose(model, dataset, alone, progress=progress),
        times=time_chains([timed_chain(model, options)], timed_items(dataset), progress=progress)[0],
        results=results,
    )


def chain_of(model: TFLiteModel, options: PoseEvalOptions) -> Pipeline:
    """The pipeline that the options describe; HRNetError without a detector."""
    if options.detector is None:
        raise HRNetError("give `detector`, the file of a detector")
    decoding = DecodingOptions(options.flip, checked_decoding(options.decoding), options.flip_pairs)
    detector = open_detector(options.detector, model.backend)
    return Pipeline(detector, model, min_score=options.min_score, max_boxes=MAX_BOXES, decoding=decoding)


def timed_chain(model: TFLiteModel, options: PoseEvalOptions) -> Pipeline:
    """The pipeline to time: with the lowest score of a box that is used by default, where AP counts boxes of any score."""
    return chain_of(model, replace(options, min_score=max(options.min_score, MIN_BOX_SCORE)))


def timed_items(dataset: KeypointDataset) -> list[tuple[Image, Array]]:
    """The first images with people, and the boxes of these."""
    boxes: dict[Any, list[Sequence[float]]] = {}
    for instance in dataset.instances:
        boxes.setdefault(instance.image_id, []).append(instance.box)
    items = ((image, boxes.get(place.image_id, [])) for place, image in _images(dataset, TIMED_IMAGES))
    return [(image, np.array(rows, np.float64)) for image, rows in items if rows]


def _images(dataset: KeypointDataset, limit: int | None = None) -> Iterator[tuple[DetectorBox, Image]]:
    """The images of a data set, those with people first if there is a limit; read ahead in other threads."""
    entries = dataset.coco["images"]
    if limit is not None:
        shown = {instance.image_id for instance in dataset.instances}
        entries = [image for image in entries if image["id"] in shown][:limit]
    sizes = {dataset.image_folder / image["file_name"]: (image["height"], image["width"]) for image in entries}
    frame = dataset.frame.with_images(sizes, sizes.get) if dataset.frame.stored else dataset.frame
    places = [
        DetectorBox(image["id"], path, size, (0.0, 0.0, 0.0, 0.0), 0.0, frame.is_upright(path))
        for image, (path, size) in zip(entries, sizes.items(), strict=True)
    ]

    def read(place: DetectorBox) -> tuple[DetectorBox, Image]:
        return place, read_image(place.image_path, place.image_size, upright=place.upright)

    return prefetch(read, places)


def _covered(dataset: KeypointDataset, place: DetectorBox, people: People) -> int:
    """Number of annotated people of an image whom a box covers, each box at most one."""
    truth = [instance.box for instance in dataset.instances if instance.image_id == place.image_id]
    if not truth or not len(people):
        return 0
    overlaps = iou_matrix(np.array(truth), people.boxes)
    return sum(overlaps[pair] >= MIN_IOU for pair in assign(-np.where(overlaps >= MIN_IOU, 1 + overlaps, 0)))


def _box(row: Array) -> tuple[float, float, float, float]:
    x, y, width, height = row.tolist()
    return x, y, width, height


def _nobody(dataset: KeypointDataset, joints: int) -> KeypointResult:
    """A pose that matches nobody: COCO's evaluation needs one."""
    image_id = dataset.coco["images"][0]["id"]
    return {"image_id": image_id, "category_id": dataset.category_id, "keypoints": [-1e4, -1e4, 0.0] * joints, "score": 0.0}
