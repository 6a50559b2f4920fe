"""Values that the layers of an HRNet put out for one image, in closed form from its spec: what memory a network needs.

Counted are the layers of the folded network, part by part in the order in which they run. A part (`Part`) is what may run at
the same time: all branches' blocks of one number, an exchange unit, a head.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hrnet_tf.models.detection.sizes import detection_widths, proposal_limits
from hrnet_tf.spec.complexity import pyramid_sizes
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

BOX = 4  # numbers of a box
ALIGN_SAMPLES = 4  # that RoIAlign takes of a bin, and averages


@dataclass(frozen=True)
class Part:
    """A part of a network and its values for one image.

    `held` are there before it runs, because it or what comes later reads them. `outputs` are those of its layers, `temporary`
    those that a layer makes on the way besides.
    """

    name: str
    held: int
    outputs: int
    temporary: int = 0

    @property
    def live(self) -> int:
        """Values that are there at once, at most."""
        return self.held + self.outputs + self.temporary


def maps(channels: int, size: Size) -> int:
    """Values of feature maps of that size (height, width)."""
    return channels * size[0] * size[1]


def conv_outputs(source: int, target: int, size: Size, *, stride: int = 1, kernel: int = 3) -> int:
    """A convolution with input `size`; where it has a stride, with the bordered input that it reads."""
    height, width = size
    if stride == 1:
        return maps(target, size)
    border = 2 * (kernel // 2) if kernel > 1 else 0
    padded = maps(source, (height + border, width + border)) if kernel > 1 else 0
    return padded + maps(target, (height // stride, width // stride))


def bottleneck_outputs(source: int, inner: int, size: Size, *, stride: int = 1) -> int:
    """A bottleneck block with input `size`: three convolutions, the projection where there is one, sum and ReLU."""
    outer = BOTTLENECK_EXPANSION * inner
    after = size[0] // stride, size[1] // stride
    outputs = maps(inner, size) + conv_outputs(inner, inner, size, stride=stride) + maps(outer, after)
    return outputs + maps(outer, after) * (2 + (stride > 1 or source != outer))


def hrnet_parts(spec: HRNetSpec) -> Iterator[Part]:
    """All parts of an HRNet."""
    yield from _beginning(spec)
    yield from _stages(spec)
    yield from _HEADS[spec.head_kind](spec)


def _beginning(spec: HRNetSpec) -> Iterator[Part]:
    """Stem and stage 1."""
    height, width = spec.input_size
    image, size = maps(3, spec.input_size), spec.resolution(0)
    first = conv_outputs(3, spec.stem_width, spec.input_size, stride=2)
    yield Part("stem", image, first + conv_outputs(spec.stem_width, spec.stem_width, (height // 2, width // 2), stride=2))
    channels = spec.stem_width
    for block in range(spec.stage1_blocks):
        yield Part(f"stage1_block{block}", maps(channels, size), bottleneck_outputs(channels, spec.stage1_width, size))
        channels = BOTTLENECK_EXPANSION * spec.stage1_width


def _branch_values(spec: HRNetSpec, branches: frozenset[int] | set[int]) -> int:
    return sum(maps(spec.channels(branch), spec.resolution(branch)) for branch in branches)


def _stages(spec: HRNetSpec) -> Iterator[Part]:
    live = spec.liveness()
    held = maps(BOTTLENECK_EXPANSION * spec.stage1_width, spec.resolution(0))
    for stage in range(FIRST_STAGE, spec.last_stage + 1):
        yield Part(f"transition{stage - 1}", held, _transition(spec, stage))
        for module in range(spec.stage(stage).modules):
            branches = {place.branch for place in live.branches if (place.stage, place.module) == (stage, module)}
            held = _branch_values(spec, branches)
            for block in range(spec.stage(stage).blocks):
                running = [
                    branch
                    for branch in branches
                    if block in {own.block for own in spec.blocks(BranchModule(stage, module, branch))}
                ]
                yield Part(f"stage{stage}_module{module}_block{block}", held, sum(_block(spec, branch) for branch in running))
            links = [link for link in live.links if (link.stage, link.module) == (stage, module)]
            yield Part(f"stage{stage}_module{module}_fuse", held, _exchange(spec, links))


def _transition(spec: HRNetSpec, stage: int) -> int:
    newest, outputs = stage - 1, 0
    source = BOTTLENECK_EXPANSION * spec.stage1_width if stage == FIRST_STAGE else spec.channels(newest - 1)
    if BranchModule(stage, 0, newest) in spec.liveness().branches:
        outputs += conv_outputs(source, spec.channels(newest), spec.resolution(newest - 1), stride=2)
    if stage == FIRST_STAGE and source != spec.channels(0):
        outputs += maps(spec.channels(0), spec.resolution(0))
    return outputs


def _block(spec: HRNetSpec, branch: int) -> int:
    channels, size = spec.channels(branch), spec.resolution(branch)
    if spec.block == "basic":
        return 4 * maps(channels, size)  # two convolutions, sum and ReLU
    return bottleneck_outputs(channels, channels // BOTTLENECK_EXPANSION, size)


def _exchange(spec: HRNetSpec, links: list[FusionLink]) -> int:
    """The links, their way up, the sums and a ReLU for each target that has links."""
    outputs = 0
    for target in {link.target for link in links}:
        down = [link for link in links if link.target == target and link.source < target]
        up = sorted((link.source for link in links if link.target == target and link.source > target), reverse=True)
        own = maps(spec.channels(target), spec.resolution(target))
        outputs += sum(_link_down(spec, link) for link in down)
        outputs += sum(maps(spec.channels(target), spec.resolution(source)) for source in up)  # 1x1, before they are enlarged
        brought, enlarged = len(up), 0
        if spec.interpolation == "nearest" and up:  # up in a tree: enlarged to the next branch that has a link, and added there
            brought, enlarged = 1, 2 * sum(maps(spec.channels(target), spec.resolution(source)) for source in up[1:])
        terms = 1 + len(down) + brought
        outputs += enlarged + own * (brought + (terms - 1) + 1)  # enlarged to the target's size, sums, ReLU
    return outputs


def _link_down(spec: HRNetSpec, link: FusionLink) -> int:
    source, target = spec.channels(link.source), spec.channels(link.target)
    outputs = 0
    for step in range(link.source, link.target):
        outputs += conv_outputs(source, target if step == link.target - 1 else source, spec.resolution(step), stride=2)
    return outputs


def _heatmap_head(spec: HRNetSpec) -> Iterator[Part]:
    yield Part("head", _branch_values(spec, {0}), maps(spec.classes, spec.resolution(0)))


def _gathered(spec: HRNetSpec) -> int:
    """All branches at the first one's size, and side by side."""
    lower = sum(maps(spec.channels(branch), spec.resolution(0)) for branch in spec.outputs if branch)
    return lower + maps(spec.gathered_channels, spec.resolution(0))


