"""The examples of a task's data set, for ranking and pruning runs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.labelled_data import Labelled
from hrnet_tf.backend.types import KerasLoss, KerasModel
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.memory import MEMORY_BUDGET
from mobile_eval.datasets.base import TaskDataset
from mobile_eval.image.geometry import STANDARD, Geometry
from mobile_eval.image.image_file import read_item
from mobile_eval.image.prefetch import prefetch
from mobile_eval.metrics.metric import Metric
from mobile_eval.progress import tracked
from training.optim.trainer_models import BatchLoss, batch_loss, trainer_model
from training.ranking.data import RankingData
from training.tasks.base import ExampleBuilder, MetricEvaluator
from training.tasks.registry import training_task
from training.tasks.settings import TaskSettings

Arrays = tuple[NDArray[np.float32], ...]  # inputs (N, H, W, 3), targets (N, ...) and, for some tasks, weights (N, ...)


@dataclass(frozen=True)
class TaskRankingData(RankingData):
    """Examples of a task's data set for one network: inputs (N, H, W, 3), targets (N, ...) and, for some tasks, weights (N, ...).

    Attributes:
        data: The dataset.
        spec: The network.
        settings: The task's settings in the training of the network.
        loss: The task's loss by these settings.
        arrays: All examples if they fit into the memory budget; None if each batch is prepared when it is needed.
        geometry: Geometry of the network's inputs (`mobile_eval.image.geometry`).
        memory_budget: Memory for the examples, and for the activations of a batch, in bytes.
    """

    data: TaskDataset
    spec: Network
    settings: TaskSettings
    loss: KerasLoss
    arrays: Arrays | None
    geometry: Geometry = STANDARD
    memory_budget: int = MEMORY_BUDGET

    @classmethod
    def prepare(
        cls,
        data: TaskDataset,
        spec: Network,
        settings: TaskSettings,
        memory_budget: int = MEMORY_BUDGET,
        *,
        progress: bool = False,
    ) -> TaskRankingData:
        """Prepare the examples of all items if they fit into the memory budget.

        Args:
            data: The dataset.
            spec: The network.
            settings: The task's settings in the training of the network.
            memory_budget: Memory in bytes.
            progress: Whether to show a progress bar.
        """
        loss, geometry = training_task(spec.task).loss(settings), settings.geometry
        streamed = cls(data, spec, settings, loss, None, geometry, memory_budget)
        if len(data) * sum(4 * math.prod(shape) for shape in streamed._example_builder().shapes) > memory_budget:
            return streamed
        return dataclasses.replace(streamed, arrays=streamed._read(range(len(data)), progress=progress))

    @property
    def metric(self) -> Metric:
        return training_task(self.spec.task).metric

    def __len__(self) -> int:
        return len(self.data)

    def examples(self, indices: Sequence[int]) -> Labelled:
        arrays = self._read(indices) if self.arrays is None else tuple(array[list(indices)] for array in self.arrays)
        return Labelled(arrays[0], arrays[1], arrays[2] if len(arrays) > 2 else None)

    def part(self, part: slice) -> TaskRankingData:
        arrays = None if self.arrays is None else tuple(array[part] for array in self.arrays)
        return dataclasses.replace(self, data=self.data.part(part), arrays=arrays)

    def trainer(self, model: KerasModel) -> tuple[KerasModel, BatchLoss]:
        trainer = trainer_model(training_task(self.spec.task), model, self.loss)
        return trainer, batch_loss(trainer, self.loss)

    def evaluator(self) -> MetricEvaluator:
        return training_task(self.spec.task).metric_evaluator(self.data, self.spec, self.geometry)

    def _read(self, indices: Sequence[int], *, progress: bool = False) -> Arrays:
        """Read the images of some items and prepare their examples."""
        builder = self._example_builder()
        arrays = tuple(np.empty((len(indices), *shape), np.float32) for shape in builder.shapes)

        def prepare(row: int) -> None:
            index = int(indices[row])
            builder.plain(index, read_item(self.data.items[index]), [array[row] for array in arrays])

        for _ in tracked(prefetch(prepare, range(len(indices))), "reading images", len(indices), show=progress):
            pass
        return arrays

    def _example_builder(self) -> ExampleBuilder:
        return training_task(self.spec.task).example_builder(self.data, self.spec, self.settings)
