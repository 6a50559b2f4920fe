"""What a network loses by a move, asked of the network as it stands by then: interactions between links count."""

from __future__ import annotations

from hrnet_tf.models.gates import gates_of
from hrnet_tf.spec.network import HRNetSpec, Unit
from training.ranking.data import GatedNetwork, RankingData

ITEMS = 128


class LossIncrease:
    """Loss (on `data`) of any part of `network`, by closing the gates of what is not in it."""

    def __init__(self, network: GatedNetwork, data: RankingData):
        self.model = network.gated()
        self.gates = gates_of(self.model)
        self.data = data
        self._losses: dict[frozenset[Unit], float] = {}

    def __call__(self, spec: HRNetSpec, move: frozenset[Unit]) -> float:
        """How much higher the loss of `spec` is without `move`, before any tuning."""
        return self.loss(spec.without(move)) - self.loss(spec)

    def loss(self, spec: HRNetSpec) -> float:
        """The loss of the network with the units of `spec` alone."""
        built = {*spec.liveness().links, *spec.live_blocks}
        closed = frozenset(unit for unit in self.gates if unit not in built)
        if closed not in self._losses:
            for unit, gate in self.gates.items():
                gate.factor.assign(float(unit not in closed))
            self._losses[closed] = self.data.measure(self.model)[0]
        return self._losses[closed]
