"""Closed forms against official counts and against the layers of built models."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from hrnet_tf.models.build import build_model
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.complexity import complexity, parts
from hrnet_tf.spec.cost import Cost
from hrnet_tf.spec.network import HRNetSpec
from hrnet_tf.spec.presets import preset
from hrnet_tf.spec.units import FusionLink
from mobile_eval.errors import HRNetError

CountedParts = Callable[[Network], dict[str, Cost]]


@pytest.mark.parametrize(
    ("source", "target", "parameters", "multiply_adds"),
    [(0, 1, 18_560, 14_155_776), (2, 0, 4_160, 786_432), (0, 3, 92_800, 12_386_304), (3, 2, 33_024, 1_572_864)],
)
def test_official_link_counts(source: int, target: int, parameters: int, multiply_adds: int) -> None:
    cost = parts(preset("pose-w32"))[str(FusionLink(4, 0, source, target))]
    assert (cost.parameters, cost.multiply_adds) == (parameters, multiply_adds)


REMOVED = ("stage4_module0_link3to0", "stage3_module1_link0to2", "stage2_module0_link1to0")


@pytest.mark.slow
@pytest.mark.parametrize("removed", [(), REMOVED])
def test_every_part_equals_the_built_model(spec: HRNetSpec, removed: tuple[str, ...], counted_parts: CountedParts) -> None:
    smaller = spec.without(map(FusionLink.parse, removed))
    assert counted_parts(smaller) == parts(smaller)


@pytest.mark.slow
@pytest.mark.parametrize("block", ["basic", "bottleneck"])
@pytest.mark.parametrize("task", ["pose", "landmarks", "segmentation", "classification"])
def test_every_structure_equals_the_built_model(spec: HRNetSpec, task: str, block: str, counted_parts: CountedParts) -> None:
    full = dataclasses.replace(spec, task=task, block=block, links=frozenset()).full()
    smaller = full.without(map(FusionLink.parse, REMOVED))
    assert counted_parts(smaller) == parts(smaller)


@pytest.mark.slow
def test_head_of_centers_equals_the_built_model(spec: HRNetSpec, counted_parts: CountedParts) -> None:
    full = dataclasses.replace(spec, task="detection", head="centers", head_width=6, links=frozenset()).full()
    smaller = full.without(map(FusionLink.parse, REMOVED))
    assert counted_parts(smaller) == parts(smaller)
    assert HRNetSpec.from_json(smaller.to_json()) == smaller


@pytest.mark.slow
@pytest.mark.parametrize("task", ["landmarks", "segmentation", "classification"])
def test_head_of_another_width_equals_the_built_model(spec: HRNetSpec, task: str, counted_parts: CountedParts) -> None:
    default = dataclasses.replace(spec, task=task, links=frozenset()).full()
    narrow = dataclasses.replace(default, head_width=2)
    assert counted_parts(narrow) == parts(narrow)
    assert complexity(narrow).multiply_adds < complexity(default).multiply_adds
    assert HRNetSpec.from_json(narrow.to_json()) == narrow


def test_head_of_pose_has_no_width(spec: HRNetSpec) -> None:
    with pytest.raises(HRNetError, match="8: the head 'heatmap'"):
        dataclasses.replace(spec, head_width=8)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pose-small-v1", "pose-small-v2"])
def test_presets_equal_the_built_model(name: str) -> None:
    model = build_model(preset(name))
    assert complexity(preset(name)).parameters == sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
