"""Files that crash the runtime despite a correct checksum end every command in one error line."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mobile_eval.datasets.coco.keypoints import load_keypoint_dataset
from mobile_eval.errors import HRNetError
from mobile_eval.model.archive import read_description, save_model_file
from mobile_eval.report.comparison import compare
from mobile_eval.runtime import isolated
from mobile_eval.runtime.backend import Backend
from mobile_eval.runtime.isolated import check_runs
from mobile_eval.runtime.tflite_model import TFLiteModel
from tests.mobile_eval.conftest import Invoke, MicroModels, People, one_line
from tests.mobile_eval.hostile_models import crashing, failing

Describe = Callable[..., Any]
COMMANDS = {
    "evaluate": "evaluate {bad} {data}",
    "compare": "compare {good} {bad} {data} --rounds 1 --output {out}",
    "predict": "predict {bad} {images}/000001.jpg --output {out}",
    "profile": "profile {bad} --rounds 1",
    "benchmark": "benchmark {bad} --runs 1 --seconds 0",
}


@pytest.fixture
def command(people: People, model_path: Callable[..., Path], invoke: Invoke, tmp_path: Path) -> Callable[[str, Path], str]:
    """Run a command on a bad model and return its error line."""

    def call(name: str, bad: Path) -> str:
        data = f"--annotations {people.annotations} --images {people.images}"
        values = {"bad": bad, "good": model_path(name="good"), "data": data, "images": people.images, "out": tmp_path / "out"}
        code, _, error = invoke(*COMMANDS[name].format(**values).split())
        assert code == 2
        assert not (tmp_path / "out").exists()
        return one_line(error)

    return call


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_graph_that_crashes_the_runtime(
    name: str, command: Callable[[str, Path], str], micro: MicroModels, describe: Describe, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.tflite"
    save_model_file(bad, crashing(micro.flatbuffers["float32"]), describe())
    assert read_description(bad).name == "micro"
    assert f"{bad} (SIG" in command(name, bad)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_operator_that_fails(
    name: str, command: Callable[[str, Path], str], micro: MicroModels, describe: Describe, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.tflite"
    save_model_file(bad, failing(micro.flatbuffers["float32"]), describe())
    assert str(bad) in command(name, bad)


@pytest.mark.parametrize("name", ["profile", "benchmark"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_truncated_file(name: str, share: float, command: Callable[[str, Path], str], micro: MicroModels, tmp_path: Path) -> None:
    data = micro.flatbuffers["int8"]
    (tmp_path / "cut.tflite").write_bytes(data[: int(share * len(data))])
    assert str(tmp_path / "cut.tflite") in command(name, tmp_path / "cut.tflite")


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands of the started processes."""
    started: list[list[str]] = []
    run = subprocess.run

    def record(command: list[str], **options: Any) -> Any:
        started.append(command)
        return run(command, **options)

    monkeypatch.setattr(subprocess, "run", record)
    monkeypatch.setattr(isolated, "_checked", set())
    return started


def test_each_file_is_checked_once_per_backend(
    model_path: Callable[..., Path], tmp_path: Path, processes: list[list[str]]
) -> None:
    path = model_path()
    TFLiteModel(path)
    TFLiteModel(path)
    shutil.copy(path, tmp_path / "copy.tflite")
    TFLiteModel(tmp_path / "copy.tflite")
    assert len(processes) == 1
    TFLiteModel(path, Backend(xnnpack=False))
    assert len(processes) == 2


def test_new_files_share_a_process(people: People, model_path: Callable[..., Path], tmp_path: Path, processes: list[Any]) -> None:
    paths = [model_path("float32"), model_path("int8"), model_path("int8", "other", license="MIT")]
    check_runs(paths, Backend())
    assert len(processes) == 1
    compare(paths, load_keypoint_dataset(people.annotations, people.images), tmp_path / "out", rounds=1)
    assert len(processes) == 1


def test_crashing_file_is_named(model_path: Callable[..., Path], micro: MicroModels, tmp_path: Path) -> None:
    bad = tmp_path / "bad.tflite"
    bad.write_bytes(crashing(micro.flatbuffers["float32"]))
    with pytest.raises(HRNetError, match=r"bad\.tflite"):
        check_runs([model_path(), bad, model_path("int8")], Backend())


def test_modules_in_the_working_folder_are_not_imported(
    model_path: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: list[Any]
) -> None:
    (tmp_path / "numpy.py").write_text("raise ImportError('not the real one')")
    monkeypatch.chdir(tmp_path)
    check_runs([model_path()], Backend())
    assert len(processes) == 1
