"""Keras models with any head, loss and data set are ranked by the same methods as runs."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hrnet_tf.backend.keras_module import keras, tf
from hrnet_tf.backend.types import KerasModel, Tensor
from hrnet_tf.models.build import build_model
from hrnet_tf.models.rebuild import rebuild
from hrnet_tf.models.trunk import hrnet_spec_of
from hrnet_tf.networks import HRNet, HRNetBackbone
from hrnet_tf.runs.run import Run, save_run
from hrnet_tf.runs.weights import model_weights, save_weights
from hrnet_tf.spec.network import HRNetSpec
from hrnet_tf.spec.units import FusionLink
from mobile_eval.errors import HRNetError
from mobile_eval.tasks.pose.predictions import load_keypoints
from training.config import TrainingConfig, run_settings
from training.ranking.gated_network import GatedNetwork
from training.ranking.keras_data import KerasRankingData
from training.ranking.rank import METHODS, rank, rank_run
from training.ranking.task_data import TaskRankingData

SIZES = {"input_size": 64, "width": 4, "modules": (1, 1), "stem_width": 8, "stage1_width": 4, "blocks": 1}
COUNT = 6
RNG = np.random.default_rng(0)
IMAGES = RNG.standard_normal((COUNT, 64, 64, 3)).astype(np.float32)
MAPS = RNG.uniform(0, 1, (COUNT, 16, 16, 5)).astype(np.float32)
CLASSES = RNG.integers(0, 3, COUNT)
WEIGHTS = np.array([0, 1, 2, 0.5, 1, 3], np.float32)


def peaks_loss(targets: Tensor, outputs: Tensor) -> Tensor:
    """A user's loss function: squared differences, where there is a peak."""
    return tf.reduce_mean(tf.square(targets - outputs) * (0.1 + targets), axis=(1, 2, 3))


@pytest.fixture(scope="module")
def model() -> KerasModel:
    """Five key points, compiled with a user's loss function."""
    keras.utils.set_random_seed(0)
    model = HRNet("pose-small-v1", outputs=5, **SIZES)
    model.compile("adam", peaks_loss)
    return model


def two_headed(**compiled: Any) -> KerasModel:
    """Maps from P2 and classes from P3, with weight decay."""
    keras.utils.set_random_seed(0)
    backbone = HRNetBackbone("pose-small-v1", **SIZES)
    layers, pyramid = keras.layers, backbone.pyramid_outputs
    decay = keras.regularizers.L2(0.5)
    maps = layers.Conv2D(5, 1, kernel_regularizer=decay, activity_regularizer=decay, name="own_maps")(pyramid["P2"])
    classes = layers.Dense(3, name="own_classes")(layers.GlobalAveragePooling2D()(pyramid["P3"]))
    model = keras.Model(backbone.input, {"maps": maps, "classes": classes}, name="two_headed")
    model.compile("adam", **compiled)
    return model


@pytest.fixture(scope="module")
def heads() -> KerasModel:
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return two_headed(loss={"maps": "mse", "classes": cross_entropy}, loss_weights={"maps": 2.0, "classes": 0.25})


TARGETS = {"maps": MAPS, "classes": CLASSES}
SAMPLE_WEIGHTS = {"maps": WEIGHTS[:, None, None], "classes": WEIGHTS[::-1]}


def expected_loss(model: KerasModel, weights: dict[str, np.ndarray]) -> float:
    """The loss of `heads`, by numpy, of the mean over all examples."""
    outputs = model.predict(IMAGES, verbose=0)
    squares = ((outputs["maps"] - MAPS) ** 2).mean(-1)
    logits = outputs["classes"] - outputs["classes"].max(-1, keepdims=True)
    entropy = np.log(np.exp(logits).sum(-1)) - logits[np.arange(COUNT), CLASSES]
    return float(2 * (squares * weights["maps"][:, None, None]).mean() + 0.25 * (entropy * weights["classes"]).mean())


