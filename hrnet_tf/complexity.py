"""Parameters and multiply-adds of each part of a network, in closed form from its spec.

As in the papers, multiply-adds are those of convolutions alone and parameters are trainable ones (BatchNorm:
two a channel). The papers print multiply-adds divided by 2**30 and call it GFLOPs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hrnet_tf.spec import BOTTLENECK_EXPANSION, FIRST_STAGE, BranchModule, FusionLink, HRNetSpec


@dataclass(frozen=True)
class Cost:
    """Trainable parameters, and multiply-adds for one image."""

    parameters: int = 0
    multiply_adds: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.parameters + other.parameters, self.multiply_adds + other.multiply_adds)


def _sum(costs: Iterable[Cost]) -> Cost:
    return sum(costs, Cost())


def _conv(source: int, target: int, kernel: int, size: tuple[int, int], *, extra: int = 2) -> Cost:
    """One convolution at output `size` (height, width); `extra` parameters a channel: 2 BatchNorm, 1 bias."""
    weights = kernel * kernel * source * target
    return Cost(weights + extra * target, weights * size[0] * size[1])


def stem_cost(spec: HRNetSpec) -> Cost:
    """Two 3x3 convolutions of stride 2."""
    height, width = spec.input_size
    first = _conv(3, spec.stem_width, 3, (height // 2, width // 2))
    return first + _conv(spec.stem_width, spec.stem_width, 3, spec.resolution(0))


def stage1_cost(spec: HRNetSpec) -> Cost:
    """The bottleneck blocks of stage 1."""
    size, inner = spec.resolution(0), spec.stage1_width
    outer = BOTTLENECK_EXPANSION * inner
    total, source = Cost(), spec.stem_width
    for _ in range(spec.stage1_blocks):
        total += _conv(source, inner, 1, size) + _conv(inner, inner, 3, size) + _conv(inner, outer, 1, size)
        if source != outer:
            total += _conv(source, outer, 1, size)
        source = outer
    return total


def transition_cost(spec: HRNetSpec, stage: int) -> Cost:
    """The convolutions between `stage` and the stage before; nothing for a newest branch that is dead."""
    total, newest = Cost(), stage - 1
    source = BOTTLENECK_EXPANSION * spec.stage1_width if stage == FIRST_STAGE else spec.channels(newest - 1)
    if BranchModule(stage, 0, newest) in spec.liveness().branches:
        total += _conv(source, spec.channels(newest), 3, spec.resolution(newest))
    if stage == FIRST_STAGE and source != spec.channels(0):
        total += _conv(source, spec.channels(0), 3, spec.resolution(0))
    return total


def branch_cost(spec: HRNetSpec, branch: BranchModule) -> Cost:
    """The basic residual blocks of one branch of one module."""
    channels, size = spec.channels(branch.branch), spec.resolution(branch.branch)
    return _sum(_conv(channels, channels, 3, size) for _ in range(2 * spec.stage(branch.stage).blocks))


def link_cost(spec: HRNetSpec, link: FusionLink) -> Cost:
    """The convolutions of one link: 1x1 at the low resolution upwards, strided 3x3 downwards."""
    source, target = spec.channels(link.source), spec.channels(link.target)
    if link.source > link.target:
        return _conv(source, target, 1, spec.resolution(link.source))
    steps = range(link.source + 1, link.target + 1)
    return _sum(_conv(source, target if step == link.target else source, 3, spec.resolution(step)) for step in steps)


def head_cost(spec: HRNetSpec) -> Cost:
    """The 1x1 convolution to heatmaps."""
    return _conv(spec.width, spec.joints, 1, spec.resolution(0), extra=1)


def parts(spec: HRNetSpec) -> dict[str, Cost]:
    """The cost of everything that is built, by name, in the order of the network."""
    live = spec.liveness()
    costs = {"stem": stem_cost(spec), "stage1": stage1_cost(spec)}
    for stage in range(FIRST_STAGE, spec.last_stage + 1):
        costs[f"transition{stage - 1}"] = transition_cost(spec, stage)
        costs |= {b.name: branch_cost(spec, b) for b in sorted(live.branches) if b.stage == stage}
        costs |= {link.name: link_cost(spec, link) for link in sorted(live.links) if link.stage == stage}
    return costs | {"head": head_cost(spec)}


def complexity(spec: HRNetSpec) -> Cost:
    """The whole network."""
    return _sum(parts(spec).values())
