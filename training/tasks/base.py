"""What a task brings to training: settings, examples, loss and metric.

Everything else is the same for every task: the optimizer and its schedule, resuming, devices, the importance of links, pruning
and quantization-aware training. A task is a folder beside this file with

    settings.py   its settings, a `TaskSettings`: what its recipes and the command line may set; imports nothing heavy
    task.py       `TASK`, a `TrainingTask`
    recipes/      recipes, if any

and an entry in `registry.py`. Its data set, preprocessing and metric are those of `mobile_eval.tasks`.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.types import KerasLoss, KerasModel, Tensor
from mobile_eval.datasets.base import TaskDataset
from mobile_eval.image.geometry import Geometry
from mobile_eval.metrics.metric import Metric
from training.tasks.settings import TaskSettings

if TYPE_CHECKING:
    from hrnet_tf.spec.architectures import Network

Array: TypeAlias = NDArray[np.float32]
Image: TypeAlias = NDArray[np.uint8]
Outputs: TypeAlias = Any  # of a network: an array (N, ...), or arrays by name for networks of several outputs
Category: TypeAlias = "dict[str, Any]"  # what a run keeps about its outputs, as plain data: joints and their pairs, or classes

Dataset = TypeVar("Dataset", bound=TaskDataset)
Settings = TypeVar("Settings", bound=TaskSettings)


class ExampleBuilder(abc.ABC):
    """Builds training examples from the items of a data set for one network, with numpy and OpenCV only.

    An example is a normalized image (H, W, 3), a target, and a sample weight where the task has one; all are float32 and of the
    `shapes` in this order. They are written into `out`, the example's place in the arrays of a batch.
    """

    shapes: tuple[tuple[int, ...], ...]

    @abc.abstractmethod
    def augmented(self, index: int, image: Image, rng: np.random.Generator, out: Sequence[Array]) -> None:
        """Write a training example.

        Args:
            index: Index of the item in the data set.
            image: Its decoded image (H, W, 3), RGB.
            rng: The only source of randomness.
            out: Arrays to write to, of these `shapes`.
        """

    @abc.abstractmethod
    def plain(self, index: int, image: Image, out: Sequence[Array]) -> None:
        """Write an example without augmentation: the network's input as on the device, and its target.

        Args:
            index: Index of the item in the data set.
            image: Its decoded image (H, W, 3), RGB.
            out: Arrays to write to, of these `shapes`.
        """

    def mix(self, batch: Sequence[Array], rng: np.random.Generator) -> None:  # noqa: B027
        """Mix the examples of a batch in place, such as by MixUp; does nothing by default."""


class MetricEvaluator(Protocol):
    """Measures the task's metric batch by batch, with the code that evaluates `.tflite` files."""

    def update(self, outputs: Outputs) -> None:
        """Add the network's outputs (n, ...) for the next n items, in the order of the data set."""

    def result(self) -> float:
        """Return the metric over all items so far."""


@dataclass(frozen=True)
class TrainingTask(Generic[Dataset, Settings]):
    """The training side of a task.

    Args:
        metric: The metric of the validation.
        noun: What the items are called in messages, such as "persons".
        example_builder: Builds examples of a data set for a network.
        loss: Returns the Keras loss, which is called with targets, outputs and sample weights.
        metric_evaluator: Evaluates the outputs of a network on a data set; takes the network's geometry
            (see `mobile_eval.image.geometry`).
        draw: Draws targets or outputs (n, ...) on images (n, H, W, 3), RGB; takes the category and the geometry.
        recipe: Returns the name of a network's default recipe; None for a task without recipes.
        auxiliary_loss: Returns the Keras loss of outputs that only training needs; None for that of the output.
        distillation_loss: Distance of outputs from a teacher's, a scalar; None where `trainer` has its own.
        class_weights: Returns the class weights (classes,) that balance a training set, for tasks with `ClassWeightSettings`.
        prepare: Applies settings to a data set; takes the category of the run that is fine-tuned, if any.
        check: Raises HRNetError for data that do not go with the settings; its last argument says whether they are the training
            set.
        trainer: Wraps a network and its loss into the Keras model that `fit` trains, for networks of several outputs.
    """

    metric: Metric
    noun: str
    example_builder: Callable[[Dataset, Network, Settings], ExampleBuilder]
    loss: Callable[[Settings], KerasLoss]
    metric_evaluator: Callable[[Dataset, Network, Geometry], MetricEvaluator]
    draw: Callable[[Image, Outputs, Category, Geometry], Image]
    recipe: Callable[[Network], str] | None = None
    auxiliary_loss: Callable[[], KerasLoss] | None = None
    distillation_loss: Callable[[Tensor, Tensor], Tensor] | None = None
    class_weights: Callable[[Dataset], NDArray[np.float64]] | None = None
    prepare: Callable[[Dataset, Settings, Category | None], Dataset] | None = None
    check: Callable[[Dataset, Settings, bool], None] | None = None
    trainer: Callable[[KerasModel, KerasLoss], KerasModel] | None = None


AnyTrainingTask: TypeAlias = "TrainingTask[Any, Any]"


def divergence(teacher_logits: Tensor, logits: Tensor) -> Tensor:
    """Cross-entropy of logits (..., classes) with a teacher's softmax: their divergence up to a constant, a scalar."""
    from hrnet_tf.backend.keras_module import ops

    distribution = ops.softmax(ops.cast(teacher_logits, "float32"))
    return -ops.mean(ops.sum(distribution * ops.log_softmax(ops.cast(logits, "float32")), axis=-1))
