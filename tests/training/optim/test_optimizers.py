"""Adam with gradient accumulation, and averaged weights (EMA)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hrnet_tf.backend.keras_module import keras
from training.optim.optimizers import ADAM_EPSILON, AccumulatingAdam, AveragedWeights, make_optimizer

IMAGES = np.random.default_rng(0).standard_normal((24, 5)).astype(np.float32)
TARGETS = np.random.default_rng(1).standard_normal((24, 2)).astype(np.float32)


def compiled_model(optimizer: Any) -> Any:
    layer = keras.layers.Dense(2, kernel_initializer=keras.initializers.Constant(0.1))
    image = keras.Input((5,))
    model = keras.Model(image, layer(image))
    model.compile(optimizer, "mse")
    return model


def trained_weights(optimizer: Any, batch_size: int) -> list[NDArray[np.float32]]:
    model = compiled_model(optimizer)
    model.fit(IMAGES, TARGETS, batch_size=batch_size, epochs=2, shuffle=False, verbose=0)
    return list(model.get_weights())


def test_accumulated_batches_equal_one_large_batch() -> None:
    accumulated, large_batch = trained_weights(make_optimizer(0.1, accumulate=3), 4), trained_weights(make_optimizer(0.1), 12)
    for weights, expected in zip(accumulated, large_batch, strict=True):
        np.testing.assert_allclose(weights, expected, rtol=1e-4, atol=1e-6)


def test_weights_are_updated_once_per_accumulation() -> None:
    optimizer = make_optimizer(0.1, accumulate=2)
    model = compiled_model(optimizer)
    before = model.get_weights()[0]
    model.train_on_batch(IMAGES[:4], TARGETS[:4])
    np.testing.assert_array_equal(model.get_weights()[0], before)
    assert int(optimizer.iterations.numpy()) == 0  # the count that a learning rate schedule uses
    model.train_on_batch(IMAGES[4:8], TARGETS[4:8])
    assert np.abs(model.get_weights()[0] - before).min() > 0.05  # the first step is about 0.1
    assert int(optimizer.iterations.numpy()) == 1


def test_optimizer_variables_include_the_accumulated_gradients() -> None:
    optimizer = make_optimizer(0.1, accumulate=2)
    model = compiled_model(optimizer)
    plain = compiled_model(make_optimizer(0.1))
    model.train_on_batch(IMAGES[:4], TARGETS[:4])
    plain.train_on_batch(IMAGES[:4], TARGETS[:4])
    assert isinstance(optimizer, AccumulatingAdam)
    assert len(optimizer.variables) == len(plain.optimizer.variables) + len(model.trainable_variables) + 1


def test_plain_adam_has_the_epsilon_of_pytorch() -> None:
    optimizer = make_optimizer(0.1)
    assert type(optimizer) is keras.optimizers.Adam
    assert optimizer.epsilon == ADAM_EPSILON == 1e-8
    assert not optimizer.use_ema


def test_averaged_weights_are_set_and_restored() -> None:
    model = compiled_model(make_optimizer(0.1, ema=0.5))
    averaged = AveragedWeights(model.optimizer, model.trainable_variables)
    path = [model.get_weights()[0]]
    for start in (0, 4, 8):
        model.train_on_batch(IMAGES[start : start + 4], TARGETS[start : start + 4])
        path.append(model.get_weights()[0])
    averaged.on_epoch_end(0)
    expected = path[0]
    for weights in path[1:]:
        expected = 0.5 * expected + 0.5 * weights
    np.testing.assert_allclose(model.get_weights()[0], expected, rtol=1e-5)
    averaged.restore_weights()
    np.testing.assert_array_equal(model.get_weights()[0], path[-1])
    averaged.restore_weights()  # again: nothing to do
    np.testing.assert_array_equal(model.get_weights()[0], path[-1])


@pytest.mark.slow
@pytest.mark.parametrize("accumulate", [1, 2])
def test_without_averages_weights_do_not_change(accumulate: int) -> None:
    model = compiled_model(make_optimizer(0.1, accumulate=accumulate))
    model.train_on_batch(IMAGES[:4], TARGETS[:4])
    before = model.get_weights()[0]
    averaged = AveragedWeights(model.optimizer, model.trainable_variables)
    averaged.on_epoch_end(0)
    np.testing.assert_array_equal(model.get_weights()[0], before)
