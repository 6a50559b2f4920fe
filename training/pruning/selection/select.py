"""Exact selection: the network within a budget that loses the least importance."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hrnet_tf.spec.convolutions import convolutions
from hrnet_tf.spec.network import HRNetSpec
from hrnet_tf.spec.units import ResidualBlock
from mobile_eval.errors import HRNetError
from training.pruning.cost_model import CostModel
from training.pruning.selection.importance import WIDTH_MULTIPLE, Importance, levels
from training.pruning.selection.linear_program import InfeasibleError
from training.pruning.selection.network_program import NetworkProgram, groups_of

TIME_LIMIT = 60.0  # seconds
GAP = 0.005
ROUNDING = 1e-9  # relative difference between a cost and its limit
ATTEMPTS = 3


@dataclass(frozen=True)
class Limit:
    """What a selected network may have at most: a cost by the cost model, or a number of fusion links."""

    cost: float = math.inf
    links: float = math.inf


@dataclass(frozen=True)
class Selection:
    """A selected network.

    Attributes:
        spec: The network.
        channels: Indices of the kept channels of each group that it narrows, among those of the network before.
        cost: Its cost by the cost model.
        lost: Importance of what was removed.
        bound: Lower bound of the importance that any selection within the limit loses; None if it is not known.
    """

    spec: HRNetSpec
    channels: Mapping[str, tuple[int, ...]]
    cost: float
    lost: float
    bound: float | None


@dataclass(frozen=True)
class Selector:
    """Selects networks by the importance of their links, blocks and channels.

    A selection is exact up to a relative `gap` between the importance that it loses and a lower bound of it: one mixed-integer
    program decides on all links, blocks and widths at once.

    Attributes:
        spec: The network to prune.
        importance: Importance of what may be removed.
        cost_model: Cost of a network.
        width_multiple: Number of channels that widths are multiples of.
        time_limit: Time limit of the program in seconds, after which the best network so far is taken.
        gap: Relative difference to the bound that is small enough.
        widest: Largest width of groups; those that are not in it may keep theirs.

    Raises:
        HRNetError: `width_multiple` is below 1.
    """

    spec: HRNetSpec
    importance: Importance
    cost_model: CostModel
    width_multiple: int = WIDTH_MULTIPLE
    time_limit: float = TIME_LIMIT
    gap: float = GAP
    widest: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.width_multiple < 1:
            raise HRNetError(f"`width_multiple` must be at least 1, got {self.width_multiple}")

    def select(self, limit: Limit) -> Selection:
        """Return the network within a limit that loses the least importance.

        Raises:
            InfeasibleError: Even the smallest network exceeds the limit.
        """
        reduced = limit
        for _ in range(ATTEMPTS):
            selection = self._selected(reduced)
            excess = selection.cost - limit.cost
            if excess <= ROUNDING * selection.cost:
                return selection
            reduced = dataclasses.replace(reduced, cost=reduced.cost - 1.1 * excess)  # the cost of a head is not quite linear
        raise InfeasibleError(f"the closest network costs {selection.cost:g} {self.cost_model.unit}, not {limit.cost:g}")

    def pareto_front(self, shares: Sequence[float]) -> list[Selection]:
        """Return the best network for each of several budgets.

        Args:
            shares: Costs over that of the full network, between 0 and 1.

        Raises:
            InfeasibleError: Even the smallest network exceeds the smallest of them.
        """
        return [self.select(Limit(cost=share * self.full_cost)) for share in shares]

    @functools.cached_property
    def full_cost(self) -> float:
        """Cost of the full network."""
        return self.cost_model.cost(self.spec.full())

    @functools.cached_property
    def smallest(self) -> Selection:
        """The cheapest network of all that can be selected."""
        units = frozenset(self.importance.units)
        bare = self.spec.without(units)
        smallest = [bare] if bare.links else [self.spec.without(units - {link}) for link in self.spec.links]
        networks = [self._narrowest(spec) for spec in smallest if spec.links]
        spec, channels = min(networks, key=lambda network: self.cost_model.cost(network[0]))
        lost = self.lost(spec, channels)
        return Selection(spec, channels, self.cost_model.cost(spec), lost, lost)

    def _narrowest(self, spec: HRNetSpec) -> tuple[HRNetSpec, dict[str, tuple[int, ...]]]:
        """A network at its smallest widths, and the kept channels."""
        built = {group for convolution in convolutions(spec) for group in groups_of(convolution)}
        widths = {group: every[0] for group, every in self._widths.items() if group in built}
        kept = {group: self._scores.most_important(group, width) for group, width in widths.items()}
        narrowed = {group: indices for group, indices in kept.items() if len(indices) < self.spec.width_of(group)}
        return spec.with_widths(widths), narrowed

    def _selected(self, limit: Limit) -> Selection:
        program = NetworkProgram(self.spec, self._scores, self._widths)
        if limit.cost < math.inf:
            program.limit_cost(self.cost_model.price, limit.cost - self.cost_model.fixed)
        if limit.links < math.inf:
            program.limit_links(limit.links)
        solution = program.program.solve(time_limit=self.time_limit, gap=self.gap)
        spec, channels = program.network(solution)
        return Selection(spec, channels, self.cost_model.cost(spec), self.lost(spec, channels), solution.bound)

    def lost(self, spec: HRNetSpec, channels: Mapping[str, Sequence[int]]) -> float:
        """Return the importance that a smaller network has lost.

        Links and blocks count if they would influence an output, and channels if their group is built.

        Args:
            spec: The smaller network.
            channels: Indices of the kept channels of each group that it narrows.
        """
        units, scores = self._scores.units, self._scores.channels
        links = self.spec.links - spec.links
        lost = [units[link] for link in links if link in dataclasses.replace(spec, links=spec.links | {link}).liveness().links]
        lost += [units[block] for block in self.spec.live_blocks & spec.removed_blocks if _is_reachable(spec, block)]
        lost += [scores[group][index] for group, kept in channels.items() for index in set(range(len(scores[group]))) - {*kept}]
        return math.fsum(lost)

    @functools.cached_property
    def _scores(self) -> Importance:
        return self.importance.raised()

    @functools.cached_property
    def _widths(self) -> dict[str, tuple[int, ...]]:
        """The widths that each group may have."""
        every = {group: levels(len(scores), self.width_multiple) for group, scores in self.importance.channels.items()}
        most = {group: max(self.widest.get(group, widths[-1]), widths[0]) for group, widths in every.items()}
        return {group: tuple(width for width in widths if width <= most[group]) for group, widths in every.items()}


def _is_reachable(spec: HRNetSpec, block: ResidualBlock) -> bool:
    """Whether a removed block would influence an output."""
    return block in dataclasses.replace(spec, removed_blocks=spec.removed_blocks - {block}).live_blocks
