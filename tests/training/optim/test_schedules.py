"""Learning rate schedules."""

from __future__ import annotations

import pytest

from training.config import TrainingConfig
from training.optim.schedules import learning_rates

STEPS = 7  # per epoch


def test_step_schedule_drops_at_its_milestones(config: TrainingConfig) -> None:
    paper = config.replace(epochs=210, learning_rate=1e-3, lr_schedule="step", lr_milestones=(170, 200))
    rate = learning_rates(paper, STEPS)
    first = {epoch: float(rate(epoch * STEPS)) for epoch in (0, 169, 170, 199, 200, 209)}
    last = {epoch: float(rate(epoch * STEPS + STEPS - 1)) for epoch in first}
    expected = {0: 1e-3, 169: 1e-3, 170: 1e-4, 199: 1e-4, 200: 1e-5, 209: 1e-5}
    assert first == pytest.approx(expected)
    assert last == pytest.approx(expected)


def test_schedules_count_weight_updates(config: TrainingConfig) -> None:
    """7 steps per epoch, 3 batches per update: 5 epochs have 35 steps and 11 updates, 2 epochs 14 and 4, 4 epochs 28 and 9."""
    several = config.replace(epochs=5, accumulate=3, learning_rate=0.1)
    rate = learning_rates(several.replace(lr_schedule="step", lr_milestones=(2, 4)), STEPS)
    assert [float(rate(update)) for update in range(11)] == pytest.approx([0.1] * 4 + [0.01] * 5 + [0.001] * 2)
    rate = learning_rates(several.replace(lr_schedule="poly"), STEPS)
    assert [float(rate(update)) for update in (0, 10, 11)] == pytest.approx([0.1, 0.1 * (1 / 11) ** 0.9, 0])
    rate = learning_rates(several, STEPS)  # one warmup epoch: 7 / 3, so 2 updates
    assert [float(rate(update)) for update in (0, 1, 2, 11)] == pytest.approx([0, 0.05, 0.1, 0], abs=1e-6)
    rate = learning_rates(several.replace(epochs=1, accumulate=7), STEPS)
    assert float(rate(0)) == 0  # a single update


def test_cosine_rises_and_falls_to_zero(config: TrainingConfig) -> None:
    rate = learning_rates(config.replace(epochs=11, learning_rate=0.1), STEPS)
    values = [float(rate(step)) for step in (0, STEPS, 6 * STEPS, 11 * STEPS)]
    assert values == pytest.approx([0, 0.1, 0.05, 0], abs=1e-6)
