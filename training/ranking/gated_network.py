"""A trained network with a gate on each unit, whose importance is measured by closing the gates or learning them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

from hrnet_tf.backend.types import KerasModel
from hrnet_tf.models.gates import Gate, UnitGate, on_units
from hrnet_tf.models.rebuild import rebuild
from hrnet_tf.models.trunk import hrnet_spec_of
from hrnet_tf.spec.network import HRNetSpec
from hrnet_tf.spec.units import Unit

GateFactory = Callable[[str, Unit], Gate]  # (layer name, unit) -> gate


@dataclass(frozen=True)
class GatedNetwork:
    """A trained network and its gated units.

    Attributes:
        model: A functional Keras model that contains an HRNet, with BatchNorm. It is not changed.
        units: The fusion links and residual blocks that have a gate.
    """

    model: KerasModel = field(repr=False)
    units: tuple[Unit, ...]

    @classmethod
    def of(cls, model: KerasModel, *, include_blocks: bool = False) -> GatedNetwork:
        """Put a gate on every link, and with `include_blocks` on every residual block of stages 2 to 4.

        Args:
            model: A functional Keras model that contains an HRNet.
            include_blocks: Whether residual blocks have gates too.

        Raises:
            HRNetError: The model contains no HRNet, or several.
        """
        spec = hrnet_spec_of(model)
        return cls(model, (*sorted(spec.links), *(sorted(spec.live_blocks) if include_blocks else ())))

    @functools.cached_property
    def spec(self) -> HRNetSpec:
        """The network."""
        return hrnet_spec_of(self.model)

    def build(self, make_gate: GateFactory | None = None) -> KerasModel:
        """Build the Keras model for inference, with folded BatchNorm.

        Args:
            make_gate: Makes the gate of a unit; None for a factor of 1.
        """
        return rebuild(self.model, folded=True, gate=on_units(frozenset(self.units), make_gate or _factor))


def _factor(name: str, unit: Unit) -> Gate:
    return UnitGate(name)
