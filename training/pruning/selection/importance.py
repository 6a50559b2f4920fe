"""What is lost by removing links, blocks and channels, and the widths that a group of channels may have."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from hrnet_tf.runs.ranking import Ranking
from hrnet_tf.spec.network import HRNetSpec
from hrnet_tf.spec.units import FusionLink, Unit
from mobile_eval.errors import HRNetError
from training.ranking.scores import check_finite

SMALLEST = 0.1  # of the smallest positive score: the least that a unit or a channel counts with
WIDTH_MULTIPLE = 8
MOST_LEVELS = 64  # widths of a group: the size of a program grows with their square


@dataclass(frozen=True)
class Importance:
    """Importance of everything that may be removed. What is not in it stays.

    Attributes:
        units: Importance of each link, and of each block if these may be removed.
        channels: Importance of each channel, by width group, of the groups that may be narrowed.
    """

    units: Mapping[Unit, float]
    channels: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, ranking: Ranking, method: str | None = None, *, include_blocks: bool = True, include_widths: bool = True
    ) -> Importance:
        """Return the scores of a ranking.

        Args:
            ranking: The ranking.
            method: Its method; None for the first.
            include_blocks: Whether residual blocks may be removed.
            include_widths: Whether widths may be narrowed.

        Raises:
            HRNetError: The ranking lacks the method.
        """
        scores = ranking.importance(method)
        units = {unit: value for unit, value in scores.items() if include_blocks or isinstance(unit, FusionLink)}
        channels = ranking.channels.get(method or ranking.methods[0], {}) if include_widths else {}
        return cls(units, channels)

    def check(self, spec: HRNetSpec, place: str, advice: str) -> None:
        """Raise HRNetError unless the scores are finite and those of a network.

        Args:
            spec: The network.
            place: Where the scores come from, for the message.
            advice: What to do, for the message.
        """
        check_finite(self.units, place, advice)
        for group, scores in self.channels.items():
            if group not in spec.full_widths or len(scores) != spec.width_of(group):
                channels = f"{spec.width_of(group)} channels" if group in spec.full_widths else "no such group"
                raise HRNetError(f"{place} has {len(scores)} scores of {group:.80}, the network has {channels}: {advice}")
            if not all(map(math.isfinite, scores)):
                raise HRNetError(f"{place} has a score of {group} that is NaN or infinite: {advice}")

    def raised(self) -> Importance:
        """Return the scores, raised where they are not positive, so that nothing is removed for nothing."""
        smallest = SMALLEST * _smallest_positive(self.units.values())
        least = SMALLEST * _smallest_positive(score for scores in self.channels.values() for score in scores)
        return dataclasses.replace(
            self,
            units={unit: max(value, smallest) for unit, value in self.units.items()},
            channels={group: tuple(max(score, least) for score in scores) for group, scores in self.channels.items()},
        )

    def most_important(self, group: str, width: int) -> tuple[int, ...]:
        """Return the indices of the `width` most important channels of a group, in order."""
        order = np.argsort(-np.asarray(self.channels[group]), kind="stable")
        return tuple(sorted(map(int, order[:width])))

    def lost(self, group: str, width: int) -> float:
        """Return the sum of the scores of all but the `width` most important channels of a group."""
        scores = sorted(self.channels[group])
        return math.fsum(scores[: len(scores) - width])


def _smallest_positive(values: Iterable[float]) -> float:
    return min((value for value in values if value > 0), default=1.0)


def levels(width: int, multiple: int) -> tuple[int, ...]:
    """Return the widths that a group may have: multiples of `multiple` below its width, and its width.

    Of more than 64 widths, evenly spread ones are returned.

    Args:
        width: Its number of channels.
        multiple: Number of channels that the target likes a multiple of.

    Example:
        >>> levels(32, 8), levels(36, 16), levels(5, 8), len(levels(256, 1))
        ((8, 16, 24, 32), (16, 32, 36), (5,), 64)
    """
    step = multiple * max(1, math.ceil(width / multiple / MOST_LEVELS))
    return (*range(step, width, step), width)
