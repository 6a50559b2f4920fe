"""The Python that runs Keras 3 with JAX."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def jax_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This Python if it has JAX, else that of an environment with the extra `jax` and without TensorFlow."""
    if importlib.util.find_spec("jax"):
        return Path(sys.executable)
    folder = tmp_path_factory.mktemp("jax")
    python, source = folder / "env" / "bin" / "python", folder / "source"
    for package in ("hrnet_tf", "training", "conversion", "mobile_eval"):  # building writes into its source
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("setup.py", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / file, source)
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for command in (
        [sys.executable, "-m", "venv", folder / "env"],
        [*install, "-c", ROOT / "constraints.txt", f"{source}[jax]"],
    ):
        completed = subprocess.run(command, capture_output=True, text=True, check=False)
        if completed.returncode:
            pytest.skip(
                f"needs jax and keras from a package index: {(completed.stderr.strip() or completed.stdout).splitlines()[-1]}"
            )
    return python
