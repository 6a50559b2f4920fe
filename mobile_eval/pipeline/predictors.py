"""Predictions on one image for every task: keypoints, boxes, masks and classes, drawn and as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import Box, Image
from mobile_eval.image.preprocess import resize, resized_center
from mobile_eval.messages import number_of
from mobile_eval.model.archive import is_described
from mobile_eval.model.description import CLASS_MAPS, CLASS_SCORES
from mobile_eval.pipeline.detectors import DETECTORS, ObjectDetector, open_detector
from mobile_eval.pipeline.pipeline import MIN_KEYPOINT_SCORE, People, Pipeline, predict_boxes
from mobile_eval.pipeline.selection import BoxSelection
from mobile_eval.runtime.backend import CPU, Backend
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.classification.evaluate import likeliest
from mobile_eval.tasks.detection.anchors import softmax
from mobile_eval.tasks.detection.boxes import Objects
from mobile_eval.tasks.segmentation.evaluate import most_likely
from mobile_eval.typed import JsonObject
from mobile_eval.viz.masks import class_legend, mask_overlay
from mobile_eval.viz.overlays import draw_boxes

LISTED_CLASSES = 5  # of a classification
TEXT_HEIGHT = 24  # pixels of the line with the class


class Prediction(Protocol):
    """What a model predicts in one image."""

    def draw(self, image: Image, min_score: float) -> Image:
        """Draw the prediction into a copy of the image; what scores lower is not drawn."""
        ...

    def to_json(self) -> JsonObject | list[JsonObject]:
        """Plain data."""
        ...

    def __str__(self) -> str: ...


@dataclass(frozen=True, eq=False)
class Boxes:
    """Objects in one image.

    Attributes:
        objects: Boxes, scores and labels, best first.
        names: Names of the classes, by label.
    """

    objects: Objects
    names: tuple[str, ...]

    def __str__(self) -> str:
        return number_of(len(self.objects), "boxes")

    def draw(self, image: Image, min_score: float = 0.0) -> Image:
        """Draw the boxes with class and score."""
        return draw_boxes(image, self.objects, self.names, min_score)

    def to_json(self) -> list[JsonObject]:
        """Box, score and class of each object."""
        objects = zip(self.objects.boxes.tolist(), self.objects.scores.tolist(), self.objects.labels.tolist(), strict=True)
        return [
            {"bbox": [round(value, 2) for value in box], "score": round(score, 4), "class": self.names[label]}
            for box, score, label in objects
        ]


@dataclass(frozen=True, eq=False)
class Mask:
    """The class of every pixel of an image.

    Attributes:
        mask: Class map (H, W).
        names: Names of the classes.
    """

    mask: NDArray[np.uint8]
    names: tuple[str, ...]

    def __str__(self) -> str:
        shares = sorted(self.to_json()["share"].items(), key=lambda item: -item[1])
        return ", ".join(f"{name} {share:.0%}" for name, share in shares[:LISTED_CLASSES])

    def draw(self, image: Image, min_score: float = 0.0) -> Image:
        """Tint the pixels by class, above a legend of the classes."""
        overlay = mask_overlay(image, self.mask, self.names)
        return np.concatenate([overlay, class_legend(self.names, overlay.shape[1])])

    def to_json(self) -> JsonObject:
        """Share of the pixels of each class that occurs."""
        counts = np.bincount(self.mask.reshape(-1), minlength=len(self.names)) / self.mask.size
        return {"share": {name: round(float(share), 5) for name, share in zip(self.names, counts, strict=True) if share}}


@dataclass(frozen=True)
class Classes:
    """The class of an image.

    Attributes:
        names: Names of the most likely classes, the most likely one first.
        probabilities: Their probabilities.
    """

    names: tuple[str, ...]
    probabilities: tuple[float, ...]

    def __str__(self) -> str:
        return f"{self.names[0]} {self.probabilities[0]:.0%}"

    def draw(self, image: Image, min_score: float = 0.0) -> Image:
        """Write the most likely class below the image, if it is likely enough."""
        line = np.full((TEXT_HEIGHT, image.shape[1], 3), 255, np.uint8)
        if self.probabilities[0] >= min_score:
            cv2.putText(line, str(self), (4, TEXT_HEIGHT - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (20, 20, 20), 1, cv2.LINE_AA)
        return np.concatenate([image, line])

    def to_json(self) -> JsonObject:
        """The most likely classes with their probabilities."""
        pairs = zip(self.names, self.probabilities, strict=True)
        return {"classes": [{"class": name, "probability": round(value, 5)} for name, value in pairs]}


class KeypointPredictor:
    """Predicts keypoints: of everyone whom a detector finds, in boxes, or of one person who fills the image.

    Args:
        model: A pose or landmarks model.
        pipeline: A detector with the same model; None without a detector.
    """

    suffix = "pose"
    default_min_score = MIN_KEYPOINT_SCORE

    def __init__(self, model: TFLiteModel, pipeline: Pipeline | None = None):
        self.model, self.pipeline = model, pipeline

    def predict(self, image: Image) -> People:
        """The keypoints of everyone in an image (H, W, 3), RGB."""
        if self.pipeline is not None:
            return self.pipeline.predict(image)
        height, width = image.shape[:2]
        return self.predict_boxes(image, [(0.0, 0.0, float(width), float(height))])

    def predict_boxes(self, image: Image, boxes: Sequence[Box]) -> People:
        """The keypoints in boxes (x, y, width, height)."""
        return predict_boxes(self.model, image, boxes)


class BoxPredictor:
    """Predicts the objects of all classes, without duplicates.

    Args:
        detector: A detector.
        selection: Lowest score, highest overlap within a class, and highest number of boxes.
    """

    suffix = "boxes"
    default_min_score = 0.0

    def __init__(self, detector: ObjectDetector, selection: BoxSelection):
        self.detector, self.selection = detector, selection

    def predict(self, image: Image) -> Boxes:
        """The objects in an image (H, W, 3), RGB."""
        height, width = image.shape[:2]
        objects = self.detector.objects(self.detector.to_input(image), (height, width))
        parts = [self.selection.select(objects, int(label), (height, width)) for label in np.unique(objects.labels)]
        if parts:
            fields = ([getattr(part, name) for part in parts] for name in ("boxes", "scores", "labels"))
            boxes, scores, labels = map(np.concatenate, fields)
            best = np.argsort(-scores, kind="stable")[: self.selection.max_boxes]
            objects = Objects(boxes[best], scores[best], labels[best])
        known = self.detector.classes
        highest = int(objects.labels.max(initial=-1))
        names = (*known, *(f"class_{label}" for label in range(len(known), highest + 1)))
        return Boxes(objects, names)


class MaskPredictor:
    """Predicts the class of every pixel.

    Args:
        model: A segmentation model.
    """

    suffix = "mask"
    default_min_score = 0.0

    def __init__(self, model: TFLiteModel):
        self.model = model

    def predict(self, image: Image) -> Mask:
        """The class map of an image (H, W, 3), RGB, at its size."""
        height, width = image.shape[:2]
        logits = self.model.output(self.model.to_input(resize(image, self.model.input_size)[None]))[0]
        return Mask(most_likely(logits, (height, width)).astype(np.uint8), self.model.description.classes)


class ClassPredictor:
    """Predicts the class of an image, from its center.

    Args:
        model: A classification model.
    """

    suffix = "class"
    default_min_score = 0.0

    def __init__(self, model: TFLiteModel):
        self.model = model

    def predict(self, image: Image) -> Classes:
        """The most likely classes of an image (H, W, 3), RGB."""
        outputs = self.model.output(self.model.to_input(resized_center(image, self.model.input_size)[None]))[0]
        probabilities = outputs if self.model.description.output.softmax else softmax(outputs)
        best, _ = likeliest(outputs, probabilities=True)
        order = [best, *(index for index in np.argsort(-probabilities, kind="stable") if index != best)][:LISTED_CLASSES]
        names = self.model.description.classes
        return Classes(tuple(names[index] for index in order), tuple(float(probabilities[index]) for index in order))


Predictor: TypeAlias = KeypointPredictor | BoxPredictor | MaskPredictor | ClassPredictor


def open_predictor(
    path: Path | str,
    backend: Backend = CPU,
    *,
    detector: Path | str | None = None,
    category: str | None = None,
    selection: BoxSelection | None = None,
) -> Predictor:
    """Open a model of any task.

    Args:
        path: The model; for boxes a detector, also one of another package.
        backend: Runtime, threads and delegate, also of the detector.
        detector: A detector that finds the boxes for a model of keypoints; None for none.
        category: Name or index of the detector's class; None for that of the model's category.
        selection: Which boxes of a detector are used.

    Returns:
        The predictor.

    Raises:
        HRNetError: A file cannot be run, or the model takes no detector.

    Example:
        >>> open_predictor("camvid.tflite").predict(image).mask.shape  # doctest: +SKIP
        (360, 480)
    """
    path, selection = Path(path), selection or BoxSelection()
    if not is_described(path):
        _check_no_detector(path, "a detector", detector)
        return BoxPredictor(open_detector(path, backend), selection)
    model = TFLiteModel(path, backend)
    kind = model.description.output.kind
    if model.description.category.joints:
        return KeypointPredictor(model, _pipeline(model, detector, category, selection, backend))
    _check_no_detector(path, f"a {model.description.task} model", detector)
    if kind in DETECTORS:
        return BoxPredictor(DETECTORS[kind](model), selection)
    if kind == CLASS_MAPS:
        return MaskPredictor(model)
    if kind == CLASS_SCORES:
        return ClassPredictor(model)
    raise HRNetError(
        f"{path.name} is a {model.description.task} model: its outputs cannot be drawn; `TFLiteModel.predict` runs it"
    )


def _pipeline(
    model: TFLiteModel, detector: Path | str | None, category: str | None, selection: BoxSelection, backend: Backend
) -> Pipeline | None:
    if detector is None:
        return None
    return Pipeline(
        open_detector(detector, backend),
        model,
        category=category,
        min_score=selection.min_score,
        max_iou=selection.max_iou,
        max_boxes=selection.max_boxes,
    )


def _check_no_detector(path: Path, kind: str, detector: Path | str | None) -> None:
    if detector is not None:
        raise HRNetError(f"{path.name} is {kind}, which takes no `detector`: this is for models of keypoints")
