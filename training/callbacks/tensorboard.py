"""A training in TensorBoard: curves, augmented images with what is to be learnt, and the same images' answers over time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.keras_module import keras, tf
from hrnet_tf.models.inference import as_arrays
from hrnet_tf.spec.architectures import Network
from mobile_eval.datasets.base import TaskDataset
from mobile_eval.image.geometry import STANDARD, Geometry
from mobile_eval.image.preprocess import IMAGENET_MEAN, IMAGENET_STD, normalize
from mobile_eval.tasks.registry import TASKS
from training.tasks.registry import training_task

SHOWN = 8  # images


class Pictures(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes summaries to `folder`: after each epoch its logs and what the model finds in `looked_at`.

    `example` are the images (N, H, W, 3) and targets (N, ...) of a training batch.
    """

    def __init__(
        self,
        folder: Path,
        spec: Network,
        example: Sequence[NDArray[np.float32]],
        looked_at: TaskDataset,
        geometry: Geometry = STANDARD,
    ):
        super().__init__()
        self.folder = folder
        self.example = example
        self.label_schema = looked_at.label_schema
        self.task = training_task(spec.task)
        self.geometry = geometry
        self.images = TASKS[spec.task].inputs(looked_at.items[:SHOWN], spec.input_size, geometry)
        self._writer: Any = None

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self._writer = tf.summary.create_file_writer(str(self.folder))
        images, targets = (part[:SHOWN] for part in self.example)
        with self._writer.as_default(step=0):
            tf.summary.image("augmented", self._drawn(original_bytes(images), targets), max_outputs=SHOWN)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        found = as_arrays(self.model(normalize(self.images), training=False))
        with self._writer.as_default(step=epoch + 1):
            for name, value in (logs or {}).items():
                tf.summary.scalar(name, float(value))
            tf.summary.image("found", self._drawn(self.images, found), max_outputs=SHOWN)
        self._writer.flush()

    def _drawn(self, images: NDArray[np.uint8], shown: Any) -> NDArray[np.uint8]:
        return self.task.draw(images, shown, self.label_schema, self.geometry)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        self._writer.close()


def original_bytes(images: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Normalized images (N, H, W, 3) as they were: RGB."""
    values = (images * np.array(IMAGENET_STD, np.float32) + np.array(IMAGENET_MEAN, np.float32)) * 255
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)
