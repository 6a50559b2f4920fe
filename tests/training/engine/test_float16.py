"""Training in float16: the loss is scaled, what overflows is left out, and the scale goes on with the run."""

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


def model(accumulate: int = 1, ema: float = 0.0) -> Any:
    """One layer in float16 with a scaled loss."""
    layer = keras.layers.Dense(2, kernel_initializer=keras.initializers.Constant(0.1), dtype="mixed_float16")
    image = keras.Input((5,))
    made = keras.Model(image, layer(image))
    made.compile(make_optimizer(0.1, accumulate=accumulate, ema=ema, loss_scaling=True), "mse")
    made.optimizer.build(made.trainable_variables)
    return made


def learn(made: Any, wanted: float) -> None:
    made.train_on_batch(IMAGES, np.full((4, 2), wanted, np.float32))


def test_what_overflows_is_left_out_and_halves_the_scale() -> None:
    made = model(accumulate=2)
    before = made.get_weights()[0]
    assert float(made.optimizer.loss_scale) == INITIAL_SCALE
    learn(made, 1.0)
    learn(made, 1e4)  # a gradient of 1e4 times the scale is infinite in float16
    assert float(made.optimizer.loss_scale) == INITIAL_SCALE / 2
    np.testing.assert_array_equal(made.get_weights()[0], before)
    learn(made, 1.0)  # the second batch of the first move
    assert int(made.optimizer.iterations.numpy()) == 1
    np.testing.assert_allclose(made.get_weights()[0] - before, 0.1, rtol=1e-2)


def test_a_checkpoint_has_the_scale(tmp_path: Path) -> None:
    first, second = model(ema=0.5), model(ema=0.5)
    for wanted in (1.0, 1e4, 1.0, 1.0):
        learn(first, wanted)
    Checkpoint(tmp_path / "state", first, first.optimizer).save(1)
    assert Checkpoint(tmp_path / "state", second, second.optimizer).restore() == 1
    assert float(second.optimizer.loss_scale) == INITIAL_SCALE / 2
    assert int(second.optimizer.dynamic_counter.numpy()) == 2  # good batches since
    for one, other in zip(optimizer_state(first.optimizer), optimizer_state(second.optimizer), strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    averaged = AveragedWeights(first.optimizer, first.trainable_variables)
    learnt = first.get_weights()[0]
    averaged.on_epoch_end(0)
    assert np.abs(first.get_weights()[0] - learnt).min() > 0.01
    averaged.restore_weights()
    np.testing.assert_array_equal(first.get_weights()[0], learnt)


class Stop(keras.callbacks.Callback):  # type: ignore[misc]
    """Ctrl-C after the first epoch; notes the scale and what counts towards it before that of the others."""

    def __init__(self, stop_at: int = -1):
        super().__init__()
        self.stop_at = stop_at
        self.seen: list[tuple[float, int]] = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if epoch == self.stop_at:
            raise KeyboardInterrupt
        scaled = self.model.optimizer
        self.seen.append((float(scaled.loss_scale), int(scaled.dynamic_counter.numpy())))


def test_a_run_in_float16(small: HRNetSpec, config: TrainingConfig, tmp_path: Path) -> None:
    half = config.replace(precision="float16", batch_size=11, accumulate=2, ema=0.9, val=None)
    assert build_for_training(small, half).get_layer("stem_conv2").compute_dtype == "float16"
    assert keras.mixed_precision.global_policy().name == "float32"
    with pytest.raises(KeyboardInterrupt):
        train(small, half, tmp_path / "run", execution=Execution(callbacks=(Stop(1),)))
    weights = load_weights(tmp_path / "run" / "weights.safetensors")
    assert {array.dtype for array in weights.values()} == {np.dtype("float32")}
    assert all(np.isfinite(array).all() for array in weights.values())
    saved = load_weights(tmp_path / "run" / "checkpoint.safetensors")
    going_on = Stop()
    train(small, half, tmp_path / "run", execution=Execution(callbacks=(going_on,)), resume=True)
    [(scale, count)] = going_on.seen
    assert {scale, count} <= {float(array) for array in saved.values() if array.shape == ()}
    assert scale <= INITIAL_SCALE
    assert 0 < count <= 3  # steps of the first epoch


def test_other_precisions_are_refused(config: TrainingConfig) -> None:
    with pytest.raises(HRNetError, match="'int8'"):
        config.replace(precision="int8")
