"""A detector on the device: its two files, and the steps between them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_eval.errors import HRNetError
from mobile_eval.image.preprocess import resize
from mobile_eval.model.archive import REMEDY
from mobile_eval.model.description import DETECTOR_MAPS
from mobile_eval.runtime.quantization import quantize
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.detection.boxes import Objects, decode_objects, decode_proposals
from mobile_eval.tasks.detection.constants import BOX_HEAD_LEVELS, STRIDES
from mobile_eval.tasks.detection.roi_align import roi_align
from mobile_eval.typed import Size


class Detector:
    """Predicts the objects of images.

    Args:
        model: First file of the detector; the second must lie beside it.

    Raises:
        HRNetError: `model` is not the first file, or the second is missing or of another conversion.
    """

    def __init__(self, model: TFLiteModel):
        description = model.description
        if description.output.kind != DETECTOR_MAPS or description.boxes is None:
            raise HRNetError(f"{model.path} is the second file of a detector: give the first, whose name is without .boxes")
        self.model = model
        self.limits, self.rounds_up = (description.boxes.candidates, description.boxes.proposals), description.boxes.rounds_up
        path = model.path.parent / description.boxes.name
        if not path.is_file():
            raise HRNetError(f"{model.path} needs its second file, {path}, which is not there: copy both, or {REMEDY}")
        self.box_head = TFLiteModel(path, model.backend)
        flatbuffer = self.box_head.description.flatbuffer
        if flatbuffer is not None and flatbuffer.sha256 != description.boxes.sha256:  # None: another tool rewrote the file
            raise HRNetError(f"{path} is of another conversion than {model.path}: copy both files of one, or {REMEDY}")

    @property
    def path(self) -> Path:
        """The first file."""
        return self.model.path

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, by label."""
        return self.model.description.classes

    @property
    def network_s(self) -> float:
        """Seconds that the networks of both files have run so far."""
        return self.model.network_s + self.box_head.network_s

    def to_input(self, image: NDArray[np.uint8]) -> NDArray[Any]:
        """Input of the first file for an image (H, W, 3) RGB, which is resized without regard to its aspect ratio."""
        return self.model.to_input(resize(image, self.model.input_size)[None])

    def objects(self, network_input: NDArray[Any], image_size: Size) -> Objects:
        """The objects of an image of that size (height, width), from its `to_input`."""
        size, levels = self.model.input_size, len(STRIDES)
        outputs = [values[0] for values in self.model.outputs(network_input)]
        maps, rpn = outputs[:BOX_HEAD_LEVELS], outputs[BOX_HEAD_LEVELS:]
        logits = [output.reshape(-1) for output in rpn[:levels]]
        deltas = [output.reshape(-1, 4) for output in rpn[levels:]]
        proposals, objectness = decode_proposals(logits, deltas, size, *self.limits, rounds_up=self.rounds_up)
        pooled = quantize(roi_align(proposals, maps), self.box_head.description.input.tensor)
        class_logits, box_deltas = self.box_head.outputs(pooled)
        return decode_objects(proposals, objectness, class_logits, box_deltas, size, image_size)

    def detect(self, image: NDArray[np.uint8]) -> Objects:
        """The objects of an image (H, W, 3) RGB."""
        height, width = image.shape[:2]
        return self.objects(self.to_input(image), (height, width))
