"""Errors of a converted model's outputs, measured against its Keras model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conversion.quantization.samples import PARITY_SAMPLES, Samples
from hrnet_tf.backend.types import KerasModel
from hrnet_tf.models.heads import HEATMAP_LAYER
from mobile_eval.errors import HRNetError
from mobile_eval.image.preprocess import normalize
from mobile_eval.keypoints.decode import decode_heatmaps
from mobile_eval.model.archive import read_description
from mobile_eval.model.description import HEATMAPS, IMAGES, KEYPOINTS
from mobile_eval.model.graph import TFLiteGraph
from mobile_eval.runtime.tflite_model import Pixels, Prediction, TFLiteModel

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


Prepare = Callable[[NDArray[Any]], NDArray[np.float32]]  # from images to the inputs of the Keras model


def output_parities(
    model: KerasModel, path: Path, samples: Samples, prepare: Prepare = normalize, batch_size: int = PARITY_SAMPLES
) -> tuple[Parity, ...]:
    """Compare the outputs of a file that describes itself with its Keras model, through the preprocessing of the device.

    If the file decodes heatmaps, these are compared, and its keypoints must be those that `decode_heatmaps` finds in them.

    Args:
        model: Takes images (N, H, W, 3) as `prepare` returns them; has one output, or a dictionary of the file's outputs by name.
        path: The file.
        samples: Images to compare on.
        prepare: Returns images as the Keras model takes them.
        batch_size: Number of images that the Keras model is given at a time.

    Raises:
        HRNetError: If decoding in the graph finds other keypoints.
    """
    kind = read_description(path).output.kind
    predict = _decoded_heatmaps(path) if kind == KEYPOINTS else TFLiteModel(path).predict
    output = HEATMAPS if kind == KEYPOINTS else kind
    sums: dict[str, ErrorSums] = {}
    for images in samples.images.batches(batch_size):
        expected = _by_name(model(prepare(images), training=False), output)  # predict would trace the network first
        actual = _by_name(predict(images), output)
        for name, values in expected.items():
            sums.setdefault(name, ErrorSums()).add(np.asarray(values), actual[name])
    return tuple(total.parity(name, len(samples.images), samples.kind) for name, total in sums.items())


def _by_name(outputs: Prediction, name: str) -> Mapping[str, NDArray[np.float32]]:
    return outputs if isinstance(outputs, dict) else {name: outputs}


def _decoded_heatmaps(path: Path) -> Callable[[Pixels], NDArray[np.float32]]:
    """Return a function from crops (N, H, W, 3) to the heatmaps inside a file that decodes them, which checks the decoding."""
    model = TFLiteModel(path, keep_tensors=True)
    head = [operator for operator in TFLiteGraph(path).operators if operator.layer == HEATMAP_LAYER][-1]

    def heatmaps_of(crops: Pixels) -> NDArray[np.float32]:
        [heatmaps] = model.tensors(crops, [head.outputs[0].index])
        expected, keypoints = decode_heatmaps(heatmaps), model.keypoints(crops)
        if not np.allclose(expected, keypoints, rtol=1e-6, atol=1e-6):  # a score above 16 is rounded to 2e-6
            error = np.abs(expected - keypoints).max(axis=(0, 1))
            raise HRNetError(f"decoding in the graph is off by {max(error[:2]):g} heatmap pixels, and scores by {error[2]:g}")
        return heatmaps

    return heatmaps_of
