"""The training side of facial landmarks: the heatmaps of pose with another augmentation, and NME."""

from __future__ import annotations

from hrnet_tf.spec.architectures import Network
from mobile_eval.datasets.coco.keypoints import KeypointDataset
from mobile_eval.tasks.landmarks.evaluate import measure_landmarks
from mobile_eval.tasks.landmarks.task import METRIC
from training.tasks.base import TrainingTask
from training.tasks.landmarks.settings import LandmarkSettings
from training.tasks.pose.augmentation import Augmentation
from training.tasks.pose.examples import KeypointExampleBuilder
from training.tasks.pose.targets import HeatmapTargets
from training.tasks.pose.task import (
    KeypointCollector,
    check_flip_pairs,
    draw_heatmaps,
    heatmap_distillation_loss,
    heatmap_loss,
    with_flip_pairs,
)

PAPER_NETWORK = "landmarks-w18"


class NmeEvaluator(KeypointCollector):
    """Measures the normalized mean error, by the unit that is usual for the number of landmarks."""

    def result(self) -> float:
        """Return the mean error of all faces as a fraction of the unit."""
        return measure_landmarks("", self.data, self.keypoints()).nme.nme


def landmark_example_builder(data: KeypointDataset, spec: Network, settings: LandmarkSettings) -> KeypointExampleBuilder:
    """Return the example builder of faces."""
    augmentation = Augmentation(
        settings.rotation, settings.rotation_probability, settings.scale, settings.flip_probability, 0.0, uniform=True
    )
    return KeypointExampleBuilder(data, spec, HeatmapTargets(settings.targets, settings.sigma), augmentation)


def _recipe(spec: Network) -> str:
    return "wflw" if spec.name == PAPER_NETWORK else "small"


TASK: TrainingTask[KeypointDataset, LandmarkSettings] = TrainingTask(
    metric=METRIC,
    noun="faces",
    example_builder=landmark_example_builder,
    loss=heatmap_loss,
    metric_evaluator=NmeEvaluator,
    draw=draw_heatmaps,
    recipe=_recipe,
    distillation_loss=heatmap_distillation_loss,
    prepare=with_flip_pairs,
    check=check_flip_pairs,
)
