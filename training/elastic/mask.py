"""What is missing from a network, chosen at random."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hrnet_tf.spec.units import FusionLink, Unit

LARGEST_SHARE = 0.75  # of the channels of a group


@dataclass(frozen=True)
class Mask:
    """What is missing.

    Attributes:
        removed: Links and blocks.
        dropped: Number of channels by width group, the least important first.
    """

    removed: frozenset[Unit]
    dropped: Mapping[str, int] = dataclasses.field(default_factory=dict)


def random_mask(units: Sequence[Unit], widths: Mapping[str, int], severity: float, rng: np.random.Generator) -> Mask:
    """Return a mask.

    Args:
        units: The links and blocks that may be removed.
        widths: Number of channels of each width group that may be narrowed.
        severity: Largest share of the links, of the blocks and of the channels of half of the groups.
        rng: Where random numbers come from.
    """
    links, blocks, width = severity * rng.uniform(0, 1, 3)
    rates = [links if isinstance(unit, FusionLink) else blocks for unit in units]
    removed = frozenset(unit for unit, draw, rate in zip(units, rng.random(len(units)), rates, strict=True) if draw < rate)
    shares = rng.uniform(0, 2 * width, len(widths)) * (rng.random(len(widths)) < 0.5)
    counts = [round(min(share, LARGEST_SHARE) * channels) for share, channels in zip(shares, widths.values(), strict=True)]
    return Mask(removed, dict(zip(widths, counts, strict=True)))
