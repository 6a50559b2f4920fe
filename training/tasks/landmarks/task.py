"""What facial landmarks bring to training: pose's heatmaps, another augmentation, and NME."""

from __future__ import annotations

from hrnet_tf.models.build import Network
from mobile_eval.datasets.coco.keypoints import KeypointDataset
from mobile_eval.tasks.landmarks.evaluate import measure_landmarks
from mobile_eval.tasks.landmarks.task import METRIC
from training.tasks.base import TrainingTask
from training.tasks.landmarks.settings import Settings
from training.tasks.pose.augmentation import Augmentation
from training.tasks.pose.examples import KeypointMaker
from training.tasks.pose.flip_pairs import check_sides, with_flip_pairs
from training.tasks.pose.targets import HeatmapTargets
from training.tasks.pose.task import KeypointCollector, draw_heatmaps, heatmap_imitation, heatmap_loss

PAPER = "landmarks-w18"


class NmeScorer(KeypointCollector):
    """Normalized mean error of all faces, by the unit that is usual for their number of landmarks."""

    def result(self) -> float:
        """A share of the unit."""
        return measure_landmarks("", self.data, self.keypoints()).nme.nme


def landmark_maker(data: KeypointDataset, spec: Network, settings: Settings) -> KeypointMaker:
    """Makes examples of faces."""
    augmentation = Augmentation(
        settings.rotation, settings.rotation_probability, settings.scale, settings.flip_probability, 0.0, uniform=True
    )
    targets = HeatmapTargets(settings.targets, settings.sigma)
    return KeypointMaker(data, spec, targets, augmentation)


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
    prepare=with_flip_pairs,
    check=check_sides,
)
