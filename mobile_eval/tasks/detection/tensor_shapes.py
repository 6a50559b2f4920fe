"""The shapes of the tensors of a detector's two files."""

from __future__ import annotations

from mobile_eval.errors import HRNetError
from mobile_eval.model.archive import REMEDY
from mobile_eval.model.description import DETECTOR_MAPS, ModelDescription
from mobile_eval.tasks.detection.constants import ANCHORS_PER_POSITION, BOX_HEAD_LEVELS, POOLED_SIZE, STRIDES, level_sizes

Shape = tuple[int, ...]


def tensor_shapes(description: ModelDescription) -> tuple[Shape, list[Shape]]:
    """The shapes of the tensors of one of the two files.

    Args:
        description: Description of the file.

    Returns:
        The shape of the input, and the shapes of the outputs. First file: image (1, H, W, 3); maps of P2 to P5, objectness of P2
        to P6, deltas of P2 to P6. Second file: pooled proposals (R, 7, 7, C); class logits (R, classes + 1), deltas
        (R, 4 * (classes + 1)). If it takes them as one image: (1, 7R, 7, C); (1, R, 1, classes + 1),
        (1, R, 1, 4 * (classes + 1)).
    """
    boxes, classes = description.boxes, len(description.classes) + 1  # with the background
    if boxes is None:
        raise HRNetError(f"{description.name}: the description does not name the detector's second file; {REMEDY}")
    if description.output.kind != DETECTOR_MAPS:
        if description.input.size == (POOLED_SIZE, POOLED_SIZE):
            pooled = (boxes.proposals, POOLED_SIZE, POOLED_SIZE, boxes.width)
            return pooled, [(boxes.proposals, classes), (boxes.proposals, 4 * classes)]
        image = (1, boxes.proposals * POOLED_SIZE, POOLED_SIZE, boxes.width)
        return image, [(1, boxes.proposals, 1, classes), (1, boxes.proposals, 1, 4 * classes)]
    height, width = description.input.size
    sizes = level_sizes((height, width), rounds_up=boxes.rounds_up)
    widths = [(boxes.width, BOX_HEAD_LEVELS), (ANCHORS_PER_POSITION, len(STRIDES)), (4 * ANCHORS_PER_POSITION, len(STRIDES))]
    return (1, height, width, 3), [(1, *size, channels) for channels, levels in widths for size in sizes[:levels]]
