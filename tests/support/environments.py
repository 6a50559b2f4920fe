"""Python environments with packages that conflict with TensorFlow, for tests that run a script in them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
Version = tuple[int, int]


def python_of(versions: tuple[Version, ...]) -> str:
    """The path of a Python of one of these versions: this one or one on the PATH. Without one, the test is skipped."""
    if sys.version_info[:2] in versions:
        return sys.executable
    for major, minor in versions:
        python = shutil.which(f"python{major}.{minor}")
        if python and not subprocess.run([python, "--version"], capture_output=True, check=False).returncode:
            return python
    pytest.skip(f"needs Python {' or '.join(f'{major}.{minor}' for major, minor in versions)}")


def make_environment(folder: Path, base: str, *packages: str) -> Path:
    """The Python of a new environment in `folder` with `packages`. If they cannot be installed, the test is skipped."""
    python = folder / "bin" / "python"
    subprocess.run([base, "-m", "venv", folder], check=True, capture_output=True)
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    completed = subprocess.run(install, capture_output=True, text=True, env=plain_environment(), check=False)
    if completed.returncode:
        pytest.skip(f"pip cannot install {', '.join(packages)}: {completed.stderr.strip().splitlines()[-1]}")
    return python


def run_script(python: Path, script: Path, *arguments: object, libraries: Path | None = None) -> str:
    """Runs a script, with a folder of shared libraries, and returns its standard output."""
    environment = plain_environment() | ({"LD_LIBRARY_PATH": str(libraries)} if libraries else {})
    completed = subprocess.run(
        [python, script, *map(str, arguments)], capture_output=True, text=True, env=environment, check=False, timeout=300
    )
    if completed.returncode:
        pytest.fail(f"{script.name} ended with {completed.returncode}:\n{completed.stdout[-2000:]}{completed.stderr[-4000:]}")
    return completed.stdout


def run_on_keras3(python: Path, *arguments: str | Path, backend: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a command on Keras 3: this Python uses the source tree, another Python its installed package."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TF_USE", "KERAS"))}
    environment |= {"HRNET_KERAS": "keras", "KERAS_BACKEND": backend}
    if python == Path(sys.executable):
        environment["PYTHONPATH"] = str(ROOT)
    return subprocess.run([python, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False)


def plain_environment() -> dict[str, str]:
    """Environment variables without those that change where Python looks for packages."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
