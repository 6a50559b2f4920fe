"""Train a small model on the outputs of a larger one: knowledge distillation of any two Keras models."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from hrnet_tf.backend.choice import check_same_keras
from hrnet_tf.backend.graph import flat, is_functional, output_tensors, pack_outputs
from hrnet_tf.backend.keras_module import BACKEND, keras, ops
from hrnet_tf.backend.types import KerasModel, Tensor
from hrnet_tf.models.functional import HRNetModel
from mobile_eval.errors import HRNetError
from training.optim.trainer_models import DistillationLoss, DistillationModel, is_compiled
from training.tasks.base import divergence

LOGITS_HEADS = ("dense", "object_context", "classification")


def distill(
    student: KerasModel, teacher: KerasModel, *, weight: float = 0.5, distance: DistillationLoss | None = None
) -> KerasModel:
    """Return a Keras model whose `fit` trains a student in place, on the targets and on the outputs of a teacher.

    The minimized loss is `(1 - weight) * loss + weight * distance`, with the loss of the student. A compiled student is trained
    by its optimizer, loss and metrics; otherwise compile the returned model as you would the student. Its logs have the student's
    loss as "loss", also in the validation, and the distance as "distillation_loss". Callbacks such as `ModelCheckpoint` save the
    student.

    Args:
        student: The model to train, such as a pruned one.
        teacher: A trained model with the same inputs and outputs, such as the model that was pruned. It is not changed.
        weight: Weight of the teacher, from 0 to 1.
        distance: Called with the outputs of the teacher and of the student, as the models return them; returns a scalar. None for
            the divergence from the teacher's classes (Hinton et al., arXiv 1503.02531) if the head of the package has logits, and
            for the mean squared difference, summed over all outputs, otherwise.

    Returns:
        A Keras model. After `fit`, use the student.

    Raises:
        HRNetError: The weight is not between 0 and 1, or the models have different outputs.

    Example:
        >>> smaller.compile("adam", "mse")  # doctest: +SKIP
        >>> distill(smaller, teacher=model).fit(train, epochs=10)  # doctest: +SKIP
    """
    for name, model in (("student", student), ("teacher", teacher)):
        check_same_keras(model)
        if not isinstance(model, keras.Model):
            raise HRNetError(f"`{name}` must be a Keras model, got {type(model).__name__}")
    if not 0 <= weight <= 1:
        raise HRNetError(f"`weight` must be between 0 and 1, got {weight}")
    if student is teacher:
        raise HRNetError(f"`teacher` must be another model than `student`, got {teacher.name} for both")
    if is_compiled(student) and not student.loss:
        raise HRNetError(f"`student` {student.name} is compiled without a loss: give one, such as compile('adam', loss='mse')")
    _check_outputs(student, teacher)
    with _scope(student):
        return DistillationModel(student, teacher, weight, distance or _default_distance(student))


def _check_outputs(student: KerasModel, teacher: KerasModel) -> None:
    """Raise HRNetError if both models have a graph and their outputs differ in names or shapes."""
    if not (is_functional(student) and is_functional(teacher)):
        return
    expected, outputs = _shapes(student), _shapes(teacher)
    if expected != outputs:
        raise HRNetError(f"`teacher` {teacher.name} must have the outputs of `student`, {expected}; got {outputs}")


def _shapes(model: KerasModel) -> Any:
    """The shapes of the outputs without the batch, arranged as the outputs are."""
    arranged = pack_outputs(model, output_tensors(model))
    if isinstance(arranged, Mapping):
        return {name: tuple(x.shape[1:]) for name, x in arranged.items()}
    return [tuple(x.shape[1:]) for x in arranged] if isinstance(arranged, list | tuple) else tuple(arranged.shape[1:])


def _default_distance(student: KerasModel) -> DistillationLoss:
    head = student.spec.head_kind if isinstance(student, HRNetModel) else None
    if head == "detection":
        raise HRNetError("`student` is a detector, whose stages need their own training: distill in a run, by `hrnet train`")
    return divergence if head in LOGITS_HEADS else mean_squared_difference


def mean_squared_difference(teacher_outputs: Any, outputs: Any) -> Tensor:
    """Return the mean squared difference of a student's outputs from a teacher's, summed over all outputs, a scalar.

    Args:
        teacher_outputs: A tensor, or several in a list or dictionary.
        outputs: Tensors of the same shapes.
    """
    pairs = zip(flat(teacher_outputs), flat(outputs), strict=True)
    return sum(ops.mean(ops.square(ops.cast(first, "float32") - ops.cast(second, "float32"))) for first, second in pairs)


def _scope(model: KerasModel) -> AbstractContextManager[Any]:
    """The scope of the strategy that a model was built in."""
    if BACKEND != "tensorflow":
        return contextlib.nullcontext()
    scope: AbstractContextManager[Any] = model.distribute_strategy.scope()
    return scope
