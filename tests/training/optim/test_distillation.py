"""The distillation loss is the weighted sum of the losses against targets and teacher."""

from __future__ import annotations

import numpy as np
import pytest

from hrnet_tf.backend.keras_module import keras, tf
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.errors import HRNetError
from training.config import TrainingConfig
from training.engine.networks import build_for_training
from training.optim.optimizers import make_optimizer
from training.optim.trainer_models import DistillationModel, batch_loss
from training.tasks.pose.losses import HeatmapMSE
from training.tasks.pose.task import heatmap_distillation_loss


def test_loss_is_the_weighted_sum() -> None:
    rng = np.random.default_rng(0)
    teacher = keras.Sequential([keras.layers.Conv2D(3, 1, input_shape=(4, 4, 2))])
    student = keras.Sequential([keras.layers.Conv2D(3, 1, input_shape=(4, 4, 2))])
    images = rng.standard_normal((2, 4, 4, 2), np.float32)
    target, *predictions = (rng.random((2, 4, 4, 3), np.float32) for _ in range(3))
    weight = np.array([1, 0, 1], np.float32) * np.ones((2, 1, 1, 3), np.float32)  # the second keypoint is unlabelled
    loss = batch_loss(student, HeatmapMSE())
    distiller = DistillationModel(student, teacher, 0.3, loss, heatmap_distillation_loss)
    teacher_outputs = teacher.predict_on_batch(images)

    def weighted_loss(predicted: np.ndarray) -> float:
        annotated, distilled = weight * (predicted - target) ** 2, (predicted - teacher_outputs) ** 2
        return float(0.5 * np.mean(0.7 * annotated + 0.3 * distilled))

    x, y, w = map(tf.constant, (images, target, weight))
    task_losses = []
    for predicted in predictions:
        task_losses.append(float(loss(x, y, tf.constant(predicted), w)))
        assert float(distiller.compute_loss(x, y, tf.constant(predicted), w)) == pytest.approx(weighted_loss(predicted), rel=1e-5)
    [mean] = [metric for metric in distiller.metrics if metric.name == "task_loss"]
    assert float(mean.result()) == pytest.approx(np.mean(task_losses), rel=1e-6)
    assert not teacher.trainable_variables
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
    images = np.random.default_rng(0).standard_normal((8, *tiny.input_size, 3)).astype(np.float32)
    wrong = np.ones((8, *tiny.resolution(0), tiny.classes), np.float32)
    loss = batch_loss(student, HeatmapMSE())
    distiller = DistillationModel(student, teacher, 1.0, loss, heatmap_distillation_loss)
    distiller.compile(make_optimizer(1e-2, loss_scaling=precision == "float16"))
    teacher_outputs = teacher.predict_on_batch(images)

    def distance() -> float:
        return float(np.abs(np.float32(student(images, training=True)) - np.float32(teacher_outputs)).mean())

    before = distance()
    distiller.fit(images, wrong, sample_weight=np.ones((8, 1, 1, tiny.classes), np.float32), epochs=200, verbose=0)
    assert distance() < 0.5 * before
