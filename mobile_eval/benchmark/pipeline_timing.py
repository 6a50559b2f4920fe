"""Time the steps from an image to keypoints: preprocessing, network, decoding.

Preprocessing crops, normalizes and quantizes. Reading and decompressing the image is not included: it depends on the camera or
disk.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from mobile_eval.image.geometry import box_matrix
from mobile_eval.image.preprocess import warp_crop
from mobile_eval.runtime.tflite_model import TFLiteModel

ROUNDS = 60
IMAGE_SIZE = (480, 640)
BOX = (200.0, 60.0, 180.0, 360.0)  # of an upright person


@dataclass(frozen=True)
class PipelineTiming:
    """Median times for one person."""

    preprocess_ms: float
    network_ms: float
    decode_ms: float

    @property
    def overhead(self) -> float:
        """Time of the steps around the network, relative to the network's."""
        return (self.preprocess_ms + self.decode_ms) / self.network_ms

    def __str__(self) -> str:
        total = self.preprocess_ms + self.network_ms + self.decode_ms
        return (
            f"one person end to end {total:.2f} ms: crop and quantize {self.preprocess_ms:.3f}, network {self.network_ms:.2f}, "
            f"decode {self.decode_ms:.3f}"
        )


def time_pipeline(model: TFLiteModel, rounds: int = ROUNDS) -> PipelineTiming | None:
    """Time one person in a random image of 640x480 pixels.

    Args:
        model: The model.
        rounds: Number of repetitions, of which the medians are taken.

    Returns:
        The times; None where the model predicts no keypoints.
    """
    if not model.description.category.joints:
        return None
    image = np.random.default_rng(0).integers(0, 256, (*IMAGE_SIZE, 3), dtype=np.uint8)
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        matrix = box_matrix(BOX, model.input_size, model.description.input.geometry)
        stored = model.to_input(warp_crop(image, matrix, model.input_size)[None])
        preprocessed = time.perf_counter()
        outputs = model.run(stored)
        ran = time.perf_counter()
        model.decode(outputs)
        times.append((preprocessed - begun, ran - preprocessed, time.perf_counter() - ran))
    preprocess, network, decode = (1000 * np.median(times, axis=0)).tolist()
    return PipelineTiming(preprocess, network, decode)
