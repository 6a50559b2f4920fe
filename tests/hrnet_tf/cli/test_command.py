"""The command `hrnet` as a process: version, terminal encodings, and folders that shadow its packages."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import hrnet_tf
from hrnet_tf.__main__ import app

ROOT = Path(__file__).parents[3]
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
COMMAND = f"import sys; sys.argv[0] = 'hrnet'; sys.path.append({str(ROOT)!r}); from hrnet_tf.__main__ import main; main()"


def run(*arguments: str, folder: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Runs Python in `folder`, which is before the package on its path."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LC_", "LANG"))}
    environment |= {"PYTHONPATH": os.pathsep.join((str(folder), str(ROOT))), **variables}
    return subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, check=False)


def test_version() -> None:
    setup = subprocess.run([sys.executable, "setup.py", "--version"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert setup.stdout.splitlines()[-1] == hrnet_tf.__version__
    assert CliRunner().invoke(app, ["--version"]).stdout == f"hrnet_tf {hrnet_tf.__version__}\n"


@pytest.mark.parametrize("words", [[], ["models"], ["target"], ["target", "android", "benchmark"], ["evaluate"]])
def test_h_is_help(words: list[str]) -> None:
    short, long = (CliRunner().invoke(app, [*words, option]).stdout for option in ("-h", "--help"))
    assert short == long
    assert "--help" in short


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_any_terminal_shows_help_and_errors(encoding: str) -> None:
    for words in (["--help"], ["train", "--help"], ["models", "pose-w32", "--parts"]):
        completed = run("-m", "hrnet_tf", *words, PYTHONIOENCODING=encoding)
        assert completed.returncode == 0, completed.stderr.decode(encoding)
        assert len(completed.stdout.decode(encoding)) > 1000
    completed = run("-m", "hrnet_tf", "benchmark", "Größe…日本.tflite", PYTHONIOENCODING=encoding, PYTHONUTF8="1")
    assert completed.returncode == 2
    line = completed.stderr.decode(encoding, "replace")  # click replaces ASCII by UTF-8
    assert re.fullmatch(r"error: .*\.tflite.*\n", line)


@pytest.mark.slow
@pytest.mark.parametrize(
    "variables", [{"LANG": "C"}, {"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}]
)
def test_c_locale(variables: dict[str, str]) -> None:
    completed = run("-m", "hrnet_tf", "convert", "--help", **variables)
    assert completed.returncode == 0, completed.stderr
    assert b"hrnet_tf convert" in completed.stdout


def hide(folder: Path, name: str, kind: str) -> Path:
    """Create a package or module in `folder` with the name of a package of the project."""
    if kind == "module":
        path = folder / f"{name}.py"
        path.write_text("")
        return path
    path = folder / name
    path.mkdir()
    (path / "__init__.py").write_text("")
    if kind == "package with a cli":
        (path / "cli.py").write_text("")
    return path


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("training", "package with a cli"),
        ("training", "module"),
        ("conversion", "package"),
        ("mobile_eval", "package with a cli"),
    ],
)
def test_error_names_a_folder_that_hides_a_package(tmp_path: Path, name: str, kind: str) -> None:
    path = hide(tmp_path, name, kind)
    line = f"{path} hides the package {name!r} of hrnet_tf: rename it, or start Python where it is not on the path"
    for arguments in (("-m", "hrnet_tf", "--help"), ("-c", COMMAND, "models")):
        completed = run(*arguments, folder=tmp_path)
        assert (completed.returncode, completed.stdout, completed.stderr.decode()) == (2, b"", f"error: {line}\n")
    imported = run("-c", "import hrnet_tf", folder=tmp_path)
    assert imported.returncode == (name == "mobile_eval")
    assert line in imported.stderr.decode().splitlines()[-1 if name == "mobile_eval" else 0]
    if kind == "module":  # after the warning, Python itself cannot import from it
        return
    submodule = run("-c", f"import hrnet_tf\nimport {name}.missing_module", folder=tmp_path)
    assert line in submodule.stderr.decode().splitlines()[-1]


def test_folder_that_is_not_a_package(tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()  # a folder of data; Python imports the package that is later on the path
    completed = run("-W", "error", "-c", "import hrnet_tf, training.config; print(training.__file__)", folder=tmp_path)
    assert Path(completed.stdout.decode().strip()).parent == ROOT / "training"
