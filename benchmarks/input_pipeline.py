"""Samples per second of the input pipeline, the paper's augmentation at 256x192, against a plain one with PyTorch's DataLoader.

python benchmarks/input_pipeline.py ANNOTATIONS IMAGES --torch-python PYTHON [--rounds 5] [--batches 200]

PYTHON is one that has torch (CPU), numpy and opencv-python-headless; the plain pipeline is
benchmarks/peers/torch_input_pipeline.py with 2 workers. They run in turn, each as a process of its own, and the median
counts. The pipeline is measured without a cache and with one that is full (--cache of hrnet train).
"""

from __future__ import annotations

import argparse
import dataclasses
import os
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
    from hrnet_tf.presets import preset
    from mobile_eval.datasets.coco import load_keypoint_dataset
    from training.config import data_paths
    from training.data import training_dataset
    from training.examples import examples_for
    from training.image_cache import ImageCache
    from training.recipe import load_recipe, recipe_config

    people = data_paths(Path(annotations), None, Path(images), None)
    config = recipe_config(load_recipe("coco"), {"batch_size": BATCH}, people, seed=0, distill=0.0)
    data = load_keypoint_dataset(annotations, images)
    spec = dataclasses.replace(preset("pose-w32"), classes=len(data.category.joints))
    kept = ImageCache(Path(cache), data.persons) if cache else None
    if kept:
        for person in data.persons:
            kept.read(person)
        kept.save()
    examples = examples_for(data, spec, config, kept)
    start = 0.0
    for number, _ in enumerate(training_dataset(examples, range(1 + (FIRST + batches) // examples.steps)), 1):
        if number == FIRST:
            start = time.perf_counter()
        if number == FIRST + batches:
            break
    return batches * BATCH / (time.perf_counter() - start)


def in_a_process(command: list[str]) -> float:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return float(subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.split()[-1])


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
        data, batches = [given.annotations, given.images], str(given.batches)
        own = [sys.executable, __file__, *data, "--batches", batches]
        commands = {
            "PyTorch DataLoader, 2 workers": [given.torch_python, str(PEER), *data, str(WORKERS), batches],
            "this package": own,
            "this package, --cache": [*own, "--cache", cache],
        }
        rates: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(given.rounds):
            for name, command in commands.items():
                rates[name].append(in_a_process(command))
    plain = statistics.median(next(iter(rates.values())))
    for name, found in rates.items():
        median = statistics.median(found)
        spread = f"{min(found):.0f} to {max(found):.0f}"
        print(f"{name:32} {median:6.0f} samples/s ({spread}), {median / plain:.2f} of plain")


if __name__ == "__main__":
    main()
