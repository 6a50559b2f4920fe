"""The program of the process that `micro` starts: run a model by TFLM, or only prepare it if there are no inputs.

Its folder has `model.tflite` and its inputs by position, and gets the outputs. TFLM prints what it allocated.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from conversion.targets.exchange import OUTPUT, read_inputs


def main() -> None:
    """Run the model in the folder and in an arena of the size that the command line names."""
    from tflite_micro import runtime

    folder, arena_bytes = Path(sys.argv[1]), int(sys.argv[2])
    interpreter = runtime.Interpreter.from_file(str(folder / "model.tflite"), arena_size=arena_bytes)
    inputs = read_inputs(folder)
    if not inputs:
        return
    for position, values in inputs.items():
        interpreter.set_input(values, position)
    interpreter.invoke()
    graph = runtime.convert_bytearray_to_object((folder / "model.tflite").read_bytes()).subgraphs[0]
    for position in range(len(graph.outputs)):
        np.save(folder / OUTPUT.format(position), interpreter.get_output(position))
    interpreter.print_allocations()
