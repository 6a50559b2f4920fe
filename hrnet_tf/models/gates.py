"""Gates: what a fusion link or a residual block adds, times a number; put on when a model is built, gone when it is rebuilt.

A gate's number can be set (what if this link were not there?), looked at (how does the loss change with it?) and
learned by `model.fit`. `without_gates` multiplies it into the layer before, so that nothing of it is left in a
network's weights.

    model = build_model(spec, gate=on_units(spec.links, lambda name, unit: UnitGate(name)))
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from hrnet_tf.backend.keras_module import keras, ops, random
from hrnet_tf.backend.types import Weights
from hrnet_tf.models.layers import UnitWrapper
from hrnet_tf.runs.weights import model_weights
from hrnet_tf.spec.network import Unit, parse_unit
from mobile_eval.errors import HRNetError

SUFFIX = "_gate"
# Hard concrete distribution, constants of Louizos et al., Learning Sparse Neural Networks through L0 Regularization
# (arXiv 1712.01312), section 4.2.
BETA, GAMMA, ZETA = 2 / 3, -0.1, 1.1
OPEN = 2.0  # log alpha at the start: nearly always wholly open


class Gate(keras.layers.Layer):  # type: ignore[misc]
    """Base of all gates: (N, H, W, C) times a number. `penalty` is what an open gate adds to the loss."""

    def __init__(self, name: str | None = None, penalty: float = 0.0, **kwargs: Any):
        super().__init__(name=name, **kwargs)
        self.penalty = penalty

    def value(self) -> float:
        """The number at inference."""
        raise TypeError(f"{type(self).__name__} does not say what its value is")

    def importance(self) -> float:
        """How much the network wants it open, once learned."""
        return self.value()

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "penalty": self.penalty}


@keras.utils.register_keras_serializable("hrnet_tf")
class UnitGate(Gate):
    """A plain factor, 1 at the start, with an L1 penalty."""

    def build(self, input_shape: Any) -> None:
        self.factor = self.add_weight(name="factor", shape=(), initializer="ones")
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        if self.penalty:
            self.add_loss(self.penalty * ops.abs(self.factor))
        return inputs * ops.cast(self.factor, inputs.dtype)

    def value(self) -> float:
        return float(self.factor.numpy())

    def importance(self) -> float:
        return abs(self.value())


@keras.utils.register_keras_serializable("hrnet_tf")
class HardConcreteGate(Gate):
    """A factor in 0..1 that is drawn anew for every image while training, with an L0 penalty: its chance of being open.

    Louizos et al. (arXiv 1712.01312), equations 10 to 13.
    """

    def build(self, input_shape: Any) -> None:
        self.log_alpha = self.add_weight(name="log_alpha", shape=(), initializer=keras.initializers.Constant(OPEN))
        self.seed = random.SeedGenerator()
        super().build(input_shape)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        if self.penalty:
            self.add_loss(self.penalty * self._chance())
        logits = self.log_alpha
        if training:
            uniform = random.uniform((ops.shape(inputs)[0], 1, 1, 1), 1e-6, 1 - 1e-6, seed=self.seed)
            logits = (ops.log(uniform) - ops.log(1 - uniform) + self.log_alpha) / BETA
        stretched = ops.clip(ops.sigmoid(logits) * (ZETA - GAMMA) + GAMMA, 0, 1)
        return inputs * ops.cast(stretched, inputs.dtype)

    def value(self) -> float:
        sigmoid = 1 / (1 + np.exp(-float(self.log_alpha.numpy())))
        return float(np.clip(sigmoid * (ZETA - GAMMA) + GAMMA, 0, 1))

    def importance(self) -> float:
        return float(self._chance())

    def _chance(self) -> Any:
        """The chance of not being closed."""
        return ops.sigmoid(self.log_alpha - BETA * float(np.log(-GAMMA / ZETA)))


def unit_dropout(rate: float) -> Callable[[str, Unit], Any]:
    """Gates that leave a unit out of a training image with probability `rate`, and scale the others to make up for it."""
    return lambda name, unit: keras.layers.Dropout(rate, noise_shape=(None, 1, 1, 1), name=name)


def on_units(units: Collection[Unit], make: Callable[[str, Unit], Any]) -> UnitWrapper:
    """What `build_model` takes as `gate`: puts the layer `make(name, unit)` on each of `units` and nothing on the others."""

    def gate(added: Any, unit: Unit) -> Any:
        return make(f"{unit.name}{SUFFIX}", unit)(added) if unit in units else added

    return gate


def gates_of(model: Any) -> dict[Unit, Gate]:
    """The gates of a model by unit, in the order of the network."""
    return {parse_unit(layer.name.removesuffix(SUFFIX)): layer for layer in model.layers if isinstance(layer, Gate)}


def without_gates(model: Any) -> Weights:
    """The weights of the same network without gates, which computes the same: each factor multiplied into the layer before.

    That is the unit's last BatchNorm, or its last convolution where BatchNorm is folded away.
    """
    weights = {name: array for name, array in model_weights(model).items() if f"{SUFFIX}/" not in name}
    for unit, gate in gates_of(model).items():
        for name in _last_layer(unit, weights):
            weights[name] = (weights[name] * np.float32(gate.value())).astype(weights[name].dtype)
    return weights


def _last_layer(unit: Unit, weights: Weights) -> list[str]:
    """Names of the arrays that scale what `unit` adds."""
    for kind, parts in (("bn", ("gamma", "beta")), ("conv", ("kernel", "bias"))):
        numbers = [int(match[1]) for name in weights if (match := re.fullmatch(rf"{unit.name}_{kind}(\d+)/{parts[0]}", name))]
        if numbers:
            return [f"{unit.name}_{kind}{max(numbers)}/{part}" for part in parts]
    raise HRNetError(f"the weights hold nothing of {unit.name}")
