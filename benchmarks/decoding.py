"""What decoding in the graph is worth: a model and decoding outside, against the model that decodes, turn by turn.

    python benchmarks/decoding.py RUN [--format int8] [--rounds N]

Converts RUN both ways (`hrnet convert`, and the same with `--decode`) and times crops to keypoints, from the quantized crop on.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from conversion.convert import convert_run
from conversion.options import ConvertOptions
from conversion.quantization.samples import random_inputs
from hrnet_tf.runs.run import load_run
from mobile_eval.runtime.tflite_model import TFLiteModel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("--format", default="int8")
    parser.add_argument("--rounds", type=int, default=300)
    options = parser.parse_args()
    run = load_run(options.run)
    crop = random_inputs(run.spec.input_size)[:1]
    with tempfile.TemporaryDirectory() as folder:
        models = []
        for decode in (False, True):
            path = Path(folder, f"{decode}.tflite")
            convert_run(run, ConvertOptions(options.format, decode=decode), path)
            models.append(TFLiteModel(path))
        times: list[list[float]] = [[], []]
        for _ in range(options.rounds):
            for model, samples in zip(models, times, strict=True):
                start = time.perf_counter()
                model.keypoints(crop)
                samples.append(1000 * (time.perf_counter() - start))
    outside, inside = (float(np.median(samples)) for samples in times)
    print(f"{options.format}: decoding outside {outside:.3f} ms, in the graph {inside:.3f} ms, ratio {inside / outside:.3f}")


if __name__ == "__main__":
    main()
