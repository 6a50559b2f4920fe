"""Time of a training step of a network with dilated convolutions: as the package builds them, over as Keras does.

    python benchmarks/dilated_training.py [NAME] [--input-size HxW] [--batch-size N] [--precision float32|bfloat16] [--rounds N]

Keras calls `tf.nn.convolution`, which moves pixels into the batch and back. Steps of the two take turns.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import KerasModel
from hrnet_tf.networks import Baseline


def networks(name: str, input_size: str, precision: str) -> dict[str, KerasModel]:
    """Return the network with both kinds of dilated convolutions, compiled."""
    keras.mixed_precision.set_global_policy("float32" if precision == "float32" else f"mixed_{precision}")
    direct, as_keras = (Baseline(name, input_size=input_size, outputs=11) for _ in range(2))
    for layer in as_keras.layers:
        if max(getattr(layer, "dilation_rate", (1,))) > 1:
            vars(layer).pop("convolution_op", None)
    for model in (direct, as_keras):
        model.compile("sgd", "mse")
    return {"direct": direct, "as Keras": as_keras}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", default="deeplabv3-r50")
    parser.add_argument("--input-size", default="64x96")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    models = networks(options.name, options.input_size, options.precision)
    images = np.random.default_rng(0).random((options.batch_size, *models["direct"].input_shape[1:]), np.float32)
    targets = np.zeros_like(models["direct"].predict(images, verbose=0))
    seconds: dict[str, list[float]] = {kind: [] for kind in models}
    for number in range(options.rounds + 1):
        for kind, model in models.items():
            begun = time.perf_counter()
            model.train_on_batch(images, targets)
            if number:  # the first step traces the function
                seconds[kind].append(time.perf_counter() - begun)
    medians = {kind: statistics.median(samples) for kind, samples in seconds.items()}
    for kind, median in medians.items():
        print(f"{kind:10} {median:7.2f} s per step, {options.batch_size / median:6.2f} images/s")
    print(f"ratio {medians['direct'] / medians['as Keras']:.3f}")


if __name__ == "__main__":
    main()
