"""Several devices learn what one does: two logical ones of this machine, and two workers that talk over loopback."""

from __future__ import annotations

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hrnet_tf.runs.weights import load_weights
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.errors import HRNetError
from training.config import TrainingConfig
from training.engine.strategies import Devices, make_devices
from training.execution import Execution
from training.tasks.pose.settings import PoseSettings
from training.train import train

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
JOB = Path(__file__).with_name("devices_job.py")
STEP = {"settings": PoseSettings(rotation=0.0, scale=0.0), "epochs": 1, "learning_rate": 1e-3, "warmup_epochs": 0.0, "val": None}


@pytest.fixture(scope="module")
def settings(config: TrainingConfig) -> TrainingConfig:
    """A training of one step of 32 persons an epoch, on one device."""
    return config.replace(batch_size=32, **STEP)


@pytest.fixture(scope="module")
def folder(small: HRNetSpec, settings: TrainingConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the jobs find what to do."""
    path = tmp_path_factory.mktemp("devices")
    (path / "spec.json").write_text(json.dumps(small.to_json()))
    (path / "config.json").write_text(json.dumps(settings.to_json()))
    return path


@pytest.fixture(scope="module")
def alone(small: HRNetSpec, settings: TrainingConfig, folder: Path) -> Path:
    """The run of one device."""
    return train(small, settings, folder / "alone").path


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "2", **more}


def cluster(folder: Path, name: str, *options: str) -> list[subprocess.Popen[str]]:
    """Two workers, started."""
    ports = []
    for _ in range(2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            ports.append(free.getsockname()[1])
    workers = []
    for index in range(2):
        task = {"cluster": {"worker": [f"127.0.0.1:{port}" for port in ports]}, "task": {"type": "worker", "index": index}}
        command = [sys.executable, JOB, folder, name, "multi-worker", *options]
        own = environment(TF_CONFIG=json.dumps(task))
        workers.append(subprocess.Popen(command, env=own, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    return workers


def ended(workers: list[subprocess.Popen[str]]) -> list[str]:
    """What they said on stderr, all well."""
    said = [worker.communicate(timeout=300) for worker in workers]
    for worker, (output, error) in zip(workers, said, strict=True):
        assert worker.returncode == 0, output[-1000:] + error[-4000:]
    return [error for _, error in said]


def assert_same(one: Path, other: Path) -> None:
    first, second = (load_weights(path / "weights.safetensors") for path in (one, other))
    assert set(first) == set(second)
    for name, array in first.items():
        # float32 sums of squares: a variance is known to that share of itself
        relative = 2e-5 if name.endswith("moving_variance") else 0
        np.testing.assert_allclose(second[name], array, rtol=relative, atol=1e-5, err_msg=name)


def history(path: Path) -> list[dict[str, Any]]:
    with (path / "history.csv").open() as file:
        return list(csv.DictReader(file))


def test_two_devices_learn_what_one_does(folder: Path, alone: Path) -> None:
    command = [sys.executable, JOB, folder, "mirrored", "mirrored"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert_same(alone, folder / "mirrored")
    [one], [two] = history(alone), history(folder / "mirrored")
    assert float(two["loss"]) == pytest.approx(float(one["loss"]), rel=1e-5)


def test_two_workers_learn_what_one_does(folder: Path, alone: Path) -> None:
    ended(cluster(folder, "workers"))
    assert_same(alone, folder / "workers")
    assert sorted(path.name for path in (folder / "workers").iterdir()) == sorted(path.name for path in alone.iterdir())


def test_a_killed_worker_ends_the_other_in_one_line_and_both_go_on(folder: Path) -> None:
    """From the last whole epoch, to what they would have found."""
    ended(cluster(folder, "whole", "epochs=3"))
    workers = cluster(folder, "killed", "epochs=3")
    rows = folder / "killed" / "history.csv"
    until = time.monotonic() + 200
    while not rows.exists() and time.monotonic() < until:
        time.sleep(0.02)
    workers[1].send_signal(signal.SIGKILL)
    _, error = workers[0].communicate(timeout=200)
    workers[1].communicate()
    assert workers[0].returncode == 2
    assert error.strip().splitlines()[-1].startswith("error: another worker failed or disappeared (")
    assert len(history(folder / "killed")) < 3
    ended(cluster(folder, "killed", "epochs=3", "resume"))
    assert_same(folder / "whole", folder / "killed")
    for one, two in zip(history(folder / "whole"), history(folder / "killed"), strict=True):
        assert float(two["loss"]) == pytest.approx(float(one["loss"]), rel=1e-6)


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


def test_the_batches_of_a_worker_are_its_own() -> None:
    assert [list(Devices(None, 4, worker, 2).local) for worker in range(2)] == [[0, 1], [2, 3]]


def test_a_config_of_other_devices_is_refused(small: HRNetSpec, settings: TrainingConfig, tmp_path: Path) -> None:
    with pytest.raises(HRNetError, match="2 devices"):
        train(small, settings.replace(devices=2, batch_size=16), tmp_path / "run", execution=Execution())
