"""Pruning and quantization take the same execution as training: callbacks, best weights, patience, workers and cache."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import Weights
from hrnet_tf.runs.history import read_history
from hrnet_tf.runs.run import Run
from hrnet_tf.runs.weights import load_weights
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.errors import HRNetError
from mobile_eval.tasks.pose.predictions import load_keypoints
from training.config import TrainingConfig
from training.engine.strategies import Devices
from training.execution import Execution
from training.pruning.budget import Budget
from training.pruning.plan_run import PruneOptions
from training.pruning.prune_run import prune_run
from training.quantize import quantize_run
from training.ranking.rank import METHODS, rank_run
from training.train import train


class WorseEachEpoch(keras.callbacks.Callback):  # type: ignore[misc]
    """Replaces the validation metric with a falling one, and records the weights after each epoch."""

    def __init__(self, run: Path):
        super().__init__()
        self.run = run
        self.saved: list[Weights] = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if epoch:
            self.saved.append(load_weights(self.run / "weights.safetensors"))

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        assert logs is not None
        logs["val_pck"] = 0.9 - 0.1 * epoch


@pytest.fixture(scope="module")
def ranked(small: HRNetSpec, config: TrainingConfig, tmp_path_factory: pytest.TempPathFactory) -> Run:
    short = config.replace(epochs=1, batch_size=16, val=None)
    run = train(small, short, tmp_path_factory.mktemp("execution") / "run")
    rank_run(run, load_keypoints(config.data.train).head(4), ["random"])
    return run


@pytest.mark.slow
@pytest.mark.parametrize("step", ["prune", "quantize"])
def test_callbacks_best_weights_and_patience(step: str, ranked: Run, config: TrainingConfig, tmp_path: Path) -> None:
    settings = config.replace(epochs=9, batch_size=16, learning_rate=1e-3, keep="best", patience=2)
    output = tmp_path / "output"
    callback = WorseEachEpoch(output)
    execution = Execution(callbacks=(callback,), workers=1, cache=tmp_path / "cache", tensorboard=True)
    if step == "prune":
        run = prune_run(ranked, PruneOptions(Budget(keep_links=0.5)), settings, output, execution=execution)
    else:
        run = quantize_run(ranked, settings, output, execution=execution)
    assert [row["val_pck"] for row in read_history(run.path)] == pytest.approx([0.9, 0.8, 0.7])  # patience ends it
    best, stored = callback.saved[0], load_weights(run.weights_path)
    assert stored.keys() == best.keys()
    assert all(np.array_equal(stored[name], best[name]) for name in best)
    assert len(list((tmp_path / "cache").rglob("pixels.rgb"))) == 1
    assert list((output / "tensorboard").iterdir())


@pytest.mark.slow
def test_ranking_and_pruning_do_not_retrace(ranked: Run, config: TrainingConfig, tmp_path: Path) -> None:
    records: list[logging.LogRecord] = []
    handler, logger = logging.Handler(), logging.getLogger("tensorflow")
    handler.emit = records.append  # type: ignore[method-assign]
    logger.addHandler(handler)
    try:
        rank_run(ranked, load_keypoints(config.data.train).head(8), list(METHODS))
        options = PruneOptions(Budget(keep_macs=0.9), rerank=True)
        prune_run(ranked, options, config.replace(epochs=1, batch_size=16, distill_weight=0.5), tmp_path / "pruned")
    finally:
        logger.removeHandler(handler)
    assert [record.getMessage() for record in records if "retracing" in record.getMessage()] == []


def test_devices_and_config_must_agree(small: HRNetSpec, config: TrainingConfig, tmp_path: Path) -> None:
    run, two = Run(tmp_path / "run", "train", small, {}, {}), Execution(Devices(count=2))
    with pytest.raises(HRNetError, match=r"1 devices.* 2"):
        quantize_run(run, config, tmp_path / "quantized", execution=two)
    with pytest.raises(HRNetError, match=r"1 devices.* 2"):
        prune_run(run, PruneOptions(Budget(keep_links=0.5)), config, tmp_path / "pruned", execution=two)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("workers", [0, -1])
def test_bad_workers(workers: int) -> None:
    with pytest.raises(HRNetError, match=str(workers)):
        Execution(workers=workers)
