"""Accuracy of a Keras model on persons, through the device's own preprocessing, decoding and metric."""

from __future__ import annotations

from typing import Any

import numpy as np

from hrnet_tf._keras import keras
from hrnet_tf.networks import Network
from hrnet_tf.weights import model_weights, set_model_weights
from mobile_eval.datasets.coco import KeypointDataset
from mobile_eval.decode import decode_heatmaps, keypoints_in_image
from mobile_eval.geometry import Array
from mobile_eval.metrics.pck import PckResult, pck
from training.examples import plain_crops

BATCH = 64


def predict_keypoints(model: Any, data: KeypointDataset, spec: Network) -> Array:
    """Keypoints (N, K, 3) in image pixels with their heatmap maxima as scores."""
    keypoints = []
    for start in range(0, len(data), BATCH):
        crops, matrices = plain_crops(data.persons[start : start + BATCH], spec)
        keypoints.append(keypoints_in_image(decode_heatmaps(model.predict_on_batch(crops)), matrices))
    return np.concatenate(keypoints)


def evaluate_pck(model: Any, data: KeypointDataset, spec: Network) -> PckResult:
    """PCK@0.1 of a Keras model over all persons of `data`."""
    predicted = predict_keypoints(model, data, spec)
    return pck(predicted, np.stack([p.keypoints for p in data.persons]), [p.box for p in data.persons])


class ValidatePck(keras.callbacks.Callback):  # type: ignore[misc]
    """Adds `val_pck` to the logs after each epoch: that of `network`, which is what is trained or is given its weights."""

    def __init__(self, data: KeypointDataset, spec: Network, network: Any, trained: Any):
        super().__init__()
        self.data = data
        self.spec = spec
        self.network = network
        self.trained = trained

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if self.network is not self.trained:
            set_model_weights(self.network, model_weights(self.trained))
        if logs is not None:
            logs["val_pck"] = evaluate_pck(self.network, self.data, self.spec).pck
