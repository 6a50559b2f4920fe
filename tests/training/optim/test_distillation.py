"""A student learns from targets and from its teacher, by its own loss and metrics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hrnet_tf.backend.keras_module import keras, tf
from hrnet_tf.backend.types import KerasModel
from hrnet_tf.models.trunk import spec_of
from hrnet_tf.networks import HRNet, HRNetBackbone
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.errors import HRNetError
from training.config import TrainingConfig
from training.engine.networks import build_for_training
from training.optim.distill import distill
from training.optim.optimizers import make_optimizer
from training.optim.trainer_models import DistillationModel
from training.tasks.pose.losses import HeatmapMSE
from training.tasks.pose.task import heatmap_distillation_loss

MICRO = {"input_size": 64, "width": 4, "modules": (1,), "stem_width": 8, "stage1_width": 4, "blocks": 1}
IMAGES = np.random.default_rng(0).standard_normal((6, 64, 64, 3)).astype(np.float32)
TARGETS = {"maps": np.ones((6, 16, 16, 4), np.float32), "classes": np.arange(6) % 3}
CROSSENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
COMPILED = {
    "optimizer": "adam",
    "loss": {"maps": "mse", "classes": CROSSENTROPY},
    "loss_weights": {"maps": 1.0, "classes": 0.1},
    "metrics": {"classes": ["accuracy"]},
}


def two_headed() -> KerasModel:
    """A model with a head of the user's own, with two outputs and weight decay."""
    backbone = HRNetBackbone("pose-small-v1", **MICRO)
    pyramid = backbone.pyramid_outputs
    maps = keras.layers.Conv2D(4, 1, kernel_regularizer="l2", name="maps")(pyramid["P2"])
    classes = keras.layers.Dense(3, name="classes")(keras.layers.GlobalAveragePooling2D()(pyramid["P3"]))
    return keras.Model(backbone.input, {"maps": maps, "classes": classes}, name="two_headed")


@pytest.fixture(scope="module")
def pair() -> tuple[KerasModel, KerasModel]:
    """A student, compiled, and its teacher."""
    student, teacher = two_headed(), two_headed()
    student.compile(**COMPILED)
    return student, teacher


def small(channels: int = 3) -> KerasModel:
    return keras.Sequential([keras.layers.Conv2D(channels, 1, input_shape=(4, 4, 2))])


@pytest.fixture(scope="module")
def distilled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """A student with two outputs after two epochs with a teacher."""
    keras.utils.set_random_seed(0)
    teacher, student = two_headed(), two_headed()
    before = teacher.get_weights(), student.get_weights()
    student.compile(**COMPILED)
    path = tmp_path_factory.mktemp("distilled") / "student.keras"
    history = distill(student, teacher).fit(
        IMAGES,
        TARGETS,
        sample_weight={"maps": np.arange(6.0).reshape(6, 1, 1), "classes": np.ones(6)},
        validation_data=(IMAGES, TARGETS),
        batch_size=3,
        epochs=2,
        verbose=0,
        callbacks=[keras.callbacks.ModelCheckpoint(str(path))],
    )
    return {"teacher": teacher, "student": student, "before": before, "history": history.history, "path": path}


