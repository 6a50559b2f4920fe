"""Which units to remove, in which order: greedily the least importance lost for what is saved.

A link costs little; a branch of a module costs a lot, and is not built once no link leads out of it any more.
So a move is a single link or residual block, or all the links whose removal frees a branch from some module on.
A move's importance is the sum of its units', or what it costs the network as it stands by then, asked anew after each
move; what falls dead with them was felt through them only. What a move saves is the difference of two prices, in
whatever the price table counts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from hrnet_tf.spec.network import BranchModule, FusionLink, HRNetSpec, Unit
from mobile_eval.errors import HRNetError

Move = frozenset[Unit]
Price = Callable[[HRNetSpec], float]
Lost = Callable[[HRNetSpec, Move], float]  # what a network loses by a move


def moves(spec: HRNetSpec, *, blocks: bool = False) -> set[Move]:
    """Every single link, all links that keep a live branch module alive, and with `blocks` every residual block."""
    groups = {
        links_keeping_branch_alive(spec, branch) for branch in spec.liveness().branches if branch.branch not in spec.outputs
    }
    singles: set[Move] = {frozenset({unit}) for unit in (*spec.links, *(spec.live_blocks if blocks else ()))}
    return singles | {group for group in groups if group}


def links_keeping_branch_alive(spec: HRNetSpec, branch: BranchModule) -> Move:
    """The links to remove so that `branch` is not built.

    They are the links out of it and out of its later self, and, since the next stage's newest branch starts
    from the lowest one, of that one too.
    """

    def begins_at_or_after(link: FusionLink) -> bool:
        return (link.stage, link.module) >= (branch.stage, branch.module)

    doomed = {branch.branch}
    for stage in range(branch.stage + 1, spec.last_stage + 1):
        if stage - 2 in doomed:
            doomed.add(stage - 1)
    return frozenset(
        link for link in spec.links if link.source in doomed and link.target not in doomed and begins_at_or_after(link)
    )


def removal_order(spec: HRNetSpec, importance: Mapping[Unit, float], price: Price, lost: Lost | None = None) -> list[HRNetSpec]:
    """Ever smaller networks, `spec` first: each loses the move with the least importance for what it saves.

    A move's importance is what `lost` says or, without it, the sum of its units'. Residual blocks are moves where
    `importance` ranks any. A move of several links is made in small steps, so that a budget between its two ends can be
    met. The last network has at least one link left. Raises HRNetError where a unit was not ranked.
    """
    blocks = any(not isinstance(unit, FusionLink) for unit in importance)
    missing = [unit for unit in (*spec.links, *(spec.live_blocks if blocks else ())) if unit not in importance]
    if missing:
        raise HRNetError(f"{min(map(str, missing))} was not ranked: rank this run again")
    chooser = _Chooser(importance, price, lost or (lambda at, move: sum(importance[unit] for unit in move)), blocks)
    order = [spec]
    while options := [move for move in moves(order[-1], blocks=blocks) if order[-1].without(move).links]:
        order += chooser.in_small_steps(order[-1], chooser.cheapest(order[-1], options))
    return order


def removal_order_by_importance(spec: HRNetSpec, importance: Mapping[Unit, float]) -> list[HRNetSpec]:
    """Ever smaller networks, `spec` first: single units go by importance alone, whatever they save; one link stays.

    With random importance that is random pruning, the control of `removal_order`.
    """
    order = [spec]
    for unit in sorted(importance, key=lambda unit: (importance[unit], str(unit))):
        at = order[-1]
        there = unit in at.liveness().links if isinstance(unit, FusionLink) else unit in at.live_blocks
        if there and at.without({unit}).links:
            order.append(at.without({unit}))
    return order


def restore_units(
    spec: HRNetSpec, whole: HRNetSpec, importance: Mapping[Unit, float], price: Price, fits: Callable[[HRNetSpec], bool]
) -> HRNetSpec:
    """`spec` with units of `whole` again as long as it `fits`, those first that are needed most for their price.

    The last removal rarely meets a budget exactly, and makes up for earlier ones that saved little.
    """
    at, least = spec, 1e-12 * price(spec)
    while True:
        options = {unit: larger for unit in importance if (larger := _with_unit(at, whole, unit)) and fits(larger)}
        if not options:
            return at
        now = price(at)
        rates = {unit: importance[unit] / max(price(larger) - now, least) for unit, larger in options.items()}
        at = options[max(options, key=lambda unit: (rates[unit], str(unit)))]


def _with_unit(spec: HRNetSpec, whole: HRNetSpec, unit: Unit) -> HRNetSpec | None:
    """`spec` with a unit of `whole` that it lost; None where it has it, or where no output would feel it."""
    if isinstance(unit, FusionLink):
        larger = dataclasses.replace(spec, links=spec.links | {unit})
        return larger if unit in whole.links - spec.links and unit in larger.liveness().links else None
    larger = dataclasses.replace(spec, removed_blocks=spec.removed_blocks - {unit})
    return larger if unit in spec.removed_blocks - whole.removed_blocks and unit in larger.live_blocks else None


def towards(order: Sequence[HRNetSpec], goal: HRNetSpec) -> list[HRNetSpec]:
    """The networks of a removal order, with what `goal` has left in: the way to `goal`."""
    way = [order[0]]
    for smaller in order[1:]:
        at = way[-1]
        links: frozenset[Unit] = at.links - smaller.links - goal.links
        blocks: frozenset[Unit] = (smaller.removed_blocks & goal.removed_blocks) - at.removed_blocks
        after = at.without(links | blocks)
        if after != at:
            way.append(after)
    return way


class _Chooser:
    """Compares moves by importance lost for what is saved."""

    def __init__(self, importance: Mapping[Unit, float], price: Price, lost: Lost, blocks: bool):
        self.price = price
        self.lost = lost
        self.blocks = blocks
        self.least = min((value for value in importance.values() if value > 0), default=1.0) / 10  # what harms nothing

    def cheapest(self, spec: HRNetSpec, options: list[Move]) -> HRNetSpec:
        """`spec` without the option that loses the least importance for what it saves."""
        now = self.price(spec)
        smaller = {move: spec.without(move) for move in options}

        def rate(move: Move) -> tuple[float, list[str]]:
            lost = max(self.lost(spec, move), self.least * len(move))
            saved = now - self.price(smaller[move])
            return lost / max(saved, 1e-12 * now), sorted(map(str, move))

        return smaller[min(options, key=rate)]

    def in_small_steps(self, spec: HRNetSpec, smaller: HRNetSpec) -> list[HRNetSpec]:
        """The way from `spec`, which is left out, to `smaller`: the cheapest moves that stop short of it, while there are any."""
        way, at = [], spec
        if smaller.removed_blocks == spec.removed_blocks:
            while options := [move for move in moves(at) if at.without(move).links > smaller.links]:
                step = self.cheapest(at, options)
                way += self.in_small_steps(at, step)
                at = step
        return [*way, smaller]
