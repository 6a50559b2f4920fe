"""Run a model by another interpreter, in another process, on the inputs of TFLite's reference kernels; and compare the outputs.

The tensors are files in a folder, one for each input and output. The other process may crash.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conversion.targets.compiler import run_compiler
from mobile_eval.runtime.backend import Backend
from mobile_eval.runtime.interpreter import Interpreter, feed_random, invoke, make_interpreter

REFERENCE = Backend(reference=True)
INPUT, OUTPUT = "input{}.npy", "output{}.npy"
# Modules in the user's folder must not hide those of the standard library.
PROGRAM = "import sys; sys.path = [entry for entry in sys.path if entry]; from {module} import main; main()"
TIMEOUT_S = 600


def run_reference(path: Path | str, folder: Path) -> Interpreter:
    """Run a model by TFLite's reference kernels on random inputs, and write these.

    Args:
        path: The model.
        folder: The folder for the inputs.

    Raises:
        HRNetError: TFLite cannot run the model.
    """
    reference = make_interpreter(path, REFERENCE)
    feed_random(reference)
    for position, entry in enumerate(reference.get_input_details()):
        np.save(folder / INPUT.format(position), reference.get_tensor(entry["index"]))
    invoke(reference, path)
    return reference


def run_module(module: str, arguments: Sequence[object], name: str, path: Path | str) -> subprocess.CompletedProcess[str]:
    """Run the function `main` of a module in another process, whatever its exit code.

    Args:
        module: The module.
        arguments: Its command line.
        name: Name of the interpreter, for messages.
        path: The model, for messages.

    Raises:
        HRNetError: The process does not start, or takes too long.
    """
    package_parent = str(Path(__file__).resolve().parents[2])
    path_entries = os.pathsep.join(filter(None, (package_parent, os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-c", PROGRAM.format(module=module), *map(str, arguments)]
    return run_compiler(command, name, path, TIMEOUT_S, {**os.environ, "PYTHONPATH": path_entries})


def read_inputs(folder: Path) -> dict[int, NDArray[Any]]:
    """The inputs in a folder, by position."""
    paths = {int(path.stem.removeprefix("input")): path for path in folder.glob(INPUT.format("*"))}
    return {position: np.load(paths[position], allow_pickle=False) for position in sorted(paths)}


def largest_difference(reference: Interpreter, folder: Path) -> float:
    """The largest difference of the outputs in a folder, as they are stored, from those of the reference kernels."""
    largest = 0.0
    for position, entry in enumerate(reference.get_output_details()):
        actual = np.load(folder / OUTPUT.format(position), allow_pickle=False).astype(np.float64)
        largest = max(largest, float(np.abs(actual - reference.get_tensor(entry["index"])).max()))
    return largest


def agreement(difference: float) -> str:
    """Say how far outputs are from those of the reference kernels."""
    apart = f"at most {difference:.4g} apart from" if difference else "equal to those of"
    return f"outputs: {apart} TFLite's reference kernels on random input"
