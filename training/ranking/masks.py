"""Importance with interactions: scores whose sums predict the loss when many units and channels are missing at once.

Scores of one unit at a time do not add up. Blocks and links of a branch stand in for each other, and the sizes of the first-order
terms of single channels add up to more than that of their convolution. So the loss is measured under random masks, without
retraining: each removes some links, some blocks, and the least important channels of some groups. The lost importance of a mask
is the sum of the Taylor scores of what it removes, each times a factor of its unit or group. The factors are fitted to the
increases of the loss by least squares, and cannot be negative. They are drawn towards one factor for each kind of unit, as there
are about as many units as masks.
"""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from hrnet_tf.models.rebuild import rebuild
from hrnet_tf.spec.convolutions import group_writers
from hrnet_tf.spec.network import HRNetSpec
from hrnet_tf.spec.units import FusionLink, Unit
from mobile_eval.errors import HRNetError
from mobile_eval.progress import tracked
from training.elastic.mask import Mask, random_mask
from training.elastic.masking import ModelMasking
from training.ranking.channels import ChannelScores, channel_importance
from training.ranking.data import RankingData
from training.ranking.gated_network import GatedNetwork
from training.ranking.methods import Taylor
from training.ranking.scores import Scores, check_loss

FIRST_SEVERITY = 0.3  # largest share of units that a mask removes; it adapts to the network
FEWER, MORE = 0.9, 1.05  # how it adapts when a mask doubles the loss, or does not
SMALLEST_FACTOR = 1e-2  # of a kind relative to one factor for all, of a unit or group relative to its kind
TESTED = 4  # every fourth mask is held out, to test the prediction

Matrix = NDArray[np.float64]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MaskImportance:
    """Scores whose sums predict increases of the loss.

    Attributes:
        units: Importance of each unit.
        channels: Importance of each channel by width group; empty if widths were not ranked.
        r2: Share of the variance of the loss, under masks that no factor was fitted to, that the scores predict.
        taylor_r2: The same of Taylor scores, all times one factor.
    """

    units: Scores
    channels: ChannelScores
    r2: float
    taylor_r2: float


@dataclass(frozen=True)
class RandomMasks:
    """Importance is the Taylor score, times the factor by which it predicts the loss under random masks.

    Takes one pass over the data for each mask, and needs TensorFlow.

    Attributes:
        masks: Number of masks. Those that more than double the loss are left out, as it no longer grows with what is lost.
        strength: How strongly factors are drawn to that of their kind.
        seed: Seed of the masks.
        progress: Whether to show a progress bar.
    """

    masks: int = 200
    strength: float = 0.05
    seed: int = 0
    progress: bool = False

    def __call__(self, network: GatedNetwork, data: RankingData) -> Scores:
        """Return the importance of each unit."""
        return self.measure(network, data).units

    def measure(self, network: GatedNetwork, data: RankingData, *, include_widths: bool = False) -> MaskImportance:
        """Return the importance of each unit, and of each channel, and how well it predicts the loss.

        Args:
            network: The trained network.
            data: The ranking set.
            include_widths: Whether masks remove channels too.

        Raises:
            HRNetError: The loss is 0, NaN or infinite.
        """
        scores = Taylor()(network, data)
        channels = channel_importance(network, data) if include_widths else {}
        lost = LostImportance(network.spec, scores, channels)
        masks, increases = self.losses(network, data, channels)
        terms = np.array([lost.terms(mask) for mask in masks])
        tested = np.arange(len(masks)) % TESTED == 0
        fitted = terms[~tested], increases[~tested]
        factors, single = fitted_factors(*fitted, lost.kinds, self.strength), single_factor(*fitted)
        predicted, taylor = (explained(increases[tested], (terms[tested] * values).sum(1)) for values in (factors, single))
        _log.info("importance by %d masks: R2 %.2f on %d others, Taylor %.2f", sum(~tested), predicted, sum(tested), taylor)
        factors = fitted_factors(terms, increases, lost.kinds, self.strength)
        return MaskImportance(*lost.scaled(factors), predicted, taylor)

    def losses(self, network: GatedNetwork, data: RankingData, channels: ChannelScores) -> tuple[list[Mask], Matrix]:
        """Return random masks that do not double the loss, and by how much each increases it.

        Args:
            network: The trained network.
            data: The ranking set.
            channels: Importance of the channels that may be removed, the least important first.

        Raises:
            HRNetError: The loss is 0, NaN or infinite.
        """
        rng, severity = np.random.default_rng(self.seed), FIRST_SEVERITY
        model = rebuild(network.model)
        masking = ModelMasking(model, network.spec, channels, batch_statistics=True)
        measured_loss = data.loss_meter(model)
        loss = measured_loss()
        check_loss(loss)
        if loss == 0:
            raise HRNetError("`data`: the loss is 0, so that it cannot be compared with that under masks; give other targets")
        masks, increases = [], []
        widths = {group: len(scores) for group, scores in channels.items()}
        for _ in tracked(range(self.masks), "random masks", self.masks, show=self.progress):
            mask = random_mask(network.units, widths, severity, rng)
            masking.apply(mask)
            increase = measured_loss() - loss
            if increase < abs(loss):
                masks.append(mask)
                increases.append(increase)
            severity = min(1.0, severity * (MORE if increase < abs(loss) else FEWER))
        return masks, np.array(increases)


