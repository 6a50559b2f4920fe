"""Errors of a converted model's outputs, measured against its Keras model."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from conversion.quantization.samples import PARITY_SAMPLES, Samples
from hrnet_tf.backend.types import KerasModel
from hrnet_tf.models.heads import HEATMAP_LAYER
from mobile_eval.errors import HRNetError
from mobile_eval.image.preprocess import normalize
from mobile_eval.keypoints.decode import decode_heatmaps
from mobile_eval.model.archive import read_description
from mobile_eval.model.description import HEATMAPS, IMAGES, KEYPOINTS, TensorFormat
from mobile_eval.model.graph import TFLiteGraph
from mobile_eval.runtime.interpreter import make_interpreter, real_values
from mobile_eval.runtime.quantization import quantize
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.detection.anchors import softmax

CHUNK = 2**20  # values


@dataclass(frozen=True)
class Parity:
    """How far an output of a file is from that of the Keras model.

    Attributes:
        output: Kind or name of the output.
        images: Number of images that were compared.
        largest: Largest absolute value of the Keras model's output.
        max_error: Largest absolute error.
        mean_error: Mean absolute error.
        snr_db: Signal-to-noise ratio in dB.
        image_kind: IMAGES or RANDOM_IMAGES.
    """

    output: str
    images: int
    largest: float
    max_error: float
    mean_error: float
    snr_db: float
    image_kind: str = IMAGES

    def __str__(self) -> str:
        return (
            f"{self.output}: error at most {self.max_error:.2g}, {self.mean_error:.2g} on average, "
            f"SNR {self.snr_db:.1f} dB, on {self.images} {self.image_kind}"
        )


@dataclass
class ErrorSums:
    """Running sums for the errors of two arrays that are compared part by part.

    Attributes:
        largest: Largest absolute expected value.
        max_error: Largest absolute error.
        absolute: Sum of absolute errors.
        signal: Sum of squared expected values.
        noise: Sum of squared errors.
        count: Number of values.
    """

    largest: float = 0.0
    max_error: float = 0.0
    absolute: float = 0.0
    signal: float = 0.0
    noise: float = 0.0
    count: int = 0

    def add(self, expected: NDArray[np.generic], actual: NDArray[np.generic]) -> None:
        """Add a part of both arrays, of equal shapes. A NaN in either makes all errors NaN."""
        for start in range(0, expected.size, CHUNK):  # a float64 copy of the whole part would take twice its memory
            chunk = slice(start, start + CHUNK)
            self._add(expected.reshape(-1)[chunk].astype(np.float64), actual.reshape(-1)[chunk].astype(np.float64))

    def _add(self, expected: NDArray[np.float64], actual: NDArray[np.float64]) -> None:
        error = np.abs(expected - actual)
        self.largest = float(np.maximum(self.largest, np.abs(expected).max()))
        self.max_error = float(np.maximum(self.max_error, error.max()))
        self.absolute += float(error.sum())
        self.signal += float(np.sum(np.square(expected)))
        self.noise += float(np.sum(np.square(error)))
        self.count += error.size

    @property
    def snr_db(self) -> float:
        """Signal-to-noise ratio in dB: the power of the expected values over that of the errors."""
        tiny = np.finfo(float).tiny
        return float("inf") if self.noise == 0 else float(10 * np.log10(max(self.signal, tiny) / self.noise))

    def parity(self, output: str, images: int, image_kind: str = IMAGES) -> Parity:
        """Summarize the errors of the output named `output` on `images` images."""
        return Parity(output, images, self.largest, self.max_error, self.absolute / self.count, self.snr_db, image_kind)


def parity(model: KerasModel, path: Path, samples: Samples, batch_size: int = PARITY_SAMPLES) -> Parity:
    """Compare a file that describes itself with its Keras model, through the preprocessing of the device.

    If the file ends in softmax, probabilities are compared. If it decodes heatmaps, these are compared, and its keypoints must
    be those that `decode_heatmaps` finds in them.

    Args:
        model: Takes normalized images (N, H, W, 3); outputs heatmaps or logits.
        path: The file.
        samples: Images to compare on.
        batch_size: Number of images that the Keras model is given at a time.

    Raises:
        HRNetError: If decoding in the graph finds other keypoints.
    """
    output, sums = read_description(path).output, ErrorSums()
    predict = _decoded_heatmaps(path) if output.kind == KEYPOINTS else TFLiteModel(path).predict
    for crops in samples.images.batches(batch_size):
        expected = model(normalize(crops), training=False).numpy()  # predict would trace the network first
        sums.add(softmax(expected) if output.softmax else expected, predict(crops))
    return sums.parity(HEATMAPS if output.kind == KEYPOINTS else output.kind, len(samples.images), samples.kind)


def _decoded_heatmaps(path: Path) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """Return a function from crops (N, H, W, 3) to the heatmaps inside a file that decodes them, which checks the decoding."""
    model = TFLiteModel(path, keep_tensors=True)
    head = [operator for operator in TFLiteGraph(path).operators if operator.layer == HEATMAP_LAYER][-1]

    def heatmaps_of(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        [heatmaps] = model.tensors(crops, [head.outputs[0].index])
        expected, keypoints = decode_heatmaps(heatmaps), model.keypoints(crops)
        if not np.allclose(expected, keypoints, rtol=0, atol=1e-6):
            error = np.abs(expected - keypoints).max(axis=(0, 1))
            raise HRNetError(f"decoding in the graph is off by {max(error[:2]):g} heatmap pixels, and scores by {error[2]:g}")
        return heatmaps

    return heatmaps_of


def output_parities(
    model: KerasModel, flatbuffer: bytes, inputs: Iterable[NDArray[np.generic]], *, camera: bool = False
) -> tuple[Parity, ...]:
    """Compare every output of any `.tflite` with the output of the same name of its Keras model.

    Args:
        model: Takes normalized inputs (N, ...); its outputs are a dict by name.
        flatbuffer: The file. It takes one input at a time.
        inputs: Inputs (...) as the model takes them; with `camera`, images (H, W, 3), uint8 RGB.
        camera: Whether the file takes a camera's bytes and normalizes them.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.tflite")
        path.write_bytes(flatbuffer)
        interpreter = make_interpreter(path)
    [source] = interpreter.get_input_details()
    scale, zero_point = source["quantization"]
    stored = TensorFormat(np.dtype(source["dtype"]).name, scale or 1.0, zero_point)
    details = interpreter.get_signature_runner().get_output_details()
    sums, count = {name: ErrorSums() for name in details}, 0
    for values in inputs:
        model_input = normalize(values[None].astype(np.uint8)) if camera else values[None].astype(np.float32)
        interpreter.set_tensor(source["index"], values[None] if camera else quantize(model_input, stored))
        interpreter.invoke()
        expected = model(model_input, training=False)
        for name, output in details.items():
            sums[name].add(expected[name].numpy(), real_values(interpreter.get_tensor(output["index"]), *output["quantization"]))
        count += 1
    return tuple(sums[name].parity(name, count) for name in sums)
