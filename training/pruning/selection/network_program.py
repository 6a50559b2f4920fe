"""The selection of links, blocks and widths as a mixed-integer program.

Each link and each block is a binary variable, and each width group has one for every width. Which branches are alive follows from
the links by constraints. The cost of a convolution depends on the widths that it reads and writes: there is a variable for each
pair of these, which is 1 if the convolution is built with them. All convolutions of a part that depend on the same two groups
share the variables.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from hrnet_tf.spec.convolutions import Convolution, convolutions
from hrnet_tf.spec.network import FIRST_STAGE, HRNetSpec
from hrnet_tf.spec.units import BranchModule, FusionLink, ResidualBlock, Unit, parse_unit
from training.pruning.cost_model import Price
from training.pruning.selection.importance import Importance
from training.pruning.selection.linear_program import ONE, LinearProgram, Solution

Widths = Mapping[str, int]


class NetworkProgram:
    """The program whose solutions are the networks that can be pruned from one network.

    Args:
        spec: The network.
        importance: Importance of what may be removed, none of it negative. What is not in it stays.
        levels: The widths that each group may have; those that are not in it keep theirs.
    """

    def __init__(self, spec: HRNetSpec, importance: Importance, levels: Mapping[str, Sequence[int]]):
        self.spec = spec
        self.importance = importance
        self.program = LinearProgram()
        self.convolutions = convolutions(spec)
        self.links: dict[FusionLink, int] = {}
        self.blocks: dict[ResidualBlock, int] = {}
        self.alive: dict[BranchModule, int] = {}
        self._add_links()
        self._add_blocks()
        self._always = _parts_that_stay(spec)
        self.built = {group: self._built(parts) for group, parts in _parts_by_group(self.convolutions).items()}
        self.levels = {group: self._add_levels(group, levels.get(group) or (spec.width_of(group),)) for group in self.built}

    def limit_links(self, most: float) -> None:
        """Add the constraint that at most `most` links are built."""
        self.program.row([(variable, 1.0) for variable in self.links.values()], high=most)

    def limit_cost(self, price: Price, most: float) -> None:
        """Add the constraint that the convolutions cost at most `most` in all."""
        cost: dict[int, float] = defaultdict(float)
        for (part, groups), members in self._by_groups().items():
            for variable, value in self._costs(part, groups, members, price):
                cost[variable] += value
        scale = max(abs(most), max(cost.values()))  # costs may be millions of multiply-adds
        self.program.row([(variable, value / scale) for variable, value in cost.items()], high=most / scale)

    def network(self, solution: Solution) -> tuple[HRNetSpec, dict[str, tuple[int, ...]]]:
        """Return the network of a solution, and the kept channels of each group that it narrows."""
        chosen = solution.values > 0.5
        removed: list[Unit] = [link for link, variable in self.links.items() if not chosen[variable]]
        removed += [block for block, variable in self.blocks.items() if chosen[self._place(block)] and not chosen[variable]]
        spec = self.spec.without(removed)
        built = {group for convolution in convolutions(spec) for group in groups_of(convolution)}
        kept = {
            group: self.importance.most_important(group, width)
            for group, variables_of in self.levels.items()
            for width, variable in variables_of.items()
            if group in built and chosen[variable] and width < self.spec.width_of(group)
        }
        return spec.with_widths({group: len(indices) for group, indices in kept.items()}), kept

    def _add_links(self) -> None:
        """Variables of links and of live branches, from the outputs backwards as in `HRNetSpec.liveness`."""
        needed = dict.fromkeys(self.spec.outputs, ONE)  # the branches that are read after an exchange unit
        for stage in range(self.spec.last_stage, FIRST_STAGE - 1, -1):
            for module in range(self.spec.stage(stage).modules - 1, -1, -1):
                out_of: dict[int, list[int]] = defaultdict(list)
                for link in sorted(self.spec.links):
                    if (link.stage, link.module) == (stage, module) and link.target in needed:
                        self.links[link] = self._link(link, needed[link.target])
                        out_of[link.source].append(self.links[link])
                needed = {
                    branch: self._any([*([needed[branch]] if branch in needed else []), *out_of[branch]])
                    for branch in sorted({*needed, *out_of})
                }
                self.alive |= {BranchModule(stage, module, branch): variable for branch, variable in needed.items()}
            if (newest := stage - 1) in needed:  # it starts from the lowest branch before it
                readers = [needed.pop(newest), *([needed[newest - 1]] if newest - 1 in needed else [])]
                needed[newest - 1] = self._any(readers)
        self.program.row([(variable, 1.0) for variable in self.links.values()], low=1.0)

    def _link(self, link: FusionLink, target: int) -> int:
        """A link whose target is alive is built, or its importance is lost."""
        if link not in self.importance.units:
            return target
        variable = self.program.variable(integer=True)
        self.program.at_most(variable, [target])
        self.program.minimize(target, self.importance.units[link])
        self.program.minimize(variable, -self.importance.units[link])
        return variable

    def _any(self, variables: Sequence[int]) -> int:
        """A variable that is 1 if any of some variables is."""
        if ONE in variables or len(variables) == 1:
            return ONE if ONE in variables else variables[0]
        result = self.program.variable()
        for variable in variables:
            self.program.at_most(variable, [result])
        self.program.at_most(result, variables)
        return result

    def _add_blocks(self) -> None:
        """A block of a branch that is alive is built, or its importance is lost."""
        for block in sorted(self.spec.live_blocks):
            place = self._place(block)
            self.blocks[block] = place
            if block in self.importance.units:
                self.blocks[block] = self.program.variable(integer=True)
                self.program.at_most(self.blocks[block], [place])
                self.program.minimize(place, self.importance.units[block])
                self.program.minimize(self.blocks[block], -self.importance.units[block])

    def _place(self, block: ResidualBlock) -> int:
        """The variable that is 1 if the branch of a block is alive, which stage 1 always is."""
        return self.alive.get(block.place, ONE)

    def _add_levels(self, group: str, widths: Sequence[int]) -> dict[int, int]:
        """A variable for each width of a group, one of which is 1 if the group is built."""
        if len(widths) == 1:
            variables = {widths[0]: self.built[group]}
        else:
            variables = {width: self.program.variable(integer=True) for width in widths}
            self.program.equal(variables.values(), self.built[group])
        if group in self.importance.channels:
            for width, variable in variables.items():
                self.program.minimize(variable, self.importance.lost(group, width))
        return variables

    def _built(self, parts: Iterable[str]) -> int:
        """The variable that is 1 if any of the parts is built that read or write the same group."""
        presences = {part: self._presence(part) for part in parts}
        if ONE in presences.values():
            return ONE
        first, *others = presences
        if not others:
            return presences[first]
        # The stream of a branch begins with its transition, or for branch 0 with stage 1.
        return next(variable for part, variable in presences.items() if part.startswith("transition"))

    def _presence(self, part: str) -> int:
        """The variable that is 1 if a part of the network is built."""
        if part in self._always:
            return ONE
        if part.startswith("transition"):
            stage, branch = part.removeprefix("transition").split("_branch")
            return self.alive[BranchModule(int(stage) + 1, 0, int(branch))]
        unit = parse_unit(part)
        return self.links[unit] if isinstance(unit, FusionLink) else self.blocks[unit]

    def _by_groups(self) -> dict[tuple[str, tuple[str, ...]], list[Convolution]]:
        """The convolutions by their part and the groups with several widths that their costs depend on."""
        members: dict[tuple[str, tuple[str, ...]], list[Convolution]] = defaultdict(list)
        for convolution in self.convolutions:
            groups = sorted(group for group in {*groups_of(convolution)} if len(self.levels[group]) > 1)
            members[convolution.part, tuple(groups)].append(convolution)
        return members

    def _costs(
        self, part: str, groups: Sequence[str], members: Sequence[Convolution], price: Price
    ) -> Iterable[tuple[int, float]]:
        """The costs of convolutions, as coefficients of variables."""

        largest = {group: max(levels) for group, levels in self.levels.items()}

        def cost(widths: Widths) -> float:
            return sum(price(with_widths(convolution, {**largest, **widths})) for convolution in members)

        built = self._presence(part)
        if not groups:
            return [(built, cost({}))]
        if len(groups) == 1:
            return [(variable, cost({groups[0]: width})) for width, variable in self._levels_if(built, groups[0]).items()]
        if len(groups) == 2:
            pairs = self._pairs_if(built, *groups)
            return [(variable, cost(dict(zip(groups, widths, strict=True)))) for widths, variable in pairs.items()]
        # Convolutions of a head read several branches, and their cost is linear in the number of channels.
        full = cost({})
        saved = [
            (variable, cost({group: width}) - full)
            for group in groups
            for width, variable in self._levels_if(built, group).items()
        ]
        return [(built, full), *saved]

    def _levels_if(self, built: int, group: str) -> dict[int, int]:
        """Variables of the widths of a group, all 0 if a part that it belongs to is not built."""
        levels = self.levels[group]
        if self.built[group] == built:
            return levels
        variables = {width: self.program.variable() for width in levels}
        self.program.equal(variables.values(), built)
        for width, variable in variables.items():
            self.program.at_most(variable, [levels[width]])
        return variables

    def _pairs_if(self, built: int, first: str, second: str) -> dict[tuple[int, int], int]:
        """Variables of all pairs of widths of two groups, all 0 if a part that they belong to is not built."""
        pairs = {widths: self.program.variable() for widths in itertools.product(self.levels[first], self.levels[second])}
        totals = []
        for position, group in enumerate((first, second)):
            for width, level in self.levels[group].items():
                variables = [variable for widths, variable in pairs.items() if widths[position] == width]
                if self.built[group] == built:
                    self.program.equal(variables, level)
                else:
                    self.program.row([*((variable, 1.0) for variable in variables), (level, -1.0)], high=0.0)
            totals.append(self.built[group] == built)
        if not any(totals):
            self.program.equal(pairs.values(), built)
        return pairs


def with_widths(convolution: Convolution, widths: Widths) -> Convolution:
    """Return a convolution with these widths of the groups that it reads and writes."""
    source = sum(widths[group] for group in convolution.reads) if convolution.reads else convolution.source
    target = convolution.target if convolution.writes is None else widths[convolution.writes]
    return dataclasses.replace(convolution, source=source, target=target)


def groups_of(convolution: Convolution) -> tuple[str, ...]:
    """Return the groups of channels that a convolution reads and writes."""
    return convolution.reads if convolution.writes is None else (*convolution.reads, convolution.writes)


def _parts_by_group(members: Iterable[Convolution]) -> dict[str, list[str]]:
    """The parts that read or write each group, in the order of the network."""
    parts: dict[str, dict[str, None]] = defaultdict(dict)
    for convolution in members:
        for group in groups_of(convolution):
            parts[group][convolution.part] = None
    return {group: list(names) for group, names in parts.items()}


def _parts_that_stay(spec: HRNetSpec) -> frozenset[str]:
    """The parts that are built even without any links and blocks that could be removed."""
    smallest = spec.without((*spec.links, *spec.live_blocks))
    return frozenset(convolution.part for convolution in convolutions(smallest))
