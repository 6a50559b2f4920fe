"""Images per second of training steps of `pose-small-v2` at 128x96, batch 32, against the official network in PyTorch.

python benchmarks/training_step.py REPOSITORY --torch-python PYTHON [--rounds 5] [--steps 20] [--precision float32|bfloat16]

REPOSITORY is a checkout of the official pose repository (leoxiaobin/deep-high-resolution-net.pytorch). PYTHON is one with torch
(CPU) and yacs. The programs run in turn, each in its own process on all cores, PyTorch in both of its memory layouts; the script
reports medians.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
PEER = ROOT / "benchmarks" / "peers" / "torch_training_step.py"
BATCH, WARMUP = 32, 3


def measure(steps: int, precision: str) -> float:
    """Return the images per second of `model.fit` in this process, on one repeated batch."""
    import numpy as np

    from hrnet_tf.backend.keras_module import keras, tf
    from hrnet_tf.models.build import build_model
    from hrnet_tf.spec.presets import customized, preset
    from training.optim.optimizers import make_optimizer
    from training.tasks.pose.losses import HeatmapMSE

    class StepTimer(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
            if batch == WARMUP - 1:
                self.begun = time.perf_counter()

    keras.mixed_precision.set_global_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    spec = customized(preset("pose-small-v2"), input_size=(128, 96))
    model = build_model(spec)
    model.compile(make_optimizer(1e-3), HeatmapMSE())
    rng = np.random.default_rng(0)
    batch = (
        rng.standard_normal((BATCH, *spec.input_size, 3)).astype(np.float32),
        rng.random((BATCH, *spec.resolution(0), spec.classes)).astype(np.float32),
        np.ones((BATCH, 1, 1, spec.classes), np.float32),
    )
    timer = StepTimer()
    model.fit(tf.data.Dataset.from_tensors(batch).repeat(), steps_per_epoch=WARMUP + steps, callbacks=[timer], verbose=0)
    return BATCH * steps / (time.perf_counter() - timer.begun)


def run_process(command: list[str]) -> float:
    """Return the number that a command prints last."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return float(process.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("repository")
    parser.add_argument("--torch-python")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    options = parser.parse_args()
    if not options.torch_python:
        print(measure(options.steps, options.precision))
        return
    package = [sys.executable, __file__, options.repository, "--steps", str(options.steps), "--precision", options.precision]
    peer = [options.torch_python, str(PEER), options.repository, str(options.steps)]
    commands = {
        "this package": package,
        "PyTorch": [*peer, "nchw", options.precision],
        "PyTorch, channels last": [*peer, "channels-last", options.precision],
    }
    samples: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(options.rounds):
        for name, command in commands.items():
            samples[name].append(run_process(command))
    for name, rates in samples.items():
        ratio = statistics.median(package / program for package, program in zip(samples["this package"], rates, strict=True))
        print(
            f"{name:24} {statistics.median(rates):6.1f} images/s ({min(rates):.1f} to {max(rates):.1f}); "
            f"this package over it {ratio:.3f}"
        )


if __name__ == "__main__":
    main()
