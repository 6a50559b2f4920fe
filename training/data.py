"""The training pipeline: persons of a COCO keypoint file to (crops, heatmaps, weights) in a `tf.data.Dataset`.

Everything random is drawn from (seed, epoch, person), so that a resumed run sees what it would have seen.
Geometry and preprocessing are `mobile_eval`'s, the same that the device uses.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hrnet_tf._keras import tf
from hrnet_tf.networks import Network
from mobile_eval.datasets.coco import KeypointDataset, Person
from mobile_eval.decode import HEATMAP_STRIDE
from mobile_eval.geometry import Array, crop_matrix, expand_box, transform_points
from mobile_eval.preprocess import normalize, person_crops, read_image, warp_crop

Example = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True)
class Augmentation:
    """Random geometry of a crop; the constants of the official pose recipe by default (angles in degrees)."""

    rotation: float = 45.0  # standard deviation, cut at twice this
    rotation_probability: float = 0.6
    scale: float = 0.35  # standard deviation of the zoom, cut at this
    flip_probability: float = 0.5


def crop_target(person: Person, matrix: Array, spec: Network, sigma: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Heatmaps (H/4, W/4, K) with a Gaussian of peak 1 and `sigma` (heatmap pixels) at each joint, and weights (K,).

    The Gaussian is centred at the exact, unrounded place (DARK, arXiv 1910.06278). The weight is 0 for joints
    that are not labelled or lie outside the crop.
    """
    height, width = spec.resolution(0)
    center = transform_points(person.keypoints[:, :2], matrix) / HEATMAP_STRIDE
    inside = np.all((center > -0.5) & (center < [width - 0.5, height - 0.5]), axis=1)
    weights = (person.keypoints[:, 2] > 0) & inside
    dx = np.arange(width)[None, :, None] - center[:, 0]
    dy = np.arange(height)[:, None, None] - center[:, 1]
    heatmaps = np.exp(-(dx**2 + dy**2) / (2 * sigma**2)) * weights
    return heatmaps.astype(np.float32), weights.astype(np.float32)


def augmented_example(
    person: Person,
    mirrored: NDArray[np.intp],
    spec: Network,
    sigma: float,
    augmentation: Augmentation,
    rng: np.random.Generator,
) -> Example:
    """One crop (H, W, 3), rotated, scaled and mirrored at random, its heatmaps (H/4, W/4, K) and joint weights (K,)."""
    rotation, scale = (
        0.0,
        float(np.clip(1 + augmentation.scale * rng.standard_normal(), 1 - augmentation.scale, 1 + augmentation.scale)),
    )
    if rng.random() < augmentation.rotation_probability:
        rotation = math.radians(augmentation.rotation * float(np.clip(rng.standard_normal(), -2, 2)))
    flip = rng.random() < augmentation.flip_probability
    center, extent = expand_box(person.box, spec.input_size)
    matrix = crop_matrix(center, extent * scale, spec.input_size, rotation)
    if flip:
        width = spec.input_size[1]
        matrix = np.array([[-1, 0], [0, 1]]) @ matrix + np.array([[0, 0, width - 1], [0, 0, 0]])
        keypoints = person.keypoints[mirrored]
        person = dataclasses.replace(person, keypoints=keypoints)
    crop = normalize(warp_crop(read_image(person.image_path, person.image_size), matrix, spec.input_size))
    return crop, *crop_target(person, matrix, spec, sigma)


def plain_crops(persons: tuple[Person, ...], spec: Network) -> tuple[NDArray[np.float32], Array]:
    """Crops (N, H, W, 3) as the device sees them, and their matrices (N, 2, 3) from image to crop."""
    crops, matrices = person_crops(persons, spec.input_size)
    return normalize(crops), matrices


def training_dataset(
    data: KeypointDataset,
    spec: Network,
    *,
    batch_size: int,
    epochs: range,
    seed: int,
    sigma: float,
    augmentation: Augmentation,
) -> tf.data.Dataset:
    """Batches ((B, H, W, 3), (B, H/4, W/4, K), (B, 1, 1, K)) for all of `epochs` in turn; the last part batch is dropped."""
    mirrored = data.category.mirrored

    def order(epoch: NDArray[np.int64]) -> NDArray[np.int64]:
        picked = np.random.default_rng((seed, int(epoch))).permutation(len(data))
        picked = picked[: steps_per_epoch(data, batch_size) * batch_size]
        return np.stack([np.full_like(picked, epoch), picked], axis=1).astype(np.int64)

    def example(key: NDArray[np.int64]) -> Example:
        epoch, index = map(int, key)
        rng = np.random.default_rng((seed, epoch, index))
        crop, heatmaps, weights = augmented_example(data.persons[index], mirrored, spec, sigma, augmentation, rng)
        return crop, heatmaps, weights[None, None]

    heatmap_size = spec.resolution(0)
    shapes = ((*spec.input_size, 3), (*heatmap_size, spec.classes), (1, 1, spec.classes))

    def load(key: tf.Tensor) -> tuple[tf.Tensor, ...]:
        tensors = tf.numpy_function(example, [key], (tf.float32,) * 3)
        return tuple(tf.ensure_shape(tensor, shape) for tensor, shape in zip(tensors, shapes, strict=True))

    keys = tf.data.Dataset.range(epochs.start, epochs.stop).flat_map(
        lambda epoch: tf.data.Dataset.from_tensor_slices(tf.ensure_shape(tf.numpy_function(order, [epoch], tf.int64), (None, 2)))
    )
    return keys.map(load, num_parallel_calls=2).batch(batch_size, drop_remainder=True).prefetch(4)


def steps_per_epoch(data: KeypointDataset, batch_size: int) -> int:
    """Full batches in one pass over the data."""
    steps = len(data) // batch_size
    if not steps:
        raise ValueError(f"{len(data)} persons are less than one batch of {batch_size}; give a smaller --batch-size")
    return steps
