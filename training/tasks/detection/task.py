"""The training side of detection."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hrnet_tf.backend.types import KerasLoss, KerasModel
from hrnet_tf.models.trunk import spec_of
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.network import CENTERS, HRNetSpec
from mobile_eval.datasets.base import label_names
from mobile_eval.datasets.coco.detection import DetectionDataset
from mobile_eval.image.geometry import Geometry
from mobile_eval.metrics.box_ap import box_ap
from mobile_eval.tasks.detection.boxes import BoxResult, Objects, decode_objects
from mobile_eval.tasks.detection.centers import decode_centers
from mobile_eval.tasks.detection.constants import CENTER_OUTPUTS
from mobile_eval.tasks.detection.task import METRIC
from mobile_eval.typed import Size
from mobile_eval.viz.overlays import draw_boxes
from training.tasks.base import Array, Category, Image, TrainingTask
from training.tasks.detection.examples import NO_BOX, BoxExampleBuilder, unpack
from training.tasks.detection.settings import DetectionLoss, DetectionSettings

OUTPUTS = ("proposals", "objectness", "class_logits", "box_deltas")  # of a Faster R-CNN
MIN_DRAWN_SCORE = 0.3


class Ap50Evaluator:
    """Measures COCO's AP at an overlap of 0.5, in pixels of the original images."""

    def __init__(self, data: DetectionDataset, spec: Network, geometry: Geometry):
        self.data = data
        self.input_size = spec.input_size
        self._results: list[BoxResult] = []
        self._done = 0

    def update(self, outputs: dict[str, Array]) -> None:
        """Add the detector's outputs by name for the next images."""
        for arrays in _per_image(outputs):
            image = self.data.images[self._done]
            detections = _decoded(arrays, self.input_size, image.image_size or self.input_size)
            self._results += detections.results(image.image_id, self.data.category_ids)
            self._done += 1

    def result(self) -> float:
        """Return AP50 over the classes; 0 where nothing was detected."""
        return box_ap(self.data.coco, self._results).ap50 or 0.0 if self._results else 0.0


def detection_loss(settings: DetectionSettings) -> KerasLoss:
    """Return the loss of detection, which the trainer model computes."""
    return DetectionLoss(settings)


def detection_trainer(network: KerasModel, loss: KerasLoss) -> KerasModel:
    """Return the Keras model that trains a detector."""
    if spec_of(network).head_kind == CENTERS:
        from training.tasks.detection.center_trainer import CenterTrainer

        return CenterTrainer(network, loss.settings)
    from training.tasks.detection.trainer import DetectionTrainer

    return DetectionTrainer(network, loss)


def draw_objects(images: Image, boxes: Array | dict[str, Array], category: Category, geometry: Geometry) -> Image:
    """Draw the boxes of targets (n, 1 + boxes, 5), or of a detector's outputs by name, on images (n, H, W, 3), RGB."""
    names, size = label_names(category), images.shape[1:3]
    if isinstance(boxes, dict):
        detections = [_decoded(arrays, size, size) for arrays in _per_image(boxes)]
    else:
        detections = [_annotated_objects(targets) for targets in np.asarray(boxes, np.float32)]
    pairs = zip(images, detections, strict=True)
    return np.stack([draw_boxes(image, image_objects, names, MIN_DRAWN_SCORE) for image, image_objects in pairs])


def _per_image(outputs: dict[str, Array]) -> Iterator[tuple[Array, ...]]:
    """Yield the outputs of each image, in the order of OUTPUTS or CENTER_OUTPUTS."""
    names = CENTER_OUTPUTS if set(CENTER_OUTPUTS) == set(outputs) else OUTPUTS
    return zip(*(np.asarray(outputs[name], np.float32) for name in names), strict=True)


def _decoded(outputs: tuple[Array, ...], input_size: Size, image_size: Size) -> Objects:
    """The objects of an image, from its outputs in the order of `_per_image`."""
    if len(outputs) == len(CENTER_OUTPUTS):
        centers, sizes, offsets = outputs
        return decode_centers(centers, sizes, offsets, input_size, image_size)
    proposals, objectness, logits, deltas = outputs
    return decode_objects(proposals, objectness, logits, deltas, input_size, image_size)


def _annotated_objects(targets: Array) -> Objects:
    corners, labels = unpack(targets)
    has_box = labels != NO_BOX
    boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)[has_box]
    return Objects(boxes, np.ones(len(boxes), np.float32), labels[has_box].astype(np.int64))


def _recipe(spec: Network) -> str:
    if spec.head_kind == CENTERS:
        return "centers"
    return "coco-1x" if isinstance(spec, HRNetSpec) and spec.head_width is None else "small"


TASK: TrainingTask[DetectionDataset, DetectionSettings] = TrainingTask(
    metric=METRIC,
    noun="images",
    example_builder=BoxExampleBuilder,
    loss=detection_loss,
    metric_evaluator=Ap50Evaluator,
    draw=draw_objects,
    recipe=_recipe,
    trainer=detection_trainer,
)
