"""Examples of people (or of anything with keypoints) in boxes: a crop at random, its heatmaps, the joints' weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hrnet_tf.networks import Network
from mobile_eval.datasets.coco import KeypointDataset
from mobile_eval.geometry import Array as Matrix
from mobile_eval.geometry import box_matrix
from mobile_eval.preprocess import normalize, warp_crop
from training.tasks.pose.augmentation import Augmentation, mirrored_keypoints, random_crop, upper_body
from training.tasks.pose.targets import HeatmapTargets, heatmap_target
from training.tasks.task import Array, Image, Maker


class KeypointMaker(Maker):
    """Crops (H, W, 3), heatmaps (H/4, W/4, K) and joint weights (1, 1, K)."""

    def __init__(self, data: KeypointDataset, spec: Network, targets: HeatmapTargets, augmentation: Augmentation):
        self.persons = data.persons
        self.category = data.category
        self.input_size = spec.input_size
        self.heatmap_size = spec.resolution(0)
        self.targets = targets
        self.augmentation = augmentation
        self.upper = upper_body(data.category.joints) if augmentation.half_body_probability else None
        joints = len(data.category.joints)
        self.shapes = ((*spec.input_size, 3), (*self.heatmap_size, joints), (1, 1, joints))

    def example(self, index: int, image: Image, rng: np.random.Generator, out: Sequence[Array]) -> None:
        person = self.persons[index]
        matrix, mirrored = random_crop(
            person.box, person.keypoints, self.upper, self.input_size, self.augmentation, rng, self.targets.geometry
        )
        keypoints = mirrored_keypoints(person.keypoints, self.category) if mirrored else person.keypoints
        self._write(keypoints, image, matrix, out)

    def plain(self, index: int, image: Image, out: Sequence[Array]) -> None:
        person = self.persons[index]
        self._write(person.keypoints, image, box_matrix(person.box, self.input_size, self.targets.geometry), out)

    def _write(self, keypoints: Matrix, image: Image, matrix: Matrix, out: Sequence[Array]) -> None:
        crop, heatmaps, weights = out
        normalize(warp_crop(image, matrix, self.input_size), out=crop)
        weights[:] = heatmap_target(keypoints, matrix, self.heatmap_size, self.targets, heatmaps)[1]
