"""Time of a training step at width 16 and at width 18, to show what widths that are multiples of 16 save.

    python benchmarks/training_width.py [ROUNDS]

The steps run in turn. The script prints medians, and the ratio of the times beside that of the multiply-adds.
"""

from __future__ import annotations

import statistics
import sys
import time

import numpy as np

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import KerasModel
from hrnet_tf.models.build import build_model
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.complexity import complexity
from hrnet_tf.spec.presets import customized, preset
from training.tasks.pose.losses import HeatmapMSE

BATCH, WARMUP = 32, 3


def step_seconds(model: KerasModel, spec: Network) -> float:
    rng = np.random.default_rng(0)
    images = rng.standard_normal((BATCH, *spec.input_size, 3)).astype(np.float32)
    heatmaps = rng.random((BATCH, *spec.resolution(0), spec.classes)).astype(np.float32)
    begun = time.perf_counter()
    model.train_on_batch(images, heatmaps)
    return time.perf_counter() - begun


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    specs = [customized(preset("pose-small-v1"), input_size=(128, 96), modules="1,2,2", width=width) for width in (16, 18)]
    models = [build_model(spec) for spec in specs]
    for model in models:
        model.compile(keras.optimizers.Adam(), HeatmapMSE())
    times: list[list[float]] = [[], []]
    for step in range(WARMUP + rounds):
        for model, spec, samples in zip(models, specs, times, strict=True):
            seconds = step_seconds(model, spec)
            if step >= WARMUP:
                samples.append(seconds)
    medians = [statistics.median(samples) for samples in times]
    multiply_adds_ratio = complexity(specs[1]).multiply_adds / complexity(specs[0]).multiply_adds
    print(f"width 16: {BATCH / medians[0]:.1f} images/s   width 18: {BATCH / medians[1]:.1f} images/s   ({rounds} rounds)")
    print(f"step time, width 18 to 16: {medians[1] / medians[0]:.2f}   multiply-adds: {multiply_adds_ratio:.2f}")


if __name__ == "__main__":
    main()
