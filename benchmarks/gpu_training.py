"""Images per second of training on a GPU: `pose-w32` at 256x192 in bfloat16, on Keras 3 with JAX, against PyTorch.

python benchmarks/gpu_training.py ANNOTATIONS IMAGES --repository REPOSITORY [--torch-python PYTHON] [--rounds 2] [--batch 32]
    [--compiled] [--output gpu.json]

REPOSITORY is a checkout of the official pose repository (leoxiaobin/deep-high-resolution-net.pytorch), PYTHON one that has torch
for this GPU, numpy, opencv and yacs (this one if not said). `people`: an epoch, the second, of all of `hrnet train` with the
paper's recipe, against a plain loop over PyTorch's DataLoader with the same augmentation. `batch`: steps alone, by
`model.fit` and by that loop, of a batch that stays on the GPU. PyTorch is channels last, and with --compiled the same through
torch.compile too. All run in turn, each as a process of its own; medians count. Where JAX sees no GPU the script says so
and measures nothing.
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
from typing import Any

ROOT = Path(__file__).parents[1]
PEER = ROOT / "benchmarks" / "peers" / "torch_gpu_training.py"
PRECISION, NETWORK, SIZE, JOINTS = "bfloat16", "pose-w32", (256, 192), 14
STEPS = 150


def no_gpu() -> str | None:
    """Why there is nothing to measure, if so."""
    asked = "import jax; print(*sorted({device.platform for device in jax.devices()}))"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=False)
    if done.returncode:
        return "JAX does not start: " + (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
    return None if "gpu" in done.stdout.split() else f"JAX sees no GPU, only {done.stdout.strip()}"


def clock() -> Any:
    """A callback that knows the `seconds` of the last epoch."""
    from hrnet_tf.backend.keras_module import keras

    class Clock(keras.callbacks.Callback):  # type: ignore[misc]
        async_safe = True

        def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            self.begun = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            self.seconds = time.perf_counter() - self.begun  # the loss in the logs has waited for the last step

    return Clock()


def measure_people(annotations: str, images: str, batch: int) -> float:
    """Images per second of `hrnet train` in this process: its second epoch."""
    from hrnet_tf.spec.presets import customized, preset
    from mobile_eval.datasets.base import DataSource
    from training.execution import Execution
    from training.recipe import load_recipe, recipe_config
    from training.train import train

    people, timed = DataSource(Path(images), Path(annotations)), clock()
    changes = {"batch_size": batch, "precision": PRECISION, "epochs": 2, "lr_schedule": "cosine"}
    config = recipe_config("pose", load_recipe("pose", "coco"), people, None, changes)
    spec = customized(preset(NETWORK), input_size=SIZE)
    with tempfile.TemporaryDirectory() as folder:
        run = train(spec, config, Path(folder) / "run", execution=Execution(callbacks=(timed,)))
    assert run.spec.classes == JOINTS, "the people must have 14 joints, as the networks of a single batch"
    found = json.loads(Path(annotations).read_text(encoding="utf-8"))["annotations"]
    return len(found) // batch * batch / float(timed.seconds)


def measure_batch(batch: int) -> float:
    """Images per second of `model.fit` in this process, of one batch on the device again and again: its second epoch."""
    import jax
    import numpy as np

    from hrnet_tf.backend.keras_module import keras
    from hrnet_tf.models.build import build_model
    from hrnet_tf.spec.presets import customized, preset
    from training.optim.optimizers import make_optimizer
    from training.tasks.pose.losses import HeatmapMSE

    keras.mixed_precision.set_global_policy(f"mixed_{PRECISION}")
    spec = dataclasses.replace(customized(preset(NETWORK), input_size=SIZE), classes=JOINTS)
    model, timed = build_model(spec), clock()
    model.compile(make_optimizer(1e-3), HeatmapMSE())
    rng = np.random.default_rng(0)
    shapes = (batch, *SIZE, 3), (batch, *spec.resolution(0), JOINTS), (batch, 1, 1, JOINTS)
    arrays = tuple(jax.device_put(rng.random(shape, np.float32)) for shape in shapes)
    batches = (arrays for _ in itertools.count())
    model.fit(batches, steps_per_epoch=STEPS, epochs=2, callbacks=[timed], verbose=0, shuffle=False)
    return batch * STEPS / float(timed.seconds)


def in_a_process(command: list[str]) -> float:
    chosen = {"PYTHONPATH": str(ROOT), "HRNET_KERAS": "keras", "KERAS_BACKEND": "jax"}
    old = os.environ.get("PYTHONPATH")
    if old:
        chosen["PYTHONPATH"] += os.pathsep + old
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **chosen})
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return float(done.stdout.split()[-1])


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
    parser.add_argument("--measure", choices=("people", "batch"), help=argparse.SUPPRESS)  # what a process of its own is for
    given = parser.parse_args()
    if given.measure:
        print(
            measure_batch(given.batch)
            if given.measure == "batch"
            else measure_people(given.annotations, given.images, given.batch)
        )
        return
    reason = no_gpu()
    if reason:
        print(f"skipped: {reason}")
        return
    if not given.repository:
        parser.error("give --repository, a checkout of the official pose repository")
    report(given, rates(given))


def rates(given: argparse.Namespace) -> dict[str, dict[str, list[float]]]:
    """Images per second of each, by what they are given."""
    data = [given.annotations, given.images, str(given.batch)]
    own = [sys.executable, __file__, given.annotations, given.images, "--batch", str(given.batch), "--measure"]
    peer = [given.torch_python, str(PEER), given.repository, *data]
    commands = {"this package (Keras 3, JAX)": own, "PyTorch": [*peer, "plain"]}
    if given.compiled:
        commands["PyTorch, torch.compile"] = [*peer, "compiled"]
    found: dict[str, dict[str, list[float]]] = {kind: {name: [] for name in commands} for kind in ("batch", "people")}
    for _ in range(given.rounds):
        for kind, by_name in found.items():
            for name, command in commands.items():
                by_name[name].append(in_a_process([*command, kind]))
                print(f"{kind:8} {name:28} {by_name[name][-1]:7.1f} images/s", flush=True)
    return found


def version(python: str, name: str) -> str:
    """Of an installed package, as that Python has it."""
    asked = f"import importlib.metadata as m; print(m.version({name!r}))"
    return subprocess.run([python, "-c", asked], capture_output=True, text=True, check=False).stdout.strip()


def report(given: argparse.Namespace, found: dict[str, dict[str, list[float]]]) -> None:
    """Medians and ratios, printed and written."""
    asked = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    device = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    wanted = (sys.executable, "keras"), (sys.executable, "jax"), (given.torch_python, "torch")
    said = ", ".join(f"{name} {version(python, name)}" for python, name in wanted)
    print(f"\n{device}; {said}; {NETWORK} at {SIZE[0]}x{SIZE[1]}, {PRECISION}, batch {given.batch}, {given.rounds} rounds")
    ratios: dict[str, dict[str, float]] = {}
    for kind, by_name in found.items():
        ours, *_ = by_name.values()
        for name, other in by_name.items():
            ratio = statistics.median(one / two for one, two in zip(ours, other, strict=True))
            ratios.setdefault(kind, {})[name] = round(ratio, 3)
            print(f"{kind:8} {name:28} {statistics.median(other):7.1f} images/s, ours {ratio:.2f} of it")
    if given.output:
        facts = {"device": device, "versions": said, "network": NETWORK, "input_size": SIZE, "precision": PRECISION}
        facts |= {"batch": given.batch, "images_per_second": found, "this_package_over": ratios}
        given.output.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
