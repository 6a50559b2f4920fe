"""Where a person's crop is taken: half a body, scale, rotation and mirroring at random, all in one affine matrix.

Constants and order are those of the official pose code base (Deep High-Resolution Representation Learning, arXiv 1902.09212).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.coco.keypoints import KeypointCategory
from mobile_eval.datasets.flip_pairs import name_words
from mobile_eval.image.geometry import STANDARD, Array, Geometry, crop_matrix, expand_box, mirrored

HALF_BODY_JOINTS = 8  # half a body is taken only where more joints than this are labelled
HALF_BODY_PADDING = 1.5  # of the box around its joints
ENOUGH_JOINTS = 2  # a half needs more than this to be chosen before the other
UPPER = {"nose", "eye", "ear", "head", "neck", "thorax", "shoulder", "elbow", "wrist"}
LOWER = {"pelvis", "hip", "knee", "ankle"}


@dataclass(frozen=True)
class Augmentation:
    """Random geometry of a crop; the constants of the official pose recipe by default (angles in degrees)."""

    rotation: float = 45.0  # standard deviation, cut at twice this
    rotation_probability: float = 0.6
    scale: float = 0.35  # standard deviation of the zoom, cut at this
    flip_probability: float = 0.5
    half_body_probability: float = 0.3
    uniform: bool = False  # zoom and rotation are drawn evenly up to these, not normally


@dataclass(frozen=True)
class JointSides:
    """Index (K,) of each joint's mirror image, and which joints (K,) are of the upper body; None of what is not known."""

    mirrored: NDArray[np.intp] | None
    upper: NDArray[np.bool_] | None

    @classmethod
    def of(cls, category: KeypointCategory) -> JointSides:
        """By the category's pairs, and the joints' names."""
        return cls(None if category.flip_pairs is None else category.mirrored, upper_body(category.joints))


def upper_body(joints: tuple[str, ...]) -> NDArray[np.bool_] | None:
    """Which joints (K,) are of the upper body, the others being of the lower; None where a joint's name does not tell."""
    words = [set(name_words(joint)) for joint in joints]
    if not all(word & (UPPER | LOWER) for word in words):
        return None
    return np.array([bool(word & UPPER) for word in words])


def half_body(
    keypoints: Array, upper: NDArray[np.bool_], input_size: tuple[int, int], rng: np.random.Generator
) -> tuple[Array, Array] | None:
    """Centre (x, y) and extent (width, height) of the upper or lower half of keypoints (K, 3); None where neither has an extent.

    The centre is the mean of the half's joints. The official draw is normal, so that the upper half has a chance of 0.69.
    """
    visible = keypoints[:, 2] > 0
    halves = keypoints[visible & upper, :2], keypoints[visible & ~upper, :2]
    above, below = (len(half) > ENOUGH_JOINTS for half in halves)
    take_upper = (rng.standard_normal() < 0.5 and above) or not below
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
    """Matrix (2, 3) from image to crop pixels for a person's box, and whether it mirrors: then left and right change places.

    A mirrored crop has the box's centre where a plain one has it, as the official code's mirrored images have.
    """
    center, extent = expand_box(box, input_size)
    enough = upper is not None and int(np.sum(keypoints[:, 2] > 0)) > HALF_BODY_JOINTS
    if upper is not None and enough and augmentation.half_body_probability and rng.random() < augmentation.half_body_probability:
        center, extent = half_body(keypoints, upper, input_size, rng) or (center, extent)
    scale = 1 + augmentation.scale * _drawn(rng, 1, augmentation)
    rotation = 0.0
    if rng.random() < augmentation.rotation_probability:
        rotation = math.radians(augmentation.rotation * _drawn(rng, 2, augmentation))
    matrix = crop_matrix(center, extent * scale, input_size, rotation, geometry)
    mirror = rng.random() < augmentation.flip_probability
    return mirrored(matrix, input_size, geometry) if mirror else matrix, mirror


def _drawn(rng: np.random.Generator, cut: float, augmentation: Augmentation) -> float:
    """A normal number cut at -`cut` and `cut`, or an even one from -1 to 1."""
    return float(rng.uniform(-1, 1) if augmentation.uniform else np.clip(rng.standard_normal(), -cut, cut))
