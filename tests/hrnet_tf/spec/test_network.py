"""Specs: links, liveness, JSON, and invalid values."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest

from hrnet_tf.spec.complexity import complexity
from hrnet_tf.spec.network import HRNetSpec, StageSpec
from hrnet_tf.spec.presets import customized, parse_size, preset
from hrnet_tf.spec.units import BranchModule, FusionLink, ResidualBlock, Unit, parse_unit
from mobile_eval.errors import HRNetError


@pytest.mark.parametrize(("name", "links", "up"), [("pose-w32", 53, 28), ("pose-w48", 53, 28), ("pose-small-v1", 11, 7)])
def test_full_connectivity(name: str, links: int, up: int) -> None:
    spec = preset(name)
    assert len(spec.links) == links
    assert sum(link.source > link.target for link in spec.links) == up


def test_all_branches_and_links_are_live_at_full_connectivity() -> None:
    live = preset("pose-w32").liveness()
    assert len(live.branches) == 2 + 4 * 3 + 3 * 4
    assert live.links == preset("pose-w32").links


def test_branch_without_outgoing_links_is_not_live(spec: HRNetSpec) -> None:
    smaller = spec.without({FusionLink(4, 0, 3, 0)})
    assert spec.liveness().branches - smaller.liveness().branches == {BranchModule(4, 0, 3)}
    assert spec.links - smaller.links == {FusionLink(4, 0, 3, 0)}


def test_links_into_an_unreachable_branch_are_removed() -> None:
    spec = customized(preset("pose-small-v1"), modules="1,1,2")
    outgoing = {link for link in spec.links if link.stage == 4 and link.source == 3}
    smaller = spec.without(outgoing)
    assert not any(3 in (link.source, link.target) for link in smaller.links)
    assert not any(branch.branch == 3 for branch in smaller.liveness().branches)


def test_transition_to_a_new_branch_keeps_the_lowest_branch_live(spec: HRNetSpec) -> None:
    # only the start of branch 3 in stage 4 reads branch 2 of the last module of stage 3
    removed = {link for link in spec.links if link.source == 2 and (link.stage == 4 or link.module == 1)}
    assert BranchModule(3, 1, 2) in spec.without(removed).liveness().branches
    removed.add(FusionLink(4, 0, 3, 0))
    assert BranchModule(3, 1, 2) not in spec.without(removed).liveness().branches


def test_branch_0_remains_without_links(spec: HRNetSpec) -> None:
    bare = spec.without(spec.links)
    assert {branch.branch for branch in bare.liveness().branches} == {0}
    assert bare.removed_links == spec.possible_links


def test_json_round_trip(spec: HRNetSpec) -> None:
    smaller = spec.without({FusionLink(3, 1, 0, 2)})
    stored = json.loads(json.dumps(smaller.to_json()))
    assert HRNetSpec.from_json(stored) == smaller
    assert stored["removed_links"] == ["stage3_module1_link0to2"]


def test_link_names_round_trip() -> None:
    link = FusionLink(3, 2, 0, 2)
    assert link.name == "stage3_module2_link0to2"
    assert FusionLink.parse(link.name) == link


@pytest.mark.parametrize(
    ("change", "offending"),
    [
        ({"input_size": (100, 64)}, "100x64"),
        ({"width": 0}, "width.*65536, got 0"),
        ({"task": "jumping"}, "'jumping'"),
        ({"interpolation": "cubic"}, "'cubic'"),
        ({"block": "bottleneck", "width": 6}, "got 6"),
        ({"stages": ()}, "got 0"),
        ({"links": frozenset({FusionLink(4, 7, 0, 1)})}, "stage4_module7_link0to1"),
    ],
)
def test_invalid_specs(spec: HRNetSpec, change: dict[str, object], offending: str) -> None:
    with pytest.raises(HRNetError, match=offending):
        dataclasses.replace(spec, **change)


def test_invalid_names_and_numbers(spec: HRNetSpec) -> None:
    with pytest.raises(HRNetError, match="'pose-w99'"):
        preset("pose-w99")
    with pytest.raises(HRNetError, match="'128'"):
        parse_size("128")
    with pytest.raises(HRNetError, match="'1;2'"):
        customized(spec, modules="1;2")
    with pytest.raises(HRNetError, match="got 0 and 1"):
        StageSpec(0, 1)
    with pytest.raises(HRNetError, match="'stage3'"):
        FusionLink.parse("stage3")
    with pytest.raises(HRNetError, match="source 1 and target 1"):
        FusionLink(2, 0, 1, 1)
    with pytest.raises(HRNetError, match="stage3_module0_link0to1"):
        spec.without({FusionLink(3, 0, 0, 1)}).without({FusionLink(3, 0, 0, 1)})
    with pytest.raises(HRNetError, match="name is missing"):
        HRNetSpec.from_json({"removed_links": []})


def test_branch_without_its_block_is_live(spec: HRNetSpec) -> None:
    block = ResidualBlock(3, 1, 2, 0)
    smaller = spec.without({block})
    assert smaller.blocks(block.place) == ()
    assert smaller.liveness() == spec.liveness()
    assert spec.live_blocks - smaller.live_blocks == {block}
    assert smaller.full() == spec
    with pytest.raises(HRNetError, match="stage3_module1_branch2_block0"):
        smaller.without({block})
    with pytest.raises(HRNetError, match="stage3_module1_branch2_block1"):
        spec.without({ResidualBlock(3, 1, 2, 1)})


def test_blocks_of_unreachable_branches_are_not_built(spec: HRNetSpec) -> None:
    smaller = spec.without({FusionLink(4, 0, 3, 0)})
    assert {block.place for block in spec.live_blocks - smaller.live_blocks} == {BranchModule(4, 0, 3)}


def test_removed_blocks_are_in_the_json(spec: HRNetSpec) -> None:
    smaller = spec.without({ResidualBlock(3, 1, 2, 0), FusionLink(3, 1, 0, 2)})
    stored = json.loads(json.dumps(smaller.to_json()))
    assert stored["removed_blocks"] == ["stage3_module1_branch2_block0"]
    assert HRNetSpec.from_json(stored) == smaller


@pytest.mark.parametrize("unit", [FusionLink(4, 2, 3, 0), ResidualBlock(2, 0, 1, 3)])
def test_unit_names_round_trip(unit: Unit) -> None:
    assert parse_unit(str(unit)) == unit


def test_connectivity_is_copied_to_another_width() -> None:
    pruned = preset("pose-w32").without({FusionLink(4, 2, 3, 0), ResidualBlock(4, 1, 0, 3)})
    wide = preset("pose-w48").connected_like(pruned)
    assert wide.width == 48
    assert (wide.links, wide.removed_blocks) == (pruned.links, pruned.removed_blocks)
    with pytest.raises(HRNetError, match=r"pose-w32 \(modules \[1, 4, 3\], outputs \[0\]\).*pose-small-v1"):
        preset("pose-small-v1").connected_like(pruned)
    with pytest.raises(HRNetError, match="segment-w48"):
        preset("segment-w48").connected_like(pruned)


def test_head_of_a_custom_task() -> None:
    stages = (StageSpec(1, 1),) * 2
    depth = HRNetSpec("depth", 4, (64, 64), 1, stages, stage1_blocks=1, task="depth", head="dense").full()
    segmentation = dataclasses.replace(depth, task="segmentation", head=None)
    assert depth.head_kind == segmentation.head_kind == "dense"
    assert depth.outputs == (0, 1, 2)
    assert complexity(depth) == complexity(segmentation)
    assert HRNetSpec.from_json(depth.to_json()) == depth
    assert HRNetSpec.from_json(segmentation.to_json()) == segmentation


@pytest.mark.parametrize(("task", "head"), [("depth", None), ("pose", "depth")])
def test_unknown_heads(task: str, head: str | None) -> None:
    with pytest.raises(HRNetError, match=re.escape(repr(head))):
        HRNetSpec("depth", 4, (64, 64), 1, (StageSpec(1, 1),), task=task, head=head)


def test_widths_are_data(spec: HRNetSpec) -> None:
    full = preset("pose-w32")
    assert full.full_widths["stem_conv1"] == full.full_widths["stage1_block3_conv2"] == 64
    assert (full.full_widths["stage1"], full.full_widths["branch3"]) == (256, 256)
    assert full.full_widths["stage4_module2_branch3_block1_conv1"] == 256
    assert full.full_widths["stage4_module1_link0to3_conv2"] == 32
    narrow = full.with_widths({"branch1": 48, "stage1": 128, "stem_conv2": 64})
    assert narrow.widths == (("branch1", 48), ("stage1", 128))
    assert (narrow.channels(1), narrow.channels(2), narrow.head_channels) == (48, 128, 32)
    assert HRNetSpec.from_json(json.loads(json.dumps(narrow.to_json()))) == narrow
    assert narrow.full() == full == narrow.with_widths({"branch1": 64, "stage1": 256})
    assert narrow.without({FusionLink(4, 2, 3, 0)}).widths == narrow.widths
    wide = preset("pose-w48").connected_like(narrow)
    assert (wide.channels(1), wide.width_of("stage1")) == (72, 128)


def test_head_reads_a_lower_branch() -> None:
    moved = preset("pose-w32").reading([1])
    assert moved.outputs == (1,)
    last = {place.branch for place in moved.liveness().branches if (place.stage, place.module) == (4, 2)}
    assert last == {1}
    assert HRNetSpec.from_json(json.loads(json.dumps(moved.to_json()))) == moved
    assert moved.full() == preset("pose-w32")


@pytest.mark.parametrize(
    ("widths", "message"),
    [
        ({"branch0": 0}, r"`widths`: branch0 must be between 1 and 32 channels, got 0"),
        ({"branch0": 33}, r"`widths`: branch0 must be between 1 and 32 channels, got 33"),
        ({"branch7": 8}, r"`widths`: pose-w32 has no width 'branch7'"),
    ],
)
def test_widths_out_of_range(widths: dict[str, int], message: str) -> None:
    with pytest.raises(HRNetError, match=message):
        preset("pose-w32").with_widths(widths)


def test_stream_of_an_own_head_cannot_be_narrowed() -> None:
    spec = dataclasses.replace(preset("pose-w32"), head="pyramid").full()
    assert "branch0" not in spec.full_widths
    assert spec.reading([1, 2]).full_widths["branch0"] == 32
