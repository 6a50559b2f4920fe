"""Keras's optimizers as the official recipes have them, with what the two Keras do not share: steps over several batches.

Over `accumulate` batches gradients are averaged before the weights move, as if the batch were that much larger (BatchNorm
still sees one batch at a time). What an epoch gathers at its end, the next one goes on with: it is in the checkpoint. With an
average (Polyak & Juditsky, SIAM J. Control Optim. 30, 1992; exponential, `ema` is its momentum) the weights that are validated
and kept are the moving average of those that are learnt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hrnet_tf.backend.choice import TF_KERAS
from hrnet_tf.backend.keras_module import NAME, keras, tf

MOMENTUM = 0.9  # of sgd, the official recipes'
ADAM_EPSILON = 1e-8  # PyTorch's; heatmap gradients are small enough to feel Keras's 1e-7


def make_optimizer(
    learning_rate: Any,
    kind: str = "adam",
    *,
    weight_decay: float = 0.0,
    accumulate: int = 1,
    ema: float = 0.0,
    scaled: bool = False,
) -> Any:
    """Keras's adam or sgd (momentum 0.9); `learning_rate` is a number or a schedule that counts the weights' moves.

    Kernels decay, what BatchNorm scales and shifts by and biases do not. Only adam accumulates. If `scaled`, for float16, the
    loss is multiplied by what its gradients bear (Keras's LossScaleOptimizer): where one overflows, its batch is left out.
    """
    common = {"use_ema": ema > 0, "ema_momentum": ema, "weight_decay": weight_decay or None}
    if kind == "sgd":
        optimizer = keras.optimizers.SGD(learning_rate, momentum=MOMENTUM, **common)
    elif NAME == TF_KERAS and accumulate > 1:
        optimizer = AccumulatingAdam(learning_rate, epsilon=ADAM_EPSILON, **common)
        optimizer.accumulate = accumulate
    else:
        several = {"gradient_accumulation_steps": accumulate} if accumulate > 1 else {}
        optimizer = keras.optimizers.Adam(learning_rate, epsilon=ADAM_EPSILON, **common, **several)
    if weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    return keras.mixed_precision.LossScaleOptimizer(optimizer) if scaled else optimizer


def unscaled(optimizer: Any) -> Any:
    """The optimizer itself, without the one that scales its loss."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def optimizer_state(optimizer: Any) -> list[Any]:
    """All variables of an optimizer (built); tf_keras keeps the scale of a loss and what counts towards it elsewhere."""
    if NAME == TF_KERAS and unscaled(optimizer) is not optimizer:
        scale = optimizer._loss_scale
        return [*optimizer.variables, scale.current_loss_scale, scale.counter]
    return list(optimizer.variables)


class AveragedWeights(keras.callbacks.Callback):  # type: ignore[misc]
    """Puts the moving averages that `optimizer` keeps (if it does) into its `variables` at the end of an epoch.

    Give it first, so that the others see them, and call `take_out` before anything is learnt again.
    """

    def __init__(self, optimizer: Any, variables: Sequence[Any]):
        super().__init__()
        self.optimizer = unscaled(optimizer)
        self.variables = list(variables)
        self._learnt: list[Any] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if not self.optimizer.use_ema:
            return
        self._learnt = [np.array(variable.numpy()) for variable in self.variables]
        for variable, average in zip(self.variables, self.optimizer._model_variables_moving_average, strict=True):
            variable.assign(average.numpy())

    def take_out(self) -> None:
        """Put back what was learnt."""
        for variable, values in zip(self.variables, self._learnt, strict=False):
            variable.assign(values)
        self._learnt = []


class AccumulatingAdam(keras.optimizers.Adam):  # type: ignore[misc]
    """Adam of tf_keras that moves the weights once in `accumulate` batches, by the mean of their gradients; on one device.

    Keras 3's does that by itself.
    """

    accumulate = 1

    def build(self, var_list: Any) -> None:
        super().build(var_list)
        if not hasattr(self, "_sums"):
            self._sums = [self.add_variable_from_reference(variable, "sum") for variable in var_list]
            self._batches = tf.Variable(0, dtype=tf.int64, trainable=False, name="batches")
            self._variables.append(self._batches)

    def apply_gradients(self, grads_and_vars: Any, name: str | None = None, skip_gradients_aggregation: bool = False) -> Any:
        pairs = list(grads_and_vars)
        variables = [variable for _, variable in pairs]
        with tf.init_scope():
            self.build(variables)
        for total, (gradient, _) in zip(self._sums, pairs, strict=True):
            total.assign_add(gradient / self.accumulate)
        self._batches.assign_add(1)

        def move() -> Any:
            self.iterations.assign(self._batches // self.accumulate - 1)  # a scaled loss counts what it leaves out there
            keras.optimizers.Adam.apply_gradients(self, zip(self._sums, variables, strict=True), name)
            for total in self._sums:
                total.assign(tf.zeros_like(total))
            return self.iterations.value()

        return tf.cond(self._batches % self.accumulate == 0, move, self.iterations.value)
