"""Images per second of training `pose-w32` at 256x192 in bfloat16 on a GPU: Keras 3 with JAX, against PyTorch.

python benchmarks/gpu_training.py ANNOTATIONS IMAGES --repository REPOSITORY [--torch-python PYTHON] [--rounds 2] [--batch 32]
    [--compiled] [--output gpu.json]

REPOSITORY is a checkout of the official pose repository (leoxiaobin/deep-high-resolution-net.pytorch). PYTHON is one with torch
for this GPU, numpy, opencv and yacs; the default is the one that runs this script. There are two workloads:

    people  the second epoch of `hrnet train` with the paper's recipe, against a plain loop over PyTorch's DataLoader with the
            same augmentation
    batch   steps on one batch that stays on the GPU, by `model.fit` and by the same loop

PyTorch runs with the channels-last layout, and with --compiled also through torch.compile. The programs run in turn, each in
its own process; the script reports medians. If JAX finds no GPU, the script says so and measures nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hrnet_tf.backend.types import KerasCallback

ROOT = Path(__file__).parents[1]
PEER = ROOT / "benchmarks" / "peers" / "torch_gpu_training.py"
PRECISION, NETWORK, SIZE, JOINTS = "bfloat16", "pose-w32", (256, 192), 14
STEPS = 150
WORKLOADS = ("batch", "people")
Rates = dict[str, dict[str, list[float]]]  # images per second of each round, by workload and program


def missing_gpu() -> str | None:
    """Return why JAX cannot use a GPU, or None if it can."""
    code = "import jax; print(*sorted({device.platform for device in jax.devices()}))"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if process.returncode:
        return "JAX does not start: " + (process.stderr.strip().splitlines() or ["no message"])[-1]
    return None if "gpu" in process.stdout.split() else f"JAX finds no GPU, only {process.stdout.strip()}"


def epoch_timer() -> KerasCallback:
    """Return a callback whose `seconds` is the time of the last epoch."""
    from hrnet_tf.backend.keras_module import keras

    class EpochTimer(keras.callbacks.Callback):  # type: ignore[misc]
        async_safe = True

        def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            self.begun = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            self.seconds = time.perf_counter() - self.begun  # the loss in the logs waits for the last step

    return EpochTimer()


def measure_people(annotations: str, images: str, batch: int) -> float:
    """Return the images per second of `hrnet train` in this process, in its second epoch."""
    from hrnet_tf.spec.presets import customized, preset
    from mobile_eval.datasets.base import DataSource
    from training.execution import Execution
    from training.recipe import load_recipe, recipe_config
    from training.train import train

    data, timer = DataSource(Path(images), Path(annotations)), epoch_timer()
    changes = {"batch_size": batch, "precision": PRECISION, "epochs": 2, "lr_schedule": "cosine"}
    config = recipe_config("pose", load_recipe("pose", "coco"), data, None, changes)
    spec = customized(preset(NETWORK), input_size=SIZE)
    with tempfile.TemporaryDirectory() as folder:
        run = train(spec, config, Path(folder) / "run", execution=Execution(callbacks=(timer,)))
    if run.spec.classes != JOINTS:
        sys.exit(f"{annotations} has {run.spec.classes} joints, expected {JOINTS} as in the batch workload")
    persons = len(json.loads(Path(annotations).read_text(encoding="utf-8"))["annotations"])
    return persons // batch * batch / float(timer.seconds)


def measure_batch(batch: int) -> float:
    """Return the images per second of `model.fit` in this process, in its second epoch of one batch repeated on the GPU."""
    import jax
    import numpy as np

    from hrnet_tf.backend.keras_module import keras
    from hrnet_tf.models.build import build_model
    from hrnet_tf.spec.presets import customized, preset
    from training.optim.optimizers import make_optimizer
    from training.tasks.pose.losses import HeatmapMSE

    keras.mixed_precision.set_global_policy(f"mixed_{PRECISION}")
    spec = dataclasses.replace(customized(preset(NETWORK), input_size=SIZE), classes=JOINTS)
    model, timer = build_model(spec), epoch_timer()
    model.compile(make_optimizer(1e-3), HeatmapMSE())
    rng = np.random.default_rng(0)
    shapes = (batch, *SIZE, 3), (batch, *spec.resolution(0), JOINTS), (batch, 1, 1, JOINTS)
    arrays = tuple(jax.device_put(rng.random(shape, np.float32)) for shape in shapes)
    batches = (arrays for _ in itertools.count())
    model.fit(batches, steps_per_epoch=STEPS, epochs=2, callbacks=[timer], verbose=0, shuffle=False)
    return batch * STEPS / float(timer.seconds)


def run_process(command: list[str]) -> float:
    """Return the number that a command prints last."""
    variables = {"PYTHONPATH": str(ROOT), "HRNET_KERAS": "keras", "KERAS_BACKEND": "jax"}
    if os.environ.get("PYTHONPATH"):
        variables["PYTHONPATH"] += os.pathsep + os.environ["PYTHONPATH"]
    process = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **variables})
    if process.returncode:
        sys.exit(f"{' '.join(command)}\n{process.stderr}")
    return float(process.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("annotations")
    parser.add_argument("images")
    parser.add_argument("--repository")
    parser.add_argument("--torch-python", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--measure", choices=WORKLOADS, help=argparse.SUPPRESS)  # for the processes of this package
    options = parser.parse_args()
    if options.measure == "batch":
        print(measure_batch(options.batch))
    elif options.measure == "people":
        print(measure_people(options.annotations, options.images, options.batch))
    elif reason := missing_gpu():
        print(f"skipped: {reason}")
    elif not options.repository:
        parser.error("give --repository, a checkout of the official pose repository")
    else:
        report(options, measure_all(options))


def measure_all(options: argparse.Namespace) -> Rates:
    """Return the images per second of each round, by workload and program."""
    data = [options.annotations, options.images]
    peer = [options.torch_python, str(PEER), options.repository, *data, str(options.batch)]
    commands = {
        "this package (Keras 3, JAX)": [sys.executable, __file__, *data, "--batch", str(options.batch), "--measure"],
        "PyTorch": [*peer, "plain"],
    }
    if options.compiled:
        commands["PyTorch, torch.compile"] = [*peer, "compiled"]
    rates: Rates = {workload: {name: [] for name in commands} for workload in WORKLOADS}
    for _ in range(options.rounds):
        for workload, by_name in rates.items():
            for name, command in commands.items():
                by_name[name].append(run_process([*command, workload]))
                print(f"{workload:8} {name:28} {by_name[name][-1]:7.1f} images/s", flush=True)
    return rates


def package_version(python: str, name: str) -> str:
    """Return the version of a package that is installed for a Python."""
    code = f"import importlib.metadata as m; print(m.version({name!r}))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=False).stdout.strip()


def report(options: argparse.Namespace, rates: Rates) -> None:
    """Print medians and ratios, and write them to `--output`."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    device = subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip()
    packages = (sys.executable, "keras"), (sys.executable, "jax"), (options.torch_python, "torch")
    versions = ", ".join(f"{name} {package_version(python, name)}" for python, name in packages)
    print(
        f"\n{device}; {versions}; {NETWORK} at {SIZE[0]}x{SIZE[1]}, {PRECISION}, batch {options.batch}, {options.rounds} rounds"
    )
    ratios: dict[str, dict[str, float]] = {}
    for workload, by_name in rates.items():
        package_rates, *_ = by_name.values()
        for name, program_rates in by_name.items():
            ratio = statistics.median(package / program for package, program in zip(package_rates, program_rates, strict=True))
            ratios.setdefault(workload, {})[name] = round(ratio, 3)
            print(f"{workload:8} {name:28} {statistics.median(program_rates):7.1f} images/s, this package over it {ratio:.2f}")
    if options.output:
        result = {
            "device": device,
            "versions": versions,
            "network": NETWORK,
            "input_size": SIZE,
            "precision": PRECISION,
            "batch": options.batch,
            "images_per_second": rates,
            "this_package_over": ratios,
        }
        options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
