"""The arms of a study: the networks that it trains, and the kinds of them."""

from __future__ import annotations

from dataclasses import dataclass

FULL, UNITS, LINKS, GREEDY, RANDOM = "full", "units", "links", "greedy", "random"
NARROW, SCRATCH, FULL_SCRATCH = "narrow", "scratch", "full-scratch"
MEANING = {
    FULL: "all units, trained on for as long as the pruned networks",
    UNITS: "links, blocks and widths pruned by importance, exact selection",
    LINKS: "links only, exact selection",
    NARROW: "a narrower network, trained from scratch with the teacher",
    GREEDY: "links and blocks pruned step by step",
    RANDOM: "links, blocks and widths by random importance, exact selection",
    SCRATCH: "the network of units, trained from scratch with the teacher",
    FULL_SCRATCH: "the full network, trained from scratch with the teacher",
}


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
