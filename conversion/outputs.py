"""What the output tensors of a file are called, and what they hold.

A tensor has the same name in the file's signature, in its description (`outputs` in model.json) and in its TFLite metadata.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hrnet_tf.models.detection.stages import LEVELS
from mobile_eval.image.geometry import STANDARD, Geometry
from mobile_eval.keypoints.decode import QUARTERS
from mobile_eval.model.description import (
    BOX_OUTPUTS,
    CLASS_MAPS,
    CLASS_SCORES,
    DETECTOR_MAPS,
    HEATMAPS,
    KEYPOINTS,
    ModelOutput,
    OutputTensor,
)
from mobile_eval.tasks.detection.anchors import RATIOS, STRIDES

LOCATIONS, SCORES = "locations", "scores"
LOGITS, PROBABILITIES = "logits", "probabilities"
OUTPUT_NAMES = {HEATMAPS: "heatmaps", CLASS_MAPS: "class_maps", CLASS_SCORES: LOGITS}  # of models with one output


def output_name(kind: str, *, softmax: bool = False) -> str:
    """Name of the one output of a model whose output is of that kind."""
    return PROBABILITIES if softmax else OUTPUT_NAMES[kind]


def output_tensors(interpreter: Any, output: ModelOutput, geometry: Geometry = STANDARD) -> tuple[OutputTensor, ...]:
    """The output tensors of the file that `interpreter` runs, in the file's order, by the names in its signature.

    `geometry` is one of `mobile_eval.image.geometry`'s, which says how many input pixels a heatmap pixel is.
    """
    runner = interpreter.get_signature_runner()
    names = {int(details["index"]): name for name, details in runner.get_output_details().items()}
    texts = meanings(output, geometry)
    tensors = []
    for details in interpreter.get_output_details():
        name = names[int(details["index"])]
        shape, dtype = tuple(map(int, details["shape"])), np.dtype(details["dtype"]).name
        scale, zero_point = details["quantization"]
        quantization = (float(scale), int(zero_point)) if scale else (None, None)
        tensors.append(OutputTensor(name, shape, dtype, texts[name], *quantization))
    return tuple(tensors)


def meanings(output: ModelOutput, geometry: Geometry = STANDARD) -> dict[str, str]:
    """What the tensors of a model with such an output hold, by name."""
    if output.kind == KEYPOINTS:
        offset = f"; add {QUARTERS * output.offset:g}" if output.offset else ""
        pixel = f"{output.stride}" if geometry == STANDARD else "(width - 1) / (width / 4 - 1)"
        return {
            LOCATIONS: f"x and y of each keypoint in quarters of a heatmap pixel of {pixel} input pixels{offset}",
            SCORES: "score of each keypoint; a score of 0 or less means that the keypoint was not found",
        }
    if output.kind == DETECTOR_MAPS:
        return _pyramid()
    if output.kind == BOX_OUTPUTS:
        return {
            "class_logits": "logits of each proposal's classes; the background is the last",
            "box_deltas": "shift and log scale (x, y, width, height) of each proposal's box for each class",
        }
    at = f"at 1/{output.stride} of the input's size"
    return {
        "heatmaps": f"one heatmap for each keypoint, {at}; its maximum is the keypoint's score",
        "class_maps": f"logits of each class, {at}",
        LOGITS: "logit of each class",
        PROBABILITIES: "probability of each class, by softmax",
    }


def _pyramid() -> dict[str, str]:
    texts = {}
    for level, stride in zip(LEVELS, STRIDES, strict=True):
        texts[level] = f"feature map at 1/{stride} of the input's size"
        texts[f"{level}_objectness"] = f"objectness logits of {len(RATIOS)} anchors at each place, 1/{stride} of the input's size"
        texts[f"{level}_deltas"] = f"box deltas (x, y, width, height) of these {len(RATIOS)} anchors"
    return texts
