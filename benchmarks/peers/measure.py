"""Time every route's files turn by turn on one thread, and compare what they answer: FOLDER/times.json.

python measure.py FOLDER [ROUNDS]
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from ai_edge_litert.interpreter import Interpreter

ROUTES = ("hrnet_tf", "litert", "onnx2tf", "onnx")
WARMUP = 5


def tflite(path: Path, image: np.ndarray) -> tuple[Callable[[], Any], Callable[[], np.ndarray]]:
    """Something to time, and the heatmaps (H, W, K) it leaves."""
    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    [source], [target] = interpreter.get_input_details(), interpreter.get_output_details()
    scale, zero = source["quantization"]
    stored = np.clip(np.rint(image / scale) + zero, -128, 127) if scale else image
    interpreter.set_tensor(source["index"], stored.astype(source["dtype"]))

    def heatmaps() -> np.ndarray:
        scale, zero = target["quantization"]
        values = interpreter.get_tensor(target["index"])[0].astype(np.float32)
        return (values - zero) * scale if scale else values

    return interpreter.invoke, heatmaps


def onnx(path: Path, image: np.ndarray) -> tuple[Callable[[], Any], Callable[[], np.ndarray]]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    given = {"image": image.transpose(0, 3, 1, 2)}
    return lambda: session.run(None, given), lambda: session.run(None, given)[0][0].transpose(1, 2, 0)


def main() -> None:
    folder, rounds = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 50
    image = np.load(folder / "images.npy")[:1]
    found = {}
    for precision in ("float32", "int8"):
        made = {}
        for route in ROUTES:
            path = folder / f"{route}-{precision}.{'onnx' if route == 'onnx' else 'tflite'}"
            made[route] = (onnx if route == "onnx" else tflite)(path, image)
        samples: dict[str, list[float]] = {route: [] for route in made}
        for _ in range(rounds + WARMUP):
            for route, (run, _) in made.items():
                begun = time.perf_counter()
                run()
                samples[route].append(1000 * (time.perf_counter() - begun))
        medians = {route: float(np.median(times[WARMUP:])) for route, times in samples.items()}
        answers = {route: heatmaps() for route, (_, heatmaps) in made.items()}
        own = answers["hrnet_tf"]
        for route, median in medians.items():
            off, ratio = np.abs(answers[route] - own).max() / np.abs(own).max(), medians["hrnet_tf"] / median
            print(f"{precision:<8} {route:<9} {median:7.2f} ms, hrnet_tf over it {ratio:.3f}; answers differ by {off:.2g}")
        found[precision] = {"medians_ms": medians, "samples_ms": samples}
    (folder / "times.json").write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
