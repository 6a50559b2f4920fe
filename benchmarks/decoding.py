"""Latency of keypoint decoding inside the TFLite graph and outside of it.

    python benchmarks/decoding.py RUN [--format int8] [--rounds N]

Converts RUN with and without `--decode`, and times both files in turn, from the crop to its keypoints.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from conversion.convert import convert_run
from conversion.options import ConvertOptions
from conversion.quantization.samples import random_inputs
from hrnet_tf.runs.run import Run
from mobile_eval.runtime.tflite_model import TFLiteModel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("--format", default="int8")
    parser.add_argument("--rounds", type=int, default=300)
    options = parser.parse_args()
    run = Run.load(options.run)
    crops = random_inputs(run.spec.input_size)[0][None]
    with tempfile.TemporaryDirectory() as folder:
        models = []
        for decode in (False, True):
            path = Path(folder, f"{decode}.tflite")
            convert_run(run, ConvertOptions(options.format, decode=decode), path)
            models.append(TFLiteModel(path))
        times_ms: list[list[float]] = [[], []]
        for _ in range(options.rounds):
            for model, samples in zip(models, times_ms, strict=True):
                begun = time.perf_counter()
                model.keypoints(crops)
                samples.append(1000 * (time.perf_counter() - begun))
    outside, inside = map(statistics.median, times_ms)
    print(f"{options.format}: decoding outside {outside:.3f} ms, in the graph {inside:.3f} ms, ratio {inside / outside:.3f}")


if __name__ == "__main__":
    main()
