"""Two logical devices and two workers on the loopback interface train the same weights as one device."""

from __future__ import annotations

import csv
import json
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.models.trunk import spec_of
from hrnet_tf.runs.weights import load_weights
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.errors import HRNetError
from tests.hrnet_tf.backend.keras_features import two_losses, two_outputs
from tests.support.jobs import Job
from tests.training.engine.devices_job import train_runs
from training.config import TrainingConfig
from training.engine.strategies import Devices, make_devices
from training.execution import Execution
from training.tasks.pose.settings import PoseSettings
from training.train import train

pytestmark = pytest.mark.slow
WEIGHTS = "weights.safetensors"
STEP = {"settings": PoseSettings(rotation=0.0, scale=0.0), "epochs": 1, "learning_rate": 1e-3, "warmup_epochs": 0.0, "val": None}


@pytest.fixture(scope="module")
def settings(config: TrainingConfig) -> TrainingConfig:
    """One step of 32 persons per epoch on one device."""
    return config.replace(batch_size=32, **STEP)


@pytest.fixture(scope="module")
def folder(tiny: HRNetSpec, settings: TrainingConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the spec and the config of the jobs."""
    path = tmp_path_factory.mktemp("devices")
    (path / "spec.json").write_text(json.dumps(tiny.to_json()))
    (path / "config.json").write_text(json.dumps(settings.to_json()))
    return path


@pytest.fixture(scope="module")
def single_device(tiny: HRNetSpec, settings: TrainingConfig, folder: Path) -> Path:
    """The run folder of the training on one device."""
    return train(tiny, settings, folder / "single_device").path


def start(folder: Path, strategy: str, *names: str, output: str, **variables: str) -> Job:
    variables = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "2", **variables}
    return Job.start(train_runs, folder, strategy, names, output=folder / output, **variables)


def start_workers(folder: Path, *names: str) -> list[Job]:
    """Starts two workers that train the runs, one after another."""
    ports = []
    for _ in range(2):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            ports.append(listener.getsockname()[1])
    workers = []
    for index in range(2):
        task = {"cluster": {"worker": [f"127.0.0.1:{port}" for port in ports]}, "task": {"type": "worker", "index": index}}
        workers.append(start(folder, "multi-worker", *names, output=f"worker{index}.log", TF_CONFIG=json.dumps(task)))
    return workers


def wait_for(jobs: list[Job]) -> None:
    """Waits until all jobs have ended with exit code 0."""
    for code, output in [job.end() for job in jobs]:
        assert code == 0, output[-4000:]


def assert_same_weights(expected: Path, actual: Path) -> None:
    first, second = load_weights(expected), load_weights(actual)
    assert set(first) == set(second)
    for name, array in first.items():
        # relative error of a variance from float32 sums of squares
        relative = 2e-5 if name.endswith("moving_variance") else 0
        np.testing.assert_allclose(second[name], array, rtol=relative, atol=1e-5, err_msg=name)


def history(path: Path) -> list[dict[str, Any]]:
    with (path / "history.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def mirrored(folder: Path) -> Path:
    """The folder after the job on two devices."""
    two_outputs().save_weights(folder / "initial.weights.h5")
    wait_for([start(folder, "mirrored", "mirrored", output="mirrored.log")])  # the strategy and the run
    return folder


def test_two_devices_train_the_same_weights_as_one(mirrored: Path, single_device: Path) -> None:
    assert_same_weights(single_device / WEIGHTS, mirrored / "mirrored" / WEIGHTS)
    [expected], [actual] = history(single_device), history(mirrored / "mirrored")
    assert float(actual["loss"]) == pytest.approx(float(expected["loss"]), rel=1e-5)


def test_two_devices_train_an_own_head_as_one_device_does(mirrored: Path) -> None:
    model = two_outputs()
    model.load_weights(mirrored / "initial.weights.h5")
    assert json.loads((mirrored / "losses.json").read_text()) == pytest.approx(two_losses(model), rel=1e-5)
    assert spec_of(keras.models.load_model(mirrored / "two_outputs.keras")) == spec_of(model)


@pytest.fixture(scope="module")
def interrupted(folder: Path) -> tuple[int | None, str]:
    """Exit code and output of the first of two workers. They train two runs; in the second the second worker is killed."""
    workers = start_workers(folder, "uninterrupted:3", "killed:3")
    rows = folder / "killed" / "history.csv"
    deadline = time.monotonic() + 300
    while not rows.exists() and workers[1].process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.02)
    workers[1].process.kill()
    return workers[0].end(timeout=200)


@pytest.mark.journey
@pytest.mark.usefixtures("interrupted")
def test_two_workers_train_the_same_weights_as_one(folder: Path, single_device: Path) -> None:
    assert_same_weights(single_device / WEIGHTS, folder / "uninterrupted-first.safetensors")
    names = {path.name for path in single_device.iterdir()}
    assert {path.name for path in (folder / "uninterrupted").iterdir()} == names


@pytest.mark.journey
def test_killed_worker_ends_the_other_and_both_resume(folder: Path, interrupted: tuple[int | None, str]) -> None:
    """Resuming from the last complete epoch gives the same weights and history as without the kill."""
    code, output = interrupted
    assert code == 2, output[-4000:]
    [line] = [line for line in output.splitlines() if line.startswith("error: ")]
    assert line.startswith("error: another worker failed or disappeared (")
    assert len(history(folder / "killed")) < 3
    wait_for(start_workers(folder, "killed:3:resume"))
    assert_same_weights(folder / "uninterrupted" / WEIGHTS, folder / "killed" / WEIGHTS)
    for expected, actual in zip(history(folder / "uninterrupted"), history(folder / "killed"), strict=True):
        assert float(actual["loss"]) == pytest.approx(float(expected["loss"]), rel=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("all", None), "`strategy` .* got 'all'"),
        (("one", 2), "`devices` is 2"),
        (("mirrored", 64), "`devices` .* got 64"),
        (("multi-worker", 2), "`devices` needs `strategy` mirrored"),
        (("multi-worker", None), "needs TF_CONFIG"),
    ],
)
def test_invalid_strategies(options: tuple[str, int | None], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(HRNetError, match=message):
        make_devices(*options)


def test_batches_of_a_worker() -> None:
    assert [list(Devices(None, 4, worker, 2).local) for worker in range(2)] == [[0, 1], [2, 3]]


def test_number_of_devices_in_the_config(tiny: HRNetSpec, settings: TrainingConfig, tmp_path: Path) -> None:
    with pytest.raises(HRNetError, match="2 devices"):
        train(tiny, settings.replace(devices=2, batch_size=16), tmp_path / "run", execution=Execution())
