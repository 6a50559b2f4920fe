"""How long quantization-aware tuning takes to begin and to be converted, against tensorflow-model-optimization's plain way.

    python benchmarks/quantizing.py [NAME]

The plain way is `quantize_model` of the trained network, BatchNorm and all, one step of `fit`, and `TFLiteConverter.
from_keras_model`; the other is what `hrnet quantize` and `hrnet convert` do. Both begin with the same random weights.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from plain_network import plain_model

from hrnet_tf.backend.keras_module import keras, quiet, tf
from hrnet_tf.backend.types import Weights
from hrnet_tf.models.build import build_model
from hrnet_tf.models.export import tflite_converter
from hrnet_tf.models.folding import fold_batch_norm
from hrnet_tf.models.quantization import build_quantized_model
from hrnet_tf.runs.weights import model_weights
from hrnet_tf.spec.network import HRNetSpec
from hrnet_tf.spec.presets import preset


def plain(spec: HRNetSpec, weights: Weights) -> Any:
    import tensorflow_model_optimization as tfmot

    return tfmot.quantization.keras.quantize_model(plain_model(spec, weights))


def ours(spec: HRNetSpec, weights: Weights) -> Any:
    return build_quantized_model(spec, fold_batch_norm(weights))


def converted(converter: Any) -> bytes:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    with quiet():
        return bytes(converter.convert())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="?", default="pose-w32")
    spec = preset(parser.parse_args().name)
    weights = model_weights(build_model(spec))
    image = np.random.default_rng(0).standard_normal((1, *spec.input_size, 3)).astype(np.float32)
    ways: dict[str, tuple[Callable[..., Any], Callable[[Any], Any]]] = {
        "plain": (plain, tf.lite.TFLiteConverter.from_keras_model),
        "this package": (ours, tflite_converter),
    }
    totals = []
    for way, (quantized, converter) in ways.items():
        times = [time.perf_counter()]
        model = quantized(spec, weights)
        times.append(time.perf_counter())
        model.compile(keras.optimizers.Adam(1e-5), "mse")
        model.fit(image, np.zeros((1, *model.output_shape[1:]), np.float32), epochs=1, verbose=0)
        times.append(time.perf_counter())
        size = len(converted(converter(model)))
        times.append(time.perf_counter())
        build, start, convert = np.diff(times)
        totals.append(times[-1] - times[0])
        print(
            f"{way:<13} quantize {build:6.1f} s, fit start {start:6.1f} s, convert {convert:6.1f} s; {size / 1e6:.1f} MB",
            flush=True,
        )
    print(f"{spec.name}: {totals[0]:.1f} -> {totals[1]:.1f} s, ratio {totals[1] / totals[0]:.3f}")


if __name__ == "__main__":
    main()
