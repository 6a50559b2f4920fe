"""The control: what a ranking is worth shows only beside one that knows nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.ranking.data import GatedNetwork, RankingData, Scores


@dataclass(frozen=True)
class RandomScores:
    """Importance drawn between 0 and 1 from `seed`; the data are not looked at."""

    seed: int = 0

    def __call__(self, network: GatedNetwork, data: RankingData) -> Scores:
        """The same numbers whatever the data."""
        drawn = np.random.default_rng(self.seed).random(len(network.units))
        return dict(zip(network.units, map(float, drawn), strict=True))
