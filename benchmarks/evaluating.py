"""The evaluator's own cost: wall time over pure inference, what comes before and after the network, and memory over many boxes.

    python benchmarks/evaluating.py ANNOTATIONS IMAGES [--network pose-small-v1] [--boxes 104125]

An untrained network of the annotations' joints, as int8, in the annotated boxes; `--boxes` then takes them again and again.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from conversion.convert import convert_run
from conversion.options import ConvertOptions
from hrnet_tf.models.build import build_model
from hrnet_tf.runs.run import Run, save_run
from hrnet_tf.runs.weights import model_weights, save_weights
from hrnet_tf.spec.presets import preset
from mobile_eval.benchmark.pipeline_timing import time_pipeline
from mobile_eval.datasets.coco.keypoints import KeypointDataset, load_keypoint_dataset
from mobile_eval.keypoints.inference import predict_instances
from mobile_eval.runtime.tflite_model import TFLiteModel


def untrained(name: str, dataset: KeypointDataset, folder: Path) -> TFLiteModel:
    spec = dataclasses.replace(preset(name), classes=len(dataset.category.joints))
    run = Run(folder / "run", "train", spec, dataset.category.to_json(), {})
    save_run(run)
    save_weights(run.weights_path, model_weights(build_model(spec)))
    convert_run(run, ConvertOptions("int8"), folder / "int8.tflite", dataset, samples=8)
    return TFLiteModel(folder / "int8.tflite")


def timed(model: TFLiteModel) -> list[float]:
    """The seconds of every run of `model` from now on."""
    seconds: list[float] = []
    run = model.run

    def noted(stored: Any) -> Any:
        begun = time.perf_counter()
        answer = run(stored)
        seconds.append(time.perf_counter() - begun)
        return answer

    model.run = noted  # type: ignore[method-assign]
    return seconds


def resident_mib() -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("annotations")
    parser.add_argument("images")
    parser.add_argument("--network", default="pose-small-v1")
    parser.add_argument("--boxes", type=int, default=0)
    options = parser.parse_args()
    dataset = load_keypoint_dataset(options.annotations, options.images)
    with tempfile.TemporaryDirectory() as folder:
        model = untrained(options.network, dataset, Path(folder))
    stages = time_pipeline(model)
    print(f"{options.network}: {stages}; before and after are {stages.overhead:.1%} of the network")
    inference = timed(model)
    begun = time.perf_counter()
    for _ in predict_instances(model, dataset.instances):
        pass
    wall = time.perf_counter() - begun
    print(f"{len(dataset)} persons: {wall:.2f} s, of it {sum(inference):.2f} s inference, ratio {wall / sum(inference):.3f}")
    if options.boxes:
        people = list(itertools.islice(itertools.cycle(dataset.instances), options.boxes))
        found = np.full((len(people), len(dataset.category.joints), 3), np.nan)
        memory = []
        for index, keypoints in enumerate(predict_instances(model, people)):
            found[index] = keypoints
            if index % 1000 == 999:
                memory.append(resident_mib())
        print(
            f"{len(people)} boxes: {memory[0]:.0f} MiB after 1000, {max(memory):.0f} at most, ratio {max(memory) / memory[0]:.3f}"
        )


if __name__ == "__main__":
    main()
