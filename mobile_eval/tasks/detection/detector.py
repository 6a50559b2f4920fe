"""A detector on the device: its two files, and what lies between them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_eval.errors import HRNetError
from mobile_eval.image.preprocess import resize
from mobile_eval.model.archive import REMEDY
from mobile_eval.model.description import DETECTOR_MAPS
from mobile_eval.runtime.quantization import quantize
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.detection.boxes import Objects, objects
from mobile_eval.tasks.detection.constants import BOX_HEAD_LEVELS, STRIDES
from mobile_eval.tasks.detection.proposals import proposals
from mobile_eval.tasks.detection.roi_align import roi_align
from mobile_eval.typed import Size


class Detector:
    """Images in, objects out. `model` is the first file; the second is found beside it."""

    def __init__(self, model: TFLiteModel):
        description = model.description
        if description.output.kind != DETECTOR_MAPS or description.boxes is None:
            raise HRNetError(f"{model.path} is the second file of a detector: give the first, whose name is without .boxes")
        self.model = model
        self.limits = description.boxes.candidates, description.boxes.proposals
        path = model.path.parent / description.boxes.name
        if not path.is_file():
            raise HRNetError(f"{model.path} needs its second file, {path}, which is not there: copy both, or {REMEDY}")
        self.second = TFLiteModel(path, model.backend)
        found = self.second.description.flatbuffer
        if found is not None and found.sha256 != description.boxes.sha256:  # None: another tool wrote it anew
            raise HRNetError(f"{path} is of another conversion than {model.path}: copy both files of one, or {REMEDY}")

    def to_input(self, image: NDArray[np.uint8]) -> NDArray[Any]:
        """The whole image (H, W, 3) RGB, resized without regard to its aspect, as the first file takes it."""
        return self.model.to_input(resize(image, self.model.input_size)[None])

    def objects(self, stored: NDArray[Any], image_size: Size) -> Objects:
        """What is found in an image of that (height, width), from what `stored` made of it."""
        size, levels = self.model.input_size, len(STRIDES)
        answers = [values[0] for values in self.model.outputs(stored)]
        maps, rest = answers[:BOX_HEAD_LEVELS], answers[BOX_HEAD_LEVELS:]
        logits, deltas = [one.reshape(-1) for one in rest[:levels]], [one.reshape(-1, 4) for one in rest[levels:]]
        boxes, objectness = proposals(logits, deltas, size, *self.limits)
        pooled = quantize(roi_align(boxes, maps), self.second.description.input.tensor)
        class_logits, box_deltas = self.second.outputs(pooled)
        return objects(boxes, objectness, class_logits, box_deltas, size, image_size)

    def detect(self, image: NDArray[np.uint8]) -> Objects:
        """The objects of an image (H, W, 3) RGB."""
        height, width = image.shape[:2]
        return self.objects(self.to_input(image), (height, width))
