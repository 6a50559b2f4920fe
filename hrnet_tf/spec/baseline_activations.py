"""Values that the layers of a SimpleBaseline put out for one image; see `hrnet_tf.spec.activations`."""

from __future__ import annotations

from collections.abc import Iterator

from hrnet_tf.spec.activations import Part, bottleneck_outputs, conv_outputs, maps
from hrnet_tf.spec.baseline import DECONVOLUTION_CHANNELS, DECONVOLUTIONS, RESNET_WIDTH, SimpleBaselineSpec
from hrnet_tf.spec.network import BOTTLENECK_EXPANSION


def baseline_parts(spec: SimpleBaselineSpec) -> Iterator[Part]:
    """All parts of a SimpleBaseline."""
    height, width = spec.input_size
    half = height // 2, width // 2
    stem = maps(3, (height + 6, width + 6)) + maps(RESNET_WIDTH, half)  # the 7x7's border is of 3 pixels
    yield Part("stem", maps(3, spec.input_size), stem + conv_outputs(RESNET_WIDTH, RESNET_WIDTH, half, stride=2))
    channels = RESNET_WIDTH
    for stage, blocks in enumerate(spec.resnet_blocks, 1):
        inner = RESNET_WIDTH * 2 ** (stage - 1)
        for block in range(blocks):
            stride = 2 if stage > 1 and block == 0 else 1
            size = spec.resolution(stage - 1 if stride == 1 else stage - 2)
            outputs = bottleneck_outputs(channels, inner, size, stride=stride)
            yield Part(f"stage{stage}_block{block}", maps(channels, size), outputs)
            channels = BOTTLENECK_EXPANSION * inner
    lowest = len(spec.resnet_blocks) - 1
    for step in range(DECONVOLUTIONS):
        own = maps(DECONVOLUTION_CHANNELS, spec.resolution(lowest - step - 1))
        yield Part(f"deconvolution{step + 1}", maps(channels, spec.resolution(lowest - step)), 3 * own)  # rounded, and ReLU
        channels = DECONVOLUTION_CHANNELS
    yield Part("head", maps(channels, spec.resolution(0)), maps(spec.classes, spec.resolution(0)))
