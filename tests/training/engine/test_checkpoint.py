"""Training checkpoints: restored state equals saved state, and foreign or damaged files are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.runs.weights import load_weights, save_weights
from mobile_eval.errors import HRNetError
from training.engine.checkpoint import Checkpoint


def checkpoint_of_model(path: Path, channels: int = 3) -> Checkpoint:
    """A checkpoint of a small compiled model."""
    image = keras.Input((4, 4, 2))
    maps = keras.layers.BatchNormalization()(keras.layers.Conv2D(channels, 1)(image))
    model = keras.Model(image, maps)
    model.compile(keras.optimizers.Adam(1e-2), "mse")
    model.optimizer.build(model.trainable_variables)
    return Checkpoint(path, model, model.optimizer)


def train(checkpoint: Checkpoint, steps: int) -> list[Any]:
    images = np.random.default_rng(0).standard_normal((8, 4, 4, 2)).astype(np.float32)
    for _ in range(steps):
        checkpoint.model.train_on_batch(images, np.ones((8, 4, 4, 3), np.float32))
    return [variable.numpy() for variable in (*checkpoint.model.variables, *checkpoint.optimizer.variables)]


def test_training_continues_exactly_from_a_checkpoint(tmp_path: Path) -> None:
    first, second = checkpoint_of_model(tmp_path / "state"), checkpoint_of_model(tmp_path / "state")
    assert first.restore() == 0
    before = train(first, 3)
    first.save(7)
    assert second.restore() == 7
    for saved, restored in zip(before, train(second, 0), strict=True):
        np.testing.assert_array_equal(restored, saved)
    for original, resumed in zip(train(first, 2), train(second, 2), strict=True):
        np.testing.assert_array_equal(resumed, original)
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_foreign_and_damaged_checkpoints(tmp_path: Path) -> None:
    path = tmp_path / "state"
    checkpoint_of_model(path).save(1)
    with pytest.raises(HRNetError, match="state is of another model"):
        checkpoint_of_model(path, channels=4).restore()
    save_weights(path, {name.replace("tf_keras/", "keras/"): array for name, array in load_weights(path).items()})
    with pytest.raises(HRNetError, match=r"state .*tf_keras"):
        checkpoint_of_model(path).restore()
    checkpoint_of_model(path).save(1)
    for epoch in (np.array([1, 2]), np.array(0.5), np.array(-1)):
        save_weights(path, {**load_weights(path), "epoch": epoch})
        with pytest.raises(HRNetError, match="state is damaged: epoch is"):
            checkpoint_of_model(path).restore()
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(HRNetError, match="state is damaged"):
        checkpoint_of_model(path).restore()
