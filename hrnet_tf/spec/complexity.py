"""Parameters and multiply-adds of each part of a network, in closed form from its spec.

As in the papers, multiply-adds are those of convolutions and dense layers alone and parameters are trainable
ones (BatchNorm: two a channel). The papers print multiply-adds divided by 2**30 and call it GFLOPs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hrnet_tf.models.detection.sizes import PAPER_PROPOSALS, SMALL_PROPOSALS, detection_widths
from hrnet_tf.spec.network import (
    BOTTLENECK_EXPANSION,
    CLASSIFICATION_FEATURES,
    FIRST_STAGE,
    BranchModule,
    FusionLink,
    HRNetSpec,
    Size,
)
from mobile_eval.tasks.detection.constants import ANCHORS_PER_POSITION, POOLED_SIZE, PYRAMID_LEVELS


@dataclass(frozen=True)
class Cost:
    """Trainable parameters, and multiply-adds for one image.

    `norm_parameters` are BatchNorm's part of the parameters, `deconvolution_multiply_adds` transposed
    convolutions' part of the multiply-adds: some of the papers' figures count these otherwise.
    """

    parameters: int = 0
    multiply_adds: int = 0
    norm_parameters: int = 0
    deconvolution_multiply_adds: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.parameters + other.parameters,
            self.multiply_adds + other.multiply_adds,
            self.norm_parameters + other.norm_parameters,
            self.deconvolution_multiply_adds + other.deconvolution_multiply_adds,
        )


def total(costs: Iterable[Cost]) -> Cost:
    """Their sum."""
    return sum(costs, Cost())


def conv_cost(source: int, target: int, kernel: int, size: Size, *, norm: bool = True, bias: bool = False) -> Cost:
    """One convolution with output `size` (height, width)."""
    weights = kernel * kernel * source * target
    norms = 2 * target if norm else 0
    return Cost(weights + norms + (target if bias else 0), weights * size[0] * size[1], norms)


def dense_cost(source: int, target: int, times: int = 1) -> Cost:
    """One dense layer with bias, applied `times` an image."""
    return Cost(source * target + target, source * target * times)


def bottleneck_cost(source: int, inner: int, size: Size) -> Cost:
    """A bottleneck block, with its projection where the channels differ."""
    outer = BOTTLENECK_EXPANSION * inner
    cost = conv_cost(source, inner, 1, size) + conv_cost(inner, inner, 3, size) + conv_cost(inner, outer, 1, size)
    return cost + conv_cost(source, outer, 1, size) if source != outer else cost


def stem_cost(spec: HRNetSpec) -> Cost:
    """Two 3x3 convolutions of stride 2."""
    height, width = spec.input_size
    first = conv_cost(3, spec.stem_width, 3, (height // 2, width // 2))
    return first + conv_cost(spec.stem_width, spec.stem_width, 3, spec.resolution(0))


def stage1_cost(spec: HRNetSpec) -> Cost:
    """The bottleneck blocks of stage 1."""
    inner, size = spec.stage1_width, spec.resolution(0)
    outer = BOTTLENECK_EXPANSION * inner
    sources = [spec.stem_width] + [outer] * (spec.stage1_blocks - 1)
    return total(bottleneck_cost(source, inner, size) for source in sources)


def transition_cost(spec: HRNetSpec, stage: int) -> Cost:
    """The convolutions between `stage` and the stage before; nothing for a newest branch that is dead."""
    cost, newest = Cost(), stage - 1
    source = BOTTLENECK_EXPANSION * spec.stage1_width if stage == FIRST_STAGE else spec.channels(newest - 1)
    if BranchModule(stage, 0, newest) in spec.liveness().branches:
        cost += conv_cost(source, spec.channels(newest), 3, spec.resolution(newest))
    if stage == FIRST_STAGE and source != spec.channels(0):
        cost += conv_cost(source, spec.channels(0), 3, spec.resolution(0))
    return cost


def branch_cost(spec: HRNetSpec, branch: BranchModule) -> Cost:
    """The residual blocks that one branch of one module has."""
    channels, size = spec.channels(branch.branch), spec.resolution(branch.branch)
    if spec.block == "basic":
        block = conv_cost(channels, channels, 3, size) + conv_cost(channels, channels, 3, size)
    else:
        block = bottleneck_cost(channels, channels // BOTTLENECK_EXPANSION, size)
    return total([block] * len(spec.blocks(branch)))


def link_cost(spec: HRNetSpec, link: FusionLink) -> Cost:
    """The convolutions of one link: 1x1 at the low resolution upwards, strided 3x3 downwards."""
    source, target = spec.channels(link.source), spec.channels(link.target)
    if link.source > link.target:
        return conv_cost(source, target, 1, spec.resolution(link.source))
    steps = range(link.source + 1, link.target + 1)
    return total(conv_cost(source, target if step == link.target else source, 3, spec.resolution(step)) for step in steps)


def heatmap_head_cost(spec: HRNetSpec) -> Cost:
    """HRNetV1: the 1x1 convolution to heatmaps."""
    return conv_cost(spec.width, spec.classes, 1, spec.resolution(0), norm=False, bias=True)


def dense_head_cost(spec: HRNetSpec) -> Cost:
    """HRNetV2: the gathered branches mixed, and a 1x1 convolution to the answer."""
    mixed, size = spec.head_channels, spec.resolution(0)
    mix = conv_cost(spec.gathered_channels, mixed, 1, size, bias=True)
    return mix + conv_cost(mixed, spec.classes, 1, size, norm=False, bias=True)


def classification_head_cost(spec: HRNetSpec) -> Cost:
    """HRNet-W-C: bottlenecks, the way down, features and the classifier."""
    cost, outer = Cost(), 0
    for branch in spec.outputs:
        inner = spec.head_channels * 2**branch
        size, before, outer = spec.resolution(branch), outer, BOTTLENECK_EXPANSION * inner
        cost += bottleneck_cost(spec.channels(branch), inner, size)
        if branch:
            cost += conv_cost(before, outer, 3, size, bias=True)
    features = CLASSIFICATION_FEATURES * spec.head_channels
    cost += conv_cost(outer, features, 1, spec.resolution(spec.outputs[-1]), bias=True)
    return cost + dense_cost(features, spec.classes)


def pyramid_sizes(spec: HRNetSpec) -> list[Size]:
    """(height, width) of P2 to P6."""
    height, width = spec.resolution(0)
    return [(height // 2**step, width // 2**step) for step in range(PYRAMID_LEVELS)]


def detection_costs(spec: HRNetSpec) -> dict[str, Cost]:
    """HRNetV2p's pyramid, the region proposal network, and the box head on the 500 proposals that the paper counts.

    A detector with a head width of its own is counted on the 100 that it looks at.
    """
    (channels, features), sizes = detection_widths(spec), pyramid_sizes(spec)
    times = PAPER_PROPOSALS if spec.head_width is None else SMALL_PROPOSALS
    neck = conv_cost(spec.gathered_channels, channels, 1, sizes[0], norm=False, bias=True)
    neck += total(conv_cost(channels, channels, 3, size, norm=False, bias=True) for size in sizes)
    answers = ANCHORS_PER_POSITION * (1 + 4)
    at_each_level = [
        conv_cost(channels, channels, 3, size, norm=False, bias=True)
        + conv_cost(channels, answers, 1, size, norm=False, bias=True)
        for size in sizes
    ]
    proposals = Cost(at_each_level[0].parameters, sum(level.multiply_adds for level in at_each_level))
    pooled = channels * POOLED_SIZE**2
    boxes = dense_cost(pooled, features, times) + dense_cost(features, features, times)
    boxes += dense_cost(features, 5 * (spec.classes + 1), times)
    return {"neck": neck, "rpn": proposals, "box_head": boxes}


def head_costs(spec: HRNetSpec) -> dict[str, Cost]:
    """What follows the trunk, by name."""
    if spec.head_kind == "detection":
        return detection_costs(spec)
    by_head = {
        "heatmap": heatmap_head_cost,
        "multiscale_heatmap": dense_head_cost,
        "dense": dense_head_cost,
        "classification": classification_head_cost,
    }
    return {"head": by_head[spec.head_kind](spec)}


def parts(spec: HRNetSpec) -> dict[str, Cost]:
    """The cost of everything that is built, by name, in the order of the network."""
    live = spec.liveness()
    costs = {"stem": stem_cost(spec), "stage1": stage1_cost(spec)}
    for stage in range(FIRST_STAGE, spec.last_stage + 1):
        costs[f"transition{stage - 1}"] = transition_cost(spec, stage)
        costs |= {b.name: branch_cost(spec, b) for b in sorted(live.branches) if b.stage == stage}
        costs |= {link.name: link_cost(spec, link) for link in sorted(live.links) if link.stage == stage}
    return costs | head_costs(spec)
