"""What zeros among the weights save: file size, compressed size and latency.

    python benchmarks/sparsity.py RUN [--sparsity 0.5] [--rounds N]

Converts a float run to int8 twice: as it is, and with the smallest weights of each convolution set to zero. Both files are
calibrated on random images, on which sizes and times do not depend, and timed interleaved. Accuracy is not measured:
`hrnet prune --sparsity` trains with the zeros in place.
"""

from __future__ import annotations

import argparse
import tempfile
import zlib
from pathlib import Path

import numpy as np

from hrnet_tf.backend.types import Weights
from hrnet_tf.models.build import build_model
from hrnet_tf.models.folding import fold_batch_norm
from hrnet_tf.runs.run import Run
from hrnet_tf.runs.weights import load_weights, set_model_weights
from mobile_eval.benchmark.latency import bench_interleaved
from training.pruning.candidate_latency import int8_with_random_calibration


def with_zeros(weights: Weights, sparsity: float) -> Weights:
    """Set the fraction `sparsity` of each kernel to zero."""
    result = dict(weights)
    for name, array in weights.items():
        if name.endswith("/kernel"):
            result[name] = np.where(np.abs(array) <= np.quantile(np.abs(array), sparsity), 0, array).astype(array.dtype)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--sparsity", type=float, default=0.5)
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args()
    run = Run.load(options.run)
    weights = fold_batch_norm(load_weights(run.weights_path))
    sizes = []
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"{name}.tflite") for name in ("dense", "sparse")]
        for path, variables in zip(paths, (weights, with_zeros(weights, options.sparsity)), strict=True):
            model = build_model(run.spec, folded=True)
            set_model_weights(model, variables)
            content = int8_with_random_calibration(model)
            path.write_bytes(content)
            sizes.append((len(content), len(zlib.compress(content, 9))))
        dense, sparse = bench_interleaved(paths, rounds=options.rounds)
    print(f"size        {sizes[0][0] / 1e6:.3f} -> {sizes[1][0] / 1e6:.3f} MB  ratio {sizes[1][0] / sizes[0][0]:.3f}")
    print(f"compressed  {sizes[0][1] / 1e6:.3f} -> {sizes[1][1] / 1e6:.3f} MB  ratio {sizes[1][1] / sizes[0][1]:.3f}")
    print(f"latency     {dense.p50_ms:.3f} -> {sparse.p50_ms:.3f} ms  ratio {sparse.p50_ms / dense.p50_ms:.3f}")


if __name__ == "__main__":
    main()
