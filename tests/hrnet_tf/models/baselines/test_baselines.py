"""What holds for each network that HRNet is compared with: costs, memory, folding, JSON, and no fusion links."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hrnet_tf.backend.types import Weights
from hrnet_tf.models.build import build_model
from hrnet_tf.models.folding import fold_batch_norm
from hrnet_tf.models.rebuild import rebuild
from hrnet_tf.runs.weights import model_weights, set_model_weights
from hrnet_tf.spec.architectures import Network, network_from_json, network_to_json
from hrnet_tf.spec.baselines.base import BaselineSpec
from hrnet_tf.spec.baselines.trace import Maps, Tracer, traced
from hrnet_tf.spec.complexity import complexity, parts
from hrnet_tf.spec.cost import Cost
from hrnet_tf.spec.memory import activation_bytes, live_bytes
from hrnet_tf.spec.presets import PRESETS, customized
from mobile_eval.errors import HRNetError
from tests.support.baselines import NETWORKS, VARIANTS, cpn

CountedParts = Callable[[Network], dict[str, Cost]]
RandomWeights = Callable[[Any], Weights]
MICRO = NETWORKS | VARIANTS
BASELINES = {name: spec for name, spec in PRESETS.items() if isinstance(spec, BaselineSpec)}
IMAGES = np.random.default_rng(1).standard_normal((2, 64, 64, 3)).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("name", MICRO)
def test_costs_memory_and_folding_equal_the_built_model(
    name: str, counted_parts: CountedParts, random_weights: RandomWeights
) -> None:
    spec = MICRO[name]
    assert counted_parts(spec) == parts(spec)
    model, folded = build_model(spec), build_model(spec, folded=True)
    set_model_weights(model, random_weights(model))
    set_model_weights(folded, fold_batch_norm(model_weights(model)))
    expected = model(IMAGES, training=False).numpy()
    assert expected.std() > 0.1
    for same in (folded, rebuild(model, folded=True)):
        np.testing.assert_allclose(same(IMAGES, training=False).numpy(), expected, atol=1e-4 * np.abs(expected).max())
    values = sum(int(np.prod(layer.output_shape[1:])) for layer in folded.layers[1:])
    assert activation_bytes(spec) == 4 * (values + 64 * 64 * 3)
    assert live_bytes(spec) < activation_bytes(spec)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "number"), [("cpn", 4), ("hourglass", 1), ("deeplabv3", 1), ("pspnet", 1), ("unetplusplus", 3)])
def test_auxiliary_outputs_do_not_change_the_output(name: str, number: int, random_weights: RandomWeights) -> None:
    spec = MICRO[name]
    model, inference = build_model(spec, auxiliary=True), build_model(spec)
    weights = random_weights(model)
    set_model_weights(model, weights)
    set_model_weights(inference, weights)
    output, *auxiliary = model(IMAGES, training=False)
    np.testing.assert_array_equal(output.numpy(), inference(IMAGES, training=False).numpy())
    assert len(auxiliary) == len(spec.auxiliary_outputs) == number
    side = 64 // spec.output_stride
    assert {tuple(maps.shape) for maps in auxiliary} == {(2, side, side, 5)}
    counted = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert counted == sum(cost.parameters for cost in traced(spec, auxiliary=True).parts().values())


@pytest.mark.parametrize("name", BASELINES)
def test_json_round_trip(name: str) -> None:
    spec = BASELINES[name]
    stored = json.loads(json.dumps(network_to_json(spec)))
    assert stored["architecture"] == spec.architecture
    assert network_from_json(stored) == spec
    with pytest.raises(HRNetError, match=f"not the spec of a {re.escape(spec.title)}: input_size is missing"):
        network_from_json({entry: value for entry, value in stored.items() if entry != "input_size"})


@pytest.mark.parametrize("name", BASELINES)
def test_only_the_input_size_can_be_customized(name: str) -> None:
    spec = BASELINES[name]
    assert spec.links == frozenset()
    assert complexity(customized(spec, input_size=128)).parameters == complexity(spec).parameters
    with pytest.raises(HRNetError, match="`width`, `modules`"):
        customized(spec, width=32, modules="1,1,1")
    with pytest.raises(HRNetError, match="got 100x64"):
        customized(spec, input_size=(100, 64))


def test_gates_need_links() -> None:
    with pytest.raises(HRNetError, match="cpn has no fusion links"):
        build_model(cpn(), gate=lambda x, unit: x)


def test_layers_that_do_not_fit_are_named() -> None:
    tracer, image = Tracer(), Maps(3, (8, 8))
    x = tracer.conv(image, 8, 3, "stem", stride=2)
    with pytest.raises(HRNetError, match="head_sum adds maps of different shapes"):
        tracer.add([x, tracer.upsample(x, 2, "up")], "head_sum")
    with pytest.raises(HRNetError, match="head_all concatenates maps of different sizes"):
        tracer.concat([x, image], "head_all")
    with pytest.raises(HRNetError, match="`groups` of wide_conv1 must divide its 8 and 12 channels, got 8"):
        tracer.conv(x, 12, 3, "wide", groups=8)
