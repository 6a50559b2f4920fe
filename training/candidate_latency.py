"""How long candidates would take on this machine, measured before anything is trained.

Latency does not depend on the weights, so each candidate is converted with random ones, post-training to
int8, and timed through the device's own runtime, all in one interleaved run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hrnet_tf._keras import quiet, tf
from hrnet_tf.networks import build_model
from hrnet_tf.spec import HRNetSpec
from mobile_eval.latency import bench_interleaved

CALIBRATION_IMAGES = 2


def throwaway_int8(spec: HRNetSpec) -> bytes:
    """The bytes of an int8 `.tflite` of `spec` with random weights, good for timing only."""
    converter = tf.lite.TFLiteConverter.from_keras_model(build_model(spec, folded=True))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8

    def images() -> Iterator[list[NDArray[np.float32]]]:
        rng = np.random.default_rng(0)
        for _ in range(CALIBRATION_IMAGES):
            yield [rng.standard_normal((1, *spec.input_size, 3)).astype(np.float32)]

    converter.representative_dataset = images
    with quiet():
        return bytes(converter.convert())


class LatencyRatio:
    """Measures candidates against one full network, which is converted once."""

    def __init__(self, full: HRNetSpec, threads: int = 1, rounds: int = 50):
        self.full = throwaway_int8(full)
        self.threads = threads
        self.rounds = rounds

    def __call__(self, candidate: HRNetSpec) -> float:
        """Median latency of `candidate` over that of the full network."""
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder, "full.tflite"), Path(folder, "candidate.tflite")]
            paths[0].write_bytes(self.full)
            paths[1].write_bytes(throwaway_int8(candidate))
            full, pruned = bench_interleaved(paths, rounds=self.rounds, threads=self.threads)
        return pruned.p50_ms / full.p50_ms
