"""Samples per second of the input pipeline, with the paper's augmentation at 256x192, against PyTorch's DataLoader.

python benchmarks/input_pipeline.py ANNOTATIONS IMAGES --torch-python PYTHON [--rounds 5] [--batches 200]

PYTHON is one with the packages of benchmarks/peers/requirements-torch.txt. The reference is peers/torch_input_pipeline.py with 2
workers. This package runs without an image cache, and with a full one (`hrnet train --cache`). The pipelines run in turn, each
in its own process; the script reports medians of the rates and of the ratios in each round. It also reports the processor time
per sample, without start-up, which says more if other programs use the machine.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
PEER = ROOT / "benchmarks" / "peers" / "torch_input_pipeline.py"
BATCH, WORKERS = 32, 2
WARMUP = 8  # batches


def measure(annotations: str, images: str, batches: int, cache: str | None) -> float:
    """Return the samples per second of this package in this process."""
    from hrnet_tf.spec.presets import preset
    from mobile_eval.datasets.base import DataSource
    from mobile_eval.datasets.coco.keypoints import load_keypoint_dataset
    from training.data.examples import examples_for
    from training.data.image_cache import ImageCache
    from training.data.tf_pipeline import training_dataset
    from training.recipe import load_recipe, recipe_config

    source = DataSource(Path(images), Path(annotations))
    config = recipe_config("pose", load_recipe("pose", "coco"), source, None, {"batch_size": BATCH})
    data = load_keypoint_dataset(annotations, images)
    spec = dataclasses.replace(preset("pose-w32"), classes=len(data.category.joints))
    image_cache = ImageCache(Path(cache), data.instances) if cache else None
    if image_cache:
        for instance in data.instances:
            image_cache.read(instance)
        image_cache.save()
    examples = examples_for(data, spec, config, image_cache)
    start = 0.0
    for number, _ in enumerate(training_dataset(examples, range(1 + (WARMUP + batches) // examples.steps)), 1):
        if number == WARMUP:
            start = time.perf_counter()
        if number == WARMUP + batches:
            break
    return batches * BATCH / (time.perf_counter() - start)


def run_process(command: list[str], batches: int) -> tuple[float, float]:
    """Run a pipeline in its own process; return its samples per second and the processor time of the process in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.run([*command, str(batches)], capture_output=True, text=True, check=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return float(process.stdout.split()[-1]), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("annotations")
    parser.add_argument("images")
    parser.add_argument("--torch-python")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=200)
    parser.add_argument("--cache")
    options = parser.parse_args()
    if not options.torch_python:
        print(measure(options.annotations, options.images, options.batches, options.cache))
        return
    with tempfile.TemporaryDirectory() as cache:
        data = [options.annotations, options.images]
        package = [sys.executable, __file__, *data]
        commands = {
            "PyTorch DataLoader, 2 workers": [options.torch_python, str(PEER), *data, str(WORKERS)],
            "this package": [*package, "--batches"],
            "this package, --cache": [*package, "--cache", cache, "--batches"],
        }
        run_process(commands["this package, --cache"], 0)  # fills the cache
        startup = {name: run_process(command, 0)[1] for name, command in commands.items()}
        samples: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(options.rounds):
            for name, command in commands.items():
                rate, seconds = run_process(command, options.batches)
                samples[name].append((rate, 1e3 * (seconds - startup[name]) / (options.batches * BATCH)))
    report(samples)


def report(samples: dict[str, list[tuple[float, float]]]) -> None:
    """Print medians.

    Args:
        samples: By pipeline, for each round: samples per second, and milliseconds of processor time per sample.
    """
    reference_rates, reference_costs = zip(*next(iter(samples.values())), strict=True)
    for name, rounds in samples.items():
        rates, costs_ms = zip(*rounds, strict=True)
        speed = statistics.median(rate / reference for rate, reference in zip(rates, reference_rates, strict=True))
        cost = statistics.median(reference / cost_ms for cost_ms, reference in zip(costs_ms, reference_costs, strict=True))
        print(
            f"{name:30} {statistics.median(rates):6.0f} samples/s ({min(rates):.0f} to {max(rates):.0f}), "
            f"{speed:.2f} times PyTorch's; processor {statistics.median(costs_ms):.2f} ms per sample, PyTorch {cost:.2f} of it"
        )


if __name__ == "__main__":
    main()
