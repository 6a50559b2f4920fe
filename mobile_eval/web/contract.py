"""What the page must know to run a model: input, outputs and decoding, as `hrnet vectors` writes them, for each task."""

from __future__ import annotations

import dataclasses

import numpy as np

from mobile_eval.errors import HRNetError
from mobile_eval.keypoints.vectors import contract
from mobile_eval.model.description import CLASS_MAPS, CLASS_SCORES, HEATMAPS, KEYPOINTS, OBJECT_CENTERS
from mobile_eval.pipeline.selection import MIN_SIDE, BoxSelection, class_label
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.detection.centers import MAX_LOG_SIZE
from mobile_eval.tasks.detection.constants import BOX_IOU, CENTER_OUTPUTS, MAX_CENTERS, MAX_DETECTIONS, SCORE_THRESHOLD
from mobile_eval.tasks.detection.detector import CenterDetector
from mobile_eval.typed import JsonObject

EDGE_TYPES = ("float32", "uint8", "int32")  # of the inputs and outputs of LiteRT.js
KINDS = (HEATMAPS, KEYPOINTS, CLASS_MAPS, CLASS_SCORES)
CONVERT = "hrnet convert --for browser"
OPTIONS = "--input-type uint8-rgb --output-type float32"


def page_contract(model: TFLiteModel) -> JsonObject:
    """Return the contract of a model that LiteRT.js and the page can run.

    Args:
        model: A pose, landmarks, segmentation or classification model.

    Returns:
        "input", "outputs" and "decoding", as in `vectors.json`.

    Raises:
        HRNetError: The page has no decoding for the model's outputs, or LiteRT.js does not take their types or the input's.
    """
    output = model.description.output
    if output.kind not in KINDS:
        raise HRNetError(f"{model.path.name} has the output {output.kind}; the page decodes {', '.join(KINDS)}")
    result = contract(model) if output.kind in (HEATMAPS, KEYPOINTS) else _class_contract(model)
    _check_types(model, result)
    return result


def detector_contract(detector: CenterDetector, category: str, selection: BoxSelection) -> JsonObject:
    """Return the contract of a detector by centers that LiteRT.js and the page can run.

    Args:
        detector: The detector.
        category: Name of the class whose boxes are used, such as "person".
        selection: Which of them are used.

    Returns:
        "input", "outputs" and "decoding", which has all limits.

    Raises:
        HRNetError: The detector has no such class, or LiteRT.js does not take the types of its tensors.
    """
    model = detector.model
    stored = model.run(model.to_input(np.zeros((1, *model.input_size, 3), np.uint8)))
    tensors = {
        tensor.name: {**tensor.to_json(), "dtype": values.dtype.name}
        for tensor, values in zip(model.description.outputs, stored, strict=True)
    }
    result = {
        "input": model.description.input.to_json(),
        "outputs": [tensors[name] for name in CENTER_OUTPUTS],
        "decoding": center_decoding(class_label(detector, None, category), selection),
    }
    _check_types(model, result)
    return result


def center_decoding(label: int, selection: BoxSelection) -> JsonObject:
    """How the page decodes the outputs of a detector by centers.

    Args:
        label: The class whose boxes are used.
        selection: Which of them are used.
    """
    return {
        "kind": OBJECT_CENTERS,
        "label": label,
        **dataclasses.asdict(selection),
        "min_side": MIN_SIDE,
        "score_threshold": SCORE_THRESHOLD,
        "max_centers": MAX_CENTERS,
        "max_log_size": MAX_LOG_SIZE,
        "iou": BOX_IOU,
        "max_detections": MAX_DETECTIONS,
    }


def _check_types(model: TFLiteModel, result: JsonObject) -> None:
    """Raise HRNetError unless LiteRT.js takes the types of inputs and outputs."""
    types = {"input": {result["input"]["dtype"]}, "output": {tensor["dtype"] for tensor in result["outputs"]}}
    foreign = {edge: sorted(names - set(EDGE_TYPES)) for edge, names in types.items()}
    if any(foreign.values()):
        listed = " and ".join(f"{' and '.join(names)} {edge}" for edge, names in foreign.items() if names)
        raise HRNetError(
            f"{model.path.name} has {listed}, but LiteRT.js takes {', '.join(EDGE_TYPES)} only: convert its run again with "
            f"`{CONVERT}`, or with {OPTIONS}"
        )


def _class_contract(model: TFLiteModel) -> JsonObject:
    """The contract of a model that predicts classes."""
    description = model.description
    [stored] = model.run(model.to_input(np.zeros((1, *model.input_size, 3), np.uint8)))
    tensor = description.output.tensor
    quantization = {"scale": tensor.scale, "zero_point": tensor.zero_point}
    return {
        "input": description.input.to_json(),
        "outputs": [{"name": model.output_names[0], "shape": list(stored.shape), "dtype": stored.dtype.name, **quantization}],
        "decoding": {"kind": description.output.kind, "softmax": description.output.softmax},
    }
