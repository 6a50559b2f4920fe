"""Activation memory in closed form against the layers of built models, and batch sizes for a memory budget."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from typing import Any

import numpy as np
import pytest

from hrnet_tf.models.build import build_model
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.memory import MEMORY_BUDGET, activation_bytes, batch_size_for, live_bytes, parse_memory
from hrnet_tf.spec.network import HRNetSpec
from hrnet_tf.spec.presets import preset
from hrnet_tf.spec.units import FusionLink, ResidualBlock
from mobile_eval.errors import HRNetError

REMOVED = (FusionLink(4, 0, 3, 0), FusionLink(3, 1, 0, 2), FusionLink(2, 0, 1, 0), ResidualBlock(3, 0, 1, 0))


def as_list(tensors: Any) -> list[Any]:
    if isinstance(tensors, dict):
        return list(tensors.values())
    return list(tensors) if isinstance(tensors, list | tuple) else [tensors]


def calls(model: Any) -> list[tuple[list[Any], list[Any]]]:
    """Inputs and outputs of each layer call, in execution order."""
    nodes = [node for depth in sorted(model._nodes_by_depth, reverse=True) for node in model._nodes_by_depth[depth]]
    return [(as_list(node.keras_inputs), as_list(node.outputs)) for node in nodes]


def values(tensor: Any) -> int:
    return int(np.prod(tensor.shape[1:]))


def counted_bytes(model: Any) -> int:
    return 4 * sum(values(output) for _, outputs in calls(model) for output in outputs)


def simulated_live_bytes(model: Any) -> int:
    """Peak bytes if one layer runs at a time and each tensor is freed after its last reader."""
    steps = calls(model)
    readers = Counter(id(tensor) for inputs, _ in steps for tensor in inputs)
    readers.update(id(tensor) for tensor in model.outputs)
    live, peak = 0, 0
    for inputs, outputs in steps:
        live += sum(map(values, outputs))
        peak = max(peak, live)
        for tensor in inputs:
            readers[id(tensor)] -= 1
            live -= 0 if readers[id(tensor)] else values(tensor)
    return 4 * peak


def networks(spec: HRNetSpec) -> list[Network]:
    def of(task: str, **changes: Any) -> HRNetSpec:
        return dataclasses.replace(spec, task=task, links=frozenset(), **changes).full()

    full = [of(task) for task in ("pose", "landmarks", "segmentation", "classification")]
    full.append(of("detection", head="centers", head_width=6))
    variants = [of("landmarks", block="bottleneck"), of("landmarks", interpolation="bilinear"), of("segmentation", head_width=2)]
    pruned = [network.without(REMOVED) for network in (*full[:2], *variants)]
    return [*full, *variants, *pruned, dataclasses.replace(preset("simple-baseline-r50"), input_size=(64, 96))]


@pytest.mark.slow
def test_activations_are_the_outputs_of_all_layers(spec: HRNetSpec) -> None:
    for network in networks(spec):
        model = build_model(network, folded=True)
        assert activation_bytes(network) == counted_bytes(model), network
        live = simulated_live_bytes(model)
        assert live <= live_bytes(network) <= 4 * live, network
        assert live_bytes(network) <= activation_bytes(network)


@pytest.mark.slow
def test_activations_of_a_detector(detector_spec: HRNetSpec) -> None:
    for network in (detector_spec, detector_spec.without({FusionLink(2, 0, 1, 0)})):
        model = build_model(network, folded=True)
        assert activation_bytes(network) == pytest.approx(counted_bytes(model), rel=1e-3)
        assert simulated_live_bytes(model) <= live_bytes(network)


@pytest.mark.slow
def test_activations_of_segment_w18() -> None:
    network = preset("segment-w18")
    model = build_model(network, folded=True)
    assert activation_bytes(network) == counted_bytes(model)
    live = simulated_live_bytes(model)
    assert live <= live_bytes(network) <= 2.5 * live


def test_batches_fit_into_the_budget() -> None:
    small, large = preset("pose-small-v1"), dataclasses.replace(preset("segment-w18"), input_size=(1024, 2048))
    assert batch_size_for(small, most=64) == 64
    assert batch_size_for(large, most=64) == MEMORY_BUDGET // live_bytes(large) < 4
    assert batch_size_for(large, MEMORY_BUDGET, most=64, training=True) == 1
    assert batch_size_for(small, 1, most=64) == 1
    half = batch_size_for(small, 32 * live_bytes(small), most=64)
    assert half == 32


@pytest.mark.parametrize(
    ("text", "size"),
    [("1GiB", 2**30), ("512MiB", 2**29), ("1.5 GB", 1_500_000_000), ("2gib", 2**31), ("1000", 1000), ("64 kb", 64_000)],
)
def test_memory_sizes_with_units(text: str, size: int) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["", "GiB", "-1GiB", "0", "0MiB", "1 gigabyte", "1e9", "nan", "1GiB2"])
def test_invalid_memory_sizes(text: str) -> None:
    with pytest.raises(HRNetError, match=re.escape(repr(text))):
        parse_memory(text)
