"""Adam over several batches, and weights that are averaged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hrnet_tf.backend.keras_module import keras
from training.optim.optimizers import ADAM_EPSILON, AccumulatingAdam, AveragedWeights, make_optimizer

IMAGES = np.random.default_rng(0).standard_normal((24, 5)).astype(np.float32)
WANTED = np.random.default_rng(1).standard_normal((24, 2)).astype(np.float32)


def model(optimizer: Any) -> Any:
    layer = keras.layers.Dense(2, kernel_initializer=keras.initializers.Constant(0.1))
    image = keras.Input((5,))
    made = keras.Model(image, layer(image))
    made.compile(optimizer, "mse")
    return made


def learnt(optimizer: Any, batch_size: int) -> list[NDArray[np.float32]]:
    made = model(optimizer)
    made.fit(IMAGES, WANTED, batch_size=batch_size, epochs=2, shuffle=False, verbose=0)
    return list(made.get_weights())


def test_several_batches_are_as_one_that_is_as_large() -> None:
    for own, other in zip(learnt(make_optimizer(0.1, accumulate=3), 4), learnt(make_optimizer(0.1), 12), strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-4, atol=1e-6)


def test_the_weights_move_once_in_so_many_batches() -> None:
    optimizer = make_optimizer(0.1, accumulate=2)
    made = model(optimizer)
    before = made.get_weights()[0]
    made.train_on_batch(IMAGES[:4], WANTED[:4])
    np.testing.assert_array_equal(made.get_weights()[0], before)
    assert int(optimizer.iterations.numpy()) == 0  # what a schedule counts
    made.train_on_batch(IMAGES[4:8], WANTED[4:8])
    assert np.abs(made.get_weights()[0] - before).min() > 0.05  # of a first step of 0.1
    assert int(optimizer.iterations.numpy()) == 1


def test_a_checkpoint_has_what_was_gathered() -> None:
    optimizer = make_optimizer(0.1, accumulate=2)
    made = model(optimizer)
    plain = model(make_optimizer(0.1))
    made.train_on_batch(IMAGES[:4], WANTED[:4])
    plain.train_on_batch(IMAGES[:4], WANTED[:4])
    assert isinstance(optimizer, AccumulatingAdam)
    assert len(optimizer.variables) == len(plain.optimizer.variables) + len(made.trainable_variables) + 1


def test_plain_adam_is_keras_s_with_pytorch_s_epsilon() -> None:
    optimizer = make_optimizer(0.1)
    assert type(optimizer) is keras.optimizers.Adam
    assert optimizer.epsilon == ADAM_EPSILON == 1e-8
    assert not optimizer.use_ema


def test_averages_are_put_in_and_taken_out() -> None:
    made = model(make_optimizer(0.1, ema=0.5))
    averaged = AveragedWeights(made.optimizer, made.trainable_variables)
    path = [made.get_weights()[0]]
    for start in (0, 4, 8):
        made.train_on_batch(IMAGES[start : start + 4], WANTED[start : start + 4])
        path.append(made.get_weights()[0])
    averaged.on_epoch_end(0)
    expected = path[0]
    for weights in path[1:]:
        expected = 0.5 * expected + 0.5 * weights
    np.testing.assert_allclose(made.get_weights()[0], expected, rtol=1e-5)
    averaged.restore_weights()
    np.testing.assert_array_equal(made.get_weights()[0], path[-1])
    averaged.restore_weights()  # again: nothing to do
    np.testing.assert_array_equal(made.get_weights()[0], path[-1])


@pytest.mark.parametrize("accumulate", [1, 2])
def test_without_averages_nothing_is_changed(accumulate: int) -> None:
    made = model(make_optimizer(0.1, accumulate=accumulate))
    made.train_on_batch(IMAGES[:4], WANTED[:4])
    before = made.get_weights()[0]
    averaged = AveragedWeights(made.optimizer, made.trainable_variables)
    averaged.on_epoch_end(0)
    np.testing.assert_array_equal(made.get_weights()[0], before)
