"""The arms of a study: the networks that it trains, and the kinds of them."""

from __future__ import annotations

from dataclasses import dataclass

FULL = "full"  # all units, trained on for as long as the pruned networks
UNITS = "units"  # links, blocks and widths, by exact selection
LINKS = "links"  # links only, by exact selection
GREEDY = "greedy"  # links and blocks, step by step
RANDOM = "random"  # as units, by random importance
NARROW = "narrow"  # a narrower network, from scratch
SCRATCH = "scratch"  # the network of units, from scratch
FULL_SCRATCH = "full-scratch"  # the full network, from scratch


@dataclass(frozen=True)
class StudyArm:
    """An arm of a study: one training of a network, in all precisions.

    Attributes:
        name: Name of the network, which its trainings with other seeds share.
        kind: How the network was made, such as "units"; "full" for the full network.
        budget: Its share of the full network's latency; None for a network that was not made for one.
        seed: Seed of the training.
        labels: Labels of its models.
    """

    name: str
    kind: str
    budget: float | None
    seed: int
    labels: tuple[str, ...]
