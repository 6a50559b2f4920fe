"""Names and content of a file's output tensors.

A tensor has the same name in the file's signature, in its description (`outputs` in model.json) and in its TFLite metadata.
"""

from __future__ import annotations

from hrnet_tf.models.detection.two_stage import LEVELS
from mobile_eval.image.geometry import STANDARD, Geometry
from mobile_eval.keypoints.decode import QUARTERS
from mobile_eval.model.description import (
    BOX_OUTPUTS,
    CLASS_MAPS,
    CLASS_SCORES,
    DETECTOR_MAPS,
    HEATMAPS,
    KEYPOINTS,
    LOCATIONS,
    OBJECT_CENTERS,
    SCORES,
    TENSORS,
    ModelOutput,
)
from mobile_eval.tasks.detection.constants import ANCHORS_PER_POSITION, CENTERS, OFFSETS, SIZES, STRIDES

LOGITS, PROBABILITIES = "logits", "probabilities"
OUTPUT_NAMES = {HEATMAPS: "heatmaps", CLASS_MAPS: "class_maps", CLASS_SCORES: LOGITS}


def output_name(kind: str, *, probabilities: bool = False) -> str:
    """Return the name of the output of a model with one output.

    Args:
        kind: Kind of the output: HEATMAPS, CLASS_MAPS or CLASS_SCORES of `mobile_eval.model.description`.
        probabilities: Whether class scores are probabilities instead of logits.
    """
    return PROBABILITIES if probabilities else OUTPUT_NAMES[kind]


def output_texts(output: ModelOutput, geometry: Geometry = STANDARD) -> dict[str, str]:
    """Return a sentence on the content of each output tensor, by name; none of outputs of no task.

    Args:
        output: The kind of output.
        geometry: Geometry of heatmaps, one of `mobile_eval.image.geometry.GEOMETRIES`.
    """
    if output.kind == KEYPOINTS:
        offset = f"; add {QUARTERS * output.offset:g}" if output.offset else ""
        pixel = f"{output.stride}" if geometry == STANDARD else "(width - 1) / (width / 4 - 1)"
        return {
            LOCATIONS: f"x and y of each keypoint in quarters of a heatmap pixel of {pixel} input pixels{offset}",
            SCORES: "score of each keypoint; a score of 0 or less means that the keypoint was not found",
        }
    if output.kind == DETECTOR_MAPS:
        return _pyramid_texts()
    if output.kind == BOX_OUTPUTS:
        return {
            "class_logits": "logits of each proposal's classes; the background is the last",
            "box_deltas": "shift and log scale (x, y, width, height) of each proposal's box for each class",
        }
    if output.kind == OBJECT_CENTERS:
        return _center_texts(output.stride)
    if output.kind == TENSORS:
        return {}
    at = f"at 1/{output.stride} of the input's size"
    shift = "a quarter pixel towards the higher neighbors" if geometry == STANDARD else "by one Newton step, as in UDP"
    return {
        "heatmaps": f"one heatmap for each keypoint, {at}: its maximum is the score, and the position is there, moved {shift}",
        "class_maps": f"logits of each class, {at}",
        LOGITS: "logit of each class",
        PROBABILITIES: "probability of each class, by softmax",
    }


def _center_texts(stride: int) -> dict[str, str]:
    return {
        CENTERS: f"logits of each class that the center of an object is here, at 1/{stride} of the input's size",
        SIZES: f"natural logarithms of width and height of the object with its center here, in units of {stride} input pixels",
        OFFSETS: f"x and y of that center from the upper left corner of this place, in units of {stride} input pixels",
    }


def _pyramid_texts() -> dict[str, str]:
    texts = {}
    for level, stride in zip(LEVELS, STRIDES, strict=True):
        texts[level] = f"feature map at 1/{stride} of the input's size"
        texts[f"{level}_objectness"] = (
            f"objectness logits of {ANCHORS_PER_POSITION} anchors at each place, 1/{stride} of the input's size"
        )
        texts[f"{level}_deltas"] = f"box deltas (x, y, width, height) of these {ANCHORS_PER_POSITION} anchors"
    return texts
