"""The program of the process that `openvino` starts: it runs a model, and prints its version and the median latency as JSON."""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np

from conversion.targets.exchange import OUTPUT, read_inputs

WARMUP_RUNS = 2


def main() -> None:
    """Run the model on the inputs in a folder, as the command line says: model, folder, threads, runs."""
    import openvino

    path, folder, threads, runs = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    core = openvino.Core()
    model = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_NUM_THREADS": threads})
    inputs, request = list(read_inputs(folder).values()), model.create_infer_request()
    samples_ms = []
    for _ in range(WARMUP_RUNS + runs):
        begun = time.perf_counter()
        request.infer(inputs)
        samples_ms.append((time.perf_counter() - begun) * 1000)
    for position in range(len(model.outputs)):
        np.save(folder / OUTPUT.format(position), request.get_output_tensor(position).data)
    version = openvino.__version__.split("-")[0]
    print(json.dumps({"version": version, "p50_ms": statistics.median(samples_ms[WARMUP_RUNS:])}))
