"""Conversion by `hrnet convert` and by Keras's usual route: time to convert, latency of the files, and their outputs.

    python benchmarks/converting.py [NAME] [--samples N] [--rounds N]

The usual route is `TFLiteConverter.from_keras_model` of the network with BatchNorm, in which Keras's `UpSampling2D` brings each
link to its target's resolution. `hrnet convert` folds BatchNorm and freezes the variables first. Both convert the same random
weights to float32, and to int8 with the same random calibration images. The four files are then timed interleaved, and their
heatmaps of one image are compared.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from plain_network import plain_model

from conversion.flatbuffer import to_flatbuffer
from conversion.options import ConvertOptions
from hrnet_tf.backend.keras_module import quiet, tf
from hrnet_tf.backend.types import Images, Weights
from hrnet_tf.models.build import build_model
from hrnet_tf.models.folding import fold_batch_norm
from hrnet_tf.runs.weights import model_weights, set_model_weights
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.presets import preset
from mobile_eval.benchmark.latency import bench_interleaved
from mobile_eval.runtime.interpreter import make_interpreter

PRECISIONS = ("float32", "int8")


def convert_plainly(spec: Network, weights: Weights, calibration: Images | None) -> bytes:
    converter = tf.lite.TFLiteConverter.from_keras_model(plain_model(spec, weights))
    if calibration is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        converter.representative_dataset = lambda: ([image[None]] for image in calibration)
    with quiet():
        return bytes(converter.convert())


def convert_with_package(spec: Network, weights: Weights, calibration: Images | None) -> bytes:
    model = build_model(spec, folded=True)
    set_model_weights(model, fold_batch_norm(weights))
    return to_flatbuffer(model, ConvertOptions("float32" if calibration is None else "int8"), calibration)


CONVERTERS = {"plain": convert_plainly, "this package": convert_with_package}


def heatmaps(path: Path, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run a file without a description on a normalized image (H, W, 3); return its dequantized heatmaps (1, H, W, K)."""
    interpreter = make_interpreter(path)
    [source], [target] = interpreter.get_input_details(), interpreter.get_output_details()
    scale, zero_point = source["quantization"]
    stored = np.clip(np.rint(image[None] / scale) + zero_point, -128, 127) if scale else image[None]
    interpreter.set_tensor(source["index"], stored.astype(source["dtype"]))
    interpreter.invoke()
    scale, zero_point = target["quantization"]
    values = interpreter.get_tensor(target["index"]).astype(np.float32)
    return (values - zero_point) * scale if scale else values


def convert_all(spec: Network, images: Images, folder: Path) -> list[Path]:
    """Convert to each precision on each route, and print the times."""
    weights = model_weights(build_model(spec))
    paths = []
    for precision in PRECISIONS:
        seconds = []
        for route, convert in CONVERTERS.items():
            begun = time.perf_counter()
            content = convert(spec, weights, images if precision == "int8" else None)
            seconds.append(time.perf_counter() - begun)
            paths.append(folder / f"{precision}-{route.split()[0]}.tflite")
            paths[-1].write_bytes(content)
            print(f"{precision:<8} {route:<13} {seconds[-1]:6.1f} s", flush=True)
        print(f"{precision:<8} conversion time, ratio {seconds[1] / seconds[0]:.3f}", flush=True)
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="?", default="pose-w32")
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=50)
    options = parser.parse_args()
    spec = preset(options.name)
    images = np.random.default_rng(0).standard_normal((options.samples, *spec.input_size, 3)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        paths = convert_all(spec, images, Path(folder))
        results = bench_interleaved(paths, rounds=options.rounds)
        for precision, (plain, package) in zip(PRECISIONS, (results[:2], results[2:]), strict=True):
            ratio = package.p50_ms / plain.p50_ms
            print(f"{precision:<8} latency {plain.p50_ms:.2f} -> {package.p50_ms:.2f} ms, ratio {ratio:.3f}")
        reference, *outputs = (heatmaps(path, images[0]) for path in paths)
        for label, output in zip(("float32 this package", "int8    plain", "int8    this package"), outputs, strict=True):
            error = np.sqrt(np.mean((output - reference) ** 2) / np.mean(reference**2))
            print(f"{label:<21} relative RMS difference from float32 plain: {error:.2g}")


if __name__ == "__main__":
    main()
