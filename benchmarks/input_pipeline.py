"""Samples per second of the input pipeline, the paper's augmentation at 256x192, against a plain one with PyTorch's DataLoader.

python benchmarks/input_pipeline.py ANNOTATIONS IMAGES --torch-python PYTHON [--rounds 5] [--batches 200]

PYTHON is one that has benchmarks/peers/requirements-torch.txt; the plain pipeline is peers/torch_input_pipeline.py with 2
workers. They run in turn, each as a process of its own; medians count, of the rates and of each round's ratio. This package
is measured without a cache and with one that is full (--cache of hrnet train). Where others use the machine, the
processor's time for a sample, start-up taken off, says more than the rate.
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
BATCH, WORKERS, FIRST = 32, 2, 8  # the first batches are the start-up's


def measure(annotations: str, images: str, batches: int, cache: str | None) -> float:
    """Samples per second of this package, in this process."""
    from hrnet_tf.spec.presets import preset
    from mobile_eval.datasets.base import DataSource
    from mobile_eval.datasets.coco.keypoints import load_keypoint_dataset
    from training.data.examples import examples_for
    from training.data.image_cache import ImageCache
    from training.data.tf_pipeline import training_dataset
    from training.recipe import load_recipe, recipe_config

    people = DataSource(Path(images), Path(annotations))
    config = recipe_config("pose", load_recipe("pose", "coco"), people, None, {"batch_size": BATCH})
    data = load_keypoint_dataset(annotations, images)
    spec = dataclasses.replace(preset("pose-w32"), classes=len(data.category.joints))
    kept = ImageCache(Path(cache), data.instances) if cache else None
    if kept:
        for instance in data.instances:
            kept.read(instance)
        kept.save()
    examples = examples_for(data, spec, config, kept)
    start = 0.0
    for number, _ in enumerate(training_dataset(examples, range(1 + (FIRST + batches) // examples.steps)), 1):
        if number == FIRST:
            start = time.perf_counter()
        if number == FIRST + batches:
            break
    return batches * BATCH / (time.perf_counter() - start)


def in_a_process(command: list[str], batches: int) -> tuple[float, float]:
    """Samples per second, and the processor's seconds for everything, of a pipeline in processes of its own."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    whole = [*command, str(batches)]
    done = subprocess.run(whole, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return float(done.stdout.split()[-1]), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("annotations")
    parser.add_argument("images")
    parser.add_argument("--torch-python")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=200)
    parser.add_argument("--cache")
    given = parser.parse_args()
    if not given.torch_python:
        print(measure(given.annotations, given.images, given.batches, given.cache))
        return
    with tempfile.TemporaryDirectory() as cache:
        data = [given.annotations, given.images]
        own = [sys.executable, __file__, *data]
        commands = {
            "PyTorch DataLoader, 2 workers": [given.torch_python, str(PEER), *data, str(WORKERS)],
            "this package": [*own, "--batches"],
            "this package, --cache": [*own, "--cache", cache, "--batches"],
        }
        in_a_process(commands["this package, --cache"], 0)  # fills it
        idle = {name: in_a_process(command, 0)[1] for name, command in commands.items()}
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(given.rounds):
            for name, command in commands.items():
                rate, seconds = in_a_process(command, given.batches)
                found[name].append((rate, 1e3 * (seconds - idle[name]) / (given.batches * BATCH)))
    report(found)


def report(found: dict[str, list[tuple[float, float]]]) -> None:
    plain = next(iter(found.values()))
    for name, rounds in found.items():
        rates, costs = zip(*rounds, strict=True)
        faster = statistics.median(own / other for own, (other, _) in zip(rates, plain, strict=True))
        cheaper = statistics.median(other / own for own, (_, other) in zip(costs, plain, strict=True))
        print(
            f"{name:30} {statistics.median(rates):6.0f} samples/s ({min(rates):.0f} to {max(rates):.0f}), {faster:.2f} of plain; "
            f"processor {statistics.median(costs):.2f} ms a sample, plain takes {cheaper:.2f} of it"
        )


if __name__ == "__main__":
    main()
