"""Random crops around persons: half body, scale, rotation and flip in one affine matrix.

Constants and order are those of the official pose code (Deep High-Resolution Representation Learning, arXiv 1902.09212).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.coco.categories import KeypointCategory
from mobile_eval.datasets.flip_pairs import words_without_side
from mobile_eval.image.geometry import STANDARD, Array, Geometry, crop_matrix, expand_box, mirrored

HALF_BODY_JOINTS = 8  # half-body crops are only taken of persons with more labelled joints than this
HALF_BODY_PADDING = 1.5  # factor on the box around the joints of the half
MIN_HALF_JOINTS = 2  # a half needs more joints than this to be preferred
UPPER = {"nose", "eye", "ear", "head", "neck", "thorax", "shoulder", "elbow", "wrist"}
LOWER = {"pelvis", "hip", "knee", "ankle"}


@dataclass(frozen=True)
class Augmentation:
    """Random geometry of a crop; defaults are those of the official pose recipe.

    Args:
        rotation: Standard deviation in degrees, clipped at twice this; the maximum if `uniform`.
        rotation_probability: Probability of a rotation.
        scale: Standard deviation of the zoom, clipped at this; the maximum if `uniform`.
        flip_probability: Probability of a horizontal flip.
        half_body_probability: Probability of a crop of half the body.
        uniform: Draw zoom and rotation from uniform instead of normal distributions.
    """

    rotation: float = 45.0
    rotation_probability: float = 0.6
    scale: float = 0.35
    flip_probability: float = 0.5
    half_body_probability: float = 0.3
    uniform: bool = False


@dataclass(frozen=True)
class JointSides:
    """The sides of the joints of a category.

    Args:
        mirrored: Index (K,) of each joint's counterpart in a flipped image; None if not known.
        upper: Whether each joint (K,) is of the upper body; None if not known.
    """

    mirrored: NDArray[np.intp] | None
    upper: NDArray[np.bool_] | None

    @classmethod
    def of(cls, category: KeypointCategory) -> JointSides:
        """Return the sides by the category's flip pairs and the names of its joints."""
        return cls(None if category.flip_pairs is None else category.mirrored, upper_body(category.joints))


def upper_body(joints: tuple[str, ...]) -> NDArray[np.bool_] | None:
    """Return whether each joint (K,) is of the upper body, by its name; None where a name says neither upper nor lower."""
    words = [set(words_without_side(joint)) for joint in joints]
    if not all(word & (UPPER | LOWER) for word in words):
        return None
    return np.array([bool(word & UPPER) for word in words])


def half_body(
    keypoints: Array, upper: NDArray[np.bool_], input_size: tuple[int, int], rng: np.random.Generator
) -> tuple[Array, Array] | None:
    """Return the box around the upper or lower half of the body.

    The official code draws from a normal distribution, so that the upper half has a probability of 0.69.

    Args:
        keypoints: Keypoints (K, 3) in image pixels.
        upper: Whether each joint (K,) is of the upper body.
        input_size: Height and width of the network's input.
        rng: Source of randomness.

    Returns:
        Centre (x, y), the mean of the joints of the half, and extent (width, height); None where neither half has an extent.
    """
    visible = keypoints[:, 2] > 0
    halves = keypoints[visible & upper, :2], keypoints[visible & ~upper, :2]
    enough_upper, enough_lower = (len(half) > MIN_HALF_JOINTS for half in halves)
    take_upper = (rng.standard_normal() < 0.5 and enough_upper) or not enough_lower
    points = halves[0] if take_upper else halves[1]
    if len(points) < 2:
        return None
    corner, size = points.min(axis=0), np.ptp(points, axis=0)
    if not size.any():
        return None
    _, extent = expand_box((*corner, *size), input_size, HALF_BODY_PADDING)
    return points.mean(axis=0), extent


def random_crop(
    box: tuple[float, float, float, float],
    keypoints: Array,
    upper: NDArray[np.bool_] | None,
    input_size: tuple[int, int],
    augmentation: Augmentation,
    rng: np.random.Generator,
    geometry: Geometry = STANDARD,
) -> tuple[Array, bool]:
    """Draw a random crop around a person.

    Args:
        box: The person's box (x, y, width, height) in image pixels.
        keypoints: The person's keypoints (K, 3) in image pixels.
        upper: Whether each joint (K,) is of the upper body; None if not known.
        input_size: Height and width of the crop.
        augmentation: What is drawn.
        rng: Source of randomness.
        geometry: Geometry of the crop.

    Returns:
        Matrix (2, 3) from image to crop pixels, and whether it flips the image. A flipped crop has the box's centre where an
        unflipped one has it, as in the official code.
    """
    center, extent = expand_box(box, input_size)
    enough = upper is not None and int(np.sum(keypoints[:, 2] > 0)) > HALF_BODY_JOINTS
    if upper is not None and enough and augmentation.half_body_probability and rng.random() < augmentation.half_body_probability:
        center, extent = half_body(keypoints, upper, input_size, rng) or (center, extent)
    scale = 1 + augmentation.scale * _random_factor(rng, 1, augmentation)
    rotation = 0.0
    if rng.random() < augmentation.rotation_probability:
        rotation = math.radians(augmentation.rotation * _random_factor(rng, 2, augmentation))
    matrix = crop_matrix(center, extent * scale, input_size, rotation, geometry)
    is_flipped = bool(rng.random() < augmentation.flip_probability)
    return mirrored(matrix, input_size, geometry) if is_flipped else matrix, is_flipped


def _random_factor(rng: np.random.Generator, limit: float, augmentation: Augmentation) -> float:
    """Draw a normal number clipped to [-limit, limit], or a uniform one from -1 to 1."""
    return float(rng.uniform(-1, 1) if augmentation.uniform else np.clip(rng.standard_normal(), -limit, limit))
