"""Detectors of other packages: any `.tflite` that ends in the operator `TFLite_Detection_PostProcess`.

SSD MobileNet, SSDLite MobileDet and EfficientDet-Lite files are of this kind. The operator decodes boxes and suppresses
duplicates in the graph. Its outputs are boxes (1, N, 4) as top, left, bottom, right from 0 to 1, classes (1, N), scores (1, N)
and the number of boxes (1,). Files of different exporters have them in different order.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import Image
from mobile_eval.image.preprocess import resize
from mobile_eval.model.graph import TFLiteGraph
from mobile_eval.pipeline.metadata import read_labels, read_normalization
from mobile_eval.runtime.backend import CPU, Backend
from mobile_eval.runtime.interpreter import TensorDetails, invoke, make_interpreter, real_values
from mobile_eval.tasks.detection.boxes import Objects
from mobile_eval.tasks.detection.constants import SCORE_THRESHOLD
from mobile_eval.typed import Size

OPERATOR = "TFLite_Detection_PostProcess"
NAMES = (OPERATOR, f"{OPERATOR}:1", f"{OPERATOR}:2", f"{OPERATOR}:3")  # boxes, classes, scores, count
EXPECTED = "boxes (1, N, 4), classes (1, N), scores (1, N) and count (1,)"


class PostprocessDetector:
    """A detector whose graph ends in `TFLite_Detection_PostProcess`.

    Args:
        path: The file.
        backend: Runtime, threads and delegate.

    Attributes:
        path: The file.
        classes: Names of the classes by label, from the labels in the file; empty without labels.
        network_s: Seconds that the network has run so far.

    Raises:
        HRNetError: The file cannot be read or run, has other outputs, or does not take one RGB image.
    """

    def __init__(self, path: Path | str, backend: Backend = CPU):
        self.path = Path(path)
        self.network_s = 0.0
        self._interpreter = make_interpreter(self.path, backend)
        self._outputs = _ordered_outputs(self.path, self._interpreter.get_output_details())
        self._input = _image_input(self.path, self._interpreter.get_input_details())
        self.classes = read_labels(self.path)
        self._normalization = read_normalization(self.path)

    @property
    def input_size(self) -> Size:
        """(height, width) of the input in pixels."""
        _, height, width, _ = map(int, self._input["shape"])
        return height, width

    def to_input(self, image: Image) -> NDArray[Any]:
        """Input (1, height, width, 3) for an image (H, W, 3), RGB, which is resized without regard to its aspect ratio.

        Bytes go into a uint8 input as they are; other inputs take normalized values.
        """
        resized, dtype = resize(image, self.input_size)[None], np.dtype(self._input["dtype"])
        if dtype == np.uint8:
            return resized
        mean, std = (np.array(values, np.float32) for values in (self._normalization.mean, self._normalization.std))
        values = (resized.astype(np.float32) - mean) / std
        if dtype == np.float32:
            return values
        scale, zero_point = self._input["quantization"]
        limits = np.iinfo(np.int8)
        return np.clip(np.rint(values / scale) + zero_point, limits.min, limits.max).astype(np.int8)

    def objects(self, network_input: NDArray[Any], image_size: Size, *, min_score: float = SCORE_THRESHOLD) -> Objects:
        """The objects of an image of that size (height, width), from its `to_input`, all that the operator has, in its order.

        Raises:
            HRNetError: The operator fails, or its values are not finite.
        """
        begun = time.perf_counter()
        self._interpreter.set_tensor(self._input["index"], network_input)
        invoke(self._interpreter, self.path)
        self.network_s += time.perf_counter() - begun
        boxes, classes, scores, count = (
            real_values(self._interpreter.get_tensor(entry["index"]), *entry["quantization"]) for entry in self._outputs
        )
        number = min(max(int(np.nan_to_num(count.reshape(-1)[0])), 0), scores.size)
        corners, scores = boxes.reshape(-1, 4)[:number], scores.reshape(-1)[:number]
        labels = classes.reshape(-1)[:number]
        if not (np.isfinite(corners).all() and np.isfinite(scores).all() and np.isfinite(labels).all()):
            raise HRNetError(f"`detector` {self.path.name}: its boxes are not finite")
        height, width = image_size
        top_left, bottom_right = corners[:, 1::-1] * (width, height), corners[:, 3:1:-1] * (width, height)
        in_pixels = np.concatenate([top_left, bottom_right - top_left], axis=1)
        return Objects(np.asarray(in_pixels, np.float32), scores, np.rint(labels).astype(np.int64))


def _ordered_outputs(path: Path, details: Sequence[TensorDetails]) -> list[TensorDetails]:
    """The outputs as boxes, classes, scores and count: by the operator, or where the graph cannot be read by their names."""
    by_index = {entry["index"]: entry for entry in details}
    by_name = {entry["name"]: entry for entry in details}
    indices: list[int] = []
    try:
        operators = [operator for operator in TFLiteGraph(path).operators if operator.kind == OPERATOR]
        indices = [tensor.index for operator in operators for tensor in operator.outputs]
    except HRNetError:  # the schema is not installed
        indices = [by_name[name]["index"] for name in NAMES if name in by_name]
    ordered = [by_index[index] for index in indices if index in by_index]
    shapes = [tuple(map(int, entry["shape"])) for entry in ordered]
    if len(ordered) != len(NAMES) or shapes[0][2:] != (4,) or not shapes[1] == shapes[2] == shapes[0][:2]:
        outputs = ", ".join(f"{entry['name']} {tuple(map(int, entry['shape']))}" for entry in details)
        raise HRNetError(
            f"`detector` {path.name} is neither a detector of this package nor one that ends in {OPERATOR}, with {EXPECTED}; "
            f"its outputs are {outputs}"
        )
    return ordered


def _image_input(path: Path, details: Sequence[TensorDetails]) -> TensorDetails:
    """The input, one RGB image."""
    [entry, *others] = details
    shape, dtype = tuple(map(int, entry["shape"])), np.dtype(entry["dtype"]).name
    scale, _ = entry["quantization"]
    if others or len(shape) != 4 or shape[0] != 1 or shape[3] != 3 or dtype not in ("uint8", "int8", "float32"):
        raise HRNetError(f"`detector` {path.name} takes {shape} {dtype}, expected one image (1, height, width, 3)")
    if dtype == "int8" and not scale > 0:
        raise HRNetError(f"`detector` {path.name}: its input is int8 of scale {scale:g}, expected a scale above 0")
    return entry
