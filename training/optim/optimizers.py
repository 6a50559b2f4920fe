"""Keras optimizers with the constants of the official recipes, and gradient accumulation and weight averages for either Keras.

With gradient accumulation, the gradients of several batches are averaged before the weights are updated, as if the batch were
that much larger; BatchNorm still sees one batch at a time. Gradients at the end of an epoch count towards the next update, and
are in the checkpoint. With a moving average (Polyak & Juditsky, SIAM J. Control Optim. 30, 1992; exponential, with momentum
`ema`), the averaged weights are validated and saved.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.choice import TF_KERAS
from hrnet_tf.backend.keras_module import NAME, keras, tf
from hrnet_tf.backend.types import KerasOptimizer, KerasSchedule, Tensor, Variable

MOMENTUM = 0.9  # of sgd in the official recipes
RMSPROP_DECAY = 0.99  # PyTorch's and Torch7's, of the stacked hourglass
ADAM_EPSILON = 1e-8  # PyTorch's; gradients of heatmaps are so small that Keras's 1e-7 matters


def make_optimizer(
    learning_rate: KerasSchedule | float,
    name: str = "adam",
    *,
    weight_decay: float = 0.0,
    accumulate: int = 1,
    ema: float = 0.0,
    loss_scaling: bool = False,
) -> KerasOptimizer:
    """Return a Keras optimizer.

    Args:
        learning_rate: Learning rate, or a schedule by the number of updates.
        name: adam, sgd with momentum 0.9, or rmsprop with a decay of 0.99.
        weight_decay: Decoupled weight decay of kernels; biases and the parameters of BatchNorm do not decay.
        accumulate: Gradient accumulation steps (adam only).
        ema: Momentum of a moving average of the weights; 0: none.
        loss_scaling: Scale the loss for float16; batches whose gradients overflow are skipped.
    """
    common = {"use_ema": ema > 0, "ema_momentum": ema, "weight_decay": weight_decay or None}
    if name == "sgd":
        optimizer = keras.optimizers.SGD(learning_rate, momentum=MOMENTUM, **common)
    elif name == "rmsprop":
        optimizer = keras.optimizers.RMSprop(learning_rate, rho=RMSPROP_DECAY, epsilon=ADAM_EPSILON, **common)
    elif NAME == TF_KERAS and accumulate > 1:
        optimizer = AccumulatingAdam(learning_rate, epsilon=ADAM_EPSILON, **common)
        optimizer.accumulate = accumulate
    else:
        steps = {"gradient_accumulation_steps": accumulate} if accumulate > 1 else {}
        optimizer = keras.optimizers.Adam(learning_rate, epsilon=ADAM_EPSILON, **common, **steps)
    if weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    return keras.mixed_precision.LossScaleOptimizer(optimizer) if loss_scaling else optimizer


def inner_optimizer(optimizer: KerasOptimizer) -> KerasOptimizer:
    """Return the optimizer itself, without the wrapper that scales the loss."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def optimizer_state(optimizer: KerasOptimizer) -> list[Variable]:
    """Return all variables of a built optimizer. tf_keras keeps the scale of the loss and its counter elsewhere."""
    if NAME == TF_KERAS and inner_optimizer(optimizer) is not optimizer:
        scale = optimizer._loss_scale
        return [*optimizer.variables, scale.current_loss_scale, scale.counter]
    return list(optimizer.variables)


class AveragedWeights(keras.callbacks.Callback):  # type: ignore[misc]
    """Replaces weights at the end of an epoch by the moving averages of an optimizer, if it has any.

    Make it one of the first callbacks, so that the others see the averages, and call `restore_weights` before the next step.

    Args:
        optimizer: The optimizer.
        variables: The variables that it trains.
    """

    def __init__(self, optimizer: KerasOptimizer, variables: Sequence[Variable]):
        super().__init__()
        self.optimizer = inner_optimizer(optimizer)
        self.variables = list(variables)
        self._trained_values: list[NDArray[np.float32]] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if not self.optimizer.use_ema:
            return
        self._trained_values = [np.array(variable.numpy()) for variable in self.variables]
        for variable, average in zip(self.variables, self.optimizer._model_variables_moving_average, strict=True):
            variable.assign(average.numpy())

    def restore_weights(self) -> None:
        """Restore the trained weights."""
        for variable, values in zip(self.variables, self._trained_values, strict=False):
            variable.assign(values)
        self._trained_values = []


class AccumulatingAdam(keras.optimizers.Adam):  # type: ignore[misc]
    """Adam of tf_keras with gradient accumulation, on one device; Keras 3's Adam has its own.

    It updates the weights once in `accumulate` batches, by the mean of their gradients.
    """

    accumulate = 1

    def build(self, var_list: Sequence[Variable]) -> None:
        super().build(var_list)
        if not hasattr(self, "_sums"):
            self._sums = [self.add_variable_from_reference(variable, "sum") for variable in var_list]
            self._batches = tf.Variable(0, dtype=tf.int64, trainable=False, name="batches")
            self._variables.append(self._batches)

    def apply_gradients(
        self,
        grads_and_vars: Iterable[tuple[Tensor, Variable]],
        name: str | None = None,
        skip_gradients_aggregation: bool = False,
    ) -> Tensor:
        pairs = list(grads_and_vars)
        variables = [variable for _, variable in pairs]
        with tf.init_scope():
            self.build(variables)
        for total, (gradient, _) in zip(self._sums, pairs, strict=True):
            total.assign_add(gradient / self.accumulate)
        self._batches.assign_add(1)

        def update() -> Tensor:
            self.iterations.assign(self._batches // self.accumulate - 1)  # loss scaling counts skipped batches there
            keras.optimizers.Adam.apply_gradients(self, zip(self._sums, variables, strict=True), name)
            for total in self._sums:
                total.assign(tf.zeros_like(total))
            return self.iterations.value()

        return tf.cond(self._batches % self.accumulate == 0, update, self.iterations.value)
