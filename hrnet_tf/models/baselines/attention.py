"""Layers of attention between the pixels and the regions of an image."""

from __future__ import annotations

from typing import Any

from hrnet_tf.backend.keras_module import keras, ops
from hrnet_tf.backend.types import Tensor


@keras.utils.register_keras_serializable("hrnet_tf")
class RegionMeans(keras.layers.Layer):  # type: ignore[misc]
    """Weighted means of pixels over soft regions: of features (N, H, W, C) and logits (N, H, W, K) to (N, K, 1, C).

    The weights of a region are the softmax of its logits over all pixels.
    """

    def __init__(self, name: str | None = None, **kwargs: Any):
        super().__init__(name=name, **kwargs)

    def call(self, inputs: list[Tensor]) -> Tensor:
        features, logits = inputs
        height, width, channels = features.shape[1:]
        regions = logits.shape[-1]
        by_region = ops.transpose(ops.reshape(logits, (-1, height * width, regions)), (0, 2, 1))
        weights = ops.cast(ops.softmax(ops.cast(by_region, "float32"), axis=-1), features.dtype)
        means = ops.matmul(weights, ops.reshape(features, (-1, height * width, channels)))
        return ops.reshape(means, (-1, regions, 1, channels))


@keras.utils.register_keras_serializable("hrnet_tf")
class PixelAttention(keras.layers.Layer):  # type: ignore[misc]
    """Attention of pixels to regions: of queries (N, H, W, D), keys (N, K, 1, D) and values (N, K, 1, D) to (N, H, W, D).

    Each pixel gets the mean of the values, weighted by the softmax of its query's scalar products with the keys, divided by the
    root of D.
    """

    def __init__(self, name: str | None = None, **kwargs: Any):
        super().__init__(name=name, **kwargs)

    def call(self, inputs: list[Tensor]) -> Tensor:
        query, key, value = inputs
        height, width, channels = query.shape[1:]
        regions = key.shape[1]
        keys = ops.transpose(ops.reshape(key, (-1, regions, channels)), (0, 2, 1))
        products = ops.matmul(ops.reshape(query, (-1, height * width, channels)), keys)
        weights = ops.cast(ops.softmax(ops.cast(products, "float32") * channels**-0.5, axis=-1), query.dtype)
        means = ops.matmul(weights, ops.reshape(value, (-1, regions, channels)))
        return ops.reshape(means, (-1, height, width, channels))
