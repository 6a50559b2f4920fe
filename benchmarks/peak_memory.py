"""Peak memory of the steps that run a network outside of training steps, each in its own process.

    python benchmarks/peak_memory.py [--preset segment-w18] [--input-size 1024x2048] [--images 20] [--memory-budget 1GiB]

Images and weights are random. The steps, as the commands run them:

    validate    the validation of `hrnet train` after an epoch, on all images
    rank        `hrnet rank`, on all images; only one link is left out, because each one takes as much memory
    ranges      the calibration of `hrnet quantize`, on all images
    statistics  the new BatchNorm statistics of `hrnet prune`, on all images
    convert     `hrnet convert --format int8`, calibrated on all images, of a run without quantization-aware training
    restore     `hrnet restore` of a float32 file

The peak is the largest resident memory of the process (VmHWM), which includes about 0.6 GiB of TensorFlow itself.
"""

from __future__ import annotations

import argparse
import dataclasses
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from hrnet_tf.runs.run import Run
    from mobile_eval.datasets.base import TaskDataset

DATA, CLASSES = "data", 19
LIMIT_GIB = 6.0


def prepare(folder: Path, name: str, size: str, images: int) -> None:
    """Write a run with random weights, and random images with random masks."""
    from hrnet_tf.backend.keras_module import keras
    from hrnet_tf.models.build import build_model
    from hrnet_tf.runs.run import Run, save_run
    from hrnet_tf.runs.weights import model_weights, save_weights
    from hrnet_tf.spec.presets import parse_size, preset

    spec = dataclasses.replace(preset(name), input_size=parse_size(size), classes=CLASSES)
    rng, (height, width) = np.random.default_rng(0), spec.input_size
    for kind in ("images", "masks"):
        (folder / DATA / kind).mkdir(parents=True)
    for number in range(images):
        colors = rng.integers(0, 256, (height // 32, width // 32, 3), np.uint8)
        image = cv2.resize(colors, (width, height), interpolation=cv2.INTER_CUBIC)
        mask = cv2.resize(colors[..., 0] % CLASSES, (width, height), interpolation=cv2.INTER_NEAREST)
        cv2.imwrite(str(folder / DATA / "images" / f"{number:03d}.jpg"), image)
        cv2.imwrite(str(folder / DATA / "masks" / f"{number:03d}.png"), mask)
    names = [f"class{index}" for index in range(CLASSES)]
    (folder / DATA / "classes.txt").write_text("\n".join(names))
    keras.utils.set_random_seed(0)
    run = Run(folder / "run", "train", spec, {"name": spec.task, "classes": names}, {})
    save_run(run)
    save_weights(run.weights_path, model_weights(build_model(spec)))


def run_step(folder: Path, name: str, budget: int, images: int) -> None:
    """Run one step in this process."""
    from hrnet_tf.runs.run import Run
    from mobile_eval.datasets.base import DataSource
    from mobile_eval.tasks.registry import TASKS

    run = Run.load(folder / "run")
    source = DataSource(folder / DATA / "images", None, folder / DATA / "masks", folder / DATA / "classes.txt")
    data = TASKS[run.spec.task].load(source).head(images)
    STEPS[name](run, data, budget, folder)


def validate(run: Run, data: TaskDataset, budget: int, folder: Path) -> None:
    from hrnet_tf.models.build import build_model
    from hrnet_tf.models.inference import Inference
    from training.callbacks.validation import measure

    print("mIoU", measure(Inference(build_model(run.spec), (*run.spec.input_size, 3)), data, run.spec, memory_budget=budget))


def rank(run: Run, data: TaskDataset, budget: int, folder: Path) -> None:
    from training.config import stored_settings
    from training.ranking.gated_network import GatedNetwork
    from training.ranking.methods import removal_effects
    from training.ranking.task_data import TaskRankingData

    network = GatedNetwork.of(run.model())
    ranking_data = TaskRankingData.prepare(data, run.spec, stored_settings(run.spec.task, run.config), budget)
    print(removal_effects(dataclasses.replace(network, units=network.units[:1]), ranking_data))


def ranges(run: Run, data: TaskDataset, budget: int, folder: Path) -> None:
    from hrnet_tf.models.build import build_model
    from hrnet_tf.models.folding import fold_batch_norm
    from hrnet_tf.models.quantization import activation_ranges
    from hrnet_tf.runs.weights import load_weights, set_model_weights
    from hrnet_tf.spec.memory import batch_size_for
    from mobile_eval.image.geometry import STANDARD
    from training.quantize import GROUP_ITEMS, calibration_batches, calibration_groups

    model = build_model(run.spec, folded=True)
    set_model_weights(model, fold_batch_norm(load_weights(run.weights_path)))
    batches = calibration_batches(data, run.spec, STANDARD, budget)
    size = batch_size_for(run.spec, budget, most=GROUP_ITEMS)
    print(len(activation_ranges(model, calibration_groups(batches, size))), "ranges")


def statistics(run: Run, data: TaskDataset, budget: int, folder: Path) -> None:
    from hrnet_tf.models.build import build_model
    from hrnet_tf.spec.memory import batch_size_for
    from training.data.examples import evaluation_batches
    from training.pruning.prune import LARGEST_BATCH, reestimate_batch_norm

    size = batch_size_for(run.spec, budget, most=LARGEST_BATCH)
    reestimate_batch_norm(build_model(run.spec), evaluation_batches(data.items, size, run.spec))


def convert(run: Run, data: TaskDataset, budget: int, folder: Path) -> None:
    from conversion.convert import convert_run
    from conversion.options import ConvertOptions

    conversion = ConvertOptions("int8", max_error=float("inf"))
    print(convert_run(run, conversion, folder / "int8.tflite", data, samples=len(data), memory_budget=budget))


def restore(run: Run, data: TaskDataset, budget: int, folder: Path) -> None:
    from conversion.convert import convert_run
    from conversion.options import ConvertOptions
    from conversion.restore import restore_run

    path = folder / "float32.tflite"
    convert_run(run, ConvertOptions("float32", max_error=float("inf")), path, data.head(1), memory_budget=budget)
    restore_run(path, data, folder / "restored", memory_budget=budget)


STEPS = {
    "validate": validate,
    "rank": rank,
    "ranges": ranges,
    "statistics": statistics,
    "convert": convert,
    "restore": restore,
}


def peak_gib() -> float:
    """Return the largest resident memory of this process so far, in GiB."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--preset", default="segment-w18", help="A segmentation network of `hrnet models`.")
    parser.add_argument("--input-size", default="1024x2048")
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--memory-budget", default="1GiB")
    parser.add_argument("--steps", default=",".join(STEPS))
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    from hrnet_tf.spec.memory import activation_bytes, live_bytes, parse_memory
    from hrnet_tf.spec.presets import parse_size, preset

    if options.folder:  # this is the process of one step
        run_step(options.folder, options.steps, parse_memory(options.memory_budget), options.images)
        print(f"peak {peak_gib():.3f}")
        return
    spec = dataclasses.replace(preset(options.preset), input_size=parse_size(options.input_size), classes=CLASSES)
    print(f"{options.preset} at {options.input_size}, {options.images} images, memory budget {options.memory_budget}")
    outputs_gib, live_gib = activation_bytes(spec) / 2**30, live_bytes(spec) / 2**30
    print(f"one image: outputs of all layers {outputs_gib:.2f} GiB, at most {live_gib:.2f} GiB of them at the same time")
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), options.preset, options.input_size, options.images)
        for name in options.steps.split(","):
            command = [sys.executable, __file__, "--folder", folder, "--steps", name]
            command += ["--memory-budget", options.memory_budget, "--images", str(options.images)]
            begun = time.perf_counter()
            process = subprocess.run(command, capture_output=True, text=True, check=False)
            if process.returncode:
                sys.exit(f"{name} failed: {process.stderr[-2000:]}")
            peak = float(process.stdout.split()[-1])
            seconds = time.perf_counter() - begun
            print(f"{name:<10}  peak {peak:5.2f} GiB, {peak / LIMIT_GIB:.2f} of {LIMIT_GIB:g} GiB   {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
