"""What pose brings to training."""

from __future__ import annotations

from typing import Any

import numpy as np

from hrnet_tf.models.build import Network
from mobile_eval.datasets.coco.keypoints import KeypointCategory, KeypointDataset
from mobile_eval.image.geometry import PLAIN, box_matrix, heatmap_pixel
from mobile_eval.keypoints.decode import decode_own, keypoints_in_image
from mobile_eval.metrics.pck import pck
from mobile_eval.tasks.pose.task import METRIC
from mobile_eval.viz.poses import draw_skeleton
from training.tasks.base import Array, Image, TrainingTask
from training.tasks.pose.augmentation import Augmentation
from training.tasks.pose.examples import KeypointMaker
from training.tasks.pose.flip_pairs import check_sides, with_flip_pairs
from training.tasks.pose.settings import Settings
from training.tasks.pose.targets import HeatmapTargets

OF_THE_PAPER = ("pose-w32", "pose-w48")
LARGE = (384, 288)  # the papers' other input size, whose Gaussians are wider


class KeypointCollector:
    """Gathers the keypoints (N, K, 3), in image pixels and with their heatmap maxima as scores, that heatmaps tell of.

    `geometry` is that of the crops, and so of the decoding.
    """

    def __init__(self, data: KeypointDataset, spec: Network, geometry: str = PLAIN):
        self.data = data
        self.input_size = spec.input_size
        self.geometry = geometry
        self._found: list[np.ndarray[Any, np.dtype[np.float64]]] = []
        self._count = 0

    def update(self, predicted: Array) -> None:
        """Heatmaps (n, H/4, W/4, K) of the next n persons."""
        instances = self.data.instances[self._count : self._count + len(predicted)]
        matrices = np.stack([box_matrix(instance.box, self.input_size, self.geometry) for instance in instances])
        decoded = decode_own(np.asarray(predicted, np.float32), self.geometry)
        self._found.append(keypoints_in_image(decoded, matrices, heatmap_pixel(self.input_size, self.geometry)))
        self._count += len(predicted)

    def keypoints(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """All of them."""
        return np.concatenate(self._found)


class PckScorer(KeypointCollector):
    """PCK@0.1 of all persons."""

    def result(self) -> float:
        """A share."""
        instances = self.data.instances
        return pck(self.keypoints(), np.stack([p.keypoints for p in instances]), [p.box for p in instances]).pck


def pose_maker(data: KeypointDataset, spec: Network, settings: Settings) -> KeypointMaker:
    """Makes examples of people."""
    augmentation = Augmentation(
        settings.rotation,
        settings.rotation_probability,
        settings.scale,
        settings.flip_probability,
        settings.half_body_probability,
    )
    targets = HeatmapTargets(settings.targets, settings.sigma)
    return KeypointMaker(data, spec, targets, augmentation)


def heatmap_loss(settings: Any) -> Any:
    """The Keras loss that these settings, of pose or landmarks, ask for."""
    from training.tasks.pose.losses import LOSSES

    return LOSSES[settings.loss]()


def heatmap_imitation(taught: Any, found: Any) -> Any:
    """Half the mean squared difference of heatmaps, as the loss measures it."""
    from hrnet_tf.backend.keras_module import ops

    return 0.5 * ops.mean(ops.square(ops.cast(taught, "float32") - ops.cast(found, "float32")))


def draw_heatmaps(images: Image, heatmaps: Array, answers: dict[str, Any], geometry: str = PLAIN) -> Image:
    """Crops (n, H, W, 3) RGB with the skeletons of their heatmaps (n, H/4, W/4, K) drawn in."""
    category, keypoints = KeypointCategory.from_json(answers), decode_own(np.asarray(heatmaps, np.float32), geometry)
    height, width = images.shape[1:3]
    keypoints[..., :2] *= heatmap_pixel((height, width), geometry)
    return np.stack([draw_skeleton(crop, found, category) for crop, found in zip(images, keypoints, strict=True)])


def _recipe(spec: Network) -> str:
    """The paper's for its networks."""
    if spec.name not in OF_THE_PAPER:
        return "small"
    return "coco-384x288" if spec.input_size == LARGE else "coco"


TASK = TrainingTask(
    metric=METRIC,
    noun="persons",
    maker=pose_maker,
    loss=heatmap_loss,
    imitation=heatmap_imitation,
    scorer=PckScorer,
    recipe=_recipe,
    draw=draw_heatmaps,
    prepare=with_flip_pairs,
    check=check_sides,
)
