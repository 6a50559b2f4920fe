"""Time to start quantization-aware training and to convert the network, against plain tensorflow-model-optimization.

    python benchmarks/quantizing.py [NAME]

The plain route is `quantize_model` of the trained network with BatchNorm, one step of `fit`, and
`TFLiteConverter.from_keras_model`. The other route is that of `hrnet quantize` and `hrnet convert`. Both start with the same
random weights.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from plain_network import plain_model

from hrnet_tf.backend.keras_module import keras, quiet, tf
from hrnet_tf.backend.tflite_export import tflite_converter
from hrnet_tf.backend.types import KerasModel, TFLiteConverter, Weights
from hrnet_tf.models.build import build_model
from hrnet_tf.models.folding import fold_batch_norm
from hrnet_tf.models.quantization import build_quantized_model
from hrnet_tf.runs.weights import model_weights
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.presets import preset


def quantize_plainly(spec: Network, weights: Weights) -> KerasModel:
    import tensorflow_model_optimization as tfmot

    return tfmot.quantization.keras.quantize_model(plain_model(spec, weights))


def quantize_with_package(spec: Network, weights: Weights) -> KerasModel:
    return build_quantized_model(spec, fold_batch_norm(weights))


def convert(converter: TFLiteConverter) -> bytes:
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
    routes: dict[str, tuple[Callable[[Network, Weights], KerasModel], Callable[[KerasModel], TFLiteConverter]]] = {
        "plain": (quantize_plainly, tf.lite.TFLiteConverter.from_keras_model),
        "this package": (quantize_with_package, tflite_converter),
    }
    totals = []
    for route, (quantize, converter) in routes.items():
        times = [time.perf_counter()]
        model = quantize(spec, weights)
        times.append(time.perf_counter())
        model.compile(keras.optimizers.Adam(1e-5), "mse")
        model.fit(image, np.zeros((1, *model.output_shape[1:]), np.float32), epochs=1, verbose=0)
        times.append(time.perf_counter())
        size_bytes = len(convert(converter(model)))
        times.append(time.perf_counter())
        build, step, conversion = np.diff(times)
        totals.append(times[-1] - times[0])
        print(
            f"{route:<13} quantize {build:6.1f} s, first step {step:6.1f} s, convert {conversion:6.1f} s; "
            f"{size_bytes / 1e6:.1f} MB",
            flush=True,
        )
    print(f"{spec.name}: {totals[0]:.1f} -> {totals[1]:.1f} s, ratio {totals[1] / totals[0]:.3f}")


if __name__ == "__main__":
    main()
