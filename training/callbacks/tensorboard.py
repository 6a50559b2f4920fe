"""Curves and pictures for TensorBoard: augmented examples with their targets, and outputs for the same images over time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.keras_module import keras, tf
from hrnet_tf.backend.types import TFSummaryWriter
from hrnet_tf.models.inference import Inference
from hrnet_tf.spec.architectures import Network
from mobile_eval.datasets.base import TaskDataset
from mobile_eval.image.geometry import STANDARD, Geometry
from mobile_eval.image.preprocess import IMAGENET_MEAN, IMAGENET_STD, normalize
from mobile_eval.tasks.registry import TASKS
from training.tasks.base import Image, Outputs
from training.tasks.registry import training_task

MAX_IMAGES = 8


class TensorBoardImages(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes the logs and the model's outputs for some images after each epoch.

    Args:
        folder: Folder of the summaries.
        spec: Spec of the model.
        example: Images (N, H, W, 3) and targets (N, ...) of a training batch.
        data: The data set whose first images are shown with outputs.
        geometry: Geometry of the network.
    """

    def __init__(
        self,
        folder: Path,
        spec: Network,
        example: Sequence[NDArray[np.float32]],
        data: TaskDataset,
        geometry: Geometry = STANDARD,
    ):
        super().__init__()
        self.folder = folder
        self.example = example
        self.category = data.label_schema
        self.task = training_task(spec.task)
        self.geometry = geometry
        self.input_size = spec.input_size
        self.images = TASKS[spec.task].inputs(data.items[:MAX_IMAGES], spec.input_size, geometry)
        self._writer: TFSummaryWriter = None
        self._inference: Inference | None = None

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self._writer = tf.summary.create_file_writer(str(self.folder))
        self._inference = Inference(self.model, (*self.input_size, 3))
        images, targets = (part[:MAX_IMAGES] for part in self.example)
        with self._writer.as_default(step=0):
            tf.summary.image("augmented", self._drawn(original_bytes(images), targets), max_outputs=MAX_IMAGES)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        outputs = self._inference(normalize(self.images)) if self._inference else None
        with self._writer.as_default(step=epoch + 1):
            for name, value in (logs or {}).items():
                tf.summary.scalar(name, float(value))
            tf.summary.image("outputs", self._drawn(self.images, outputs), max_outputs=MAX_IMAGES)
        self._writer.flush()

    def _drawn(self, images: Image, outputs: Outputs) -> Image:
        return self.task.draw(images, outputs, self.category, self.geometry)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        self._writer.close()


def original_bytes(images: NDArray[np.float32]) -> Image:
    """Return normalized images (N, H, W, 3) as bytes, RGB."""
    values = (images * np.array(IMAGENET_STD, np.float32) + np.array(IMAGENET_MEAN, np.float32)) * 255
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)