def _dense_head(spec: HRNetSpec) -> Iterator[Part]:
    own = maps(spec.head_channels + spec.classes, spec.resolution(0))
    yield Part("head", _branch_values(spec, set(spec.outputs)), _gathered(spec) + own)


def _classification_head(spec: HRNetSpec) -> Iterator[Part]:
    """Branch by branch: widened, and added to what comes down from the one before; then what follows the last."""
    held, outer = _branch_values(spec, set(spec.outputs)), 0
    for branch in spec.outputs:
        inner, size, before = spec.head_channels * 2**branch, spec.resolution(branch), outer
        outer = BOTTLENECK_EXPANSION * inner
        outputs, above = bottleneck_outputs(spec.channels(branch), inner, size), 0
        if branch:
            above = maps(before, spec.resolution(branch - 1))
            outputs += conv_outputs(before, outer, spec.resolution(branch - 1), stride=2) + maps(outer, size)
        yield Part(f"head_widen{branch}", held + above, outputs)
    lowest, features = spec.resolution(spec.outputs[-1]), CLASSIFICATION_FEATURES * spec.head_channels
    yield Part("head", maps(outer, lowest), maps(features, lowest) + features + spec.classes)


def _detection_head(spec: HRNetSpec) -> Iterator[Part]:
    (channels, features), sizes = detection_widths(spec), pyramid_sizes(spec)
    places = [height * width for height, width in sizes]
    anchors, answers = ANCHORS_PER_POSITION, ANCHORS_PER_POSITION * (1 + BOX)
    outputs = _gathered(spec) + channels * (places[0] + sum(places[1:PYRAMID_LEVELS]))  # reduced, and pooled
    outputs += sum(places) * (2 * channels + 2 * answers)  # pyramid, proposal network, its answers and these in a row
    outputs += sum(places) * anchors * (1 + BOX)  # all levels together
    proposals, classes = proposal_limits(spec)[1], spec.classes + 1
    pooled = channels * POOLED_SIZE**2
    outputs += proposals * (BOX + 1 + 2 * pooled + 2 * features + classes * (1 + BOX))
    yield Part("head", _branch_values(spec, set(spec.outputs)), outputs, proposals * ALIGN_SAMPLES * pooled)


_HEADS = {
    "heatmap": _heatmap_head,
    "multiscale_heatmap": _dense_head,
    "dense": _dense_head,
    "classification": _classification_head,
    "detection": _detection_head,
}
