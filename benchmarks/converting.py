"""What freezing first and folding are worth: time to convert, and latency of what comes out, against the plain way.

    python benchmarks/converting.py [NAME] [--samples N] [--rounds N]

The plain way is `TFLiteConverter.from_keras_model` of the trained network, BatchNorm and all, each lower branch upsampled
to where it is added by Keras's `UpSampling2D`; the other is what `hrnet convert` does. Both begin with the weights of a run,
random ones, and convert them to float32, and to int8 with the same random calibration images; then all four files are
timed interleaved, and their heatmaps of one image compared.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from plain_network import plain_model

from conversion.flatbuffer import to_flatbuffer
from conversion.options import ConvertOptions
from hrnet_tf.backend.keras_module import quiet, tf
from hrnet_tf.backend.types import Weights
from hrnet_tf.models.build import build_model
from hrnet_tf.models.folding import fold_batch_norm
from hrnet_tf.runs.weights import model_weights, set_model_weights
from hrnet_tf.spec.network import HRNetSpec
from hrnet_tf.spec.presets import preset
from mobile_eval.benchmark.latency import bench_interleaved
from mobile_eval.runtime.interpreter import make_interpreter


def plain(spec: HRNetSpec, weights: Weights, images: Any | None) -> bytes:
    converter = tf.lite.TFLiteConverter.from_keras_model(plain_model(spec, weights))
    if images is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        converter.representative_dataset = lambda: ([image[None]] for image in images)
    with quiet():
        return bytes(converter.convert())


def own(spec: HRNetSpec, weights: Weights, images: Any | None) -> bytes:
    model = build_model(spec, folded=True)
    set_model_weights(model, fold_batch_norm(weights))
    return to_flatbuffer(model, ConvertOptions("float32" if images is None else "int8"), images)


def answer(path: Path, image: Any) -> Any:
    """Real values of the heatmaps that a file finds in `image` (H, W, 3)."""
    interpreter = make_interpreter(path)
    [source], [target] = interpreter.get_input_details(), interpreter.get_output_details()
    scale, zero = source["quantization"]
    stored = np.clip(np.rint(image[None] / scale) + zero, -128, 127) if scale else image[None]
    interpreter.set_tensor(source["index"], stored.astype(source["dtype"]))
    interpreter.invoke()
    scale, zero = target["quantization"]
    values = interpreter.get_tensor(target["index"]).astype(np.float32)
    return (values - zero) * scale if scale else values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="?", default="pose-w32")
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=50)
    options = parser.parse_args()
    spec = preset(options.name)
    weights = model_weights(build_model(spec))
    images = np.random.default_rng(0).standard_normal((options.samples, *spec.input_size, 3)).astype(np.float32)
    ways = {"plain": plain, "this package": own}
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for precision in ("float32", "int8"):
            seconds = []
            for way, make in ways.items():
                start = time.perf_counter()
                data = make(spec, weights, images if precision == "int8" else None)
                seconds.append(time.perf_counter() - start)
                paths.append(Path(folder, f"{precision}-{way.split()[0]}.tflite"))
                paths[-1].write_bytes(data)
                print(f"{precision:<8} {way:<13} {seconds[-1]:6.1f} s", flush=True)
            print(f"{precision:<8} conversion time, ratio {seconds[1] / seconds[0]:.3f}", flush=True)
        results = bench_interleaved(paths, rounds=options.rounds)
        for precision, (first, second) in zip(("float32", "int8"), (results[:2], results[2:]), strict=True):
            ratio = second.p50_ms / first.p50_ms
            print(f"{precision:<8} latency {first.p50_ms:.2f} -> {second.p50_ms:.2f} ms, ratio {ratio:.3f}")
        exact, *others = (answer(path, images[0]) for path in paths)
        for what, other in zip(("float32 this package", "int8    plain", "int8    this package"), others, strict=True):
            away = np.sqrt(np.mean((other - exact) ** 2) / np.mean(exact**2))
            print(f"{what:<21} is {away:.2g} away from float32 plain (root mean square, of its own)")


if __name__ == "__main__":
    main()
