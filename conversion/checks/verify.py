"""Checks of a converted model before it leaves the machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conversion.checks.known_versions import KNOWN_VERSIONS
from conversion.quantization.samples import CHECKED, Samples
from hrnet_tf.backend.keras_module import quiet
from hrnet_tf.models.heads import HEATMAP_LAYER
from hrnet_tf.runs.run import Run
from mobile_eval.errors import HRNetError
from mobile_eval.image.preprocess import normalize
from mobile_eval.keypoints.decode import decode_heatmaps
from mobile_eval.model.archive import read_description
from mobile_eval.model.description import HEATMAPS, IMAGES, KEYPOINTS
from mobile_eval.model.graph import TFLiteGraph
from mobile_eval.runtime.backend import Backend
from mobile_eval.runtime.interpreter import make_interpreter
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.detection.anchors import softmax

TFLITE_RUNTIME = "tflite-runtime"


@dataclass(frozen=True)
class Parity:
    """How far an output of the file is from the Keras model's, on `images` images: absolute errors, and SNR in dB.

    `largest` is the largest absolute value of the Keras model's. `of` says what images: real ones, or random ones.
    """

    output: str
    images: int
    largest: float
    max_error: float
    mean_error: float
    snr_db: float
    of: str = IMAGES

    def __str__(self) -> str:
        return (
            f"{self.output}: error at most {self.max_error:.2g}, {self.mean_error:.2g} on average, "
            f"SNR {self.snr_db:.1f} dB, on {self.images} {self.of}"
        )


CHUNK = 2**20  # values


@dataclass
class ErrorSums:
    """What is known of the differences of two arrays of which only parts are there at a time."""

    largest: float = 0.0
    max_error: float = 0.0
    absolute: float = 0.0
    signal: float = 0.0
    noise: float = 0.0
    count: int = 0

    def add(self, expected: NDArray[Any], found: NDArray[Any]) -> None:
        """Another part of both, of the same shape. NaN in any of them stays in what is known."""
        for start in range(0, expected.size, CHUNK):  # float64 of all of it would be twice as large as it is
            part = slice(start, start + CHUNK)
            self._add(expected.reshape(-1)[part].astype(np.float64), found.reshape(-1)[part])

    def _add(self, exact: NDArray[np.float64], found: NDArray[Any]) -> None:
        error = np.abs(exact - found)
        self.largest = float(np.maximum(self.largest, np.abs(exact).max()))
        self.max_error = float(np.maximum(self.max_error, error.max()))
        self.absolute += float(error.sum())
        self.signal += float(np.sum(np.square(exact)))
        self.noise += float(np.sum(np.square(error)))
        self.count += error.size

    @property
    def snr_db(self) -> float:
        """Signal-to-noise ratio in decibel: the power of what was expected over that of the differences."""
        tiny = np.finfo(float).tiny
        return float("inf") if self.noise == 0 else float(10 * np.log10(max(self.signal, tiny) / self.noise))

    def parity(self, output: str, samples: Samples) -> Parity:
        """The same of an output on these samples."""
        errors = self.max_error, self.absolute / self.count, self.snr_db
        return Parity(output, len(samples.images), self.largest, *errors, samples.kind)


def parity(model: Any, path: Path, samples: Samples, batch_size: int = CHECKED) -> Parity:
    """Compare the file's output with the Keras model's, which takes normalized images, on RGB crops (H, W, 3).

    The Keras model is given `batch_size` of them at a time. Where the file decodes heatmaps in its graph, its keypoints must be
    what `decode_heatmaps` makes of them: else HRNetError. Where it ends in softmax, probabilities are compared.
    """
    output, sums = read_description(path).output, ErrorSums()
    answers = _decoded_heatmaps(path) if output.kind == KEYPOINTS else TFLiteModel(path).predict
    for crops in samples.images.batches(batch_size):
        expected = model(normalize(crops), training=False).numpy()  # predict would trace the network first
        sums.add(softmax(expected) if output.softmax else expected, answers(crops))
    return sums.parity(HEATMAPS if output.kind == KEYPOINTS else output.kind, samples)


def _decoded_heatmaps(path: Path) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """The heatmaps of crops (N, H, W, 3) inside a file that decodes them, after comparing what it makes of them with
    `decode_heatmaps`."""
    model = TFLiteModel(path, keep_tensors=True)
    head = [operator for operator in TFLiteGraph(path).operators if operator.layer == HEATMAP_LAYER][-1]

    def compared(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        [heatmaps] = model.tensors(crops, [head.outputs[0].index])
        expected, found = decode_heatmaps(heatmaps), model.keypoints(crops)
        if not np.allclose(expected, found, rtol=0, atol=1e-6):
            off = np.abs(expected - found).max(axis=(0, 1))
            raise HRNetError(f"decoding in the graph is off by {max(off[:2]):g} heatmap pixels, and scores by {off[2]:g}")
        return heatmaps

    return compared


def check_finite(model: Any, run: Run) -> None:
    """Raise HRNetError, naming the first variable, where a weight is not a number."""
    for variable in model.weights:
        if not np.all(np.isfinite(variable.numpy())):
            raise HRNetError(f"{run.weights_path}: {variable.name.removesuffix(':0')} holds NaN or infinity; train it again")


def check_fully_int8(interpreter: Any) -> None:
    """Raise HRNetError, naming the tensor, unless no tensor of the graph is floating point."""
    for details in interpreter.get_tensor_details():
        if np.issubdtype(details["dtype"], np.floating):
            raise HRNetError(
                f"the int8 graph holds a float tensor, {details['name']}: it would not run on an integer accelerator"
            )


def check_loads(path: Path) -> None:
    """Raise HRNetError unless the runtime runs the file with XNNPACK and without."""
    for xnnpack in (True, False):
        with quiet():  # the runtime announces its delegate
            interpreter = make_interpreter(path, Backend(xnnpack=xnnpack))
        try:
            interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            how, what = "with" if xnnpack else "without", " ".join(str(error).split())
            raise HRNetError(f"the converted model does not run {how} XNNPACK: {what}") from error


def check_versions(path: Path, runtime: str) -> None:
    """Raise HRNetError, naming the operator, where `runtime` is tflite-runtime and does not know an operator or its version."""
    if runtime != TFLITE_RUNTIME:
        return
    for operator in TFLiteGraph(path).operators:
        known = KNOWN_VERSIONS.get(operator.kind)
        if known is None or operator.version > known:
            name = operator.layer or f"operator {operator.index}"
            knows = f"knows it up to version {known}" if known else "does not know it"
            raise HRNetError(f"{name} is {operator.kind} version {operator.version}; {runtime} 2.14 {knows}")