def fitted_factors(terms: Matrix, increases: Matrix, kinds: NDArray[np.intp], strength: float) -> Matrix:
    """Return the non-negative factors by which the sums of terms predict increases of the loss.

    Args:
        terms: What each mask removes, (masks, T).
        increases: The increase of the loss by each mask, (masks,).
        kinds: The kind of each term, (T,), 0 to K - 1.
        strength: How strongly factors are drawn to that of their kind.

    Returns:
        The factor of each term, (T,).
    """
    smallest = SMALLEST_FACTOR * single_factor(terms, increases)
    by_kind, _ = nnls(np.stack([terms[:, kinds == kind].sum(1) for kind in range(kinds.max() + 1)], axis=1), increases)
    prior = np.maximum(by_kind, smallest)[kinds]
    pull = np.sqrt(strength * float(np.mean(increases**2)))
    relative, _ = nnls(
        np.vstack([terms * prior, pull * np.eye(len(prior))]), np.concatenate([increases, np.full(len(prior), pull)])
    )
    return np.asarray(np.maximum(relative, SMALLEST_FACTOR) * prior)  # of a group without importance, the order is kept


def single_factor(terms: Matrix, increases: Matrix) -> float:
    """Return the one positive factor of all terms by which their sums predict increases of the loss best."""
    sums = terms.sum(1)
    return max(float(sums @ increases), 1e-30) / max(float(sums @ sums), 1e-30)


class LostImportance:
    """The importance that a mask removes, unit by unit and group by group.

    What is not built any more counts nothing: a link into a branch that became unreachable, a block of such a branch, and the
    channels of what is removed.

    Args:
        spec: The network.
        scores: Importance of each unit.
        channels: Importance of each channel by width group.
    """

    def __init__(self, spec: HRNetSpec, scores: Scores, channels: ChannelScores):
        self.spec = spec
        self.scores = scores
        self.channels = channels
        self._lost = {group: np.concatenate([[0.0], np.cumsum(np.sort(values))]) for group, values in channels.items()}

    @property
    def kinds(self) -> NDArray[np.intp]:
        """The kind of each term: links, blocks, inner channels, and those of streams and the stem."""
        units = [0 if isinstance(unit, FusionLink) else 1 for unit in self.scores]
        inner = [2 if "_conv" in group and not group.startswith("stem") else 3 for group in self.channels]
        return np.unique([*units, *inner], return_inverse=True)[1]

    def terms(self, mask: Mask) -> Matrix:
        """Return the importance that a mask removes, (units + groups,)."""
        smaller = self.spec.without(mask.removed)
        built = group_writers(smaller)
        units = [score if unit in mask.removed and _matters(unit, smaller) else 0.0 for unit, score in self.scores.items()]
        groups = [lost[mask.dropped.get(group, 0)] if group in built else 0.0 for group, lost in self._lost.items()]
        return np.array([*units, *groups])

    def scaled(self, factors: Matrix) -> tuple[Scores, ChannelScores]:
        """Return the scores times factors (units + groups,)."""
        units, groups = np.split(factors, [len(self.scores)])
        scores = {unit: float(score * factor) for (unit, score), factor in zip(self.scores.items(), units, strict=True)}
        channels = {
            group: tuple(float(score * factor) for score in values)
            for (group, values), factor in zip(self.channels.items(), groups, strict=True)
        }
        return scores, channels


def _matters(unit: Unit, smaller: HRNetSpec) -> bool:
    """Whether a network that lacks a unit would build it."""
    if isinstance(unit, FusionLink):
        return unit in dataclasses.replace(smaller, links=smaller.links | {unit}).liveness().links
    return unit in dataclasses.replace(smaller, removed_blocks=smaller.removed_blocks - {unit}).live_blocks


def explained(values: Matrix, predicted: Matrix) -> float:
    """Return R2, the share of the variance of values that is predicted; NaN if they do not vary."""
    variance = float(np.sum((values - values.mean()) ** 2))
    return 1 - float(np.sum((values - predicted) ** 2)) / variance if variance else float("nan")
