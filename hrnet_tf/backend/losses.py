"""The loss of a Keras model as a function of a batch, without the regularization of its weights: the same for both Kerases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from hrnet_tf.backend.choice import TF_KERAS
from hrnet_tf.backend.graph import input_tensors, output_tensors, pack_inputs, pack_outputs
from hrnet_tf.backend.keras_module import NAME, keras, ops
from hrnet_tf.backend.labelled_data import map_arrays
from hrnet_tf.backend.types import KerasLoss, KerasModel, Tensor
from mobile_eval.typed import JsonObject

# (inputs, targets, outputs, sample weights or None) -> scalar loss
LossFunction: TypeAlias = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def compile_settings(model: KerasModel) -> JsonObject:
    """Return the arguments that a model was compiled with, such as "loss" and "loss_weights"; none if it is not compiled."""
    config = getattr(model, "_compile_config", None)
    return {} if config is None else dict(config.config)


def has_own_loss(model: KerasModel) -> bool:
    """Return whether the class of a model overrides `compute_loss`."""
    return type(model).compute_loss is not keras.Model.compute_loss


def model_loss(model: KerasModel, loss: KerasLoss = None) -> LossFunction | None:
    """Return the loss of a functional model.

    Losses of several outputs, their weights and sample weights are combined as Keras combines them. The losses that layers add,
    such as weight decay, are left out; only an overridden `compute_loss` may contain them.

    Args:
        model: The model. Its own metrics are not changed, unless it overrides `compute_loss`.
        loss: Anything that `compile` takes; None for the loss of the compiled model.

    Returns:
        A function of inputs, targets, outputs and sample weights; None if `loss` is None and the model has none.
    """
    if loss is None and has_own_loss(model):
        return _of_tensors(lambda x, y, outputs, weights: model.compute_loss(x=x, y=y, y_pred=outputs, sample_weight=weights))
    settings = {"loss": loss} if loss is not None else compile_settings(model)
    if settings.get("loss") is None:
        return None
    # A model of the same tensors has the same names of outputs, and metrics of its own.
    twin = keras.Model(pack_inputs(model, input_tensors(model)), pack_outputs(model, output_tensors(model)))
    twin.compile(loss=settings["loss"], loss_weights=settings.get("loss_weights"))
    container = twin.compiled_loss if NAME == TF_KERAS else twin._compile_loss
    return _of_tensors(lambda x, y, outputs, weights: container(y, outputs, weights))


def _of_tensors(loss: LossFunction) -> LossFunction:
    """A loss that also takes numpy arrays, and sample weights of some of the outputs."""

    def loss_of_arrays(x: Tensor, y: Tensor, outputs: Tensor, weights: Tensor) -> Tensor:
        if isinstance(weights, Mapping) and isinstance(y, Mapping):
            weights = {name: weights.get(name) for name in y}
        return loss(*(map_arrays(ops.convert_to_tensor, part) for part in (x, y, outputs, weights)))

    return loss_of_arrays
