"""Parameters and multiply-adds of each part of a network, in closed form from its spec.

As in the papers, multiply-adds are those of convolutions and dense layers only, and parameters are the trainable ones (two per
channel for BatchNorm). The papers print multiply-adds divided by 2**30 and call them GFLOPs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.baseline import (
    DECONVOLUTION_CHANNELS,
    DECONVOLUTION_KERNEL,
    DECONVOLUTIONS,
    RESNET_WIDTH,
    SimpleBaselineSpec,
)
from hrnet_tf.spec.convolutions import Convolution, convolutions
from hrnet_tf.spec.detection import PAPER_PROPOSALS, SMALL_PROPOSALS, detection_widths, pyramid_sizes
from hrnet_tf.spec.network import CLASSIFICATION_FEATURES, PYRAMID, HRNetSpec
from hrnet_tf.spec.units import ResidualBlock
from hrnet_tf.spec.widths import BOTTLENECK_EXPANSION
from mobile_eval.tasks.detection.constants import ANCHORS_PER_POSITION, POOLED_SIZE
from mobile_eval.typed import Size

_BOX = 4  # numbers per box


@dataclass(frozen=True)
class Cost:
    """Parameters and multiply-adds for one image.

    Attributes:
        parameters: Number of trainable parameters.
        multiply_adds: Number of multiply-adds.
        norm_parameters: Those of the parameters that belong to BatchNorm. Some papers leave them out.
        deconvolution_multiply_adds: Those of the multiply-adds that belong to transposed convolutions. Some papers count them
            differently.
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


def complexity(spec: Network) -> Cost:
    """Return the cost of a network.

    Example:
        >>> from hrnet_tf.spec.presets import preset
        >>> complexity(preset("pose-w32")).parameters
        28536113
    """
    return total(parts(spec).values())


def parts(spec: Network) -> dict[str, Cost]:
    """Return the cost of each part that is built, by name, in the order of the network."""
    return _baseline_parts(spec) if isinstance(spec, SimpleBaselineSpec) else _hrnet_parts(spec)


def total(costs: Iterable[Cost]) -> Cost:
    """Return the sum of costs."""
    return sum(costs, Cost())


def conv_cost(source: int, target: int, kernel: int, size: Size, *, norm: bool = True, bias: bool = False) -> Cost:
    """Return the cost of a convolution with output `size`, from `source` to `target` channels."""
    weights = kernel * kernel * source * target
    norms = 2 * target if norm else 0
    return Cost(weights + norms + (target if bias else 0), weights * size[0] * size[1], norms)


def _dense_cost(source: int, target: int, times: int = 1) -> Cost:
    """A dense layer with bias, applied `times` per image."""
    return Cost(source * target + target, source * target * times)


def _bottleneck_cost(source: int, inner: int, size: Size, *, project: bool) -> Cost:
    """A bottleneck block, and its projection if it has one."""
    outer = BOTTLENECK_EXPANSION * inner
    cost = conv_cost(source, inner, 1, size) + conv_cost(inner, inner, 3, size) + conv_cost(inner, outer, 1, size)
    return cost + conv_cost(source, outer, 1, size) if project else cost


def head_costs(spec: HRNetSpec) -> dict[str, Cost]:
    """Return the costs of the head, by the name of its parts; those of a head of the user's own are not known."""
    if spec.head_kind == PYRAMID:
        return {}
    heads = {
        "heatmap": _heatmap_head,
        "multiscale_heatmap": _dense_head,
        "dense": _dense_head,
        "classification": _classification_head,
        "detection": _detection_head,
    }
    return heads[spec.head_kind](spec)


def _hrnet_parts(spec: HRNetSpec) -> dict[str, Cost]:
    costs: dict[str, Cost] = {}
    for convolution in convolutions(spec):
        if convolution.part != "head":
            part = part_of(convolution)
            costs[part] = costs.get(part, Cost()) + cost_of(convolution)
    return costs | head_costs(spec)


def part_of(convolution: Convolution) -> str:
    """Return the part of the network that a convolution of the trunk is counted with: blocks by their branch and module."""
    part = convolution.part
    if part.startswith("transition"):
        return part.split("_")[0]
    return ResidualBlock.parse(part).place.name if "_block" in part else part


def cost_of(convolution: Convolution) -> Cost:
    """Return the cost of a convolution of the trunk, with BatchNorm."""
    return conv_cost(convolution.source, convolution.target, convolution.kernel, convolution.size)


def _heatmap_head(spec: HRNetSpec) -> dict[str, Cost]:
    """HRNetV1: a 1x1 convolution to heatmaps."""
    branch = spec.outputs[0]
    return {"head": conv_cost(spec.channels(branch), spec.classes, 1, spec.resolution(branch), norm=False, bias=True)}


