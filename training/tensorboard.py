"""A training in TensorBoard: curves, augmented images with their joints, and the same people's poses over time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnet_tf._keras import keras, tf
from mobile_eval.datasets.coco import KeypointCategory, KeypointDataset
from mobile_eval.decode import HEATMAP_STRIDE, decode_heatmaps
from mobile_eval.pose_picture import draw_skeleton
from mobile_eval.preprocess import IMAGENET_MEAN, IMAGENET_STD, normalize, person_crops

SHOWN = 8  # people


class Pictures(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes summaries to `folder`: after each epoch its logs and the poses that the model finds in `looked_at`.

    `example` are the images (N, H, W, 3) and heatmaps (N, H/4, W/4, K) of a training batch: what is learnt from.
    """

    def __init__(
        self,
        folder: Path,
        category: KeypointCategory,
        example: tuple[NDArray[np.float32], NDArray[np.float32]],
        looked_at: KeypointDataset,
        input_size: tuple[int, int],
    ):
        super().__init__()
        self.folder = folder
        self.category = category
        self.example = example
        self.crops = person_crops(looked_at.persons[:SHOWN], input_size)[0]
        self._writer: Any = None

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self._writer = tf.summary.create_file_writer(str(self.folder))
        images, heatmaps = (part[:SHOWN] for part in self.example)
        with self._writer.as_default(step=0):
            tf.summary.image("augmented", with_joints(original_bytes(images), heatmaps, self.category), max_outputs=SHOWN)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        heatmaps = np.asarray(self.model.predict_on_batch(normalize(self.crops)), np.float32)
        with self._writer.as_default(step=epoch + 1):
            for name, value in (logs or {}).items():
                tf.summary.scalar(name, float(value))
            tf.summary.image("found", with_joints(self.crops, heatmaps, self.category), max_outputs=SHOWN)
        self._writer.flush()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        self._writer.close()


def original_bytes(images: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Normalized images (N, H, W, 3) as they were: RGB."""
    values = (images * np.array(IMAGENET_STD, np.float32) + np.array(IMAGENET_MEAN, np.float32)) * 255
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def with_joints(crops: NDArray[np.uint8], heatmaps: NDArray[np.float32], category: KeypointCategory) -> NDArray[np.uint8]:
    """Crops (N, H, W, 3) RGB with the skeletons of their heatmaps (N, H/4, W/4, K) drawn in."""
    keypoints = decode_heatmaps(heatmaps)
    keypoints[..., :2] *= HEATMAP_STRIDE
    return np.stack([draw_skeleton(crop, found, category) for crop, found in zip(crops, keypoints, strict=True)])
