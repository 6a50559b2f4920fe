"""Resumed runs, the best epoch, patience, batches with a loss of NaN, frozen parts and the progress line."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.runs.run import Run
from hrnet_tf.runs.weights import load_weights
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.errors import HRNetError
from mobile_eval.metrics.metric import Metric
from mobile_eval.tasks.pose.predictions import load_keypoints
from training.callbacks.progress import ProgressLine
from training.callbacks.run_checkpoint import RunCheckpoint, best_epoch, out_of_patience
from training.callbacks.terminate_on_nan import BATCH_FILE, TerminateOnNonFinite
from training.config import TrainingConfig
from training.data.examples import Examples
from training.engine.networks import build_for_training
from training.execution import Execution
from training.optim.optimizers import AveragedWeights, make_optimizer
from training.tasks.pose.settings import PoseSettings
from training.tasks.pose.task import pose_example_builder
from training.train import train

PCK = Metric("PCK@0.1", "pck")


def rows(*pck: float) -> list[dict[str, float]]:
    return [{"epoch": number, "loss": 1.0, "val_pck": value} for number, value in enumerate(pck, 1)]


@pytest.mark.slow
def test_loss_of_nan_ends_the_training_and_saves_the_batch(tiny: HRNetSpec, config: TrainingConfig, tmp_path: Path) -> None:
    diverging = config.replace(learning_rate=1e30, warmup_epochs=0.0)
    with pytest.raises(HRNetError, match=r"(nan|inf) after step \d of epoch 1.*nan-batch\.npz"):
        train(tiny, diverging, tmp_path / "run")
    with np.load(tmp_path / "run" / BATCH_FILE) as batch:
        assert batch["images"].shape == (8, 32, 32, 3)
        assert batch["targets"].shape == (8, 8, 8, 17)
        assert np.isfinite(batch["images"]).all()
        assert all(Path(path).is_file() for path in batch["image_paths"])
    assert not (tmp_path / "run" / "weights.safetensors").exists()


def test_saved_batch_contains_all_devices(tiny: HRNetSpec, config: TrainingConfig, tmp_path: Path) -> None:
    people = load_keypoints(config.data.train)
    examples = Examples(people, pose_example_builder(people, tiny, PoseSettings()), 4, 0, devices=2)
    callback = TerminateOnNonFinite(Run(tmp_path, "train", tiny, {}, {}), examples)
    callback.on_epoch_begin(1)
    callback.on_train_batch_end(0, {"loss": 0.1})
    with pytest.raises(HRNetError, match="nan after step 3 of epoch 2"):
        callback.on_train_batch_end(2, {"loss": float("nan")})
    with np.load(tmp_path / BATCH_FILE) as batch:
        np.testing.assert_array_equal(batch["images"], np.concatenate([examples.batch(1, number)[0] for number in (4, 5)]))
        order = examples.order(1)[16:24]
        assert batch["image_paths"].tolist() == [str(people.instances[instance].image_path) for instance in order]


@pytest.mark.slow
def test_all_options_together_do_not_retrace(tiny: HRNetSpec, config: TrainingConfig, tmp_path: Path) -> None:
    """XLA, averaged weights, gradient accumulation, frozen parts, TensorBoard, an image cache and a user callback."""
    tf = pytest.importorskip("tensorflow")
    epochs: list[Any] = []

    class TracingRecorder(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            epochs.append((sorted(logs or {}), self.model.train_function.experimental_get_tracing_count()))

    several = config.replace(accumulate=2, ema=0.9, freeze=("stem", "stage1"), keep="best", patience=5)
    execution = Execution(jit=True, tensorboard=True, callbacks=(TracingRecorder(),), cache=tmp_path / "cache")
    run = train(tiny, several, tmp_path / "run", execution=execution)
    assert epochs == [(["learning_rate", "loss", "val_pck"], 1)] * 2
    weights = load_weights(run.weights_path)
    keras.utils.set_random_seed(several.seed)
    start = {v.name.removesuffix(":0"): v.numpy() for v in build_for_training(tiny, several).weights}
    unchanged = {name for name, array in weights.items() if np.array_equal(array, start[name])}
    assert {name for name in weights if name.startswith(("stem_", "stage1_"))} <= unchanged
    assert not {name for name in weights if name.startswith("stage2_") and name.endswith("kernel")} & unchanged
    [events] = (run.path / "tensorboard").iterdir()
    tags: dict[str, int] = {}
    for event in tf.compat.v1.train.summary_iterator(str(events)):
        for value in event.summary.value:
            tags[value.tag] = tags.get(value.tag, 0) + 1
    assert tags == {"augmented": 1, "outputs": 2, "loss": 2, "val_pck": 2, "learning_rate": 2}


class UpdateRecorder(keras.callbacks.Callback):  # type: ignore[misc]
    """Records the number of weight updates after each epoch; raises KeyboardInterrupt at epoch `stop_at`."""

    def __init__(self, stop_at: int = -1):
        super().__init__()
        self.stop_at = stop_at
        self.updates: list[int] = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if epoch == self.stop_at:
            raise KeyboardInterrupt

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.updates.append(int(self.model.optimizer.iterations.numpy()))


@pytest.mark.slow
def test_accumulated_gradients_continue_in_the_next_epoch(tiny: HRNetSpec, config: TrainingConfig, tmp_path: Path) -> None:
    """35 persons in batches of 11 are 3 steps per epoch: 1, 3 and 4 updates of 2 batches each, or 0, 1 and 2 of 4 batches."""
    several = config.replace(epochs=3, batch_size=11, accumulate=2, val=None, learning_rate=1e-2)
    recorder = UpdateRecorder()
    uninterrupted = train(tiny, several, tmp_path / "uninterrupted", execution=Execution(callbacks=(recorder,)))
    assert recorder.updates == [1, 3, 4]
    parts = []
    for stop_at in (1, 2, -1):
        parts.append(UpdateRecorder(stop_at))
        with contextlib.suppress(KeyboardInterrupt):
            train(tiny, several, tmp_path / "resumed", execution=Execution(callbacks=(parts[-1],)), resume=True)
    assert [part.updates for part in parts] == [[1], [3], [4]]
    first, second = (load_weights(tmp_path / name / "weights.safetensors") for name in ("uninterrupted", "resumed"))
    for name, array in first.items():
        np.testing.assert_allclose(second[name], array, rtol=1e-3, atol=1e-5, err_msg=name)
    assert uninterrupted.path.is_dir()

    fewer = several.replace(accumulate=4)
    train(tiny, fewer, tmp_path / "fewer", execution=Execution(callbacks=(recorder := UpdateRecorder(),)))
    assert recorder.updates == [0, 1, 2]
    with pytest.raises(HRNetError, match=r"`accumulate` is 10.* 9 steps"):
        train(tiny, several.replace(accumulate=10), tmp_path / "none")


def test_best_epoch_and_patience() -> None:
    assert best_epoch(rows(0.2, 0.5, 0.5, 0.4), PCK) == 2
    assert best_epoch(rows(0.2, 0.5, 0.1, 0.4), Metric("NME", "pck", higher_is_better=False)) == 3
    assert not out_of_patience(rows(0.2, 0.5, 0.5), 2, PCK)
    assert out_of_patience(rows(0.2, 0.5, 0.5, 0.4), 2, PCK)
    assert not out_of_patience(rows(0.2, 0.5, 0.5, 0.4), 0, PCK)
    assert not out_of_patience([], 1, PCK)


def test_weights_of_the_best_epoch_and_early_stopping(tmp_path: Path) -> None:
    image = keras.Input((3,))
    model = keras.Model(image, keras.layers.Dense(1, name="only")(image))
    model.compile(make_optimizer(0.1), "mse")
    model.optimizer.build(model.trainable_variables)
    from training.engine.checkpoint import Checkpoint

    run = Run(tmp_path, "train", None, {}, {})  # type: ignore[arg-type]
    checkpoint = Checkpoint(tmp_path / "checkpoint.safetensors", model, model.optimizer)
    run_checkpoint = RunCheckpoint(run, model, checkpoint, [], AveragedWeights(model.optimizer, []), PCK, keep="best", patience=2)
    run_checkpoint.set_model(model)
    model.stop_training = False
    for epoch, pck in enumerate((0.3, 0.6, 0.5, 0.6)):
        assert not model.stop_training
        model.get_layer("only").set_weights([np.full((3, 1), epoch, np.float32), np.zeros(1, np.float32)])
        run_checkpoint.on_epoch_end(epoch, {"loss": 1.0, "val_pck": pck})
    assert model.stop_training
    assert load_weights(run.weights_path)["only/kernel"].tolist() == [[1.0]] * 3  # the weights of epoch 2
    assert checkpoint.restore() == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keep": "first"}, "'first'"),
        ({"patience": 3, "val": None}, "`patience`"),
        ({"ema": 1.0}, "`ema`"),
        ({"accumulate": 0}, "`accumulate`"),
    ],
)
def test_bad_settings(config: TrainingConfig, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(HRNetError, match=message):
        config.replace(**changes)


def test_unknown_part_to_freeze(tiny: HRNetSpec, config: TrainingConfig) -> None:
    with pytest.raises(HRNetError, match="'stage5'; there are stem, stage1, transition1, stage2"):
        build_for_training(tiny, config.replace(freeze=("stage5",)))


def test_progress_line_shows_rate_and_remaining_time() -> None:
    console = Console(width=200, record=True, force_terminal=False)
    line = ProgressLine(batch_size=8, steps=2, epochs=3, console=console)
    for epoch in range(2):
        line.on_epoch_begin(epoch)
        for batch in range(2):
            line.on_train_batch_end(batch, {"loss": 0.5})
        line.on_epoch_end(epoch, {"loss": 0.25, "val_pck": 0.125})
    line.close()
    lines = console.export_text().strip().splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("epoch 1/3  loss 0.25  val_pck 0.125  ")
    assert lines[1].endswith("images/s  0:00:00 left")


def test_progress_line_on_a_terminal() -> None:
    console = Console(width=120, record=True, force_terminal=True)
    line = ProgressLine(batch_size=8, steps=1, epochs=1, console=console)
    line.on_epoch_begin(0)
    line.on_train_batch_end(0, {"loss": 0.5})
    line._bar.refresh()
    assert "1/1" in console.export_text(clear=False)
    line.on_epoch_end(0, {"loss": 0.5})
    line.close()
    assert "epoch 1/1  loss 0.5" in console.export_text()
