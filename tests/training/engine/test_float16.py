"""Training in float16: scaled loss, skipped overflows, and a loss scale that is part of the checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.runs.weights import load_weights
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.errors import HRNetError
from training.config import TrainingConfig
from training.engine.checkpoint import Checkpoint
from training.engine.networks import build_for_training
from training.execution import Execution
from training.optim.optimizers import AveragedWeights, make_optimizer, optimizer_state
from training.train import train

INITIAL_SCALE = 2.0**15
IMAGES = np.ones((4, 5), np.float32)


def compiled_model(accumulate: int = 1, ema: float = 0.0) -> Any:
    """One float16 layer with loss scaling."""
    layer = keras.layers.Dense(2, kernel_initializer=keras.initializers.Constant(0.1), dtype="mixed_float16")
    image = keras.Input((5,))
    model = keras.Model(image, layer(image))
    model.compile(make_optimizer(0.1, accumulate=accumulate, ema=ema, loss_scaling=True), "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def train_step(model: Any, target: float) -> None:
    model.train_on_batch(IMAGES, np.full((4, 2), target, np.float32))


def test_overflow_is_skipped_and_halves_the_scale() -> None:
    model = compiled_model(accumulate=2)
    before = model.get_weights()[0]
    assert float(model.optimizer.loss_scale) == INITIAL_SCALE
    train_step(model, 1.0)
    train_step(model, 1e4)  # a gradient of 1e4 times the scale is infinite in float16
    assert float(model.optimizer.loss_scale) == INITIAL_SCALE / 2
    np.testing.assert_array_equal(model.get_weights()[0], before)
    train_step(model, 1.0)  # the second batch of the first update
    assert int(model.optimizer.iterations.numpy()) == 1
    np.testing.assert_allclose(model.get_weights()[0] - before, 0.1, rtol=1e-2)


def test_checkpoint_includes_the_scale(tmp_path: Path) -> None:
    first, second = compiled_model(ema=0.5), compiled_model(ema=0.5)
    for target in (1.0, 1e4, 1.0, 1.0):
        train_step(first, target)
    Checkpoint(tmp_path / "state", first, first.optimizer).save(1)
    assert Checkpoint(tmp_path / "state", second, second.optimizer).restore() == 1
    assert float(second.optimizer.loss_scale) == INITIAL_SCALE / 2
    assert int(second.optimizer.dynamic_counter.numpy()) == 2  # finite batches since the overflow
    for saved, restored in zip(optimizer_state(first.optimizer), optimizer_state(second.optimizer), strict=True):
        np.testing.assert_array_equal(saved.numpy(), restored.numpy())
    averaged = AveragedWeights(first.optimizer, first.trainable_variables)
    trained = first.get_weights()[0]
    averaged.on_epoch_end(0)
    assert np.abs(first.get_weights()[0] - trained).min() > 0.01
    averaged.restore_weights()
    np.testing.assert_array_equal(first.get_weights()[0], trained)


class ScaleRecorder(keras.callbacks.Callback):  # type: ignore[misc]
    """Records the loss scale and its counter at the beginning of each epoch; raises KeyboardInterrupt at epoch `stop_at`."""

    def __init__(self, stop_at: int = -1):
        super().__init__()
        self.stop_at = stop_at
        self.scales: list[tuple[float, int]] = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if epoch == self.stop_at:
            raise KeyboardInterrupt
        optimizer = self.model.optimizer
        self.scales.append((float(optimizer.loss_scale), int(optimizer.dynamic_counter.numpy())))


@pytest.mark.slow
def test_resumed_run_in_float16(tiny: HRNetSpec, config: TrainingConfig, tmp_path: Path) -> None:
    half = config.replace(precision="float16", batch_size=11, accumulate=2, ema=0.9, val=None)
    assert build_for_training(tiny, half).get_layer("stem_conv2").compute_dtype == "float16"
    assert keras.mixed_precision.global_policy().name == "float32"
    with pytest.raises(KeyboardInterrupt):
        train(tiny, half, tmp_path / "run", execution=Execution(callbacks=(ScaleRecorder(1),)))
    weights = load_weights(tmp_path / "run" / "weights.safetensors")
    assert {array.dtype for array in weights.values()} == {np.dtype("float32")}
    assert all(np.isfinite(array).all() for array in weights.values())
    saved = load_weights(tmp_path / "run" / "checkpoint.safetensors")
    recorder = ScaleRecorder()
    train(tiny, half, tmp_path / "run", execution=Execution(callbacks=(recorder,)), resume=True)
    [(scale, count)] = recorder.scales
    assert {scale, count} <= {float(array) for array in saved.values() if array.shape == ()}
    assert scale <= INITIAL_SCALE
    assert 0 < count <= 3  # steps of the first epoch


def test_unknown_precision(config: TrainingConfig) -> None:
    with pytest.raises(HRNetError, match="'int8'"):
        config.replace(precision="int8")
