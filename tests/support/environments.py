"""Python environments with packages that cannot be installed beside TensorFlow, for tests that run a script in one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

Version = tuple[int, int]


def python_of(versions: tuple[Version, ...]) -> str:
    """A Python of one of these versions: this one, or one on the PATH; skips the test where there is none."""
    if sys.version_info[:2] in versions:
        return sys.executable
    for major, minor in versions:
        found = shutil.which(f"python{major}.{minor}")
        if found and not subprocess.run([found, "--version"], capture_output=True, check=False).returncode:
            return found
    pytest.skip(f"needs Python {' or '.join(f'{major}.{minor}' for major, minor in versions)}")


def make_environment(folder: Path, base: str, *packages: str) -> Path:
    """The Python of a new environment in `folder` with `packages`; skips the test where they cannot be installed."""
    python = folder / "bin" / "python"
    subprocess.run([base, "-m", "venv", folder], check=True, capture_output=True)
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    done = subprocess.run(install, capture_output=True, text=True, env=plain_environment(), check=False)
    if done.returncode:
        pytest.skip(f"pip cannot install {', '.join(packages)}: {done.stderr.strip().splitlines()[-1]}")
    return python


def run_script(python: Path, script: Path, *arguments: object, libraries: Path | None = None) -> str:
    """Standard output of `script`; `libraries` is a folder of shared libraries for it."""
    environment = plain_environment() | ({"LD_LIBRARY_PATH": str(libraries)} if libraries else {})
    done = subprocess.run(
        [python, script, *map(str, arguments)], capture_output=True, text=True, env=environment, check=False, timeout=300
    )
    if done.returncode:
        pytest.fail(f"{script.name} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done.stdout


def plain_environment() -> dict[str, str]:
    """This process's environment without what changes where Python looks for packages."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
