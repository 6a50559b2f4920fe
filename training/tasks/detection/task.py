"""What detection brings to training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from hrnet_tf.models.build import Network
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.datasets.base import label_names
from mobile_eval.datasets.coco.instances import Instances
from mobile_eval.metrics.box_map import box_map
from mobile_eval.tasks.detection.boxes import Objects, objects
from mobile_eval.tasks.detection.task import METRIC
from mobile_eval.viz.boxes import draw_boxes
from training.tasks.base import Array, Image, TrainingTask
from training.tasks.detection.examples import BoxMaker
from training.tasks.detection.settings import Settings
from training.tasks.detection.targets import NO_BOX, unpack

ANSWERS = ("proposals", "objectness", "class_logits", "box_deltas")  # of a detector
LEAST_SCORE = 0.3  # of a box that is drawn


class Ap50Scorer:
    """COCO's AP at an overlap of 0.5, in pixels of the images as they are."""

    def __init__(self, data: Instances, spec: Network):
        self.data = data
        self.input_size = spec.input_size
        self._results: list[dict[str, Any]] = []
        self._done = 0

    def update(self, predicted: dict[str, Array]) -> None:
        """What the detector answered for the next images, by name."""
        for proposals, objectness, logits, deltas in _rows(predicted):
            image = self.data.images[self._done]
            size = image.image_size or self.input_size
            found = objects(proposals, objectness, logits, deltas, self.input_size, size)
            self._results += found.results(image.image_id, self.data.category_ids)
            self._done += 1

    def result(self) -> float:
        """AP50 over the classes; 0 where nothing was found."""
        return box_map(self.data.coco, self._results).ap50 or 0.0 if self._results else 0.0


def detection_loss(settings: Settings) -> Any:
    """What the learner makes the loss of."""
    from training.tasks.detection.losses import DetectionLoss

    return DetectionLoss(settings)


def detection_learner(network: Any, loss: Any) -> Any:
    """The Keras model that is trained."""
    from training.tasks.detection.trainer import DetectionLearner

    return DetectionLearner(network, loss)


def draw_objects(images: Image, boxes: Any, answers: dict[str, Any]) -> Image:
    """Images (n, H, W, 3) RGB with the boxes of targets, or of what a detector answered (by name), drawn in."""
    names, size = label_names(answers), images.shape[1:3]
    if isinstance(boxes, dict):
        found = [objects(one, sure, logits, deltas, size, size) for one, sure, logits, deltas in _rows(boxes)]
    else:
        found = [_objects_of(targets) for targets in np.asarray(boxes, np.float32)]
    return np.stack([draw_boxes(image, one, names, LEAST_SCORE) for image, one in zip(images, found, strict=True)])


def _rows(answers: dict[str, Array]) -> Iterator[tuple[Array, ...]]:
    """What is answered of each image, in the order of ANSWERS."""
    return zip(*(np.asarray(answers[name], np.float32) for name in ANSWERS), strict=True)


def _objects_of(targets: Array) -> Objects:
    corners, labels = unpack(targets)
    there = labels != NO_BOX
    boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)[there]
    return Objects(boxes, np.ones(len(boxes), np.float32), labels[there].astype(np.int64))


def _recipe(spec: Network) -> str:
    """The paper's for its networks."""
    return "coco-1x" if isinstance(spec, HRNetSpec) and spec.head_width is None else "small"


TASK = TrainingTask(
    metric=METRIC,
    noun="images",
    maker=BoxMaker,
    loss=detection_loss,
    imitation=None,
    scorer=Ap50Scorer,
    recipe=_recipe,
    draw=draw_objects,
    learner=detection_learner,
)
