"""The program of the process that `micro` starts: run a model by TFLM, or only prepare it if there are no inputs.

Its folder has `model.tflite` and `inputs.npz`, and gets `outputs.npz`. TFLM prints what it allocated.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np


def main() -> None:
    """Run the model in the folder and in an arena of the size that the command line names."""
    from tflite_micro import runtime

    folder, arena_bytes = Path(sys.argv[1]), int(sys.argv[2])
    interpreter = runtime.Interpreter.from_file(str(folder / "model.tflite"), arena_size=arena_bytes)
    if not (folder / "inputs.npz").exists():
        return
    with np.load(folder / "inputs.npz", allow_pickle=False) as inputs:
        for index in inputs.files:
            interpreter.set_input(inputs[index], int(index))
    interpreter.invoke()
    graph = runtime.convert_bytearray_to_object((folder / "model.tflite").read_bytes()).subgraphs[0]
    outputs = {str(index): interpreter.get_output(index) for index in range(len(graph.outputs))}
    np.savez(folder / "outputs.npz", **outputs)
    interpreter.print_allocations()
