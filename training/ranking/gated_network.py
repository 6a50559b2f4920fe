"""A trained network with a gate on each unit, whose importance is measured by closing the gates or learning them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hrnet_tf.backend.types import KerasModel, Weights
from hrnet_tf.models.build import build_model
from hrnet_tf.models.folding import fold_batch_norm
from hrnet_tf.models.gates import GATE_SUFFIX, Gate, UnitGate, on_units
from hrnet_tf.runs.weights import model_weights, set_model_weights
from hrnet_tf.spec.network import HRNetSpec, Unit

GateFactory = Callable[[str, Unit], Gate]  # (layer name, unit) -> gate


@dataclass(frozen=True)
class GatedNetwork:
    """A trained network and its gated units.

    Attributes:
        spec: The network.
        weights: Its weights, with BatchNorm.
        units: The fusion links and residual blocks that have a gate.
    """

    spec: HRNetSpec
    weights: Weights = field(repr=False)
    units: tuple[Unit, ...]

    @classmethod
    def of(cls, spec: HRNetSpec, weights: Weights, *, include_blocks: bool = False) -> GatedNetwork:
        """Put a gate on every link, and with `include_blocks` on every residual block of stages 2 to 4."""
        return cls(spec, weights, (*sorted(spec.links), *(sorted(spec.live_blocks) if include_blocks else ())))

    def build(self, make_gate: GateFactory | None = None) -> KerasModel:
        """Build the Keras model for inference, with folded BatchNorm.

        Args:
            make_gate: Makes the gate of a unit; None for a factor of 1.
        """
        model = build_model(self.spec, folded=True, gate=on_units(frozenset(self.units), make_gate or _factor))
        gates = {name: array for name, array in model_weights(model).items() if f"{GATE_SUFFIX}/" in name}
        set_model_weights(model, {**fold_batch_norm(self.weights), **gates})
        return model


def _factor(name: str, unit: Unit) -> Gate:
    return UnitGate(name)
