"""Which links to remove, in which order: greedily the least importance lost per multiply-add saved.

A link costs little; a branch of a module costs a lot, and is not built once no link leads out of it any more.
So a move is a single link, or all the links whose removal frees a branch from some module on. A move's
importance is the sum of its links'; what falls dead with them was felt through them only.
"""

from __future__ import annotations

from collections.abc import Mapping

from hrnet_tf.networks import complexity
from hrnet_tf.spec import BranchModule, FusionLink, HRNetSpec

Move = frozenset[FusionLink]


def moves(spec: HRNetSpec) -> set[Move]:
    """Every single link, and for every live branch module the links that keep it alive."""
    groups = {keeping_alive(spec, branch) for branch in spec.liveness().branches if branch.branch not in spec.outputs}
    return {frozenset({link}) for link in spec.links} | {group for group in groups if group}


def keeping_alive(spec: HRNetSpec, branch: BranchModule) -> Move:
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


def removal_order(spec: HRNetSpec, importance: Mapping[FusionLink, float]) -> list[HRNetSpec]:
    """Ever smaller networks, `spec` first: each loses the move with the least importance per multiply-add saved.

    A move of several links is made in small steps, so that a budget between its two ends can be met. The last
    network has at least one link left. Raises ValueError where a link was not ranked.
    """
    missing = spec.links - set(importance)
    if missing:
        raise ValueError(f"{min(missing).name} was not ranked: rank this run again")
    order = [spec]
    while options := [move for move in moves(order[-1]) if order[-1].without(move).links]:
        order += _in_small_steps(order[-1], _cheapest(order[-1], options, importance), importance)
    return order


def _in_small_steps(spec: HRNetSpec, smaller: HRNetSpec, importance: Mapping[FusionLink, float]) -> list[HRNetSpec]:
    """The way from `spec`, which is left out, to `smaller`: the cheapest moves that stop short of it, while there are any."""
    way, at = [], spec
    while options := [move for move in moves(at) if at.without(move).links > smaller.links]:
        step = _cheapest(at, options, importance)
        way += _in_small_steps(at, step, importance)
        at = step
    return [*way, smaller]


def _cheapest(spec: HRNetSpec, options: list[Move], importance: Mapping[FusionLink, float]) -> HRNetSpec:
    """`spec` without the option that loses the least importance per multiply-add saved."""
    least = min((value for value in importance.values() if value > 0), default=1.0)
    now = complexity(spec).multiply_adds

    def price(move: Move) -> tuple[float, list[FusionLink]]:
        lost = sum(max(importance[link], least / 10) for link in move)
        return lost / (now - complexity(spec.without(move)).multiply_adds), sorted(move)

    cheapest: Move = min(options, key=price)
    return spec.without(cheapest)
