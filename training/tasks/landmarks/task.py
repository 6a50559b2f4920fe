"""What facial landmarks bring to training: pose's heatmaps, another augmentation, and NME."""

from __future__ import annotations

import numpy as np

from hrnet_tf.networks import Network
from mobile_eval.datasets.coco import KeypointDataset
from mobile_eval.tasks.landmarks import METRIC, measure_landmarks
from training.tasks.landmarks.settings import Settings
from training.tasks.landmarks.sides import mirrored_landmarks
from training.tasks.pose.augmentation import Augmentation, JointSides
from training.tasks.pose.maker import KeypointMaker
from training.tasks.pose.targets import HeatmapTargets
from training.tasks.pose.task import KeypointCollector, draw_heatmaps, heatmap_imitation, heatmap_loss
from training.tasks.task import TrainingTask

PAPER = "landmarks-w18"


class NmeScorer(KeypointCollector):
    """Normalized mean error of all faces, by the unit that is usual for their number of landmarks."""

    def result(self) -> float:
        """A share of the unit."""
        return measure_landmarks("", self.data, self.keypoints()).nme.nme


def landmark_maker(data: KeypointDataset, spec: Network, settings: Settings) -> KeypointMaker:
    """Makes examples of faces. Raises ValueError where faces are to be mirrored and it is not known how."""
    check_sides(data, settings, True)
    mirrored = mirrored_landmarks(data.category)
    if mirrored is None:
        mirrored = np.arange(len(data.category.joints))
    augmentation = Augmentation(
        settings.rotation, settings.rotation_probability, settings.scale, settings.flip_probability, 0.0, uniform=True
    )
    targets = HeatmapTargets(settings.targets, settings.sigma)
    return KeypointMaker(data, spec, targets, augmentation, JointSides(mirrored, None))


def check_sides(data: KeypointDataset, settings: Settings, learning: bool) -> None:
    """Raise ValueError where faces are to be mirrored and it is not known which landmarks are left and right."""
    if settings.flip_probability and mirrored_landmarks(data.category) is None:
        raise ValueError(
            f"it is not known which of {len(data.category.joints)} landmarks are left and right: name them so (left_eye, "
            "right_eye), or give --flip-probability 0"
        )


def _recipe(spec: Network) -> str:
    """The paper's for its network."""
    return "wflw" if spec.name == PAPER else "small"


TASK = TrainingTask(
    metric=METRIC,
    noun="faces",
    maker=landmark_maker,
    loss=heatmap_loss,
    imitation=heatmap_imitation,
    scorer=NmeScorer,
    recipe=_recipe,
    draw=draw_heatmaps,
    check=check_sides,
)
