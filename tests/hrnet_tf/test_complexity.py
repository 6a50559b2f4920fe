"""Closed forms against the official counts, and against the built model layer by layer."""

from __future__ import annotations

import numpy as np
import pytest

from hrnet_tf._keras import keras
from hrnet_tf.complexity import link_cost, parts
from hrnet_tf.networks import build_model, complexity
from hrnet_tf.presets import customized, preset
from hrnet_tf.spec import FusionLink, HRNetSpec


@pytest.mark.parametrize(
    ("name", "size", "parameters", "multiply_adds"),
    [
        ("pose-w32", (256, 192), 28_536_113, 7_645_003_776),
        ("pose-w32", (384, 288), 28_536_113, 17_201_258_496),
        ("pose-w48", (256, 192), 63_595_745, 15_691_825_152),
        ("pose-w48", (384, 288), 63_595_745, 35_306_606_592),
    ],
)
def test_official_counts(name: str, size: tuple[int, int], parameters: int, multiply_adds: int) -> None:
    cost = complexity(customized(preset(name), input_size=size))
    assert (cost.parameters, cost.multiply_adds) == (parameters, multiply_adds)


@pytest.mark.parametrize(
    ("source", "target", "parameters", "multiply_adds"),
    [(0, 1, 18_560, 14_155_776), (2, 0, 4_160, 786_432), (0, 3, 92_800, 12_386_304), (3, 2, 33_024, 1_572_864)],
)
def test_official_link_counts(source: int, target: int, parameters: int, multiply_adds: int) -> None:
    cost = link_cost(preset("pose-w32"), FusionLink(4, 0, source, target))
    assert (cost.parameters, cost.multiply_adds) == (parameters, multiply_adds)


def counted(spec: HRNetSpec) -> tuple[dict[str, int], dict[str, int]]:
    """Parameters and multiply-adds of a built model by part, the longest name that a layer's name starts with."""
    names = sorted(parts(spec), key=len, reverse=True)
    parameters, multiply_adds = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    for layer in build_model(spec).layers:
        if not layer.weights:
            continue
        part = next(name for name in names if layer.name.startswith(name))
        parameters[part] += sum(int(np.prod(weight.shape)) for weight in layer.trainable_weights)
        if isinstance(layer, keras.layers.Conv2D):
            multiply_adds[part] += int(np.prod(layer.kernel.shape)) * int(np.prod(layer.output_shape[1:3]))
    return parameters, multiply_adds


@pytest.mark.parametrize("removed", [(), ("stage4_module0_link3to0", "stage3_module1_link0to2", "stage2_module0_link1to0")])
def test_every_part_equals_the_built_model(spec: HRNetSpec, removed: tuple[str, ...]) -> None:
    smaller = spec.without(map(FusionLink.parse, removed))
    parameters, multiply_adds = counted(smaller)
    costs = parts(smaller)
    assert {name: cost.parameters for name, cost in costs.items()} == parameters
    assert {name: cost.multiply_adds for name, cost in costs.items()} == multiply_adds


@pytest.mark.parametrize("name", ["pose-w32", "pose-small-v1", "pose-small-v2"])
def test_presets_equal_the_built_model(name: str) -> None:
    model = build_model(preset(name))
    assert complexity(preset(name)).parameters == sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
