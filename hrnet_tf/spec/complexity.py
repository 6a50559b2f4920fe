"""Parameters and multiply-adds of each part of a network, from its spec alone.

They are counted by the rules of `hrnet_tf.spec.cost`: of HRNets in closed form, of other networks by a trace of their layers.
"""

from __future__ import annotations

from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.baselines.base import BaselineSpec
from hrnet_tf.spec.baselines.faster_rcnn import FasterRCNNSpec
from hrnet_tf.spec.baselines.object_context import traced_head
from hrnet_tf.spec.baselines.trace import traced
from hrnet_tf.spec.convolutions import Convolution, convolutions
from hrnet_tf.spec.cost import Cost, conv_cost, dense_cost, total
from hrnet_tf.spec.detection import PAPER_PROPOSALS, SMALL_PROPOSALS, DetectorSpec, detection_widths, pyramid_sizes
from hrnet_tf.spec.network import CLASSIFICATION_FEATURES, OBJECT_CONTEXT, PYRAMID, HRNetSpec
from hrnet_tf.spec.units import ResidualBlock
from hrnet_tf.spec.widths import BOTTLENECK_EXPANSION
from mobile_eval.tasks.detection.constants import ANCHORS_PER_POSITION, BOX_VALUES, POOLED_SIZE
from mobile_eval.typed import Size


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
    if isinstance(spec, FasterRCNNSpec):
        return traced(spec).parts() | _boxes(spec)
    return traced(spec).parts() if isinstance(spec, BaselineSpec) else _hrnet_parts(spec)


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
        OBJECT_CONTEXT: _object_context_head,
        "classification": _classification_head,
        "detection": _detection_head,
        "centers": _center_head,
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


def _object_context_head(spec: HRNetSpec) -> dict[str, Cost]:
    """HRNet-OCR; the products of attention are no convolutions, and not counted, as in the paper."""
    return traced_head(spec).parts()


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
    return {"head": cost + dense_cost(features, spec.classes)}


def _detection_head(spec: HRNetSpec) -> dict[str, Cost]:
    """HRNetV2p's pyramid, and what reads it."""
    channels, sizes = detection_widths(spec)[0], pyramid_sizes(spec)
    neck = conv_cost(spec.gathered_channels, channels, 1, sizes[0], norm=False, bias=True)
    neck += total(conv_cost(channels, channels, 3, size, norm=False, bias=True) for size in sizes)
    return {"neck": neck, **_boxes(spec)}


def _center_head(spec: HRNetSpec) -> dict[str, Cost]:
    """The branches reduced and summed, a 3x3 convolution, and 1x1 convolutions to centers, sizes and offsets."""
    mixed, size = spec.head_channels, spec.resolution(0)
    reduced = total(conv_cost(spec.channels(branch), mixed, 1, spec.resolution(branch)) for branch in spec.outputs)
    outputs = conv_cost(mixed, spec.classes + BOX_VALUES, 1, size, norm=False, bias=True)
    return {"head": reduced + conv_cost(mixed, mixed, 3, size) + outputs}


def _boxes(spec: DetectorSpec) -> dict[str, Cost]:
    """The region proposal network and the box head of a detector.

    The box head is counted for the paper's 500 proposals; if the spec sets `head_width`, for the 100 that it reads.
    """
    (channels, features), sizes = detection_widths(spec), pyramid_sizes(spec)
    times = PAPER_PROPOSALS if spec.head_width is None else SMALL_PROPOSALS
    outputs = ANCHORS_PER_POSITION * (1 + BOX_VALUES)
    per_level = [
        conv_cost(channels, channels, 3, size, norm=False, bias=True)
        + conv_cost(channels, outputs, 1, size, norm=False, bias=True)
        for size in sizes
    ]
    proposals = Cost(per_level[0].parameters, sum(level.multiply_adds for level in per_level))  # all levels share the weights
    pooled = channels * POOLED_SIZE**2
    boxes = dense_cost(pooled, features, times) + dense_cost(features, features, times)
    boxes += dense_cost(features, (1 + BOX_VALUES) * (spec.classes + 1), times)
    return {"rpn": proposals, "box_head": boxes}
