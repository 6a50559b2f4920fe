"""The examples of any data set that `fit` takes, for ranking and pruning Keras models."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hrnet_tf.backend.graph import input_tensors, pack_inputs
from hrnet_tf.backend.keras_module import BACKEND, tf
from hrnet_tf.backend.labelled_data import Labelled, first_examples, leaves, map_arrays
from hrnet_tf.backend.losses import model_loss
from hrnet_tf.backend.types import Arrays, Dataset, KerasLoss, KerasModel
from hrnet_tf.models.trunk import spec_of
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.memory import MEMORY_BUDGET
from mobile_eval.errors import HRNetError
from mobile_eval.metrics.metric import Metric
from training.optim.trainer_models import BatchLoss
from training.ranking.data import RankingData, inference_of

LOSS = Metric("loss", "loss", higher_is_better=False)
SMALLEST = 2  # examples, one for each half

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class KerasRankingData(RankingData):
    """Examples of any data set that `fit` takes, in memory. The metric is the loss.

    Attributes:
        spec: The network.
        labelled: All examples.
        loss: The loss of a batch.
        memory_budget: Memory for the activations of a batch, in bytes.
    """

    spec: Network
    labelled: Labelled
    loss: BatchLoss
    memory_budget: int = MEMORY_BUDGET

    @classmethod
    def prepare(
        cls,
        data: Dataset,
        model: KerasModel,
        loss: KerasLoss = None,
        *,
        limit: int = 500,
        memory_budget: int = MEMORY_BUDGET,
    ) -> KerasRankingData:
        """Take the first examples of a data set into memory.

        Args:
            data: A batched `tf.data.Dataset`, a `Sequence` or `PyDataset`, or arrays `(x, y[, sample_weight])`.
            model: The functional model that the examples are for.
            loss: Anything that `compile` takes; None for the loss of the compiled model.
            limit: The largest number of examples, at least 2.
            memory_budget: Memory for the examples, and for the activations of a batch, in bytes.

        Raises:
            HRNetError: There are fewer than two examples, they do not fit to the model, or there is no loss.
        """
        if limit < SMALLEST:
            raise HRNetError(f"`limit` must be at least {SMALLEST}, got {limit}")
        batch_loss = model_loss(model, loss)
        if batch_loss is None:
            raise HRNetError(f"`loss` must be given, as `model` {model.name} is not compiled with a loss")
        labelled = first_examples(data, limit, memory_budget, "data")
        _check_inputs(model, labelled.inputs)
        if labelled.items < SMALLEST:
            raise HRNetError(f"`data` must have at least {SMALLEST} examples, got {labelled.items}")
        size = sum(array[0].nbytes for part in labelled for array in leaves(part))
        if labelled.items < limit and (labelled.items + 1) * size > memory_budget:
            _log.warning("%d of at most %d examples fit into `memory_budget` %d bytes", labelled.items, limit, memory_budget)
        _check_loss(model, labelled.map(lambda array: array[:SMALLEST]), batch_loss)
        return cls(spec_of(model), labelled, batch_loss, memory_budget)

    @property
    def metric(self) -> Metric:
        return LOSS

    def __len__(self) -> int:
        return self.labelled.items

    def examples(self, indices: Sequence[int]) -> Labelled:
        return self.labelled.map(lambda array: array[list(indices)])

    def part(self, part: slice) -> KerasRankingData:
        return dataclasses.replace(self, labelled=self.labelled.map(lambda array: array[part]))

    def trainer(self, model: KerasModel) -> tuple[KerasModel, BatchLoss]:
        return model, self.loss

    def evaluator(self) -> None:
        return None


def _check_inputs(model: KerasModel, inputs: Arrays) -> None:
    """Raise HRNetError if the inputs of the examples have other names or shapes than those of the model."""
    tensors = input_tensors(model)
    packed = pack_inputs(model, tensors)
    if isinstance(inputs, Mapping):
        expected = packed if isinstance(packed, Mapping) else {x.name: x for x in tensors}
        if set(inputs) != set(expected):
            raise HRNetError(f"`data` must have the inputs {', '.join(expected)} of `model`, got {', '.join(inputs)}")
        arrays, tensors = [inputs[name] for name in expected], list(expected.values())
    else:
        arrays = leaves(inputs)
    if len(arrays) != len(tensors):
        raise HRNetError(f"`data` must have {len(tensors)} inputs as `model` {model.name} has, got {len(arrays)}")
    for array, tensor in zip(arrays, tensors, strict=True):
        expected_shape, shape = tuple(tensor.shape[1:]), array.shape[1:]
        if not _fits(shape, expected_shape):
            hint = ": the data set is not batched" if _fits(shape, expected_shape[1:]) else ""
            raise HRNetError(f"`data` must have inputs of shape {expected_shape} for `model` {model.name}, got {shape}{hint}")


def _fits(shape: Sequence[int], expected: Sequence[int | None]) -> bool:
    return len(shape) == len(expected) and all(
        expected_size in (size, None) for size, expected_size in zip(shape, expected, strict=True)
    )


def _check_loss(model: KerasModel, examples: Labelled, loss: BatchLoss) -> None:
    """Raise HRNetError if the loss of some examples cannot be computed, or is not a finite number."""
    outputs = inference_of(model)(examples.inputs)
    errors: tuple[type[Exception], ...] = (ValueError, TypeError, KeyError)
    if BACKEND == "tensorflow":
        errors = (*errors, tf.errors.OpError)
    try:
        value = float(loss(examples.inputs, examples.targets, outputs, examples.weights))
    except errors as error:
        parts = {"targets": examples.targets, "sample weights": examples.weights, "outputs": outputs}
        shapes = {name: map_arrays(lambda array: tuple(array.shape), part) for name, part in parts.items() if part is not None}
        listed = ", ".join(f"{name} of shape {shape}" for name, shape in shapes.items())
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise HRNetError(
            f"`data` must have targets that the loss takes; for {listed} of `model` {model.name} it fails: {reason}"
        ) from error
    if not math.isfinite(value):
        raise HRNetError(f"`data` must have a finite loss, got {value} for the first examples")
