"""Latency of candidate networks on this machine, measured before anything is trained.

Latency does not depend on the weights. Each candidate is converted with untrained weights, quantized to int8 after training, and
timed with the TFLite runtime together with the full network, in one interleaved run.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.keras_module import quiet, tf
from hrnet_tf.backend.tflite_export import tflite_converter
from hrnet_tf.backend.types import KerasModel
from hrnet_tf.models.build import build_model
from hrnet_tf.models.detection.two_stage import is_detector, stages_of
from hrnet_tf.models.rebuild import rebuild
from hrnet_tf.models.trunk import detector_spec_of
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.detection import proposal_limits
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.benchmark.latency import bench_interleaved
from mobile_eval.errors import HRNetError
from mobile_eval.progress import working
from mobile_eval.runtime.backend import Backend

CALIBRATION_IMAGES = 2
KERNEL_SCALE = 0.1


CandidateFactory = Callable[[HRNetSpec], KerasModel]  # (spec) -> a Keras model with folded BatchNorm
build_folded: CandidateFactory = functools.partial(build_model, folded=True)


def candidates_of(model: KerasModel) -> CandidateFactory:
    """Return the function that makes a Keras model with other links and blocks, also more than it has, to measure its latency."""
    return lambda spec: rebuild(model, spec, folded=True)


def untrained_tflite(spec: Network, precision: str = "int8") -> bytes:
    """Return a `.tflite` file of a network with untrained weights, to measure latency and size.

    Args:
        spec: The network. Of a detector the first file is returned, which contains everything that can be removed.
        precision: "int8" or "float32".
    """
    return untrained_files(build_model(spec, folded=True), precision)[0]


def untrained_files(model: KerasModel, precision: str = "int8") -> list[bytes]:
    """Return the `.tflite` files of a Keras model with untrained weights, as `untrained_tflite` does.

    Args:
        model: A model with folded BatchNorm. Its weights are replaced.
        precision: "int8" or "float32".

    Returns:
        One file; of a detector there is a second one, for all its proposals at once.

    Raises:
        HRNetError: The model has several inputs, or cannot be converted.
    """
    _avoid_dead_relus(model)
    if not is_detector(model):
        return [_converted(model, precision)]
    stages, proposals = stages_of(model), proposal_limits(detector_spec_of(model))[1]
    return [_converted(stages.maps, precision), _converted(stages.boxes, precision, proposals)]


def _converted(model: KerasModel, precision: str, batch: int = 1) -> bytes:
    if len(model.inputs) != 1:
        raise HRNetError(
            f"`model` {model.name} must have one input to measure its latency, got {len(model.inputs)}; use `keep_macs`"
        )
    from tensorflow.lite.python.convert_phase import ConverterError

    try:
        if precision == "int8":
            return int8_with_random_calibration(model, batch)
        with quiet():
            return bytes(tflite_converter(model, batch).convert())
    except (ConverterError, RuntimeError) as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise HRNetError(
            f"`model` {model.name} cannot be converted to {precision} to measure its latency: {reason:.200}; use `keep_macs`"
        ) from error


def _avoid_dead_relus(model: KerasModel) -> None:
    """Give every convolution a small kernel and a bias of 1.

    In narrow networks, a random kernel may leave only zeros after a ReLU. The sum of such a branch and another one has scales
    that are too far apart for XNNPACK.
    """
    for layer in model.layers:
        weights = layer.get_weights()
        if len(weights) == 2:
            layer.set_weights([KERNEL_SCALE * weights[0], np.ones_like(weights[1])])


def int8_with_random_calibration(model: KerasModel, batch: int = 1) -> bytes:
    """Return an int8 `.tflite` file, with activation ranges calibrated on noise, to measure latency and size.

    Args:
        model: A Keras model with folded BatchNorm.
        batch: Batch size of the file.
    """
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
    """Measures the latency of candidates over that of a reference network, with all files of both.

    Args:
        reference: The network to compare with, usually the full one. It is converted once.
        build: Makes the Keras model of a network.
        threads: Number of threads.
        rounds: Number of timed runs of each file.
        progress: Whether to show progress.
    """

    def __init__(
        self,
        reference: HRNetSpec,
        build: CandidateFactory = build_folded,
        *,
        threads: int = 1,
        rounds: int = 50,
        progress: bool = False,
    ):
        with working("converting the reference network", show=progress):
            self.reference = untrained_files(build(reference))
        self.build = build
        self.threads = threads
        self.rounds = rounds
        self.progress = progress

    def __call__(self, candidate: HRNetSpec) -> float:
        """Return the median latency of `candidate` over that of the reference."""
        with tempfile.TemporaryDirectory() as folder:
            with working("converting a candidate", show=self.progress):
                contents = [*self.reference, *untrained_files(self.build(candidate))]
            paths = [Path(folder, f"{number}.tflite") for number in range(len(contents))]
            for path, content in zip(paths, contents, strict=True):
                path.write_bytes(content)
            results = bench_interleaved(paths, Backend(threads=self.threads), rounds=self.rounds, progress=self.progress)
        times_ms = [result.p50_ms for result in results]
        reference_ms, candidate_ms = times_ms[: len(self.reference)], times_ms[len(self.reference) :]
        return sum(candidate_ms) / sum(reference_ms)
