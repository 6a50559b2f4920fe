"""How long candidates would take on this machine, measured before anything is trained.

Latency does not depend on the weights, so each candidate is converted with meaningless ones, post-training to
int8, and timed through the device's own runtime, all in one interleaved run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.keras_module import quiet, tf
from hrnet_tf.models.build import build_model
from hrnet_tf.models.detection.two_stage import stages_of
from hrnet_tf.models.export import tflite_converter
from hrnet_tf.spec.detection import proposal_limits
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.benchmark.latency import bench_interleaved
from mobile_eval.progress import working
from mobile_eval.runtime.backend import Backend

CALIBRATION_IMAGES = 2
SMALL = 0.1


def untrained_tflite(spec: HRNetSpec, precision: str = "int8") -> bytes:
    """The bytes of a `.tflite` of `spec` with meaningless weights, int8 or float32, good for timing only.

    Of a detector that is its first file, which all that can be removed is part of.
    """
    return untrained_tflite_files(spec, precision)[0]


def untrained_tflite_files(spec: HRNetSpec, precision: str = "int8") -> list[bytes]:
    """As `untrained_tflite`, but all files of the network: a detector has two, the second for all its proposals at once."""
    model = build_model(spec, folded=True)
    _keep_alive(model)
    if spec.head_kind != "detection":
        return [_converted(model, precision)]
    stages, proposals = stages_of(model), proposal_limits(spec)[1]
    return [_converted(stages.maps, precision), _converted(stages.boxes, precision, proposals)]


def _converted(model: Any, precision: str, batch: int = 1) -> bytes:
    if precision == "int8":
        return int8_with_random_calibration(model, batch)
    with quiet():
        return bytes(tflite_converter(model, batch).convert())


def _keep_alive(model: Any) -> None:
    """Give every convolution a small kernel and a bias of 1.

    In narrow networks a random kernel may leave a ReLU nothing but zeros, and the sum of such a branch and a lively
    one has scales too far apart for XNNPACK.
    """
    for layer in model.layers:
        weights = layer.get_weights()
        if len(weights) == 2:
            layer.set_weights([SMALL * weights[0], np.ones_like(weights[1])])


def int8_with_random_calibration(model: Any, batch: int = 1) -> bytes:
    """The bytes of a folded Keras model as int8, with ranges taken on noise: good for timing and sizes only."""
    converter = tflite_converter(model, batch)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8

    def images() -> Iterator[list[NDArray[np.float32]]]:
        rng = np.random.default_rng(0)
        for _ in range(CALIBRATION_IMAGES):
            yield [rng.standard_normal((batch, *model.input_shape[1:])).astype(np.float32)]

    converter.representative_dataset = images
    with quiet():
        return bytes(converter.convert())


class LatencyRatio:
    """Measures candidates against one network, the full one mostly, which is converted once; all files of each together."""

    def __init__(self, full: HRNetSpec, threads: int = 1, rounds: int = 50, *, progress: bool = False):
        with working("converting the full network", show=progress):
            self.full = untrained_tflite_files(full)
        self.threads = threads
        self.rounds = rounds
        self.progress = progress

    def __call__(self, candidate: HRNetSpec) -> float:
        """Median latency of `candidate` over that of the other."""
        with tempfile.TemporaryDirectory() as folder:
            with working("converting a candidate", show=self.progress):
                contents = [*self.full, *untrained_tflite_files(candidate)]
            paths = [Path(folder, f"{number}.tflite") for number in range(len(contents))]
            for path, content in zip(paths, contents, strict=True):
                path.write_bytes(content)
            results = bench_interleaved(paths, Backend(threads=self.threads), rounds=self.rounds, progress=self.progress)
        times = [result.p50_ms for result in results]
        full, pruned = times[: len(self.full)], times[len(self.full) :]
        return sum(pruned) / sum(full)
