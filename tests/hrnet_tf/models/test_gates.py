"""Gates: closed gates equal removed units, and folding gates into the weights preserves the outputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import Weights
from hrnet_tf.models.build import build_model
from hrnet_tf.models.gates import HardConcreteGate, UnitGate, gates_of, on_units, unit_dropout, without_gates
from hrnet_tf.runs.weights import model_weights, set_model_weights
from hrnet_tf.spec.network import HRNetSpec
from hrnet_tf.spec.units import FusionLink, ResidualBlock, Unit
from mobile_eval.errors import HRNetError

RandomWeights = Callable[[Any], Weights]


def images(spec: HRNetSpec) -> NDArray[np.float32]:
    return np.random.default_rng(1).standard_normal((2, *spec.input_size, 3)).astype(np.float32)


def gated(spec: HRNetSpec, units: set[Unit], random_weights: RandomWeights, *, folded: bool = False) -> Any:
    model = build_model(spec, folded=folded, gate=on_units(units, lambda name, unit: UnitGate(name)))
    gates = {name: array for name, array in model_weights(model).items() if "_gate/" in name}
    set_model_weights(model, {**random_weights(model), **gates})
    return model


UNITS: list[Unit] = [FusionLink(2, 0, 1, 0), FusionLink(3, 0, 0, 2), FusionLink(4, 0, 3, 0), ResidualBlock(3, 1, 0, 0)]


@pytest.fixture(scope="module")
def full(spec: HRNetSpec, random_weights: RandomWeights) -> Any:
    """A network with open gates on `UNITS`."""
    return gated(spec, set(UNITS), random_weights)


@pytest.mark.slow
@pytest.mark.parametrize("unit", UNITS, ids=str)
def test_removing_a_unit_equals_closing_its_gate(spec: HRNetSpec, full: Any, unit: Unit) -> None:
    smaller, gate = build_model(spec.without({unit})), gates_of(full)[unit]
    set_model_weights(smaller, model_weights(full))
    before = full(images(spec), training=False).numpy()
    gate.factor.assign(0.0)
    closed = full(images(spec), training=False).numpy()
    gate.factor.assign(1.0)
    np.testing.assert_allclose(smaller(images(spec), training=False).numpy(), closed, rtol=1e-4, atol=1e-4)
    assert np.abs(before - closed).max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_folding_gates_preserves_the_outputs(spec: HRNetSpec, block: str, folded: bool, random_weights: RandomWeights) -> None:
    spec = dataclasses.replace(spec, block=block)
    units: set[Unit] = {FusionLink(2, 0, 0, 1), FusionLink(3, 0, 0, 2), FusionLink(4, 0, 2, 0), ResidualBlock(3, 0, 1, 0)}
    model = gated(spec, units, random_weights, folded=folded)
    assert set(gates_of(model)) == units
    for factor, gate in zip((0.5, -0.25, 2.0, 0.75), gates_of(model).values(), strict=True):
        gate.factor.assign(factor)
    plain = build_model(spec, folded=folded)
    set_model_weights(plain, without_gates(model))
    assert len(plain.layers) == len(model.layers) - len(units)
    expected = model(images(spec), training=False).numpy()
    np.testing.assert_allclose(
        plain(images(spec), training=False).numpy(), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max()
    )


def test_hard_concrete_gates_open_with_their_probability() -> None:
    gate = HardConcreteGate("stage2_module0_link0to1_gate")
    maps = np.ones((4000, 1, 1, 1), np.float32)
    gate(maps)
    shares = []
    for log_alpha in (-9.0, 0.0, 9.0):
        gate.log_alpha.assign(log_alpha)
        samples = np.asarray(gate(maps, training=True))
        assert samples.min() >= 0
        assert samples.max() <= 1
        shares.append(float((samples > 0).mean()))
        assert float(gate.openness()) == pytest.approx(shares[-1], abs=0.03)  # equation 12 against the sampled frequency
        np.testing.assert_allclose(np.asarray(gate(maps, training=False)), gate.value(), rtol=1e-6)
    assert shares[0] < 0.05 < 0.5 < shares[1] < 0.95 < shares[2]


def test_unit_dropout_drops_images_and_preserves_the_mean() -> None:
    layer = unit_dropout(0.25)("stage2_module0_link0to1_gate", FusionLink(2, 0, 0, 1))
    maps = np.ones((4000, 2, 2, 3), np.float32)
    dropped = np.asarray(layer(maps, training=True))
    assert dropped.mean() == pytest.approx(1.0, abs=0.05)
    assert (dropped.reshape(4000, -1) == 0).all(axis=1).mean() == pytest.approx(0.25, abs=0.03)
    assert np.ptp(dropped.reshape(4000, -1), axis=1).max() == 0
    np.testing.assert_array_equal(np.asarray(layer(maps, training=False)), maps)


def test_gates_of_a_baseline() -> None:
    from hrnet_tf.spec.presets import preset

    with pytest.raises(HRNetError, match="simple-baseline-r50"):
        build_model(preset("simple-baseline-r50"), gate=on_units(set(), lambda name, unit: keras.layers.Layer(name=name)))
