"""Batches in which images are mixed with each other, labels in proportion: MixUp and CutMix."""

from __future__ import annotations

import numpy as np

from training.tasks.base import Array


def mixup(images: Array, labels: Array, alpha: float, rng: np.random.Generator) -> None:
    """Blend each of images (N, H, W, 3) with another, and labels (N, classes), in place (Zhang et al., arXiv 1710.09412)."""
    own, other = np.float32(rng.beta(alpha, alpha)), rng.permutation(len(images))
    for part in (images, labels):
        part[:] = own * part + (1 - own) * part[other]


def cutmix(images: Array, labels: Array, alpha: float, rng: np.random.Generator) -> None:
    """Paste into each of images (N, H, W, 3) a rectangle of another, in place (Yun et al., arXiv 1905.04899).

    Labels (N, classes) change by the rectangle's share of the area, which may be less than drawn where it is cut at a border.
    """
    height, width = images.shape[1:3]
    other, side = rng.permutation(len(images)), np.sqrt(1 - rng.beta(alpha, alpha))
    y, x = rng.random(2) * (height, width)
    top, bottom = (int(np.clip(y + sign * side * height / 2, 0, height)) for sign in (-1, 1))
    left, right = (int(np.clip(x + sign * side * width / 2, 0, width)) for sign in (-1, 1))
    images[:, top:bottom, left:right] = images[other, top:bottom, left:right]
    pasted = np.float32((bottom - top) * (right - left) / (height * width))
    labels[:] = (1 - pasted) * labels + pasted * labels[other]
