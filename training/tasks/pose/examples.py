"""Training examples of keypoints in boxes: a random crop, its heatmaps and the weights of the joints."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hrnet_tf.spec.architectures import Network
from mobile_eval.datasets.coco.keypoints import KeypointDataset
from mobile_eval.datasets.flip_pairs import unknown_pairs_message
from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import Array as Matrix
from mobile_eval.image.geometry import box_matrix
from mobile_eval.image.preprocess import normalize, warp_crop
from training.tasks.base import Array, ExampleBuilder, Image
from training.tasks.pose.augmentation import Augmentation, JointSides, random_crop
from training.tasks.pose.targets import HeatmapTargets, heatmap_target


class KeypointExampleBuilder(ExampleBuilder):
    """Builds crops (H, W, 3), heatmaps (H/4, W/4, K) and joint weights (1, 1, K)."""

    def __init__(self, data: KeypointDataset, spec: Network, targets: HeatmapTargets, augmentation: Augmentation):
        self.instances = data.instances
        self.joints = data.category.joints
        self.input_size = spec.input_size
        self.heatmap_size = spec.resolution(0)
        self.targets = targets
        self.augmentation = augmentation
        self.sides = JointSides.of(data.category)
        joints = len(data.category.joints)
        self.shapes = ((*spec.input_size, 3), (*self.heatmap_size, joints), (1, 1, joints))

    def augmented(self, index: int, image: Image, rng: np.random.Generator, out: Sequence[Array]) -> None:
        person = self.instances[index]
        matrix, is_flipped = random_crop(
            person.box, person.keypoints, self.sides.upper, self.input_size, self.augmentation, rng, self.targets.geometry
        )
        self._write(self._flipped(person.keypoints) if is_flipped else person.keypoints, image, matrix, out)

    def plain(self, index: int, image: Image, out: Sequence[Array]) -> None:
        instance = self.instances[index]
        self._write(instance.keypoints, image, box_matrix(instance.box, self.input_size, self.targets.geometry), out)

    def _flipped(self, keypoints: Matrix) -> Matrix:
        """Swap left and right keypoints (K, 3)."""
        if self.sides.mirrored is None:
            raise HRNetError(unknown_pairs_message(self.joints))
        return keypoints[self.sides.mirrored]

    def _write(self, keypoints: Matrix, image: Image, matrix: Matrix, out: Sequence[Array]) -> None:
        crop, heatmaps, weights = out
        normalize(warp_crop(image, matrix, self.input_size), out=crop)
        weights[:] = heatmap_target(keypoints, matrix, self.heatmap_size, self.targets, heatmaps)[1]
