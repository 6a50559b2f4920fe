"""Overhead of the evaluator: its time relative to inference, the steps before and after the network, and memory over many boxes.

    python benchmarks/evaluating.py ANNOTATIONS IMAGES [--network pose-small-v1] [--boxes 104125]

Evaluates an untrained int8 network with the joints of the annotations in the annotated boxes. `--boxes N` then repeats these
boxes until there are N, and reports the resident memory.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import tempfile
import time
from pathlib import Path

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
from mobile_eval.runtime.tflite_model import Stored, TFLiteModel

MEMORY_INTERVAL = 1000  # boxes between two readings of the memory


def untrained_model(name: str, dataset: KeypointDataset, folder: Path) -> TFLiteModel:
    spec = dataclasses.replace(preset(name), classes=len(dataset.category.joints))
    run = Run(folder / "run", "train", spec, dataset.category.to_json(), {})
    save_run(run)
    save_weights(run.weights_path, model_weights(build_model(spec)))
    convert_run(run, ConvertOptions("int8"), folder / "int8.tflite", dataset, samples=8)
    return TFLiteModel(folder / "int8.tflite")


def record_inference(model: TFLiteModel) -> list[float]:
    """Time each run of `model` from now on; return the list that its seconds are appended to."""
    seconds: list[float] = []
    run = model.run

    def timed_run(stored: Stored) -> list[Stored]:
        begun = time.perf_counter()
        outputs = run(stored)
        seconds.append(time.perf_counter() - begun)
        return outputs

    model.run = timed_run  # type: ignore[method-assign]
    return seconds


def resident_mib() -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def memory_over_boxes(model: TFLiteModel, dataset: KeypointDataset, boxes: int) -> list[float]:
    """Predict in `boxes` boxes; return the resident memory in MiB, read every MEMORY_INTERVAL boxes."""
    instances = list(itertools.islice(itertools.cycle(dataset.instances), boxes))
    predictions = np.full((boxes, len(dataset.category.joints), 3), np.nan)
    memory = []
    for index, keypoints in enumerate(predict_instances(model, instances)):
        predictions[index] = keypoints
        if (index + 1) % MEMORY_INTERVAL == 0:
            memory.append(resident_mib())
    return memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("annotations")
    parser.add_argument("images")
    parser.add_argument("--network", default="pose-small-v1")
    parser.add_argument("--boxes", type=int, default=0, help=f"Number of boxes, at least {MEMORY_INTERVAL}; 0 skips this part.")
    options = parser.parse_args()
    if 0 < options.boxes < MEMORY_INTERVAL:
        parser.error(f"--boxes must be 0 or at least {MEMORY_INTERVAL}, got {options.boxes}")
    dataset = load_keypoint_dataset(options.annotations, options.images)
    with tempfile.TemporaryDirectory() as folder:
        model = untrained_model(options.network, dataset, Path(folder))
    timing = time_pipeline(model)
    if timing is None:
        parser.error(f"{options.network} predicts no keypoints")
    print(f"{options.network}: {timing}; crop, quantize and decode are {timing.overhead:.1%} of the network")
    inference = record_inference(model)
    begun = time.perf_counter()
    for _ in predict_instances(model, dataset.instances):
        pass
    wall = time.perf_counter() - begun
    print(f"{len(dataset)} persons: {wall:.2f} s, inference {sum(inference):.2f} s of it, ratio {wall / sum(inference):.3f}")
    if options.boxes:
        memory = memory_over_boxes(model, dataset, options.boxes)
        print(
            f"{options.boxes} boxes: {memory[0]:.0f} MiB after {MEMORY_INTERVAL}, at most {max(memory):.0f} MiB, "
            f"ratio {max(memory) / memory[0]:.3f}"
        )


if __name__ == "__main__":
    main()
