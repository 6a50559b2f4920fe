"""From a photograph to keypoints, stage by stage: what the network's own latency leaves out.

Before it: the crop is cut out, normalized and quantized; after it: heatmaps are decoded. Reading and decompressing the
photograph is the camera's or the disk's affair and left out.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from mobile_eval.image.geometry import box_matrix
from mobile_eval.image.preprocess import warp_crop
from mobile_eval.runtime.tflite_model import TFLiteModel

ROUNDS = 60
PHOTOGRAPH = (480, 640)
BOX = (200.0, 60.0, 180.0, 360.0)  # a person upright in it


@dataclass(frozen=True)
class PipelineTiming:
    """Medians in milliseconds for one person."""

    before_ms: float
    network_ms: float
    after_ms: float

    @property
    def overhead(self) -> float:
        """What comes before and after, as a share of the network's time."""
        return (self.before_ms + self.after_ms) / self.network_ms

    def __str__(self) -> str:
        whole = self.before_ms + self.network_ms + self.after_ms
        return (
            f"one person end to end {whole:.2f} ms: crop and quantize {self.before_ms:.3f}, network {self.network_ms:.2f}, "
            f"decode {self.after_ms:.3f}"
        )


def time_pipeline(model: TFLiteModel, rounds: int = ROUNDS) -> PipelineTiming | None:
    """Take a made photograph of 640x480 the whole way, again and again; None of a model that finds no keypoints."""
    if not model.description.category.joints:
        return None
    photograph = np.random.default_rng(0).integers(0, 256, (*PHOTOGRAPH, 3), dtype=np.uint8)
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        matrix = box_matrix(BOX, model.input_size, model.description.input.geometry)
        stored = model.to_input(warp_crop(photograph, matrix, model.input_size)[None])
        ready = time.perf_counter()
        answer = model.run(stored)
        ran = time.perf_counter()
        model.decode(answer)
        times.append((ready - begun, ran - ready, time.perf_counter() - ran))
    before, network, after = (1000 * np.median(times, axis=0)).tolist()
    return PipelineTiming(before, network, after)
