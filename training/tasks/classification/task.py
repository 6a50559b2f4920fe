"""What classification brings to training."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hrnet_tf.models.build import Network
from mobile_eval.datasets.base import label_names
from mobile_eval.datasets.folders import ClassFolders
from mobile_eval.tasks.classification.evaluate import rank
from mobile_eval.tasks.classification.task import METRIC
from training.tasks.base import Array, Image, TrainingTask, divergence
from training.tasks.class_weights import weights_by_count
from training.tasks.classification.examples import ClassMaker
from training.tasks.classification.settings import Settings


class TopOneScorer:
    """The share of images whose class is the likeliest."""

    def __init__(self, data: ClassFolders, spec: Network):
        self.images = data.images
        self._right: list[bool] = []

    def update(self, predicted: Array) -> None:
        """Logits (n, classes) of the next n images."""
        for logits in np.asarray(predicted, np.float32):
            self._right.append(rank(logits, self.images[len(self._right)].label) == 0)

    def result(self) -> float:
        """A share."""
        return float(np.mean(self._right))


def class_loss(settings: Settings) -> Any:
    """The Keras loss that these settings ask for: cross-entropy of labels (N, classes) and logits (N, classes)."""
    from training.tasks.classification.losses import ClassCrossEntropy

    return ClassCrossEntropy(settings.label_smoothing, settings.class_weights)


def draw_classes(images: Image, scores: Array, answers: dict[str, Any]) -> Image:
    """Images (n, H, W, 3) RGB with the name of the highest of labels or logits (n, classes) on them."""
    drawn, names = images.copy(), label_names(answers)
    for image, name in zip(drawn, (names[index] for index in np.asarray(scores).argmax(axis=-1)), strict=True):
        for color, thick in (((0, 0, 0), 3), ((255, 255, 255), 1)):
            cv2.putText(image, name, (3, image.shape[0] - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.4, color, thick, cv2.LINE_AA)
    return drawn


def balancing_weights(data: ClassFolders) -> NDArray[np.float64]:
    """Weights (classes,) by how many images of each there are."""
    return weights_by_count(np.bincount([one.label for one in data.images], minlength=len(data.classes)))


def _recipe(spec: Network) -> str:
    """The paper's for its networks."""
    return "small" if "small" in spec.name else "imagenet"


TASK = TrainingTask(
    metric=METRIC,
    noun="images",
    maker=ClassMaker,
    loss=class_loss,
    imitation=divergence,
    scorer=TopOneScorer,
    recipe=_recipe,
    draw=draw_classes,
    class_weights=balancing_weights,
)
