"""The training side of classification."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.types import KerasLoss
from hrnet_tf.spec.architectures import Network
from mobile_eval.datasets.base import label_names
from mobile_eval.datasets.classification import ClassificationDataset
from mobile_eval.image.geometry import Geometry
from mobile_eval.tasks.classification.evaluate import rank
from mobile_eval.tasks.classification.task import METRIC
from training.tasks.base import Array, Category, Image, TrainingTask, divergence
from training.tasks.class_balance import weights_by_count
from training.tasks.classification.examples import ClassExampleBuilder
from training.tasks.classification.settings import ClassificationSettings


class Top1Evaluator:
    """Measures top-1 accuracy."""

    def __init__(self, data: ClassificationDataset, spec: Network, geometry: Geometry):
        self.images = data.images
        self._correct: list[bool] = []

    def update(self, outputs: Array) -> None:
        """Add the logits (n, classes) of the next n images."""
        for logits in np.asarray(outputs, np.float32):
            self._correct.append(rank(logits, self.images[len(self._correct)].label) == 0)

    def result(self) -> float:
        """Return the fraction of images whose most probable class is the true one."""
        return float(np.mean(self._correct))


def class_loss(settings: ClassificationSettings) -> KerasLoss:
    """Return the Keras loss of classification."""
    from training.tasks.classification.losses import ClassCrossEntropy

    return ClassCrossEntropy(settings.label_smoothing, settings.class_weights)


def draw_classes(images: Image, scores: Array, category: Category, geometry: Geometry) -> Image:
    """Write the name of the highest of labels or logits (n, classes) on images (n, H, W, 3), RGB."""
    labelled, names = images.copy(), label_names(category)
    for image, index in zip(labelled, np.asarray(scores).argmax(axis=-1), strict=True):
        for color, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
            origin = (3, image.shape[0] - 5)
            cv2.putText(image, names[index], origin, cv2.FONT_HERSHEY_SIMPLEX, 0.4, color, thickness, cv2.LINE_AA)
    return labelled


def balancing_weights(data: ClassificationDataset) -> NDArray[np.float64]:
    """Return class weights (classes,) by the number of images of each class."""
    return weights_by_count(np.bincount([image.label for image in data.images], minlength=len(data.classes)))


def _recipe(spec: Network) -> str:
    return "small" if "small" in spec.name else "imagenet"


TASK: TrainingTask[ClassificationDataset, ClassificationSettings] = TrainingTask(
    metric=METRIC,
    noun="images",
    example_builder=ClassExampleBuilder,
    loss=class_loss,
    metric_evaluator=Top1Evaluator,
    draw=draw_classes,
    recipe=_recipe,
    distillation_loss=divergence,
    class_weights=balancing_weights,
)
