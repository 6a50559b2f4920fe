"""Time the files of all routes interleaved on one thread, and compare their outputs.

    python measure.py FOLDER [ROUNDS]

Writes FOLDER/times.json.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import onnxruntime
from ai_edge_litert.interpreter import Interpreter

ROUTES = ("hrnet_tf", "litert", "onnx2tf", "onnx")
WARMUP = 5
Array: TypeAlias = np.ndarray
Model: TypeAlias = tuple[Callable[[], object], Callable[[], Array]]  # to time; to get the heatmaps (H, W, K) after that


def load_tflite(path: Path, image: Array) -> Model:
    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    [source], [target] = interpreter.get_input_details(), interpreter.get_output_details()
    scale, zero_point = source["quantization"]
    stored = np.clip(np.rint(image / scale) + zero_point, -128, 127) if scale else image
    interpreter.set_tensor(source["index"], stored.astype(source["dtype"]))

    def heatmaps() -> Array:
        scale, zero_point = target["quantization"]
        values = interpreter.get_tensor(target["index"])[0].astype(np.float32)
        return (values - zero_point) * scale if scale else values

    return interpreter.invoke, heatmaps


def load_onnx(path: Path, image: Array) -> Model:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    inputs = {"image": image.transpose(0, 3, 1, 2)}
    return lambda: session.run(None, inputs), lambda: session.run(None, inputs)[0][0].transpose(1, 2, 0)


def main() -> None:
    folder, rounds = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 50
    image = np.load(folder / "images.npy")[:1]
    results = {}
    for precision in ("float32", "int8"):
        models = {}
        for route in ROUTES:
            path = folder / f"{route}-{precision}.{'onnx' if route == 'onnx' else 'tflite'}"
            models[route] = (load_onnx if route == "onnx" else load_tflite)(path, image)
        samples: dict[str, list[float]] = {route: [] for route in models}
        for _ in range(rounds + WARMUP):
            for route, (run, _) in models.items():
                begun = time.perf_counter()
                run()
                samples[route].append(1000 * (time.perf_counter() - begun))
        medians = {route: float(np.median(times[WARMUP:])) for route, times in samples.items()}
        outputs = {route: heatmaps() for route, (_, heatmaps) in models.items()}
        reference = outputs["hrnet_tf"]
        for route, median in medians.items():
            difference = np.abs(outputs[route] - reference).max() / np.abs(reference).max()
            ratio = medians["hrnet_tf"] / median
            print(f"{precision:<8} {route:<9} {median:7.2f} ms, hrnet_tf over it {ratio:.3f}; outputs differ by {difference:.2g}")
        results[precision] = {"medians_ms": medians, "samples_ms": samples}
    (folder / "times.json").write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