def _dense_head(spec: HRNetSpec) -> dict[str, Cost]:
    """HRNetV2: the concatenated branches mixed by a 1x1 convolution, and a 1x1 convolution to the outputs."""
    mixed, size = spec.head_channels, spec.resolution(0)
    mix = conv_cost(spec.gathered_channels, mixed, 1, size, bias=True)
    return {"head": mix + conv_cost(mixed, spec.classes, 1, size, norm=False, bias=True)}


def _classification_head(spec: HRNetSpec) -> dict[str, Cost]:
    """HRNet-W-C: bottlenecks, downsampling, features and the classifier."""
    cost, outer = Cost(), 0
    for branch in spec.outputs:
        inner = spec.head_channels * 2**branch
        size, before, outer = spec.resolution(branch), outer, BOTTLENECK_EXPANSION * inner
        project = spec.full_channels(branch) != BOTTLENECK_EXPANSION * inner
        cost += _bottleneck_cost(spec.channels(branch), inner, size, project=project)
        if branch:
            cost += conv_cost(before, outer, 3, size, bias=True)
    features = CLASSIFICATION_FEATURES * spec.head_channels
    cost += conv_cost(outer, features, 1, spec.resolution(spec.outputs[-1]), bias=True)
    return {"head": cost + _dense_cost(features, spec.classes)}


def _detection_head(spec: HRNetSpec) -> dict[str, Cost]:
    """HRNetV2p's pyramid, the region proposal network, and the box head.

    The box head is counted for the paper's 500 proposals; if the spec sets `head_width`, for the 100 that it reads.
    """
    (channels, features), sizes = detection_widths(spec), pyramid_sizes(spec)
    times = PAPER_PROPOSALS if spec.head_width is None else SMALL_PROPOSALS
    neck = conv_cost(spec.gathered_channels, channels, 1, sizes[0], norm=False, bias=True)
    neck += total(conv_cost(channels, channels, 3, size, norm=False, bias=True) for size in sizes)
    outputs = ANCHORS_PER_POSITION * (1 + _BOX)
    per_level = [
        conv_cost(channels, channels, 3, size, norm=False, bias=True)
        + conv_cost(channels, outputs, 1, size, norm=False, bias=True)
        for size in sizes
    ]
    proposals = Cost(per_level[0].parameters, sum(level.multiply_adds for level in per_level))  # all levels share the weights
    pooled = channels * POOLED_SIZE**2
    boxes = _dense_cost(pooled, features, times) + _dense_cost(features, features, times)
    boxes += _dense_cost(features, (1 + _BOX) * (spec.classes + 1), times)
    return {"neck": neck, "rpn": proposals, "box_head": boxes}


def _baseline_parts(spec: SimpleBaselineSpec) -> dict[str, Cost]:
    height, width = spec.input_size
    stages = range(1, len(spec.resnet_blocks) + 1)
    costs = {"stem": conv_cost(3, RESNET_WIDTH, 7, (height // 2, width // 2))}
    costs |= {f"stage{stage}": _resnet_stage(spec, stage) for stage in stages}
    channels = BOTTLENECK_EXPANSION * RESNET_WIDTH * 2 ** (stages[-1] - 1)
    for step in range(1, DECONVOLUTIONS + 1):
        costs[f"deconvolution{step}"] = _deconvolution_cost(channels, spec.resolution(stages[-1] - step))
        channels = DECONVOLUTION_CHANNELS
    return costs | {"head": conv_cost(channels, spec.classes, 1, spec.resolution(0), norm=False, bias=True)}


def _resnet_stage(spec: SimpleBaselineSpec, stage: int) -> Cost:
    """The bottlenecks of a ResNet stage; the first of stages 2 to 4 halves the resolution in its 3x3 convolution."""
    inner, size = RESNET_WIDTH * 2 ** (stage - 1), spec.resolution(stage - 1)
    outer = BOTTLENECK_EXPANSION * inner
    first = _bottleneck_cost(RESNET_WIDTH, inner, size, project=True)
    if stage > 1:
        source = outer // 2
        first = conv_cost(source, inner, 1, spec.resolution(stage - 2)) + conv_cost(inner, inner, 3, size)
        first += conv_cost(inner, outer, 1, size) + conv_cost(source, outer, 1, size)
    return total([first] + [_bottleneck_cost(outer, inner, size, project=False)] * (spec.resnet_blocks[stage - 1] - 1))


def _deconvolution_cost(source: int, size: Size) -> Cost:
    """A transposed convolution with BatchNorm and input `size`: each input pixel meets every weight once."""
    weights = DECONVOLUTION_KERNEL**2 * source * DECONVOLUTION_CHANNELS
    multiply_adds = weights * size[0] * size[1]
    return Cost(weights + 2 * DECONVOLUTION_CHANNELS, multiply_adds, 2 * DECONVOLUTION_CHANNELS, multiply_adds)
