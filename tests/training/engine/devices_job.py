"""A training in a process of its own: `python devices_job.py FOLDER NAME STRATEGY [epochs=N] [resume]`.

FOLDER contains `spec.json` and `config.json`. Batch size and learning rate are halved, so that two devices
see the same persons per step as one device with the config.
"""

import json
from pathlib import Path
from typing import Annotated

import typer

from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.cli.running import run
from training.config import TrainingConfig
from training.engine.strategies import MIRRORED, make_devices
from training.execution import Execution


def main(folder: Path, name: str, strategy: str, options: Annotated[list[str] | None, typer.Argument()] = None) -> None:
    if strategy == MIRRORED:
        import tensorflow as tf

        [cpu] = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    devices = make_devices(strategy)
    from training.train import train

    config = TrainingConfig.from_json(json.loads((folder / "config.json").read_text()))
    epochs = [int(option.removeprefix("epochs=")) for option in options or [] if option.startswith("epochs=")]
    halved = {
        "batch_size": config.data.batch_size // 2,
        "learning_rate": config.schedule.learning_rate / 2,
        "devices": devices.count,
    }
    config = config.replace(epochs=(epochs or [config.schedule.epochs])[0], **halved)
    spec = HRNetSpec.from_json(json.loads((folder / "spec.json").read_text()))
    train(spec, config, folder / name, execution=Execution(devices), resume="resume" in (options or []))


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(main)
    run(app)
