"""The convolutions of an HRNet: what each reads and writes, in the order of the network.

Costs, the slicing of weights and the importance of channels all follow from this list.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from hrnet_tf.spec.detection import detection_widths
from hrnet_tf.spec.network import FIRST_STAGE, HRNetSpec
from hrnet_tf.spec.units import BranchModule, FusionLink
from hrnet_tf.spec.widths import BOTTLENECK_EXPANSION, STEM1, branch_stream, stage1_stream, stem_stream
from mobile_eval.typed import Size

RGB = 3


@dataclass(frozen=True)
class Convolution:
    """A convolution that is built.

    Attributes:
        name: Name of its layer, such as "stage2_module0_branch0_block0_conv1".
        part: The link, block or other part of the network that it belongs to, such as "stem" or "transition1_branch0".
        reads: The width groups whose channels it reads, one after another; empty for the image.
        writes: The width group of its outputs; None for outputs of the network, which cannot be narrowed.
        kernel: Height and width of its kernel.
        stride: Its stride.
        source: Number of its input channels.
        target: Number of its output channels.
        size: (height, width) of its output.
    """

    name: str
    part: str
    reads: tuple[str, ...]
    writes: str | None
    kernel: int
    stride: int
    source: int
    target: int
    size: Size

    @property
    def multiply_adds(self) -> int:
        """Its multiply-adds for one image."""
        return self.kernel**2 * self.source * self.target * self.size[0] * self.size[1]


@lru_cache(maxsize=256)
def convolutions(spec: HRNetSpec) -> tuple[Convolution, ...]:
    """Return the convolutions of the trunk that are built, and those of a head of the package that read its outputs.

    Example:
        >>> from hrnet_tf.spec.presets import preset
        >>> first, *_, last = convolutions(preset("pose-w32"))
        >>> first.name, first.reads, first.writes, first.size
        ('stem_conv1', (), 'stem_conv1', (128, 96))
        >>> last.name, last.reads, last.source, last.target
        ('head_heatmaps', ('branch0',), 32, 17)
    """
    return (*_trunk(spec), *_head(spec))


def group_writers(spec: HRNetSpec) -> dict[str, tuple[str, ...]]:
    """Return the names of the convolutions that write to each width group, in the order of the network.

    Args:
        spec: The network.

    Returns:
        Names of layers by group, of the groups that are built and can be narrowed.
    """
    writers: dict[str, tuple[str, ...]] = {}
    for convolution in convolutions(spec):
        group = convolution.writes
        if group is not None and group in spec.full_widths:
            writers[group] = (*writers.get(group, ()), convolution.name)
    return writers


def _conv(
    spec: HRNetSpec, name: str, part: str, reads: str, writes: str, kernel: int, size: Size, *, stride: int = 1
) -> Convolution:
    """A convolution from one group to another."""
    return Convolution(name, part, (reads,), writes, kernel, stride, spec.width_of(reads), spec.width_of(writes), size)


def _output(spec: HRNetSpec, name: str, reads: tuple[str, ...], target: int, size: Size, kernel: int = 1) -> Convolution:
    """A convolution of a head."""
    return Convolution(name, "head", reads, None, kernel, 1, sum(map(spec.width_of, reads)), target, size)


def _bottleneck(spec: HRNetSpec, part: str, reads: str, writes: str, size: Size) -> Iterator[Convolution]:
    """The three convolutions of a bottleneck block."""
    groups = [reads, f"{part}_conv1", f"{part}_conv2", writes]
    for index, kernel in ((1, 1), (2, 3), (3, 1)):
        yield _conv(spec, f"{part}_conv{index}", part, groups[index - 1], groups[index], kernel, size)


def _trunk(spec: HRNetSpec) -> Iterator[Convolution]:
    size = spec.resolution(0)
    height, width = spec.input_size
    stem, stage1 = stem_stream(spec), stage1_stream(spec)
    first = spec.width_of(STEM1)
    yield Convolution("stem_conv1", "stem", (), STEM1, 3, 2, RGB, first, (height // 2, width // 2))
    yield _conv(spec, "stem_conv2", "stem", STEM1, stem, 3, size, stride=2)
    for block in spec.stage1_blocks_kept:
        name = f"stage1_block{block}"
        yield from _bottleneck(spec, name, stem if block == 0 else stage1, stage1, size)
        if block == 0 and spec.has_projection:
            yield _conv(spec, f"{name}_shortcut_conv1", name, stem, stage1, 1, size)
    for stage in range(FIRST_STAGE, spec.last_stage + 1):
        yield from _transition(spec, stage)
        yield from _stage(spec, stage)


def _transition(spec: HRNetSpec, stage: int) -> Iterator[Convolution]:
    newest = stage - 1
    before = stage1_stream(spec) if stage == FIRST_STAGE else branch_stream(newest - 1)
    if BranchModule(stage, 0, newest) in spec.liveness().branches:
        part = f"transition{stage - 1}_branch{newest}"
        yield _conv(spec, f"{part}_conv1", part, before, branch_stream(newest), 3, spec.resolution(newest), stride=2)
    if stage == FIRST_STAGE and spec.has_first_transition:
        part = f"transition{stage - 1}_branch0"
        yield _conv(spec, f"{part}_conv1", part, before, branch_stream(0), 3, spec.resolution(0))


def _stage(spec: HRNetSpec, stage: int) -> Iterator[Convolution]:
    live = spec.liveness()
    for module in range(spec.stage(stage).modules):
        for place in sorted(place for place in live.branches if (place.stage, place.module) == (stage, module)):
            yield from _blocks(spec, place)
        for link in sorted(link for link in live.links if (link.stage, link.module) == (stage, module)):
            yield from _link(spec, link)


def _blocks(spec: HRNetSpec, place: BranchModule) -> Iterator[Convolution]:
    stream, size = branch_stream(place.branch), spec.resolution(place.branch)
    for block in spec.blocks(place):
        name = block.name
        if spec.block == "bottleneck":
            yield from _bottleneck(spec, name, stream, stream, size)
        else:
            inner = f"{name}_conv1"
            yield _conv(spec, inner, name, stream, inner, 3, size)
            yield _conv(spec, f"{name}_conv2", name, inner, stream, 3, size)


def _link(spec: HRNetSpec, link: FusionLink) -> Iterator[Convolution]:
    """A 1x1 convolution at the lower resolution upwards, strided 3x3 ones downwards."""
    source, target = branch_stream(link.source), branch_stream(link.target)
    if link.source > link.target:
        yield _conv(spec, f"{link.name}_conv1", link.name, source, target, 1, spec.resolution(link.source))
        return
    steps = link.target - link.source
    groups = [source, *(f"{link.name}_conv{index}" for index in range(1, steps)), target]
    for index in range(1, steps + 1):
        size = spec.resolution(link.source + index)
        yield _conv(spec, f"{link.name}_conv{index}", link.name, groups[index - 1], groups[index], 3, size, stride=2)


def _head(spec: HRNetSpec) -> Iterator[Convolution]:
    streams = tuple(map(branch_stream, spec.outputs))
    match spec.head_kind:
        case "heatmap":
            yield _output(spec, "head_heatmaps", streams, spec.classes, spec.resolution(spec.outputs[0]))
        case "dense" | "multiscale_heatmap":
            yield _output(spec, "head_mix_conv1", streams, spec.head_channels, spec.resolution(0))
        case "object_context":
            yield _output(spec, "head_mix_conv1", streams, spec.full_gathered_channels, spec.resolution(0))
            yield _output(spec, "head_pixels_conv1", streams, spec.head_channels, spec.resolution(0), kernel=3)
        case "classification":
            for branch, stream in zip(spec.outputs, streams, strict=True):
                inner, name = spec.head_channels * 2**branch, f"head_widen{branch}"
                yield _output(spec, f"{name}_conv1", (stream,), inner, spec.resolution(branch))
                if spec.full_channels(branch) != BOTTLENECK_EXPANSION * inner:
                    outer = BOTTLENECK_EXPANSION * inner
                    yield _output(spec, f"{name}_shortcut_conv1", (stream,), outer, spec.resolution(branch))
        case "centers":
            for branch, stream in zip(spec.outputs, streams, strict=True):
                yield _output(spec, f"head_reduce{branch}_conv1", (stream,), spec.head_channels, spec.resolution(branch))
        case "detection":
            yield _output(spec, "neck_reduce", streams, detection_widths(spec)[0], spec.resolution(0))


def multiply_adds_by_part(spec: HRNetSpec) -> dict[str, int]:
    """Return the multiply-adds of each link, block and other part that is built, by its name."""
    parts: dict[str, int] = {}
    for convolution in convolutions(spec):
        parts[convolution.part] = parts.get(convolution.part, 0) + convolution.multiply_adds
    return parts
