"""The box head of Faster R-CNN: two dense layers on what a box covers, then classes and boxes."""

from __future__ import annotations

from typing import Any

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.models.detection.sizes import DETECTION_POOLED_SIZE

LAYERS = ("box_head_dense1", "box_head_dense2", "box_head_logits", "box_head_deltas")


def box_head(pooled: Any, features: int, classes: int) -> tuple[Any, Any]:
    """Class logits (N, R, classes + 1) and deltas (N, R, 4 * (classes + 1)) of maps (N, R, 7, 7, C)."""
    x = keras.layers.Reshape((-1, pooled.shape[-1] * DETECTION_POOLED_SIZE**2), name="box_head_flatten")(pooled)
    x = keras.layers.Dense(features, "relu", name=LAYERS[0])(x)
    x = keras.layers.Dense(features, "relu", name=LAYERS[1])(x)
    logits = keras.layers.Dense(classes + 1, kernel_initializer=normal(0.01), name=LAYERS[2])(x)
    deltas = keras.layers.Dense(4 * (classes + 1), kernel_initializer=normal(0.001), name=LAYERS[3])(x)
    return logits, deltas


def box_head_model(network: Any) -> Any:
    """The layers of a detector's box head as a model of its own: maps (R, 7, 7, C) to class logits and deltas, as `box_head`."""
    dense1, dense2, logits, deltas = map(network.get_layer, LAYERS)
    size = DETECTION_POOLED_SIZE
    pooled = keras.Input((size, size, dense1.kernel.shape[0] // size**2), name="pooled")
    x = dense2(dense1(keras.layers.Reshape((-1,), name="box_head_flat")(pooled)))
    return keras.Model(pooled, {"class_logits": logits(x), "box_deltas": deltas(x)}, name="box_head")


def normal(stddev: float) -> Any:
    """Initial weights of mmdetection's heads."""
    return keras.initializers.RandomNormal(stddev=stddev)
