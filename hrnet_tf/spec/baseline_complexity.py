"""Parameters and multiply-adds of each part of a SimpleBaseline, in closed form from its spec."""

from __future__ import annotations

from hrnet_tf.spec.baseline import (
    DECONVOLUTION_CHANNELS,
    DECONVOLUTION_KERNEL,
    DECONVOLUTIONS,
    RESNET_WIDTH,
    SimpleBaselineSpec,
)
from hrnet_tf.spec.complexity import Cost, bottleneck_cost, conv_cost, total
from hrnet_tf.spec.network import BOTTLENECK_EXPANSION, Size


def deconvolution_cost(source: int, target: int, kernel: int, size: Size) -> Cost:
    """One transposed convolution with BatchNorm and input `size`: each input pixel meets every weight once."""
    weights = kernel * kernel * source * target
    multiply_adds = weights * size[0] * size[1]
    return Cost(weights + 2 * target, multiply_adds, 2 * target, multiply_adds)


def resnet_stage_cost(spec: SimpleBaselineSpec, stage: int) -> Cost:
    """The bottlenecks of stage 1 to 4; the first of each but stage 1 halves the resolution in its 3x3."""
    inner, size = RESNET_WIDTH * 2 ** (stage - 1), spec.resolution(stage - 1)
    outer = BOTTLENECK_EXPANSION * inner
    first = bottleneck_cost(RESNET_WIDTH, inner, size)
    if stage > 1:
        source = outer // 2
        first = conv_cost(source, inner, 1, spec.resolution(stage - 2)) + conv_cost(inner, inner, 3, size)
        first += conv_cost(inner, outer, 1, size) + conv_cost(source, outer, 1, size)
    return total([first] + [bottleneck_cost(outer, inner, size)] * (spec.resnet_blocks[stage - 1] - 1))


def parts(spec: SimpleBaselineSpec) -> dict[str, Cost]:
    """The cost of everything that is built, by name, in the order of the network."""
    height, width = spec.input_size
    stages = range(1, len(spec.resnet_blocks) + 1)
    costs = {"stem": conv_cost(3, RESNET_WIDTH, 7, (height // 2, width // 2))}
    costs |= {f"stage{stage}": resnet_stage_cost(spec, stage) for stage in stages}
    channels = BOTTLENECK_EXPANSION * RESNET_WIDTH * 2 ** (stages[-1] - 1)
    for step in range(1, DECONVOLUTIONS + 1):
        size = spec.resolution(stages[-1] - step)
        costs[f"deconvolution{step}"] = deconvolution_cost(channels, DECONVOLUTION_CHANNELS, DECONVOLUTION_KERNEL, size)
        channels = DECONVOLUTION_CHANNELS
    return costs | {"head": conv_cost(channels, spec.classes, 1, spec.resolution(0), norm=False, bias=True)}
