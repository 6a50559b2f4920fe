"""Width groups: channels of a network that can only be removed together.

A group is named after the layer or the stream whose channels it counts:

    stem_conv1, stem_conv2                     outputs of the convolutions of the stem
    stage1                                     residual stream of stage 1
    branch0 ... branch3                        residual stream of a branch, through all its stages
    stage3_module0_branch1_block2_conv1        inner channels of a residual block, outputs of that convolution
    stage4_module0_link0to2_conv1              inner channels of a link downwards

A stream has one width in all stages, as its identity paths pass from stage to stage: with another width in the next stage, a
convolution would be needed there that the full network does not have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from hrnet_tf.spec.units import FusionLink, ResidualBlock
from mobile_eval.errors import HRNetError

STEM1, STEM2, STAGE1 = "stem_conv1", "stem_conv2", "stage1"
BOTTLENECK_EXPANSION = 4  # output channels of a bottleneck block per inner channel


class Sizes(Protocol):
    """What the widths of a network follow from; see `HRNetSpec`."""

    @property
    def stem_width(self) -> int: ...
    @property
    def stage1_blocks(self) -> int: ...
    @property
    def stage1_width(self) -> int: ...
    @property
    def block(self) -> str: ...
    @property
    def last_stage(self) -> int: ...
    @property
    def outputs(self) -> tuple[int, ...]: ...
    @property
    def head_kind(self) -> str: ...
    @property
    def head_channels(self) -> int: ...
    @property
    def has_projection(self) -> bool: ...
    @property
    def has_first_transition(self) -> bool: ...
    @property
    def possible_links(self) -> frozenset[FusionLink]: ...
    @property
    def possible_blocks(self) -> frozenset[ResidualBlock]: ...
    def full_channels(self, branch: int) -> int: ...


def branch_stream(branch: int) -> str:
    """Return the name of the residual stream of a branch."""
    return f"branch{branch}"


def stage1_stream(spec: Sizes) -> str:
    """Return the name of the residual stream of stage 1, which is that of branch 0 if no convolution is between the two."""
    return STAGE1 if spec.has_first_transition else branch_stream(0)


def stem_stream(spec: Sizes) -> str:
    """Return the name of the outputs of the stem, which are the stream of stage 1 if that does not begin with a projection."""
    return STEM2 if spec.has_projection else stage1_stream(spec)


def full_widths(full: Sizes) -> Mapping[str, int]:
    """Return every group of a full network that can be narrowed, in the order of the network, and its width."""
    groups = {STEM1: full.stem_width}
    if full.has_projection:
        groups[STEM2] = full.stem_width
    if full.has_first_transition:
        groups[STAGE1] = BOTTLENECK_EXPANSION * full.stage1_width
    for block in range(full.stage1_blocks):
        groups |= {f"stage1_block{block}_conv{index}": full.stage1_width for index in (1, 2)}
    groups |= {branch_stream(branch): full.full_channels(branch) for branch in range(full.last_stage)}
    groups |= _inner_widths(full)
    locked = {branch_stream(branch) for branch in _locked_branches(full)}
    return {group: width for group, width in groups.items() if group not in locked}


def _inner_widths(full: Sizes) -> Iterator[tuple[str, int]]:
    for block in sorted(full.possible_blocks):
        if block.stage > 1:
            channels, convolutions = full.full_channels(block.branch), 1
            if full.block == "bottleneck":
                channels, convolutions = channels // BOTTLENECK_EXPANSION, 2
            yield from ((f"{block.name}_conv{index}", channels) for index in range(1, convolutions + 1))
    for link in sorted(full.possible_links):
        steps = link.target - link.source
        yield from ((f"{link.name}_conv{index}", full.full_channels(link.source)) for index in range(1, steps))


def _locked_branches(full: Sizes) -> Iterator[int]:
    """The branches of which something reads the stream that cannot be narrowed with it."""
    for branch in full.outputs:
        own_head = full.head_kind == "pyramid"
        unprojected = full.head_kind == "classification" and (
            full.full_channels(branch) == BOTTLENECK_EXPANSION * full.head_channels * 2**branch
        )
        if own_head or unprojected:
            yield branch


def checked_widths(name: str, full: Mapping[str, int], widths: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """Return the entries of `widths` that are below the full width, in order.

    Args:
        name: The name of the network.
        full: Its `full_widths`.
        widths: Number of channels by group.

    Raises:
        HRNetError: There is no such group, or a width is not between 1 and the full one.
    """
    for group, width in widths.items():
        if group not in full:
            raise HRNetError(f"`widths`: {name} has no width {group!r:.80} that can be narrowed")
        if not 1 <= width <= full[group]:
            raise HRNetError(f"`widths`: {group} must be between 1 and {full[group]} channels, got {width}")
    return tuple((group, widths[group]) for group in sorted(widths) if widths[group] < full[group])
