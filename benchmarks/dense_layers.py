"""Time of a detector's second file with dense layers, and with convolutions over all proposals, which the Edge TPU maps.

    python benchmarks/dense_layers.py [--width C] [--rounds N]

Builds a box head of the paper's layers (C * 49 to 1024 to 1024) with random weights for 100 proposals, int8. Both forms take
turns on one thread; the script prints their medians, the ratio, and the largest difference of their outputs.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from conversion.flatbuffer import to_flatbuffer
from conversion.options import ConvertOptions
from conversion.quantization.samples import Inputs
from conversion.targets.dense_layers import with_convolutions
from conversion.targets.edgetpu import check_edgetpu
from hrnet_tf.backend.keras_module import keras
from mobile_eval.benchmark.latency import bench_interleaved
from mobile_eval.runtime.interpreter import make_interpreter

PROPOSALS, SIZE, FEATURES, CLASSES = 100, 7, 1024, 80


def box_head(width: int) -> bytes:
    """An int8 box head with random weights."""
    pooled = keras.Input((SIZE, SIZE, width))
    x = keras.layers.Dense(FEATURES, "relu")(keras.layers.Reshape((-1,))(pooled))
    x = keras.layers.Dense(FEATURES, "relu")(x)
    model = keras.Model(
        pooled, {"logits": keras.layers.Dense(CLASSES + 1)(x), "deltas": keras.layers.Dense(4 * (CLASSES + 1))(x)}
    )
    samples = np.random.default_rng(0).random((2, PROPOSALS, SIZE, SIZE, width)).astype(np.float32)
    return to_flatbuffer(model, ConvertOptions("int8"), Inputs.of(samples), PROPOSALS)


def outputs(path: Path) -> list[np.ndarray]:
    """The outputs for random features."""
    interpreter = make_interpreter(path)
    [source] = interpreter.get_input_details()
    features = np.random.default_rng(1).integers(-128, 128, source["shape"]).astype(np.int8)
    interpreter.set_tensor(source["index"], features)
    interpreter.invoke()
    return [interpreter.get_tensor(details["index"]).astype(int).ravel() for details in interpreter.get_output_details()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=50)
    options = parser.parse_args()
    dense = box_head(options.width)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, "dense.tflite"), Path(folder, "convolutions.tflite")]
        for path, flatbuffer in zip(paths, (dense, with_convolutions(dense)), strict=True):
            path.write_bytes(flatbuffer)
        latencies = [result.p50_ms for result in bench_interleaved(paths, rounds=options.rounds)]
        for path, latency_ms in zip(paths, latencies, strict=True):
            check = check_edgetpu(path)
            print(f"{path.stem}: {latency_ms:.2f} ms, {len(check.mapped)} of {len(check.operators)} operators on the Edge TPU")
        difference = max(np.abs(first - second).max() for first, second in zip(*map(outputs, paths), strict=True))
    print(f"ratio {latencies[1] / latencies[0]:.3f}; outputs differ by {difference} steps at most")


if __name__ == "__main__":
    main()
