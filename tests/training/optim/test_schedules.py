"""The learning rate where it changes."""

from __future__ import annotations

import pytest

from training.config import TrainingConfig
from training.optim.schedules import learning_rates

STEPS = 7  # an epoch


def test_steps_drop_with_the_first_step_of_their_epochs(config: TrainingConfig) -> None:
    paper = config.replace(epochs=210, learning_rate=1e-3, lr_schedule="step", lr_milestones=(170, 200))
    rate = learning_rates(paper, STEPS)
    first = {epoch: float(rate(epoch * STEPS)) for epoch in (0, 169, 170, 199, 200, 209)}
    last = {epoch: float(rate(epoch * STEPS + STEPS - 1)) for epoch in first}
    expected = {0: 1e-3, 169: 1e-3, 170: 1e-4, 199: 1e-4, 200: 1e-5, 209: 1e-5}
    assert first == pytest.approx(expected)
    assert last == pytest.approx(expected)


def test_moves_are_counted_over_the_whole_training(config: TrainingConfig) -> None:
    """7 steps an epoch, 3 batches a move: 35 steps of 5 epochs are 11 moves, 14 of 2 epochs 4, 28 of 4 epochs 9."""
    several = config.replace(epochs=5, accumulate=3, learning_rate=0.1)
    rate = learning_rates(several.replace(lr_schedule="step", lr_milestones=(2, 4)), STEPS)
    assert [float(rate(move)) for move in range(11)] == pytest.approx([0.1] * 4 + [0.01] * 5 + [0.001] * 2)
    rate = learning_rates(several.replace(lr_schedule="poly"), STEPS)
    assert [float(rate(move)) for move in (0, 10, 11)] == pytest.approx([0.1, 0.1 * (1 / 11) ** 0.9, 0])
    rate = learning_rates(several, STEPS)  # one epoch's rise: 7 / 3 moves, so 2
    assert [float(rate(move)) for move in (0, 1, 2, 11)] == pytest.approx([0, 0.05, 0.1, 0], abs=1e-6)
    rate = learning_rates(several.replace(epochs=1, accumulate=7), STEPS)
    assert float(rate(0)) == 0  # a single move


def test_cosine_rises_and_falls_to_zero(config: TrainingConfig) -> None:
    rate = learning_rates(config.replace(epochs=11, learning_rate=0.1), STEPS)
    values = [float(rate(step)) for step in (0, STEPS, 6 * STEPS, 11 * STEPS)]
    assert values == pytest.approx([0, 0.1, 0.05, 0], abs=1e-6)
