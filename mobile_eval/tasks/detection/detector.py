"""Detectors on the device: of two files, with the steps between them, and of one file."""

from __future__ import annotations

import abc
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_eval.errors import HRNetError
from mobile_eval.image.preprocess import resize
from mobile_eval.model.archive import REMEDY
from mobile_eval.model.description import DETECTOR_MAPS, OBJECT_CENTERS
from mobile_eval.runtime.quantization import quantize
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.detection.boxes import Objects, decode_objects, decode_proposals
from mobile_eval.tasks.detection.centers import decode_centers
from mobile_eval.tasks.detection.constants import BOX_HEAD_LEVELS, CENTER_OUTPUTS, CENTERS, SCORE_THRESHOLD, STRIDES
from mobile_eval.tasks.detection.roi_align import roi_align
from mobile_eval.tasks.detection.tensor_shapes import tensor_shapes
from mobile_eval.typed import Size


class Detector(abc.ABC):
    """Predicts the objects of images. `detector_of` makes the one of a file.

    Args:
        model: The file, or the first of two.
    """

    def __init__(self, model: TFLiteModel):
        self.model = model

    @property
    def path(self) -> Path:
        """The file, or the first of two."""
        return self.model.path

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, by label."""
        return self.model.description.classes

    @property
    def network_s(self) -> float:
        """Seconds that the networks of all files have run so far."""
        return self.model.network_s

    def to_input(self, image: NDArray[np.uint8]) -> NDArray[Any]:
        """Input of the file for an image (H, W, 3) RGB, which is resized without regard to its aspect ratio."""
        return self.model.to_input(resize(image, self.model.input_size)[None])

    @abc.abstractmethod
    def objects(self, network_input: NDArray[Any], image_size: Size, *, min_score: float = SCORE_THRESHOLD) -> Objects:
        """The objects of an image of that size (height, width) that score at least `min_score`, from its `to_input`."""

    def detect(self, image: NDArray[np.uint8]) -> Objects:
        """The objects of an image (H, W, 3) RGB."""
        height, width = image.shape[:2]
        return self.objects(self.to_input(image), (height, width))


class TwoStageDetector(Detector):
    """A Faster R-CNN of two files.

    Args:
        model: First file of the detector; the second must lie beside it.

    Raises:
        HRNetError: `model` is not the first file, or the second is missing or of another conversion.
    """

    def __init__(self, model: TFLiteModel):
        super().__init__(model)
        description = model.description
        if description.output.kind != DETECTOR_MAPS or description.boxes is None:
            raise HRNetError(f"{model.path} is the second file of a detector: give the first, whose name is without .boxes")
        self.limits, self.rounds_up = (description.boxes.candidates, description.boxes.proposals), description.boxes.rounds_up
        path = model.path.parent / description.boxes.name
        if not path.is_file():
            raise HRNetError(f"{model.path} needs its second file, {path}, which is not there: copy both, or {REMEDY}")
        self.box_head = TFLiteModel(path, model.backend)
        flatbuffer = self.box_head.description.flatbuffer
        if flatbuffer is not None and flatbuffer.sha256 != description.boxes.sha256:  # None: another tool rewrote the file
            raise HRNetError(f"{path} is of another conversion than {model.path}: copy both files of one, or {REMEDY}")

    @property
    def network_s(self) -> float:
        return super().network_s + self.box_head.network_s

    def objects(self, network_input: NDArray[Any], image_size: Size, *, min_score: float = SCORE_THRESHOLD) -> Objects:
        size, levels = self.model.input_size, len(STRIDES)
        outputs = [values[0] for values in self.model.outputs(network_input)]
        maps, rpn = outputs[:BOX_HEAD_LEVELS], outputs[BOX_HEAD_LEVELS:]
        logits = [output.reshape(-1) for output in rpn[:levels]]
        deltas = [output.reshape(-1, 4) for output in rpn[levels:]]
        proposals, objectness = decode_proposals(logits, deltas, size, *self.limits, rounds_up=self.rounds_up)
        pooled_shape, _ = tensor_shapes(self.box_head.description)
        pooled = quantize(roi_align(proposals, maps).reshape(pooled_shape), self.box_head.description.input.tensor)
        class_logits, box_deltas = (values.reshape(-1, values.shape[-1]) for values in self.box_head.outputs(pooled))
        return decode_objects(proposals, objectness, class_logits, box_deltas, size, image_size, min_score=min_score)


class CenterDetector(Detector):
    """A detector by centers, of one file.

    Args:
        model: The file.

    Raises:
        HRNetError: The file has other outputs.
    """

    def __init__(self, model: TFLiteModel):
        super().__init__(model)
        source, output, classes = model.description.input, model.description.output, len(model.description.classes)
        maps = tuple(-(-side // max(output.stride, 1)) for side in source.size)
        expected = {name: (1, *maps, classes if name == CENTERS else 2) for name in CENTER_OUTPUTS}
        actual = {tensor.name: tuple(tensor.shape) for tensor in model.description.outputs}
        if output.kind != OBJECT_CENTERS or actual != expected:
            raise HRNetError(f"{model.path} is no detector by centers: its outputs are {actual}, expected {expected}; {REMEDY}")

    def objects(self, network_input: NDArray[Any], image_size: Size, *, min_score: float = SCORE_THRESHOLD) -> Objects:
        outputs = dict(zip(self.model.output_names, self.model.outputs(network_input), strict=True))
        centers, sizes, offsets = (outputs[name][0] for name in CENTER_OUTPUTS)
        return decode_centers(centers, sizes, offsets, self.model.input_size, image_size, min_score=min_score)


def detector_of(model: TFLiteModel) -> Detector:
    """Return the detector of a file.

    Args:
        model: A detector by centers, or the first of the two files of a Faster R-CNN.

    Raises:
        HRNetError: The file is none of these, or the second of two files is missing or of another conversion.

    Example:
        >>> detector_of(TFLiteModel("find-int8.tflite")).detect(image).boxes  # image (H, W, 3), RGB  # doctest: +SKIP
        array([[104.2,  31.5,  60.1, 188.7]], dtype=float32)
    """
    if model.description.output.kind == OBJECT_CENTERS:
        return CenterDetector(model)
    return TwoStageDetector(model)
