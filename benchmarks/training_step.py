"""Images per second of training steps, `pose-small-v2` at 128x96, batch 32, against the official network in PyTorch.

python benchmarks/training_step.py REPOSITORY --torch-python PYTHON [--rounds 5] [--steps 20] [--precision float32|bfloat16]

REPOSITORY is a checkout of the official pose repository (leoxiaobin/deep-high-resolution-net.pytorch), PYTHON one that has torch
(CPU) and yacs. All run in turn, each as a process of its own on all cores, PyTorch in both of its memory layouts; medians count.
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
    """Images per second of this package in this process: `model.fit` of the same batch again and again."""
    import numpy as np

    from hrnet_tf.backend.keras_module import keras, tf
    from hrnet_tf.models.build import build_model
    from hrnet_tf.spec.presets import customized, preset
    from training.optim.optimizers import make_optimizer
    from training.tasks.pose.losses import HeatmapMSE

    class Clock(keras.callbacks.Callback):  # type: ignore[misc]
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
    clock = Clock()
    model.fit(tf.data.Dataset.from_tensors(batch).repeat(), steps_per_epoch=WARMUP + steps, callbacks=[clock], verbose=0)
    return BATCH * steps / (time.perf_counter() - clock.begun)


def in_a_process(command: list[str]) -> float:
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    return float(done.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("repository")
    parser.add_argument("--torch-python")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    given = parser.parse_args()
    if not given.torch_python:
        print(measure(given.steps, given.precision))
        return
    asked = ["--steps", str(given.steps), "--precision", given.precision]
    peer = [given.torch_python, str(PEER), given.repository, str(given.steps)]
    commands = {
        "this package": [sys.executable, __file__, given.repository, *asked],
        "PyTorch": [*peer, "nchw", given.precision],
        "PyTorch, channels last": [*peer, "channels-last", given.precision],
    }
    rates: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(given.rounds):
        for name, command in commands.items():
            rates[name].append(in_a_process(command))
    for name, found in rates.items():
        ratio = statistics.median(own / other for own, other in zip(rates["this package"], found, strict=True))
        print(
            f"{name:24} {statistics.median(found):6.1f} images/s ({min(found):.1f} to {max(found):.1f}); ours {ratio:.3f} of it"
        )


if __name__ == "__main__":
    main()
