"""Size of a network's activations for one image, from its spec alone.

The layers counted are those of the network with BatchNorm folded, part by part in the order in which they run. A part of
an HRNet holds the layers that may run at the same time: the residual blocks of all branches at the same index, an exchange unit,
a head. In other networks, a part is a layer with what pads its input.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.baselines.base import BaselineSpec
from hrnet_tf.spec.baselines.faster_rcnn import FasterRCNNSpec
from hrnet_tf.spec.baselines.object_context import traced_head
from hrnet_tf.spec.baselines.trace import traced
from hrnet_tf.spec.detection import DetectorSpec, detection_widths, proposal_limits, pyramid_sizes
from hrnet_tf.spec.network import CLASSIFICATION_FEATURES, FIRST_STAGE, OBJECT_CONTEXT, PYRAMID, HRNetSpec
from hrnet_tf.spec.units import BranchModule, FusionLink, ResidualBlock
from hrnet_tf.spec.widths import BOTTLENECK_EXPANSION, STEM1, branch_stream, stage1_stream, stem_stream
from mobile_eval.tasks.detection.constants import ANCHORS_PER_POSITION, BIN_SAMPLES, BOX_VALUES, POOLED_SIZE, PYRAMID_LEVELS
from mobile_eval.typed import Size


@dataclass(frozen=True)
class Part:
    """A part of a network and its values (numbers) for one image.

    Attributes:
        name: Name of the part.
        inputs: Values in memory before the part runs, which it or a later part reads.
        outputs: Values that its layers output.
        temporary: Further values that a layer needs while it runs.
    """

    name: str
    inputs: int
    outputs: int
    temporary: int = 0

    @property
    def live(self) -> int:
        """Upper bound of the values that are in memory at the same time."""
        return self.inputs + self.outputs + self.temporary


def activation_parts(spec: Network) -> Iterator[Part]:
    """Yield all parts of a network in the order in which they run."""
    if isinstance(spec, BaselineSpec):
        for step in traced(spec).steps:
            yield Part(step.name, step.inputs, step.outputs)
        if isinstance(spec, FasterRCNNSpec):
            yield _boxes(spec, sum(maps.values for maps in traced(spec).outputs), 0)
        return
    yield from _stem_and_stage1(spec)
    yield from _stages(spec)
    heads = {
        "heatmap": _heatmap_head,
        "multiscale_heatmap": _dense_head,
        "dense": _dense_head,
        OBJECT_CONTEXT: _object_context_head,
        "classification": _classification_head,
        "detection": _detection_head,
        "centers": _center_head,
    }
    if spec.head_kind != PYRAMID:
        yield from heads[spec.head_kind](spec)


def _maps(channels: int, size: Size) -> int:
    """Values of feature maps."""
    return channels * size[0] * size[1]


def _conv(source: int, target: int, size: Size, *, stride: int = 1) -> int:
    """Output of a 3x3 convolution with input `size`, and, if it is strided, the padded input that it reads."""
    height, width = size
    if stride == 1:
        return _maps(target, size)
    return _maps(source, (height + 2, width + 2)) + _maps(target, (height // stride, width // stride))


def _bottleneck(source: int, inner: int, size: Size) -> int:
    """A bottleneck block: three convolutions, the projection if there is one, sum and ReLU."""
    outer = BOTTLENECK_EXPANSION * inner
    return _maps(2 * inner, size) + _maps(outer, size) * (3 + (source != outer))


def _stem_and_stage1(spec: HRNetSpec) -> Iterator[Part]:
    height, width = spec.input_size
    image, size = _maps(3, spec.input_size), spec.resolution(0)
    first, channels, outer = (spec.width_of(group) for group in (STEM1, stem_stream(spec), stage1_stream(spec)))
    stem = _conv(3, first, spec.input_size, stride=2) + _conv(first, channels, (height // 2, width // 2), stride=2)
    yield Part("stem", image, stem)
    for block in spec.stage1_blocks_kept:
        inner = tuple(spec.width_of(f"stage1_block{block}_conv{index}") for index in (1, 2))
        project = block == 0 and spec.has_projection
        outputs = _maps(sum(inner) + outer * (3 + project), size)  # the convolutions, sum and ReLU
        yield Part(f"stage1_block{block}", _maps(channels, size), outputs)
        channels = outer


def _branches(spec: HRNetSpec, branches: Collection[int]) -> int:
    """Values of the feature maps of these branches."""
    return sum(_maps(spec.channels(branch), spec.resolution(branch)) for branch in branches)


def _stages(spec: HRNetSpec) -> Iterator[Part]:
    live = spec.liveness()
    inputs = _maps(spec.width_of(stage1_stream(spec)), spec.resolution(0))
    for stage in range(FIRST_STAGE, spec.last_stage + 1):
        yield Part(f"transition{stage - 1}", inputs, _transition(spec, stage))
        for module in range(spec.stage(stage).modules):
            branches = {place.branch for place in live.branches if (place.stage, place.module) == (stage, module)}
            inputs = _branches(spec, branches)
            for index in range(spec.stage(stage).blocks):
                blocks = (ResidualBlock(stage, module, branch, index) for branch in branches)
                outputs = sum(_block(spec, block) for block in blocks if block not in spec.removed_blocks)
                yield Part(f"stage{stage}_module{module}_block{index}", inputs, outputs)
            links = [link for link in live.links if (link.stage, link.module) == (stage, module)]
            yield Part(f"stage{stage}_module{module}_fuse", inputs, _exchange_unit(spec, links))


def _transition(spec: HRNetSpec, stage: int) -> int:
    newest, outputs = stage - 1, 0
    source = spec.width_of(stage1_stream(spec) if stage == FIRST_STAGE else branch_stream(newest - 1))
    if BranchModule(stage, 0, newest) in spec.liveness().branches:
        outputs += _conv(source, spec.channels(newest), spec.resolution(newest - 1), stride=2)
    if stage == FIRST_STAGE and spec.has_first_transition:
        outputs += _maps(spec.channels(0), spec.resolution(0))
    return outputs


def _block(spec: HRNetSpec, block: ResidualBlock) -> int:
    """The convolutions, the sum and the ReLU of a block of a branch."""
    inner = (spec.width_of(f"{block.name}_conv{index}") for index in range(1, 2 if spec.block == "basic" else 3))
    return _maps(sum(inner) + 3 * spec.channels(block.branch), spec.resolution(block.branch))


def _exchange_unit(spec: HRNetSpec, links: list[FusionLink]) -> int:
    """The links, their upsampling, the sums, and a ReLU for each target that has links."""
    outputs = 0
    for target in {link.target for link in links}:
        down = [link for link in links if link.target == target and link.source < target]
        up = sorted((link.source for link in links if link.target == target and link.source > target), reverse=True)
        target_maps = _maps(spec.channels(target), spec.resolution(target))
        outputs += sum(_link_down(spec, link) for link in down)
        outputs += sum(_maps(spec.channels(target), spec.resolution(source)) for source in up)  # 1x1, before upsampling
        upsampled, tree = len(up), 0
        if spec.interpolation == "nearest" and up:  # summed on the way up, see `hrnet_tf.models.fusion`
            upsampled, tree = 1, 2 * sum(_maps(spec.channels(target), spec.resolution(source)) for source in up[1:])
        terms = 1 + len(down) + upsampled
        outputs += tree + target_maps * (upsampled + (terms - 1) + 1)  # upsampled to the size of the target, sums, ReLU
    return outputs


def _link_down(spec: HRNetSpec, link: FusionLink) -> int:
    inner = [spec.width_of(f"{link.name}_conv{index}") for index in range(1, link.target - link.source)]
    widths = [spec.channels(link.source), *inner, spec.channels(link.target)]
    steps = zip(range(link.source, link.target), itertools.pairwise(widths), strict=True)
    return sum(_conv(source, target, spec.resolution(step), stride=2) for step, (source, target) in steps)


def _heatmap_head(spec: HRNetSpec) -> Iterator[Part]:
    (branch,) = spec.outputs
    upsampled = _maps(spec.classes, spec.resolution(0)) if branch else 0
    yield Part("head", _branches(spec, {branch}), _maps(spec.classes, spec.resolution(branch)) + upsampled)


def _gathered(spec: HRNetSpec) -> int:
    """All branches upsampled to the size of the first, and concatenated."""
    lower = sum(_maps(spec.channels(branch), spec.resolution(0)) for branch in spec.outputs if branch)
    return lower + _maps(spec.gathered_channels, spec.resolution(0))


def _dense_head(spec: HRNetSpec) -> Iterator[Part]:
    outputs = _maps(spec.head_channels + spec.classes, spec.resolution(0))
    yield Part("head", _branches(spec, spec.outputs), _gathered(spec) + outputs)


def _object_context_head(spec: HRNetSpec) -> Iterator[Part]:
    yield Part("head_gathered", _branches(spec, spec.outputs), _gathered(spec))
    for step in traced_head(spec).steps:
        yield Part(step.name, step.inputs, step.outputs)


def _classification_head(spec: HRNetSpec) -> Iterator[Part]:
    """One part per branch, which is widened and added to the downsampled one before, and one for the layers after them."""
    inputs, outer = _branches(spec, spec.outputs), 0
    for branch in spec.outputs:
        inner, size, before = spec.head_channels * 2**branch, spec.resolution(branch), outer
        outer = BOTTLENECK_EXPANSION * inner
        outputs, carried = _bottleneck(spec.full_channels(branch), inner, size), 0
        if branch:
            carried = _maps(before, spec.resolution(branch - 1))
            outputs += _conv(before, outer, spec.resolution(branch - 1), stride=2) + _maps(outer, size)
        yield Part(f"head_widen{branch}", inputs + carried, outputs)
    lowest, features = spec.resolution(spec.outputs[-1]), CLASSIFICATION_FEATURES * spec.head_channels
    yield Part("head", _maps(outer, lowest), _maps(features, lowest) + features + spec.classes)


def _detection_head(spec: HRNetSpec) -> Iterator[Part]:
    channels, positions = detection_widths(spec)[0], [height * width for height, width in pyramid_sizes(spec)]
    neck = _gathered(spec) + channels * (positions[0] + sum(positions[1:PYRAMID_LEVELS]))  # reduced, and pooled
    yield _boxes(spec, _branches(spec, spec.outputs), neck + channels * sum(positions))


def _center_head(spec: HRNetSpec) -> Iterator[Part]:
    """The branches reduced, and summed from the lowest resolution upwards; ReLU, a 3x3 convolution, and the outputs."""
    width, size = spec.head_channels, spec.resolution(0)
    reduced = sum(_maps(width, spec.resolution(branch)) for branch in spec.outputs)
    summed = 2 * sum(_maps(width, spec.resolution(branch)) for branch in spec.outputs[:-1])  # upsampled, and added
    outputs = _maps(2 * width + spec.classes + BOX_VALUES, size)
    yield Part("head", _branches(spec, spec.outputs), reduced + summed + outputs)


def _boxes(spec: DetectorSpec, inputs: int, neck: int) -> Part:
    """The region proposal network and the box head of a detector, with further outputs of the neck before them."""
    (channels, features), positions = detection_widths(spec), sum(height * width for height, width in pyramid_sizes(spec))
    per_position = ANCHORS_PER_POSITION * (1 + BOX_VALUES)
    outputs = neck + positions * (channels + 2 * per_position)  # region proposal network, its outputs, reshaped
    outputs += positions * per_position  # all levels concatenated
    proposals, classes = proposal_limits(spec)[1], spec.classes + 1
    pooled = channels * POOLED_SIZE**2
    outputs += proposals * (BOX_VALUES + 1 + 2 * pooled + 2 * features + classes * (1 + BOX_VALUES))
    return Part("head", inputs, outputs, proposals * BIN_SAMPLES**2 * pooled)
