"""Latency of grouped 3x3 convolutions of ResNeXt-101 64x4d: TFLite's grouped kernel against a split into groups.

    python benchmarks/grouped.py [--format int8] [--rounds N] [--input-size HEIGHTxWIDTH]

For each stage, converts its 3x3 convolution of 64 groups both ways, with the same weights, and times both files in turn on one
thread.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from conversion.convert import convert
from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import KerasModel, Tensor
from hrnet_tf.spec.baselines.faster_rcnn import RESNEXT
from hrnet_tf.spec.baselines.resnet_trunk import ResNetTrunk
from hrnet_tf.spec.presets import parse_size
from mobile_eval.runtime.tflite_model import TFLiteModel

TRUNK = ResNetTrunk.of_depth(101, **RESNEXT)


def models(channels: int, height: int, width: int) -> tuple[KerasModel, KerasModel]:
    """The grouped convolution of maps (height, width, channels), made by a 1x1 convolution, and the same split."""

    def build(*, split: bool) -> KerasModel:
        image = keras.Input((height, width, 3))
        x = keras.layers.Conv2D(channels, 1, name="first")(image)
        return keras.Model(
            image, _split(x) if split else keras.layers.Conv2D(channels, 3, padding="same", groups=TRUNK.groups)(x)
        )

    grouped, split = build(split=False), build(split=True)
    first, first_bias, kernel, bias = grouped.get_weights()
    kernels, biases = np.split(kernel, TRUNK.groups, axis=-1), np.split(bias, TRUNK.groups)
    split.set_weights([first, first_bias, *(array for pair in zip(kernels, biases, strict=True) for array in pair)])
    return grouped, split


def _split(x: Tensor) -> Tensor:
    size = x.shape[-1] // TRUNK.groups
    parts = [x[..., group * size : (group + 1) * size] for group in range(TRUNK.groups)]
    return keras.layers.Concatenate()([keras.layers.Conv2D(size, 3, padding="same")(part) for part in parts])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--format", default="int8")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--input-size", default="256x256")
    options = parser.parse_args()
    height, width = parse_size(options.input_size)
    for stage in range(1, 5):
        channels, stride = TRUNK.inner_width(stage), TRUNK.stride(stage)
        size = (height // stride, width // stride)
        images = np.random.default_rng(0).standard_normal((4, *size, 3)).astype(np.float32)
        with tempfile.TemporaryDirectory() as folder:
            files = []
            for name, model in zip(("grouped", "split"), models(channels, *size), strict=True):
                path = Path(folder, f"{name}.tflite")
                convert(model, path, format=options.format, representative_data=images, task="custom")
                files.append(TFLiteModel(path, threads=1))
            inputs = [file.to_input(images[:1]) for file in files]
            times_ms: list[list[float]] = [[], []]
            for _ in range(options.rounds):
                for file, values, samples in zip(files, inputs, times_ms, strict=True):
                    begun = time.perf_counter()
                    file.outputs(values)
                    samples.append(1000 * (time.perf_counter() - begun))
        grouped, split = map(statistics.median, times_ms)
        print(
            f"stage {stage}, {channels} channels, {size[0]}x{size[1]}, {options.format}: grouped {grouped:.2f} ms, "
            f"split {split:.2f} ms, ratio {split / grouped:.2f}"
        )


if __name__ == "__main__":
    main()
