"""Plans for Keras models with any head: what goes, what it saves, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import KerasModel
from hrnet_tf.models.gates import gates_of
from hrnet_tf.models.rebuild import rebuild
from hrnet_tf.models.trunk import hrnet_spec_of
from hrnet_tf.networks import HRNet, HRNetBackbone
from hrnet_tf.runs.pruning import Plan
from hrnet_tf.runs.ranking import Ranking
from hrnet_tf.spec.units import Unit
from mobile_eval.errors import HRNetError
from training.pruning.cost_model import profile_network
from training.pruning.plan import plan
from training.pruning.prune import prune
from training.ranking.gated_network import GatedNetwork

SIZES = {"input_size": 64, "width": 4, "modules": (1, 1, 1), "stem_width": 8, "stage1_width": 4, "blocks": 1}
RNG = np.random.default_rng(0)
IMAGES = RNG.standard_normal((6, 64, 64, 3)).astype(np.float32)
TARGETS = {"maps": RNG.uniform(0, 1, (6, 16, 16, 5)).astype(np.float32), "classes": RNG.integers(0, 3, 6)}


@pytest.fixture(scope="module")
def model() -> KerasModel:
    """A head with two outputs and every kind of layer whose multiply-adds are counted, and random BatchNorm."""
    keras.utils.set_random_seed(0)
    backbone = HRNetBackbone("pose-small-v1", **SIZES)
    layers, pyramid = keras.layers, backbone.pyramid_outputs
    x = layers.BatchNormalization()(layers.Conv2D(6, 3, 2, "same", use_bias=False)(pyramid["P2"]))
    maps = layers.Conv2DTranspose(5, 4, 2, "same", name="maps")(layers.ReLU()(x))
    x = layers.DepthwiseConv2D(3, depth_multiplier=2)(pyramid["P3"])
    classes = layers.Dense(3, name="classes")(layers.GlobalAveragePooling2D()(layers.SeparableConv2D(4, 3)(x)))
    model = keras.Model(backbone.input, {"maps": maps, "classes": classes}, name="two_headed")
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([RNG.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    model.compile("adam", {"maps": "mse", "classes": keras.losses.SparseCategoricalCrossentropy(from_logits=True)})
    return model


def ranking_of(model: KerasModel, *, blocks: bool = False) -> Ranking:
    """Random importance of each link."""
    spec, rng = hrnet_spec_of(model), np.random.default_rng(1)
    units: list[Unit] = [*sorted(spec.links), *(sorted(spec.live_blocks) if blocks else ())]
    return Ranking(spec, 6, 0, {"taylor": {unit: float(rng.random()) for unit in units}}, {"taylor": None}, {})


@pytest.fixture(scope="module")
def ranking(model: KerasModel) -> Ranking:
    return ranking_of(model)


@pytest.fixture(scope="module")
def small_plan(model: KerasModel, ranking: Ranking) -> Plan:
    return plan(model, ranking, keep_macs=0.8)


@pytest.fixture(scope="module")
def measured_plan(model: KerasModel, ranking: Ranking) -> Plan:
    """A plan with the loss after each step."""
    return plan(model, ranking, keep_macs=0.8, data=(IMAGES, TARGETS))


@pytest.fixture(scope="module")
def smaller(model: KerasModel, small_plan: Plan) -> KerasModel:
    return prune(model, small_plan)


def multiply_adds(model: KerasModel) -> int:
    """The multiply-adds of a model by the shapes of its layers, trunk and head alike."""
    count = 0
    for layer in model.layers:
        kernels = [weight for weight in layer.weights if "kernel" in weight.name]
        before = isinstance(layer, keras.layers.Conv2DTranspose)
        positions = math.prod((layer.input_shape if before else layer.output_shape)[1:-1]) if kernels else 0
        count += positions * sum(math.prod(kernel.shape) for kernel in kernels)
    return count


@pytest.mark.slow
def test_macs_are_those_of_trunk_and_head(model: KerasModel, small_plan: Plan, smaller: KerasModel) -> None:
    assert small_plan.predicted_ratio <= 0.8
    assert small_plan.predicted_ratio == pytest.approx(multiply_adds(smaller) / multiply_adds(model), rel=1e-9)
    assert small_plan.model_cost == small_plan.full_cost == multiply_adds(model)
    assert [step.cost for step in small_plan.steps] == sorted((step.cost for step in small_plan.steps), reverse=True)


def test_share_of_links(model: KerasModel, ranking: Ranking) -> None:
    half = plan(model, ranking, keep_links=0.5)
    possible = len(half.model_spec.possible_links)
    assert len(half.spec.links) <= 0.5 * possible
    assert half.spec.removed_blocks == frozenset()
    assert {unit for step in half.steps for unit in step.units} <= set(ranking.importance())
    assert [half.model_loss, half.metric] == [None, None]


def test_ranked_blocks_may_be_removed(model: KerasModel) -> None:
    with_blocks = ranking_of(model, blocks=True)
    cheap = {unit: 1e-9 if unit in hrnet_spec_of(model).live_blocks else 1.0 for unit in with_blocks.importance()}
    assert plan(model, dataclasses.replace(with_blocks, scores={"l0": cheap}), keep_macs=0.9).spec.removed_blocks


@pytest.mark.slow
def test_losses_are_those_of_the_smaller_models(model: KerasModel, measured_plan: Plan, smaller: KerasModel) -> None:
    def loss(of: KerasModel) -> float:
        of.compile(loss=model.loss)
        return float(of.evaluate(IMAGES, TARGETS, verbose=0, return_dict=True)["loss"])

    assert measured_plan.model_loss == pytest.approx(loss(rebuild(model)), rel=1e-4)
    assert measured_plan.steps[-1].loss == pytest.approx(loss(smaller), rel=1e-4)


@pytest.mark.slow
def test_increase_of_the_loss_is_limited(model: KerasModel, ranking: Ranking, measured_plan: Plan) -> None:
    assert measured_plan.model_loss is not None
    limited = plan(model, ranking, max_drop=0.5, data=(IMAGES, TARGETS))
    assert limited.steps
    assert all(step.loss is not None and step.loss <= 1.5 * measured_plan.model_loss for step in limited.steps)
    with pytest.raises(HRNetError, match=r"`max_drop` 1e-09 of the loss"):
        plan(model, ranking, max_drop=1e-9, data=(IMAGES, TARGETS))


def cells(table: str, step: int) -> list[str]:
    return next(line.split() for line in table.splitlines() if line.startswith(f"{step} "))


def test_table(small_plan: Plan) -> None:
    *lines, summary = str(small_plan).splitlines()
    assert lines[0].split() == ["step", "removed", "becomes", "unreachable", "M", "multiply-adds", "of", "full"]
    assert cells(small_plan.table(), 0) == ["0", f"{small_plan.full_cost / 1e6:.1f}", "1.000"]
    last = cells(small_plan.table(), len(small_plan.steps))
    assert last[1] == small_plan.steps[-1].removed[0]
    assert last[-2:] == [f"{small_plan.steps[-1].cost / 1e6:.1f}", f"{small_plan.predicted_ratio:.3f}"]
    links = f"{len(small_plan.spec.links)} of {len(small_plan.spec.possible_links)} links kept"
    assert summary == f"{links}: predicted {small_plan.predicted_ratio:.3f} of the full network's multiply-adds"


@pytest.mark.slow
def test_measured_losses_are_in_the_table_and_the_data_frame(measured_plan: Plan) -> None:
    pytest.importorskip("pandas")
    assert measured_plan.table().splitlines()[0].split()[-1] == "loss"
    losses = [measured_plan.model_loss, *(step.loss for step in measured_plan.steps)]
    assert [cells(measured_plan.table(), step)[-1] for step in range(len(losses))] == [f"{loss:.4g}" for loss in losses]
    assert list(measured_plan.to_pandas()["loss"]) == losses


def test_plain_data_and_data_frame(small_plan: Plan) -> None:
    pytest.importorskip("pandas")
    assert Plan.from_json(json.loads(json.dumps(small_plan.to_json()))) == small_plan
    frame = small_plan.to_pandas()
    assert list(frame["ratio"]) == [1.0, *(step.ratio for step in small_plan.steps)]
    assert frame["loss"].isna().all()


def test_picture(small_plan: Plan, tmp_path: Path) -> None:
    svg = small_plan.plot(tmp_path / "links.svg")
    assert (tmp_path / "links.svg").read_text() == svg
    assert svg.count('class="link removed"') == len(small_plan.model_spec.links - small_plan.spec.links)
    assert svg.count('class="link kept"') == len(small_plan.spec.links)


@pytest.fixture(scope="module")
def other() -> KerasModel:
    return HRNet("pose-small-v1", outputs=5, **SIZES)


def without_a_link(ranking: Ranking) -> Ranking:
    scores = dict(ranking.importance())
    scores.pop(min(scores))
    return dataclasses.replace(ranking, scores={"taylor": scores})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda ranking, other: {}, "`keep_latency`, `keep_macs`, `keep_links`, `max_drop`; got none"),
        (lambda ranking, other: {"keep_macs": 0.5, "keep_links": 0.5}, "got `keep_macs` and `keep_links`"),
        (lambda ranking, other: {"keep_macs": 0.01}, r"`keep_macs`: pruning can reach 0\.\d+ .* not 0\.01.*`include_blocks`"),
        (lambda ranking, other: {"max_drop": 0.1}, "`max_drop` needs `data`"),
        (lambda ranking, other: {"keep_macs": 0.5, "rerank": True}, "`rerank` needs `data`"),
        (lambda ranking, other: {"keep_macs": 0.7, "ranking": ranking_of(other)}, "`ranking`"),
        (lambda ranking, other: {"keep_macs": 0.7, "ranking": without_a_link(ranking)}, "`ranking`.*stage2_module0_link0to1"),
        (lambda ranking, other: {"keep_macs": 0.7, "ranking": {"taylor": 1}}, "`ranking`.*dict"),
        (lambda ranking, other: {"keep_macs": 0.7, "method": "l0"}, "'l0'.*taylor"),
        (lambda ranking, other: {"keep_latency": 0.7, "profile": "missing.json"}, r"missing\.json"),
        (lambda ranking, other: {"keep_macs": 0.7, "model": keras.Sequential(name="own")}, "`model`.*own"),
    ],
)
def test_bad_arguments(
    model: KerasModel,
    ranking: Ranking,
    other: KerasModel,
    change: Callable[[Ranking, KerasModel], dict[str, Any]],
    message: str,
) -> None:
    with pytest.raises(HRNetError, match=message):
        plan(**{"model": model, "ranking": ranking, **change(ranking, other)})


@pytest.mark.slow
def test_pruned_model_computes_the_same_as_with_closed_gates(model: KerasModel, small_plan: Plan, smaller: KerasModel) -> None:
    gated = GatedNetwork.of(model).build()
    for unit, gate in gates_of(gated).items():
        gate.factor.assign(float(unit in small_plan.spec.links))
    expected, outputs = gated(IMAGES), smaller(IMAGES)
    for name in ("maps", "classes"):
        scale = np.abs(expected[name]).max()
        np.testing.assert_allclose(outputs[name], expected[name], rtol=0, atol=1e-5 * scale)


@pytest.mark.slow
@pytest.mark.parametrize(
    "data", [IMAGES, (IMAGES, TARGETS), [IMAGES[:4], (IMAGES[4:], None)]], ids=["array", "arrays", "batches"]
)
def test_statistics_of_batch_norm_are_those_of_the_data(model: KerasModel, small_plan: Plan, data: Any) -> None:
    """The first BatchNorm normalizes what the first convolution computes from the images."""
    estimated = prune(model, small_plan, batch_norm_data=data)
    first = keras.Model(estimated.input, estimated.get_layer("stem_conv1").output)(IMAGES).numpy()
    mean, variance = estimated.get_layer("stem_bn1").get_weights()[2:]
    np.testing.assert_allclose(mean, first.mean(axis=(0, 1, 2)), atol=1e-5)
    np.testing.assert_allclose(variance, first.var(axis=(0, 1, 2)), rtol=0.02)


@pytest.mark.slow
def test_precision_and_frozen_layers_are_kept(small_plan: Plan) -> None:
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        full = HRNet("pose-small-v1", outputs=5, **SIZES)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    full.get_layer("stem_bn1").trainable = False
    before = full.get_layer("stem_bn1").get_weights()
    smaller = prune(full, plan(full, ranking_of(full), keep_links=0.5), batch_norm_data=IMAGES)
    assert smaller.get_layer("stage1_block0_conv1").compute_dtype == "bfloat16"
    np.testing.assert_array_equal(before, smaller.get_layer("stem_bn1").get_weights())
    assert not np.array_equal(full.get_layer("stem_bn2").get_weights(), smaller.get_layer("stem_bn2").get_weights())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda small_plan, smaller: {"plan": small_plan.to_json()}, "`plan`.*dict"),
        (lambda small_plan, smaller: {"model": smaller}, r"`plan`.*14 of 14 links.*expected.* 5 of 14 links"),
    ],
)
def test_plans_of_other_models(
    model: KerasModel,
    small_plan: Plan,
    smaller: KerasModel,
    change: Callable[[Plan, KerasModel], dict[str, Any]],
    message: str,
) -> None:
    with pytest.raises(HRNetError, match=message):
        prune(**{"model": model, "plan": small_plan, **change(small_plan, smaller)})


@pytest.mark.slow
def test_latency_of_a_head_of_ones_own(model: KerasModel, ranking: Ranking) -> None:
    spec = hrnet_spec_of(model)
    fast = plan(model, ranking, keep_latency=0.9, accept_closest=True)
    assert fast.cost_unit == "ms"
    assert fast.measured_ratio is not None
    assert 0 < fast.measured_ratio < 1.2
    profiled = profile_network(spec.full(), lambda full: rebuild(model, full, folded=True), rounds=5, progress=False)
    assert {"other"} < {operator.part for operator in profiled.operators}
    predicted = plan(model, ranking, keep_latency=0.9, profile=profiled)
    assert predicted.measured_ratio is None
    assert predicted.predicted_ratio <= 0.9
    narrow = dataclasses.replace(profiled, network={"spec": {**spec.full().to_json(), "width": 8}})
    with pytest.raises(HRNetError, match=r"`profile`.*width is 8, not 4"):
        plan(model, ranking, keep_latency=0.9, profile=narrow)
    pruned_again = prune(model, predicted)
    again = plan(pruned_again, ranking_of(pruned_again), keep_latency=0.8, profile=profiled, accept_closest=True)
    assert again.full_cost == predicted.full_cost
    assert again.model_spec == predicted.spec
