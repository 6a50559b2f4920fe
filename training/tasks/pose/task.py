"""The training side of pose, whose heatmaps landmarks share."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.types import KerasLoss, Tensor
from hrnet_tf.spec.architectures import Network
from mobile_eval.datasets.coco.categories import KeypointCategory
from mobile_eval.datasets.coco.keypoints import KeypointDataset
from mobile_eval.datasets.flip_pairs import resolve_flip_pairs, unknown_pairs_message
from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import STANDARD, Geometry, box_matrix, heatmap_pixel
from mobile_eval.keypoints.decode import decode_by_geometry, keypoints_in_image
from mobile_eval.metrics.pck import pck
from mobile_eval.tasks.pose.task import METRIC
from mobile_eval.viz.poses import draw_skeleton
from training.tasks.base import Array, Category, Image, TrainingTask
from training.tasks.pose.augmentation import Augmentation
from training.tasks.pose.examples import KeypointExampleBuilder
from training.tasks.pose.settings import HeatmapSettings, PoseSettings
from training.tasks.pose.targets import HeatmapTargets

PAPER_NETWORKS = ("pose-w32", "pose-w48")
LARGE_INPUT = (384, 288)  # the paper's second input size, with wider Gaussians


class KeypointCollector:
    """Decodes heatmaps to keypoints in the pixels of the images, batch by batch.

    Args:
        data: The data set.
        spec: The network's spec.
        geometry: Geometry of the crops and of the decoding.
    """

    def __init__(self, data: KeypointDataset, spec: Network, geometry: Geometry = STANDARD):
        self.data = data
        self.input_size = spec.input_size
        self.geometry = geometry
        self._batches: list[NDArray[np.float64]] = []
        self._count = 0

    def update(self, outputs: Array) -> None:
        """Add the heatmaps (n, H/4, W/4, K) of the next n persons."""
        persons = self.data.instances[self._count : self._count + len(outputs)]
        matrices = np.stack([box_matrix(person.box, self.input_size, self.geometry) for person in persons])
        decoded = decode_by_geometry(np.asarray(outputs, np.float32), self.geometry)
        self._batches.append(keypoints_in_image(decoded, matrices, heatmap_pixel(self.input_size, self.geometry)))
        self._count += len(outputs)

    def keypoints(self) -> NDArray[np.float64]:
        """Return all keypoints (N, K, 3): x and y in image pixels, and the heatmap's maximum as score."""
        return np.concatenate(self._batches)


class PckEvaluator(KeypointCollector):
    """Measures PCK@0.1."""

    def result(self) -> float:
        """Return the fraction of correct keypoints over all persons."""
        persons = self.data.instances
        return pck(self.keypoints(), np.stack([p.keypoints for p in persons]), [p.box for p in persons]).pck


def pose_example_builder(data: KeypointDataset, spec: Network, settings: PoseSettings) -> KeypointExampleBuilder:
    """Return the example builder of pose."""
    augmentation = Augmentation(
        settings.rotation,
        settings.rotation_probability,
        settings.scale,
        settings.flip_probability,
        settings.half_body_probability,
    )
    return KeypointExampleBuilder(data, spec, HeatmapTargets(settings.targets, settings.sigma), augmentation)


def with_flip_pairs(data: KeypointDataset, settings: HeatmapSettings, category: Category | None = None) -> KeypointDataset:
    """Return the data with the flip pairs of the settings.

    Args:
        data: A data set.
        settings: `flip_pairs` adds pairs to those that are known, or replaces them.
        category: Category of the run that is fine-tuned, whose pairs go before those of the data.
    """
    run_category = KeypointCategory.from_json(category) if category else data.category
    same_joints = run_category.joints == data.category.joints and run_category.flip_pairs is not None
    known = run_category.flip_pairs if same_joints else data.category.flip_pairs
    pairs = resolve_flip_pairs(settings.flip_pairs, known, data.category.joints)
    return dataclasses.replace(data, category=dataclasses.replace(data.category, flip_pairs=pairs))


def check_flip_pairs(data: KeypointDataset, settings: HeatmapSettings, is_training_set: bool) -> None:
    """Raise HRNetError where training images are to be flipped and the flip pairs are not known."""
    if is_training_set and settings.flip_probability and data.category.flip_pairs is None:
        raise HRNetError(unknown_pairs_message(data.category.joints))


def heatmap_loss(settings: HeatmapSettings) -> KerasLoss:
    """Return the Keras loss of heatmaps."""
    from training.tasks.pose.losses import LOSSES

    return LOSSES[settings.loss]()


def auxiliary_heatmap_loss() -> KerasLoss:
    """Return the loss of intermediate heatmaps: of all joints (in CPN's paper, mining the hardest there loses accuracy)."""
    from training.tasks.pose.losses import HeatmapMSE

    return HeatmapMSE()


def heatmap_distillation_loss(teacher_heatmaps: Tensor, heatmaps: Tensor) -> Tensor:
    """Half the mean squared difference of heatmaps, a scalar on the scale of `HeatmapMSE`."""
    from hrnet_tf.backend.keras_module import ops

    return 0.5 * ops.mean(ops.square(ops.cast(teacher_heatmaps, "float32") - ops.cast(heatmaps, "float32")))


def draw_heatmaps(images: Image, heatmaps: Array, category: Category, geometry: Geometry = STANDARD) -> Image:
    """Draw the skeletons of heatmaps (n, H/4, W/4, K) on crops (n, H, W, 3), RGB."""
    skeleton, keypoints = KeypointCategory.from_json(category), decode_by_geometry(np.asarray(heatmaps, np.float32), geometry)
    height, width = images.shape[1:3]
    keypoints[..., :2] *= heatmap_pixel((height, width), geometry)
    return np.stack([draw_skeleton(crop, points, skeleton) for crop, points in zip(images, keypoints, strict=True)])


def _recipe(spec: Network) -> str:
    if spec.name not in PAPER_NETWORKS:
        return "small"
    return "coco-384x288" if spec.input_size == LARGE_INPUT else "coco"


TASK: TrainingTask[KeypointDataset, PoseSettings] = TrainingTask(
    metric=METRIC,
    noun="persons",
    example_builder=pose_example_builder,
    loss=heatmap_loss,
    metric_evaluator=PckEvaluator,
    draw=draw_heatmaps,
    recipe=_recipe,
    auxiliary_loss=auxiliary_heatmap_loss,
    distillation_loss=heatmap_distillation_loss,
    prepare=with_flip_pairs,
    check=check_flip_pairs,
)
