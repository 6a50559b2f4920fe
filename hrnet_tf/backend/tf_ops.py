"""The functions of `keras.ops` and `keras.random` that this package uses, for tf_keras, which has neither."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import tensorflow as tf

from hrnet_tf.backend.types import Shape, Tensor

abs = tf.abs  # noqa: A001
arange = tf.range
cast = tf.cast
clip = tf.clip_by_value
concatenate = tf.concat
convert_to_tensor = tf.convert_to_tensor
equal = tf.equal
exp = tf.exp
floor = tf.floor
log = tf.math.log
log_softmax = tf.nn.log_softmax
matmul = tf.matmul
max = tf.reduce_max  # noqa: A001
maximum = tf.maximum
mean = tf.reduce_mean
min = tf.reduce_min  # noqa: A001
minimum = tf.minimum
repeat = tf.repeat
reshape = tf.reshape
sigmoid = tf.sigmoid
size = tf.size
softmax = tf.nn.softmax
softplus = tf.math.softplus
sqrt = tf.sqrt
square = tf.square
sum = tf.reduce_sum  # noqa: A001
take = tf.gather
top_k = tf.math.top_k
transpose = tf.transpose
where = tf.where


def sparse_categorical_crossentropy(target: Tensor, output: Tensor, from_logits: bool = False) -> Tensor:
    """Return the cross-entropy (...) of class indices (...) and logits (..., classes); probabilities are not supported."""
    _check_logits(from_logits)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(target, output)


def categorical_crossentropy(target: Tensor, output: Tensor, from_logits: bool = False) -> Tensor:
    """Return the cross-entropy (...) of distributions and logits (..., classes); probabilities are not supported."""
    _check_logits(from_logits)
    return tf.nn.softmax_cross_entropy_with_logits(target, output)


def segment_max(data: Tensor, segment_ids: Tensor, num_segments: int | Tensor) -> Tensor:
    """Return the maxima (segments, ...) of the rows of data (N, ...) in each segment; a very low number where there are none."""
    return tf.math.unsorted_segment_max(data, segment_ids, num_segments)


def _check_logits(from_logits: bool) -> None:
    if not from_logits:
        raise ValueError("cross-entropy of probabilities is not supported: pass logits and from_logits=True")


def shape(x: Tensor) -> tuple[int | Tensor, ...]:
    """Return the sizes of all axes: integers if they are known, else tensors."""
    static, dynamic = x.shape, tf.shape(x)
    return tuple(dynamic[axis] if size is None else size for axis, size in enumerate(static))


def _resize(images: Tensor, size: Sequence[int], interpolation: str) -> Tensor:
    """Upsample images (N, H, W, C), in a form that TFLite, QAT and the Edge TPU accept.

    `tf.image.resize` computes the same values, except for "aligned", bilinear with the corners in one place. Its nearest
    interpolation also has half-pixel centers, for which TFLite has a version of RESIZE_NEAREST_NEIGHBOR that Edge TPU compilers
    refuse.
    """
    if interpolation == "nearest":
        return tf.raw_ops.ResizeNearestNeighbor(images=images, size=size)
    aligned = interpolation == "aligned"
    resized = tf.raw_ops.ResizeBilinear(images=images, size=size, align_corners=aligned, half_pixel_centers=not aligned)
    return tf.cast(resized, images.dtype)  # it is always float32


class _SeedGenerator:
    """Has no state: tf_keras has one global generator, seeded by `keras.utils.set_random_seed`."""


def _uniform(shape: Shape, minval: float, maxval: float, seed: _SeedGenerator) -> Tensor:
    return tf.random.uniform(shape, minval, maxval)


image = SimpleNamespace(resize=_resize)
random = SimpleNamespace(SeedGenerator=_SeedGenerator, uniform=_uniform)
