"""Real images for calibration and for checking: people of a data set, through the device's own preprocessing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.runs import Run
from mobile_eval.datasets.coco import KeypointDataset, load_keypoint_dataset
from mobile_eval.preprocess import person_crops
from mobile_eval.tasks.asked import Source

PERSONS = 200
CHECKED = 16
RANDOM = 4


def crops_of(data: KeypointDataset, size: tuple[int, int], count: int = PERSONS, seed: int | None = None) -> NDArray[np.uint8]:
    """RGB crops (N, H, W, 3) of the first `count` persons, or with a `seed` of as many drawn at random."""
    persons = data.persons[:count]
    if seed is not None:
        picked = np.random.default_rng(seed).permutation(len(data.persons))[:count]
        persons = tuple(data.persons[i] for i in picked)
    return person_crops(persons, size)[0]


def own_people(run: Run) -> KeypointDataset | None:
    """The people that a run was trained on; None where they are not there (any more)."""
    paths = run.config.get("train", {})
    if not paths or not all(Path(path).exists() for path in paths.values()):
        return None
    source = Source.from_json(paths)
    return load_keypoint_dataset(source.path("annotations"), source.path("images"))


def random_crops(size: tuple[int, int]) -> NDArray[np.uint8]:
    """Smooth random images, for checking where no real ones are to be had."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (RANDOM, size[0] // 16, size[1] // 16, 3), dtype=np.uint8)
    return coarse.repeat(16, axis=1).repeat(16, axis=2)
