"""Importance fitted to the measured loss of candidate networks.

Importance of single units and channels misleads a selection: of all networks within a budget it finds one whose parts are
individually cheap to lose, which may have no path from the lower branches left. So networks are measured: parts of the trained
network are masked, BatchNorm takes the statistics of the batch, and nothing is trained. First random networks are measured and
the one that the given scores select, then, again and again, the one that the importance fitted so far selects. The best of the
selected ones is pruned.

The logarithm of the loss is taken to be a sum of Taylor scores of what is missing, each times a factor of its unit or width group
(`training.ranking.masks`): with each missing part, the loss grows by a share.
"""

from __future__ import annotations

import dataclasses
import logging
import math

import numpy as np

from hrnet_tf.models.rebuild import rebuild
from hrnet_tf.spec.units import FusionLink
from mobile_eval.progress import tracked
from training.elastic.mask import Mask, random_mask
from training.elastic.masking import ModelMasking
from training.pruning.selection.importance import Importance
from training.pruning.selection.linear_program import InfeasibleError
from training.pruning.selection.select import Limit, Selection, Selector
from training.ranking.data import RankingData
from training.ranking.gated_network import GatedNetwork
from training.ranking.masks import LostImportance, fitted_factors
from training.ranking.scores import check_loss

logger = logging.getLogger(__name__)

RANDOM_NETWORKS = 100
MILDEST, SEVEREST = 0.3, 1.0  # largest share that a random network lacks
SELECTED_NETWORKS = 12  # by one call of `best`
NEIGHBORS = (1.0, 1.15, 0.87)  # limits of cost in turn, relative to the limit: what is near it teaches too
STRENGTH = 0.05  # how strongly factors are drawn to that of their kind


class Candidates:
    """Measures candidate networks, and selects the best.

    Args:
        network: The trained network. It is best prepared by elastic training (`training.elastic`).
        data: Examples to measure the loss on.
        importance: Taylor scores of what may be removed.
        seed: Seed of the random networks.
        progress: Whether to show progress.
    """

    def __init__(
        self, network: GatedNetwork, data: RankingData, importance: Importance, *, seed: int = 0, progress: bool = False
    ):
        self.importance = importance.raised()
        self.progress = progress
        channels = {group: tuple(scores) for group, scores in self.importance.channels.items()}
        self._lost = LostImportance(network.spec, dict(self.importance.units), channels)
        model = rebuild(network.model)
        self._masking = ModelMasking(model, network.spec, channels, batch_statistics=True)
        self._loss = data.loss_meter(model)
        self._full_loss = self._loss()
        check_loss(self._full_loss)
        self._rng = np.random.default_rng(seed)
        self._terms: list[np.ndarray] = []
        self._growth: list[float] = []

    def best(self, selector: Selector, limit: Limit) -> Selection:
        """Return the network within a limit whose measured loss is lowest, among that of the given importance and fitted ones.

        Args:
            selector: Selects networks; its importance is replaced.
            limit: The limit.

        Returns:
            The network. The importance that it loses is the logarithm of how many times the loss grows.

        Raises:
            InfeasibleError: Even the smallest network exceeds the limit.
        """
        if not self._terms:
            self._measure_random_networks()
        measured: list[Selection] = []
        for number in tracked(range(SELECTED_NETWORKS), "candidate networks", SELECTED_NETWORKS, show=self.progress):
            fitted = dataclasses.replace(selector, importance=self.fitted() if number else self.importance)
            share = NEIGHBORS[number % len(NEIGHBORS)]
            try:
                selection = fitted.select(dataclasses.replace(limit, cost=limit.cost * share))
            except InfeasibleError:
                if share >= 1:
                    raise
                continue
            growth = self.measure(self._mask(selection))
            if share <= 1:
                measured.append(dataclasses.replace(selection, lost=growth, bound=None))
        logger.info("best of %d candidates: the loss grows %.2f times", len(self._terms), math.exp(min(s.lost for s in measured)))
        return min(measured, key=lambda selection: selection.lost)

    def fitted(self) -> Importance:
        """Return the importance that predicts the measured losses best."""
        factors = fitted_factors(np.array(self._terms), np.array(self._growth), self._lost.kinds, STRENGTH)
        units, channels = self._lost.scaled(factors)
        return Importance(units, channels)

    def measure(self, mask: Mask) -> float:
        """Return the logarithm of how many times the loss grows by a mask, at least 0, and remember it."""
        self._masking.apply(mask)
        growth = math.log(max(self._loss() / self._full_loss, 1.0))
        self._terms.append(self._lost.terms(mask))
        self._growth.append(growth)
        return growth

    def _measure_random_networks(self) -> None:
        widths = {group: len(scores) for group, scores in self.importance.channels.items()}
        for _ in tracked(range(RANDOM_NETWORKS), "random networks", RANDOM_NETWORKS, show=self.progress):
            severity = self._rng.uniform(MILDEST, SEVEREST)
            self.measure(random_mask(list(self.importance.units), widths, severity, self._rng))

    def _mask(self, selection: Selection) -> Mask:
        """The mask of a selected network."""
        spec = selection.spec
        removed = frozenset(
            unit
            for unit in self.importance.units
            if (unit not in spec.links if isinstance(unit, FusionLink) else unit in spec.removed_blocks)
        )
        scores = self.importance.channels
        return Mask(removed, {group: len(scores[group]) - len(kept) for group, kept in selection.channels.items()})
