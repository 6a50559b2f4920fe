"""The commands: outputs, exit codes and error lines."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from mobile_eval.cli.running import run
from mobile_eval.errors import HRNetError
from mobile_eval.files import write_json, write_text
from tests.mobile_eval.conftest import Invoke, People, one_line

ROOT = Path(__file__).parents[3]


def data_options(people: People) -> tuple[object, ...]:
    return "--annotations", people.annotations, "--images", people.images


def test_evaluate(invoke: Invoke, people: People, model_path: Callable[..., Path], tmp_path: Path) -> None:
    figures, predictions = tmp_path / "out" / "figures.json", tmp_path / "out" / "predictions.json"
    code, out, _ = invoke(
        "evaluate", model_path(), *data_options(people), "--json", figures, "--predictions", predictions, "--limit", 3
    )
    assert code == 0
    assert "PCK@0.1" in out
    assert json.loads(figures.read_text())["instances"] == 3
    assert len(json.loads(predictions.read_text())) == 3


def test_bench_compare_and_predict(invoke: Invoke, people: People, model_path: Callable[..., Path], tmp_path: Path) -> None:
    latency = tmp_path / "latency.json"
    assert invoke("benchmark", model_path(), "--runs", 3, "--no-memory", "--json", latency)[0] == 0
    assert len(json.loads(latency.read_text())["samples_ms"]) == 3
    assert invoke("benchmark", model_path(), model_path("int8"), "--rounds", 4, "--no-memory", "--json", latency)[0] == 0
    full, int8 = json.loads(latency.read_text())["models"]
    assert (len(full["samples_ms"]), full["ratio_interval"], int8["ratio_interval"]["low"] <= int8["ratio"]) == (4, None, True)
    report = tmp_path / "report"
    code, out, _ = invoke("compare", model_path(), model_path("int8"), *data_options(people), "--output", report, "--rounds", 2)
    assert code == 0
    assert out.strip().endswith(str(report / "index.html"))
    assert json.loads((report / "results.json").read_text())["command"].startswith("hrnet compare ")
    code, out, _ = invoke("predict", model_path(), people.images / "000001.jpg", "--output", tmp_path / "poses")
    assert code == 0
    assert (tmp_path / "poses" / "000001_pose.jpg").stat().st_size > 1000


@pytest.mark.parametrize(
    ("models", "options", "named"),
    [(1, ("--rounds", 3), "--rounds"), (2, ("--mode", "full"), "--mode"), (2, ("--seconds", 0), "--seconds"), (0, (), "Missing")],
)
def test_options_of_one_model_and_of_several(
    models: int, options: tuple[object, ...], named: str, invoke: Invoke, tmp_path: Path
) -> None:
    code, _, error = invoke("benchmark", *[tmp_path / "model.tflite"] * models, *options)
    assert code == 2
    assert named in error


def test_help_has_an_example_for_each_command(invoke: Invoke) -> None:
    for command in ("evaluate", "benchmark", "compare", "predict"):
        code, out, _ = invoke(command, "--help")
        assert code == 0
        assert f"Example: hrnet {command}" in " ".join(out.split())


def test_bad_models_end_in_one_line(invoke: Invoke, people: People, model_path: Callable[..., Path]) -> None:
    path = model_path()
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    code, _, error = invoke("evaluate", path, *data_options(people))
    assert code == 2
    assert "truncated or damaged" in one_line(error)
    path.with_suffix(".json").unlink()
    code, _, error = invoke("evaluate", path, *data_options(people))
    assert code == 2
    assert "truncated" in one_line(error)
    path.write_text("hello")
    for arguments in (
        ("evaluate", path, *data_options(people)),
        ("benchmark", path),
        ("predict", path, "x.jpg", "--output", "y"),
    ):
        code, _, error = invoke(*arguments)
        assert code == 2
        assert "is not a TFLite model" in one_line(error)


def test_bad_images_end_in_one_line_and_leave_nothing(
    invoke: Invoke, people: People, model_path: Callable[..., Path], tmp_path: Path
) -> None:
    picture, figures = people.images / "000003.jpg", tmp_path / "figures.json"
    picture.write_bytes(picture.read_bytes()[:-300])
    code, _, error = invoke("evaluate", model_path(), *data_options(people), "--json", figures)
    assert code == 2
    assert "000003.jpg is truncated" in one_line(error)
    code, _, error = invoke("compare", model_path(), *data_options(people), "--output", tmp_path / "report", "--rounds", 1)
    assert code == 2
    assert list((tmp_path / "report").iterdir()) == []
    picture.unlink()
    code, _, error = invoke("evaluate", model_path(), *data_options(people), "--json", figures)
    assert code == 2
    assert "000003.jpg" in one_line(error)
    assert not figures.exists()


def test_missing_options_exit_with_2(invoke: Invoke, model_path: Callable[..., Path]) -> None:
    code, _, error = invoke("evaluate", model_path())
    assert code == 2
    assert "--annotations" in error


def test_full_disk_as_a_command(people: People, model_path: Callable[..., Path]) -> None:
    if not Path("/dev/full").is_char_device():
        pytest.skip("this system has no /dev/full")
    arguments = ["evaluate", str(model_path()), *map(str, data_options(people)), "--json", "/dev/full"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, "-m", "mobile_eval", *arguments], capture_output=True, text=True, env=environment)
    assert result.returncode == 2
    assert one_line(result.stderr) == "error: cannot write /dev/full: No space left on device"
    assert Path("/dev/full").is_char_device()


def test_disk_that_fills_up_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "figures.json"
    write_json(path, {"old": 1})
    real = Path.write_bytes

    def fill(self: Path, data: bytes) -> int:
        real(self, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", fill)
    with pytest.raises(HRNetError, match=r"cannot write .*figures.json: No space left on device"):
        write_text(path, "new" * 1000)
    assert [entry.name for entry in tmp_path.iterdir()] == ["figures.json"]
    assert json.loads(path.read_text()) == {"old": 1}


def test_impossible_outputs_are_refused_first(
    invoke: Invoke, people: People, model_path: Callable[..., Path], tmp_path: Path
) -> None:
    code, _, error = invoke("evaluate", model_path(), *data_options(people), "--json", tmp_path)
    assert code == 2
    assert "it is a folder" in one_line(error)
    (tmp_path / "file").write_text("x")
    code, _, error = invoke("compare", model_path(), *data_options(people), "--output", tmp_path / "file")
    assert code == 2
    assert "cannot make the folder" in one_line(error)


def application(error: BaseException) -> typer.Typer:
    failing = typer.Typer(pretty_exceptions_enable=False)

    @failing.command()
    def fail() -> None:
        raise error

    return failing


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (HRNetError("one\ntwo"), 2, "error: one two"),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "error: [Errno 28] No space left on device"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_exit_codes_and_messages(
    error: BaseException, code: int, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["hrnet"])
    with pytest.raises(SystemExit) as ended:
        run(application(error))
    assert ended.value.code == code
    assert message in capsys.readouterr().err


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["hrnet"])
    monkeypatch.setenv("HRNET_DEBUG", "1")
    with pytest.raises(SystemExit):
        run(application(HRNetError("bad")))
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("error", [ZeroDivisionError(), ValueError("shapes differ"), KeyError("width")])
def test_bugs_show_a_traceback(error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["hrnet"])
    with pytest.raises(SystemExit) as ended:
        run(application(error))
    assert ended.value.code == 1
    shown = capsys.readouterr().err.splitlines()
    assert "bug" in shown[0]
    assert type(error).__name__ in shown[0]
    assert shown[2].startswith("Traceback")


def test_imports_stay_light() -> None:
    heavy = (
        "tensorflow",
        "tf_keras",
        "keras",
        "hrnet_tf",
        "training",
        "conversion",
        "matplotlib",
        "pycocotools",
        "scipy",
        "pandas",
    )
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "mobile_eval").rglob("*.py")
        if path.name not in ("__init__.py", "__main__.py")
    ]
    code = "import sys, mobile_eval.cli.app; assert 'numpy' not in sys.modules and 'cv2' not in sys.modules, 'cli is heavy'\n"
    code += f"import {', '.join(modules)}\nprint([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert result.stdout.strip() == "[]", result.stderr
    assert len(modules) > 15
