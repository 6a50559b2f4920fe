"""What a task brings to training: its settings, examples, loss and metric.

All else is the same for every task: the optimizer and its schedule, resuming, devices, the importance of links, pruning and
quantization-aware tuning. A task is a folder of this one with

    settings.py   `Settings`: what its recipes and the command line may set, and nothing heavy
    task.py       `TASK`: a `TrainingTask`

and a line in `registry.py`. Its data set, preprocessing and metric are those of `mobile_eval.tasks`.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mobile_eval.image.geometry import Geometry, geometry_of
from mobile_eval.metrics.metric import Metric

if TYPE_CHECKING:
    from hrnet_tf.models.build import Network

Array = NDArray[np.float32]
Image = NDArray[np.uint8]


class Maker(abc.ABC):
    """Makes examples of a data set's items for one network, numpy and opencv only.

    An example is the normalized image (H, W, 3), a target, and where the task has it a weight, float32 all, of these `shapes`.
    They are written into `out`, the example's places in the batch. `image` (H, W, 3) is the item's as it was read, RGB.
    """

    shapes: tuple[tuple[int, ...], ...]

    @abc.abstractmethod
    def example(self, index: int, image: Image, rng: np.random.Generator, out: Sequence[Array]) -> None:
        """One to learn from, of item `index`, augmented by `rng` alone."""

    @abc.abstractmethod
    def plain(self, index: int, image: Image, out: Sequence[Array]) -> None:
        """One to measure the loss on: what the device is given of item `index`, and its target."""

    def mix(self, batch: Sequence[Array], rng: np.random.Generator) -> None:  # noqa: B027
        """Change a batch of examples as a whole, in place, where the task does that."""


class Scorer(Protocol):
    """Measures the task's metric, batch by batch, with the code that measures `.tflite` files."""

    def update(self, predicted: Any) -> None:
        """What the network answered (n, ...) for the next n items, in the order of the data set."""

    def result(self) -> float:
        """The metric of all."""


@dataclass(frozen=True)
class TrainingTask:
    """`noun` is what items are called ("persons").

    `maker` makes examples of a data set for a network and settings, `loss` the Keras loss (targets, answers, sample weights) for
    settings. `imitation` is how far answers are from a teacher's, a scalar. `scorer` measures a network's answers on a data set
    (data set, network, geometry). `recipe` is the name of a network's own recipe. `draw` shows targets or answers (n, ...) on
    images (n, H, W, 3) uint8 RGB, by what is known of the answers, in a geometry.

    `class_weights`, of a task whose settings have `class_weights` and `class_balance`, are those that balance a data set.

    `prepare` makes of a data set what these settings say of it, and the category (plain data) of the run that is trained on, if
    there is one.

    `check` refuses data, to learn from or (False) to measure on, that do not go with these settings, before the training begins:
    HRNetError names the file.

    `learner`, where there is one, makes of a network and its loss the Keras model that `fit` trains: for networks of several
    outputs, which Keras would give a loss each. Such a learner knows itself how far it is from a teacher: `imitation` is None.
    """

    metric: Metric
    noun: str
    maker: Callable[[Any, Network, Any], Maker]
    loss: Callable[[Any], Any]
    imitation: Callable[[Any, Any], Any] | None
    scorer: Callable[[Any, Network, Geometry], Scorer]
    recipe: Callable[[Network], str]
    draw: Callable[[Image, Any, dict[str, Any], Geometry], Image]
    class_weights: Callable[[Any], Any] | None = None
    prepare: Callable[[Any, Any, dict[str, Any] | None], Any] | None = None
    check: Callable[[Any, Any, bool], None] | None = None
    learner: Callable[[Any, Any], Any] | None = None


def settings_geometry(settings: Any) -> Geometry:
    """The geometry (`mobile_eval.image.geometry`) of networks that learn by these settings of any task."""
    return geometry_of(getattr(settings, "targets", None))


def divergence(taught: Any, found: Any) -> Any:
    """Cross-entropy of logits (..., classes) with a teacher's distribution: their divergence, up to a constant."""
    from hrnet_tf.backend.keras_module import ops

    distribution = ops.softmax(ops.cast(taught, "float32"))
    return -ops.mean(ops.sum(distribution * ops.log_softmax(ops.cast(found, "float32")), axis=-1))
