"""Trainings in a process of their own, one after another, with the arguments FOLDER STRATEGY NAME[:EPOCHS[:resume]]...

FOLDER contains `spec.json` and `config.json`; each NAME becomes a run, and `NAME-first.safetensors` its weights after one epoch.
Batch size and learning rate are halved, so that two devices see the same persons per step as one device with the config. With
the strategy "mirrored", a model with an own head is trained as well, from `initial.weights.h5` to `two_outputs.keras`, and its
losses are written to `losses.json`.
"""

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.cli.running import run
from training.config import TrainingConfig
from training.engine.strategies import MIRRORED, Devices, make_devices
from training.execution import Execution


def train_runs(folder: Path, strategy: str, names: Sequence[str]) -> None:
    """Trains, and ends the process as a command of `hrnet` does."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(lambda: main(folder, strategy, names))
    sys.argv = ["train_runs"]
    run(app)


def main(folder: Path, strategy: str, names: Sequence[str]) -> None:
    if strategy == MIRRORED:
        import tensorflow as tf

        [cpu] = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    devices = make_devices(strategy)
    from training.train import train

    config = TrainingConfig.from_json(json.loads((folder / "config.json").read_text()))
    halved = {
        "batch_size": config.data.batch_size // 2,
        "learning_rate": config.schedule.learning_rate / 2,
        "devices": devices.count,
    }
    spec = HRNetSpec.from_json(json.loads((folder / "spec.json").read_text()))
    for name, *options in (entry.split(":") for entry in names):
        epochs = int(options[0]) if options else config.schedule.epochs
        shortened = config.replace(epochs=epochs, **halved)
        callbacks = (first_weights(folder / name),) if devices.is_chief else ()
        train(spec, shortened, folder / name, execution=Execution(devices, callbacks=callbacks), resume="resume" in options)
    if strategy == MIRRORED:
        train_own_head(folder, devices)


def first_weights(run: Path) -> Any:
    """A callback that copies the weights of a run before the second epoch."""
    from hrnet_tf.backend.keras_module import keras

    def copy(epoch: int, logs: object) -> None:
        if epoch == 1:
            shutil.copy(run / "weights.safetensors", run.with_name(f"{run.name}-first.safetensors"))

    return keras.callbacks.LambdaCallback(on_epoch_begin=copy)


def train_own_head(folder: Path, devices: Devices) -> None:
    from tests.hrnet_tf.backend.keras_features import two_losses, two_outputs

    with devices.scope():
        model = two_outputs()
    model.load_weights(folder / "initial.weights.h5")
    (folder / "losses.json").write_text(json.dumps(two_losses(model)))
    model.save(folder / "two_outputs.keras")
