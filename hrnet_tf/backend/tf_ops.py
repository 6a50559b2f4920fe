"""What this package uses of `keras.ops` and `keras.random`, by the same names, for tf_keras, which has neither."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import tensorflow as tf

from mobile_eval.errors import HRNetError

abs = tf.abs  # noqa: A001
cast = tf.cast
clip = tf.clip_by_value
concatenate = tf.concat
convert_to_tensor = tf.convert_to_tensor
equal = tf.equal
log = tf.math.log
log_softmax = tf.nn.log_softmax
maximum = tf.maximum
mean = tf.reduce_mean
minimum = tf.minimum
repeat = tf.repeat
reshape = tf.reshape
sigmoid = tf.sigmoid
size = tf.size
softmax = tf.nn.softmax
square = tf.square
sum = tf.reduce_sum  # noqa: A001
take = tf.gather
top_k = tf.math.top_k
where = tf.where


def sparse_categorical_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Any:
    """Cross-entropy (...) of class indices (...) and logits (..., classes); `keras.ops` also takes probabilities."""
    _check_logits(from_logits)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(target, output)


def categorical_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Any:
    """Cross-entropy (...) of distributions (..., classes) and logits (..., classes); `keras.ops` also takes probabilities."""
    _check_logits(from_logits)
    return tf.nn.softmax_cross_entropy_with_logits(target, output)


def _check_logits(from_logits: bool) -> None:
    if not from_logits:
        raise HRNetError("cross-entropy of probabilities is not used here: give logits, with from_logits=True")


def shape(x: Any) -> tuple[Any, ...]:
    """Sizes of all axes: numbers where they are known, else tensors."""
    known, found = x.shape, tf.shape(x)
    return tuple(found[axis] if size is None else size for axis, size in enumerate(known))


def _resize(images: Any, size: Sequence[int], interpolation: str) -> Any:
    """Images (N, H, W, C) enlarged by whole factors, in the form that TFLite, QAT and the Edge TPU accept.

    `tf.image.resize` computes the same values, but its nearest has half-pixel centers too, which become a version of
    TFLite's RESIZE_NEAREST_NEIGHBOR that Edge TPU compilers refuse.
    """
    if interpolation == "nearest":
        return tf.raw_ops.ResizeNearestNeighbor(images=images, size=size)
    resized = tf.raw_ops.ResizeBilinear(images=images, size=size, half_pixel_centers=True)  # float32 always
    return tf.cast(resized, images.dtype)


class _SeedGenerator:
    """tf_keras has one generator for everything random, which `keras.utils.set_random_seed` starts."""


def _uniform(shape: Any, minval: float, maxval: float, seed: _SeedGenerator) -> Any:
    return tf.random.uniform(shape, minval, maxval)


image = SimpleNamespace(resize=_resize)
random = SimpleNamespace(SeedGenerator=_SeedGenerator, uniform=_uniform)