@pytest.mark.slow
def test_student_is_trained_and_teacher_is_not(distilled: dict[str, object]) -> None:
    teacher, student = distilled["teacher"], distilled["student"]
    for before, after in zip(distilled["before"][0], teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    assert teacher.trainable
    assert len(teacher.trainable_variables) == len(student.trainable_variables)
    changed = [not np.array_equal(*pair) for pair in zip(distilled["before"][1], student.get_weights(), strict=True)]
    assert np.mean(changed) > 0.9


@pytest.mark.slow
def test_validation_is_that_of_the_student(distilled: dict[str, object]) -> None:
    student, history = distilled["student"], distilled["history"]
    expected = student.evaluate(IMAGES, TARGETS, batch_size=3, return_dict=True, verbose=0)
    assert set(expected) == {"loss", "maps_loss", "classes_loss", "classes_accuracy"}
    assert {name: history[f"val_{name}"][-1] for name in expected} == pytest.approx(expected, rel=1e-5)
    assert set(history) == {*expected, "distillation_loss"} | {f"val_{name}" for name in (*expected, "distillation_loss")}


@pytest.mark.slow
def test_checkpoints_are_those_of_the_student(distilled: dict[str, object]) -> None:
    path, student = distilled["path"], distilled["student"]
    assert isinstance(path, Path)
    loaded = keras.models.load_model(path)
    assert spec_of(loaded) == spec_of(student)
    np.testing.assert_array_equal(loaded.predict(IMAGES, verbose=0)["maps"], student.predict(IMAGES, verbose=0)["maps"])


def test_minimized_loss_has_all_parts(pair: tuple[KerasModel, KerasModel]) -> None:
    """(1 - w) l + w d + r, of which l has loss weights and sample weights, and r is the weight decay."""
    student, teacher = pair
    distiller = distill(student, teacher, weight=0.25)
    outputs, taught = student(IMAGES), teacher(IMAGES)
    weights = {"maps": np.arange(6, dtype=np.float32).reshape(6, 1, 1), "classes": np.ones(6, np.float32)}
    squared = ((TARGETS["maps"] - outputs["maps"].numpy()) ** 2).mean(axis=(1, 2, 3))
    loss = np.mean(squared * weights["maps"].ravel()) + 0.1 * float(CROSSENTROPY(TARGETS["classes"], outputs["classes"]))
    distance = sum(np.mean((outputs[name].numpy() - taught[name].numpy()) ** 2) for name in outputs)
    decay = 0.01 * np.sum(student.get_layer("maps").get_weights()[0] ** 2)
    x, y, sample_weight = tf.nest.map_structure(tf.constant, (IMAGES, TARGETS, weights))
    total = distiller.compute_loss(x, y, outputs, sample_weight)
    assert float(total) == pytest.approx(0.75 * loss + 0.25 * distance + decay, rel=1e-5)


@pytest.mark.slow
def test_result_can_be_compiled_instead_of_the_student() -> None:
    student, teacher = small(), small()
    seen: list[object] = []

    def distance(teacher_outputs: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        seen.append(outputs.shape[1:])
        return tf.reduce_mean(tf.abs(teacher_outputs - outputs))

    distiller = distill(student, teacher, distance=distance)
    distiller.compile("adam", "mae", metrics=["mse"])
    assert student.optimizer is distiller.optimizer
    history = distiller.fit(np.ones((6, 4, 4, 2)), np.ones((6, 4, 4, 3)), batch_size=6, verbose=0).history
    assert seen[0] == (4, 4, 3)
    assert set(history) == {"loss", "mse", "distillation_loss"}
    assert history["distillation_loss"][0] > 0


def test_classes_of_the_package_are_compared_by_their_divergence() -> None:
    student = HRNet("classify-small-v1", outputs=3, **MICRO)
    image = keras.Input((64, 64, 3))
    teacher = keras.Model(image, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(image)))
    student.compile("adam", CROSSENTROPY)
    distiller = distill(student, teacher, weight=1.0)
    logits = np.array([[2.0, 0.0, -1.0]], np.float32)
    taught = teacher(IMAGES[:1]).numpy()
    shares = np.exp(taught) / np.exp(taught).sum()
    expected = -np.sum(shares * (logits - np.log(np.exp(logits).sum())))
    total = distiller.compute_loss(tf.constant(IMAGES[:1]), tf.constant([0]), tf.constant(logits))
    assert float(total) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("teacher", "weight", "message"),
    [
        (lambda student: small(4), 0.5, r"`teacher`.*\(4, 4, 3\).*\(4, 4, 4\)"),
        (lambda student: student, 0.5, "`teacher`"),
        (lambda student: "full.keras", 0.5, "`teacher`.*str"),
        (lambda student: small(), 1.5, r"`weight`.*1\.5"),
    ],
)
def test_bad_arguments(teacher: Callable[[KerasModel], KerasModel], weight: float, message: str) -> None:
    student = small()
    with pytest.raises(HRNetError, match=message):
        distill(student, teacher(student), weight=weight)


def test_student_without_a_loss() -> None:
    student = small()
    student.compile("adam")
    with pytest.raises(HRNetError, match=r"`student`.*loss"):
        distill(student, small())


def test_loss_is_the_weighted_sum() -> None:
    rng = np.random.default_rng(0)
    teacher = keras.Sequential([keras.layers.Conv2D(3, 1, input_shape=(4, 4, 2))])
    student = keras.Sequential([keras.layers.Conv2D(3, 1, input_shape=(4, 4, 2))])
    images = rng.standard_normal((2, 4, 4, 2), np.float32)
    target, *predictions = (rng.random((2, 4, 4, 3), np.float32) for _ in range(3))
    weight = np.array([1, 0, 1], np.float32) * np.ones((2, 1, 1, 3), np.float32)  # the second keypoint is unlabelled
    student.compile("adam", HeatmapMSE())
    distiller = DistillationModel(student, teacher, 0.3, heatmap_distillation_loss)
    teacher_outputs = teacher.predict_on_batch(images)

    def weighted_loss(predicted: np.ndarray) -> float:
        annotated, distilled = weight * (predicted - target) ** 2, (predicted - teacher_outputs) ** 2
        return float(0.5 * np.mean(0.7 * annotated + 0.3 * distilled))

    x, y, w = map(tf.constant, (images, target, weight))
    for predicted in predictions:
        assert float(distiller.compute_loss(x, y, tf.constant(predicted), w)) == pytest.approx(weighted_loss(predicted), rel=1e-5)
    assert len(distiller.trainable_variables) == len(student.trainable_variables) == 2


def test_bad_distillation_weight(config: TrainingConfig) -> None:
    with pytest.raises(HRNetError, match=r"got 1\.5"):
        config.replace(distill_weight=1.5)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_student_approaches_its_teacher(tiny: HRNetSpec, config: TrainingConfig, precision: str) -> None:
    keras.utils.set_random_seed(0)
    precise = config.replace(precision=precision)
    teacher, student = build_for_training(tiny, precise), build_for_training(tiny, precise)
    images = np.random.default_rng(0).standard_normal((3, *tiny.input_size, 3)).astype(np.float32)
    wrong = np.ones((3, *tiny.resolution(0), tiny.classes), np.float32)
    student.compile(make_optimizer(3e-2, loss_scaling=precision == "float16"), HeatmapMSE())
    distiller = DistillationModel(student, teacher, 1.0, heatmap_distillation_loss)
    teacher_outputs = teacher.predict_on_batch(images)

    def distance() -> float:
        return float(np.abs(np.float32(student(images, training=True)) - np.float32(teacher_outputs)).mean())

    before = distance()
    distiller.fit(images, wrong, sample_weight=np.ones((3, 1, 1, tiny.classes), np.float32), epochs=130, verbose=0)
    assert distance() < 0.5 * before
