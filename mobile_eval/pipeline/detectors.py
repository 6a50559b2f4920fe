"""What a detector is, and how a file becomes one.

A detector maps an RGB image to boxes (x, y, width, height) in image pixels, scores, and labels that are indices of its classes.
`DETECTORS` has the kinds of this package's files by the output in their descriptions; a file without a description needs the
outputs of `TFLite_Detection_PostProcess`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import Image
from mobile_eval.model.archive import is_described
from mobile_eval.model.description import DETECTOR_MAPS, OBJECT_CENTERS
from mobile_eval.pipeline.postprocess import PostprocessDetector
from mobile_eval.runtime.backend import CPU, Backend
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.detection.boxes import Objects
from mobile_eval.tasks.detection.constants import SCORE_THRESHOLD
from mobile_eval.tasks.detection.detector import CenterDetector, TwoStageDetector
from mobile_eval.typed import Size


class ObjectDetector(Protocol):
    """A detector that is ready to run.

    Attributes:
        path: Its file.
        classes: Names of its classes, by label; empty if the file does not name them.
        network_s: Seconds that its networks have run so far.
    """

    @property
    def path(self) -> Path: ...

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def network_s(self) -> float: ...

    def to_input(self, image: Image) -> NDArray[Any]:
        """Input of the network for an image (H, W, 3), RGB."""
        ...

    def objects(self, network_input: NDArray[Any], image_size: Size, *, min_score: float = SCORE_THRESHOLD) -> Objects:
        """The objects of an image of that size (height, width), from its `to_input`; boxes are in image pixels.

        Those that score less than `min_score` may be left out.
        """
        ...


DETECTORS: dict[str, Callable[[TFLiteModel], ObjectDetector]] = {
    DETECTOR_MAPS: TwoStageDetector,
    OBJECT_CENTERS: CenterDetector,
}
"""Detectors of this package, by the kind of the output in their description."""


def open_detector(path: Path | str, backend: Backend = CPU) -> ObjectDetector:
    """Open a detector.

    Args:
        path: A detector of this package, or any `.tflite` with the outputs of `TFLite_Detection_PostProcess`.
        backend: Runtime, threads and delegate.

    Returns:
        The detector.

    Raises:
        HRNetError: The file cannot be read or run, or is no detector.

    Example:
        >>> open_detector("ssd_mobilenet.tflite").classes[:2]  # doctest: +SKIP
        ('person', 'bicycle')
    """
    path = Path(path)
    if not is_described(path):
        return PostprocessDetector(path, backend)
    model = TFLiteModel(path, backend)
    kind = model.description.output.kind
    if kind not in DETECTORS:
        raise HRNetError(f"`detector` {path.name} is a {model.description.task} model: give a detector, whose outputs are boxes")
    return DETECTORS[kind](model)
