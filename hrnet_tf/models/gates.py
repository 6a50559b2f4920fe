"""Gates: factors on the outputs of fusion links and residual blocks.

A gate can be set (to evaluate the network without a link), differentiated (for first-order importance) and trained. Gates are
added when a model is built. `without_gates` multiplies each into the layer before it, so that a network's weights contain none.

    model = build_model(spec, gate=on_units(spec.links, lambda name, unit: UnitGate(name)))
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from hrnet_tf.backend.keras_module import keras, ops, random
from hrnet_tf.backend.types import KerasLayer, KerasModel, Shape, Tensor, Weights
from hrnet_tf.models.layers import UnitWrapper
from hrnet_tf.runs.weights import model_weights
from hrnet_tf.spec.units import Unit, parse_unit
from mobile_eval.errors import HRNetError

GATE_SUFFIX = "_gate"
# The hard concrete distribution: Louizos et al., Learning Sparse Neural Networks through L0 Regularization (arXiv 1712.01312),
# constants of section 4.2.
BETA, GAMMA, ZETA = 2 / 3, -0.1, 1.1
INITIAL_LOG_ALPHA = 2.0  # almost always fully open

LayerForUnit = Callable[[str, Unit], KerasLayer]  # makes the layer of that name for a unit


class Gate(keras.layers.Layer):  # type: ignore[misc]
    """Base class of gates: multiplies feature maps (N, H, W, C) by a number.

    Args:
        name: Name of the layer.
    """

    def __init__(self, name: str | None = None, **kwargs: Any):
        super().__init__(name=name, **kwargs)

    def value(self) -> float:
        """Return the factor at inference."""
        raise NotImplementedError

    def openness(self) -> Tensor:
        """Return how open the gate is, a scalar: what training penalizes, and the importance of the unit afterwards."""
        raise NotImplementedError


@keras.utils.register_keras_serializable("hrnet_tf")
class UnitGate(Gate):
    """A factor with initial value 1; its openness is its absolute value."""

    def build(self, input_shape: Shape) -> None:
        self.factor = self.add_weight(name="factor", shape=(), initializer="ones")
        super().build(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        return inputs * ops.cast(self.factor, inputs.dtype)

    def value(self) -> float:
        return float(self.factor.numpy())

    def openness(self) -> Tensor:
        return ops.abs(self.factor)


@keras.utils.register_keras_serializable("hrnet_tf")
class HardConcreteGate(Gate):
    """A factor in 0..1, sampled for each image in training; its openness is the probability of not being 0.

    Louizos et al. (arXiv 1712.01312), equations 10 to 13.
    """

    def build(self, input_shape: Shape) -> None:
        initializer = keras.initializers.Constant(INITIAL_LOG_ALPHA)
        self.log_alpha = self.add_weight(name="log_alpha", shape=(), initializer=initializer)
        self.seed = random.SeedGenerator()
        super().build(input_shape)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        logits = self.log_alpha
        if training:
            uniform = random.uniform((ops.shape(inputs)[0], 1, 1, 1), 1e-6, 1 - 1e-6, seed=self.seed)
            logits = (ops.log(uniform) - ops.log(1 - uniform) + self.log_alpha) / BETA
        stretched = ops.clip(ops.sigmoid(logits) * (ZETA - GAMMA) + GAMMA, 0, 1)
        return inputs * ops.cast(stretched, inputs.dtype)

    def value(self) -> float:
        sigmoid = 1 / (1 + np.exp(-float(self.log_alpha.numpy())))
        return float(np.clip(sigmoid * (ZETA - GAMMA) + GAMMA, 0, 1))

    def openness(self) -> Tensor:
        return ops.sigmoid(self.log_alpha - BETA * float(np.log(-GAMMA / ZETA)))


def unit_dropout(rate: float) -> LayerForUnit:
    """Return a function for `on_units`, whose layers drop a unit for an image in training with probability `rate`."""
    return lambda name, unit: keras.layers.Dropout(rate, noise_shape=(None, 1, 1, 1), name=name)


def on_units(units: Collection[Unit], make: LayerForUnit) -> UnitWrapper:
    """Return an argument `gate` for `build_model`.

    Args:
        units: The links and blocks to put a layer on.
        make: Called as `make(name, unit)`, returns the layer of a unit.
    """

    def gate(x: Tensor, unit: Unit) -> Tensor:
        return make(f"{unit.name}{GATE_SUFFIX}", unit)(x) if unit in units else x

    return gate


def gates_of(model: KerasModel) -> dict[Unit, Gate]:
    """Return the gates of a model by unit, in the order of the network."""
    return {parse_unit(layer.name.removesuffix(GATE_SUFFIX)): layer for layer in model.layers if isinstance(layer, Gate)}


def without_gates(model: KerasModel) -> Weights:
    """Multiply each gate into the layer before it.

    That layer is the unit's last BatchNorm, or its last convolution if BatchNorm is folded.

    Returns:
        Weights of the same network without gates, which computes the same.
    """
    weights = {name: array for name, array in model_weights(model).items() if f"{GATE_SUFFIX}/" not in name}
    for unit, gate in gates_of(model).items():
        for name in _last_layer(unit, weights):
            weights[name] = (weights[name] * np.float32(gate.value())).astype(weights[name].dtype)
    return weights


def _last_layer(unit: Unit, weights: Weights) -> list[str]:
    """The names of the arrays that scale the output of `unit`."""
    for kind, parts in (("bn", ("gamma", "beta")), ("conv", ("kernel", "bias"))):
        numbers = [int(match[1]) for name in weights if (match := re.fullmatch(rf"{unit.name}_{kind}(\d+)/{parts[0]}", name))]
        if numbers:
            return [f"{unit.name}_{kind}{max(numbers)}/{part}" for part in parts]
    raise HRNetError(f"the weights have no layer of {unit.name}")