class Batches(keras.utils.Sequence):  # type: ignore[misc]
    """Two batches of unequal size."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        part = slice(0, 4) if index == 0 else slice(4, None)
        return IMAGES[part], MAPS[part]


def test_every_kind_of_data_set_has_the_same_examples(model: KerasModel) -> None:
    kinds = [
        (IMAGES, MAPS),
        tf.data.Dataset.from_tensor_slices((IMAGES, MAPS)).batch(4),
        Batches(),
        ((IMAGES[start : start + 4], MAPS[start : start + 4]) for start in (0, 4)),
    ]
    for data in kinds:
        labelled = KerasRankingData.prepare(data, model).labelled
        np.testing.assert_array_equal(labelled.inputs, IMAGES)
        np.testing.assert_array_equal(labelled.targets, MAPS)
        assert labelled.weights is None
    limited = KerasRankingData.prepare(kinds[1].repeat(), model, limit=5)
    np.testing.assert_array_equal(limited.labelled.inputs, IMAGES[:5])
    np.testing.assert_array_equal(limited.halves()[1].examples([0, 1]).targets, MAPS[[1, 3]])


def test_memory_budget_cuts_the_examples_short(model: KerasModel, caplog: pytest.LogCaptureFixture) -> None:
    example = IMAGES[0].nbytes + MAPS[0].nbytes
    with caplog.at_level(logging.WARNING):
        assert len(KerasRankingData.prepare((IMAGES, MAPS), model, memory_budget=3 * example + 1)) == 3
    assert "3 of at most 500 examples fit into `memory_budget`" in caplog.text


@pytest.mark.slow
def test_loss_is_that_of_keras(model: KerasModel, heads: KerasModel) -> None:
    data = KerasRankingData.prepare((IMAGES, MAPS), model)
    outputs = model.predict(IMAGES, verbose=0)
    expected = float(np.mean((MAPS - outputs) ** 2 * (0.1 + MAPS)))
    assert data.measure(model) == pytest.approx((expected, expected), rel=1e-5)
    for given in (SAMPLE_WEIGHTS, {"maps": SAMPLE_WEIGHTS["maps"], "classes": None}, {"classes": WEIGHTS}, None):
        data = KerasRankingData.prepare((IMAGES, TARGETS, given), heads)
        weights = {name: np.ones(COUNT, np.float32) for name in TARGETS} | (given or {})
        weights = {name: np.ones(COUNT) if value is None else value.ravel() for name, value in weights.items()}
        assert data.measure(heads)[0] == pytest.approx(expected_loss(heads, weights), rel=1e-5)


def test_loss_of_an_argument_and_of_an_overridden_method(model: KerasModel) -> None:
    mean = KerasRankingData.prepare((IMAGES, MAPS), model, "mae").measure(model)[0]
    assert mean == pytest.approx(float(np.abs(model.predict(IMAGES, verbose=0) - MAPS).mean()), rel=1e-5)

    class Doubling(keras.Model):  # type: ignore[misc]
        def compute_loss(self, x: Tensor = None, y: Tensor = None, y_pred: Tensor = None, sample_weight: Tensor = None) -> Tensor:
            return 2 * tf.reduce_mean(tf.abs(y - y_pred))

    doubling = Doubling(model.input, model.output)
    doubling.compile("adam")
    assert KerasRankingData.prepare((IMAGES, MAPS), doubling).measure(doubling)[0] == pytest.approx(2 * mean, rel=1e-5)


@pytest.mark.slow
def test_leave_one_out_of_a_custom_head_is_the_loss_of_the_smaller_model(heads: KerasModel) -> None:
    data = KerasRankingData.prepare((IMAGES, TARGETS, SAMPLE_WEIGHTS), heads)
    metrics = [float(metric.result()) for metric in heads.metrics]
    weights = model_weights(heads)
    ranking = rank(heads, (IMAGES, TARGETS, SAMPLE_WEIGHTS), methods="leave-one-out", include_widths=False)
    spec = hrnet_spec_of(heads)
    assert set(ranking.importance()) == {*spec.links, *spec.live_blocks}
    assert (ranking.spec, ranking.items) == (spec, COUNT)
    for link in (FusionLink(2, 0, 0, 1), max(spec.links)):
        smaller = rebuild(heads, spec.without({link}))
        increase = np.mean([half.measure(smaller)[0] - half.measure(heads)[0] for half in data.halves()])
        assert ranking.importance()[link] == pytest.approx(increase, rel=1e-3, abs=1e-6)
    assert metrics == [float(metric.result()) for metric in heads.metrics]  # of the user's model
    assert all((array == weights[name]).all() for name, array in model_weights(heads).items())


@pytest.mark.slow
def test_taylor_of_a_custom_head_is_the_gradient_of_the_gate(heads: KerasModel) -> None:
    data = KerasRankingData.prepare((IMAGES, TARGETS, SAMPLE_WEIGHTS), heads)
    network = GatedNetwork(heads, (FusionLink(2, 0, 1, 0),))
    model, losses = network.build(), []
    for factor in (0.999, 1.001):
        model.get_layer(f"{network.units[0]}_gate").factor.assign(factor)
        losses.append(data.measure(model)[0])
    assert METHODS["taylor"](network, data)[network.units[0]] == pytest.approx(abs(losses[1] - losses[0]) / 0.002, rel=0.05)


@pytest.mark.slow
def test_bytes_lists_of_outputs_and_losses_by_name() -> None:
    pyramid = (backbone := HRNetBackbone("pose-small-v1", **SIZES)).pyramid_outputs
    photo = keras.Input((64, 64, 3), dtype="uint8", name="photo")
    nested = keras.Model(backbone.input, [pyramid["P2"], pyramid["P3"]])(keras.layers.Rescaling(1 / 255)(photo))
    maps = keras.layers.Conv2D(5, 1, name="own_maps")(nested[0])
    classes = keras.layers.Dense(3, name="own_classes")(keras.layers.GlobalAveragePooling2D()(nested[1]))
    model = keras.Model(photo, [maps, classes])
    bytes_, onehot = (IMAGES * 50 + 100).clip(0, 255).astype(np.uint8), np.eye(3, dtype=np.float32)[CLASSES]
    model.compile("adam", ["mse", "mae"], loss_weights=[1, 2])
    dataset = tf.data.Dataset.from_tensor_slices(({"photo": bytes_}, (MAPS, onehot))).batch(4)
    expected = rank(model, dataset, methods=["taylor", "leave-one-out"])
    assert sum(score > 0 for score in expected.importance("taylor").values()) > 5
    model.compile("adam", {"own_maps": "mse", "own_classes": "mae"}, loss_weights={"own_maps": 1.0, "own_classes": 2.0})
    scores = rank(model, (bytes_, {"own_maps": MAPS, "own_classes": onehot}), methods="leave-one-out").importance()
    assert list(scores.values()) == pytest.approx(list(expected.importance("leave-one-out").values()), rel=1e-4, abs=1e-7)


@pytest.mark.slow
def test_learned_gates_of_a_custom_head(heads: KerasModel) -> None:
    data = (IMAGES, TARGETS, {"maps": SAMPLE_WEIGHTS["maps"]})
    ranking = rank(heads, data, methods=["l1", "random"], limit=4, include_blocks=False)
    assert ranking.methods == ("l1", "random")
    assert set(ranking.importance("l1")) == hrnet_spec_of(heads).links
    assert np.ptp(list(ranking.importance("l1").values())) > 0.05


@pytest.mark.slow
def test_ranking_of_a_run_is_that_of_its_model(
    small: HRNetSpec, config: TrainingConfig, model: KerasModel, tmp_path: Path
) -> None:
    category = json.loads(config.data.train.path("annotations").read_text())["categories"][0]
    run = Run(tmp_path / "run", "train", small, category, config.to_json())
    keras.utils.set_random_seed(0)
    save_run(run)
    save_weights(run.weights_path, model_weights(build_model(small)))
    people = load_keypoints(config.data.train).head(6)
    expected = rank_run(run, people)
    examples = TaskRankingData.prepare(people, small, run_settings(run))
    ranking = rank(run.model(), examples.arrays, loss=examples.loss)
    scale = max(map(abs, expected.importance().values()))
    for unit, score in expected.importance().items():
        assert ranking.importance()[unit] == pytest.approx(score, rel=1e-5, abs=1e-5 * scale)
    assert ranking.stability == pytest.approx(expected.stability)
    assert ranking.spec == expected.spec == small


@pytest.fixture(scope="module")
def ranking(model: KerasModel) -> Any:
    return rank(model, (IMAGES, MAPS), methods=["random"], include_widths=False)


def test_ranking_as_text_json_data_frame_and_picture(ranking: Any, model: KerasModel, tmp_path: Path) -> None:
    scores = ranking.importance()
    best = max(scores, key=scores.__getitem__)
    lines = str(ranking).splitlines()
    assert lines[0].split() == ["link", "or", "block", "random"]
    assert lines[1].split() == [str(best), f"{scores[best]:.2e}"]
    assert len(lines) == len(scores) + 4
    stored = json.loads(json.dumps(ranking.to_json()))
    assert stored["methods"]["random"]["importance"][str(best)] == scores[best]
    frame = ranking.to_pandas()
    assert list(frame.columns) == ["unit", "kind", "stage", "module", "random"]
    assert frame["unit"][0] == str(best)
    assert len(frame) == len(scores)
    svg = ranking.plot(tmp_path / "ranking.svg")
    assert (tmp_path / "ranking.svg").read_text() == svg
    assert svg.count("<svg") == 1
    assert stored["methods"]["random"]["channels"] == {}
    ranking.check_spec(model.spec)
    with pytest.raises(HRNetError, match=r"`ranking` is of pose-small-v1 with 4 links, but `model` is pose-small-v1 with 3"):
        ranking.check_spec(model.spec.without({min(model.spec.links)}))


def test_a_long_ranking_is_printed_in_part(model: KerasModel) -> None:
    ranking = rank(model, (IMAGES, MAPS), methods=["random"])
    every, shown = ([line.split() for line in ranking.table(most).splitlines()] for most in (None, 10))
    count = len(ranking.rows())
    assert len(every) == count + 4
    assert shown[1:6] == every[1:6]
    assert shown[6] == ["...", str(count - 10), "others", "..."]
    assert shown[7:] == every[count - 4 :]
    assert str(ranking) == ranking.table(40)


def test_widths_as_text_and_data_frame(model: KerasModel) -> None:
    ranking = rank(model, (IMAGES, MAPS), methods=["random"])
    frame, spec = ranking.to_pandas().set_index("unit"), model.spec
    assert set(frame.index[frame["kind"] == "width"]) == set(spec.full_widths)
    assert frame["random"].is_monotonic_decreasing
    channels = ranking.channels["random"]["stage2_module0_branch1_block0_conv1"]
    assert len(channels) == 8
    assert frame.loc["stage2_module0_branch1_block0_conv1", "random"] == pytest.approx(sum(channels))
    assert list(frame.loc["stage2_module0_branch1_block0_conv1", ["kind", "stage", "module"]]) == ["width", 2, 0]
    assert frame.loc[["stem_conv1", "branch1"], ["stage", "module"]].isna().all(axis=None)
    lines = str(ranking).splitlines()
    assert lines[0].split() == ["link,", "block", "or", "width", "random"]
    assert [line.split() for line in lines if line.startswith("branch2 ")] == [
        ["branch2", f"{frame.loc['branch2', 'random']:.2e}"]
    ]


def empty() -> Iterator[Any]:
    yield from ()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((IMAGES[:, :32], MAPS), r"`data` must have inputs of shape \(64, 64, 3\) for `model` pose-small-v1, got \(32, 64, 3\)"),
        (zip(IMAGES, MAPS, strict=True), r"`data` must have as many targets .*, in batches; got arrays of \[16, 64\] examples"),
        ((IMAGES[0], MAPS[0]), r"`data` must have as many targets .*, in batches; got arrays of \[16, 64\] examples"),
        ((IMAGES, MAPS[:4]), r"`data` must have as many targets .*; got arrays of \[4, 6\] examples"),
        (IMAGES, r"`data` must be a tf\.data\.Dataset, .*got ndarray"),
        ("images", r"`data` must be .*got str"),
        (3, r"`data` must be .*got int"),
        ((IMAGES,), r"`data` must have inputs and targets"),
        (empty(), "`data` must have examples, got an empty data set"),
        ((IMAGES[:0], MAPS[:0]), "`data` must have examples, got an empty data set"),
        ((IMAGES[:1], MAPS[:1]), "`data` must have at least 2 examples, got 1"),
        ((IMAGES, MAPS[:, :8]), r"`data` must have targets.* of shape \(2, 8, 16, 5\), outputs of shape \(2, 16, 16, 5\)"),
        ((IMAGES, np.full_like(MAPS, np.nan)), "`data` must have a finite loss, got nan for the first examples"),
        (({"photo": IMAGES, "depth": IMAGES}, MAPS), "`data` must have the inputs image of `model`, got photo, depth"),
        ((IMAGES.astype(str), MAPS), "`data` must have batches of numbers, got ndarray"),
        (iter([(IMAGES[:2], MAPS[:2]), (IMAGES[:2, :32], MAPS[:2])]), r"one shape, got \(64, 64, 3\) and \(32, 64, 3\)"),
    ],
)
def test_data_that_do_not_fit(data: Any, message: str, model: KerasModel) -> None:
    with pytest.raises(HRNetError, match=message):
        rank(model, data)


def test_data_set_without_batches(model: KerasModel) -> None:
    data = tf.data.Dataset.from_tensor_slices({"x": IMAGES, "y": IMAGES}).map(lambda row: (row["x"], row["y"]))
    with pytest.raises(HRNetError, match=r"shape \(64, 64, 3\) for `model`.*, got \(64, 3\): the data set is not batched"):
        rank(model, data)


def test_sample_weights_of_another_shape(model: KerasModel) -> None:
    with pytest.raises(HRNetError, match=r"sample weights of shape \(2,\), outputs of shape \(2, 16, 16, 5\)"):
        rank(model, (IMAGES, MAPS, WEIGHTS), loss="mse")  # Keras needs (N, 1, 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "message"),
    [("leave-one-out", "`data`: the loss is nan"), ("taylor", "`data`, by taylor: the importance of .* is nan; the loss is not")],
)
def test_nan_after_the_first_example(method: str, message: str, model: KerasModel) -> None:
    maps = MAPS.copy()
    maps[3] = np.nan
    with pytest.raises(HRNetError, match=message):
        rank(model, (IMAGES, maps), methods=method)


@pytest.mark.slow
def test_links_blocks_and_channels_are_ranked_by_taylor_unless_told_otherwise(model: KerasModel) -> None:
    ranking = rank(model, (IMAGES, MAPS))
    assert ranking.methods == ("taylor",)
    assert set(ranking.importance()) == {*model.spec.links, *model.spec.live_blocks}
    assert set(ranking.channels["taylor"]) == set(model.spec.full_widths)


def test_models_that_cannot_be_ranked(model: KerasModel) -> None:
    plain = keras.Sequential([keras.layers.Flatten(input_shape=(64, 64, 3)), keras.layers.Dense(2)])
    for other in (plain, "model"):
        with pytest.raises(HRNetError, match="`model` must contain one network of hrnet_tf"):
            rank(other, (IMAGES, MAPS))
    with pytest.raises(HRNetError, match="`loss` must be given, as `model` pose-small-v1 is not compiled"):
        rank(rebuild(model), (IMAGES, MAPS))
    for arguments, message in (
        ({"methods": "luck"}, "`methods` must be of .*'luck'"),
        ({"methods": ()}, "`methods`"),
        ({"limit": 1}, "`limit` must be at least 2, got 1"),
        ({"memory_budget": "much"}, "`memory_budget`.*'much'"),
        ({"memory_budget": 100}, "`memory_budget` must be at least 54272 bytes"),
    ):
        with pytest.raises(HRNetError, match=message):
            rank(model, (IMAGES, MAPS), **arguments)


@pytest.mark.slow
def test_quantized_model_is_refused(model: KerasModel) -> None:
    from hrnet_tf.models.quantization import build_quantized_model

    quantized = build_quantized_model(model.spec)
    quantized.compile("adam", "mse")
    with pytest.raises(HRNetError, match=r"`model`.* is quantized"):
        rank(quantized, (IMAGES, MAPS))


@pytest.mark.slow
@pytest.mark.external
def test_keras_3_ranks_alike() -> None:
    """The tests of this file with Keras 3, without quantization."""
    environment = {**os.environ, "HRNET_KERAS": "keras", "KERAS_BACKEND": "tensorflow"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not quantized and not keras_3", __file__]
    completed = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=600)
    assert completed.returncode == 0, completed.stdout[-3000:]
