"""Annotations and predictions drawn into images, as a folder of pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from mobile_eval.datasets.coco.categories import KeypointCategory
from mobile_eval.datasets.coco.keypoints import KeypointDataset
from mobile_eval.files import write_bytes
from mobile_eval.image.geometry import Array, Image
from mobile_eval.image.image_file import read_item
from mobile_eval.tasks.detection.boxes import Objects
from mobile_eval.typed import Json
from mobile_eval.viz.cutout import encode_image
from mobile_eval.viz.masks import class_colors

MAX_PICTURES = 50
ANNOTATED, PREDICTED = (64, 220, 96), (255, 59, 92)  # RGB
DOTS_PER_SIDE = 200  # the radius of a dot is this part of the image's longer side
TEXT_SCALE = 0.4


def write_picture(folder: Path, index: int, image: Path, drawn: Image) -> None:
    """Write the picture of an image.

    Args:
        folder: Folder to write to.
        index: Number of the image in its dataset; pictures sort by it.
        image: The image file.
        drawn: The picture (H, W, 3), RGB.
    """
    write_bytes(folder / f"{index:04d}_{image.stem}.jpg", encode_image(drawn, ".jpg"))


def draw_keypoints(
    folder: Path, dataset: KeypointDataset, results: Sequence[Mapping[str, Json]], limit: int = MAX_PICTURES
) -> None:
    """Write pictures with annotated and predicted keypoints.

    Args:
        folder: Folder to write to.
        dataset: Images and annotations.
        results: Predictions as COCO keypoint results.
        limit: Number of images, the first ones.
    """
    images = {instance.image_id: instance for instance in dataset.instances}
    for index, (image_id, item) in enumerate(islice(images.items(), limit)):
        annotated = [instance.keypoints for instance in dataset.instances if instance.image_id == image_id]
        predicted = [np.reshape(result["keypoints"], (-1, 3)) for result in results if result["image_id"] == image_id]
        write_picture(folder, index, item.image_path, with_keypoints(read_item(item), annotated, predicted, dataset.category))


def with_keypoints(image: Image, annotated: Sequence[Array], predicted: Sequence[Array], category: KeypointCategory) -> Image:
    """Draw annotated keypoints in green and predicted ones in red.

    Args:
        image: Image (H, W, 3), RGB.
        annotated: Keypoints (K, 3) of each instance: x, y and visibility. Those without a label are omitted.
        predicted: Keypoints (K, 3) of each prediction: x, y and score.
        category: Bones of the keypoints.
    """
    drawn = image.copy()
    radius = max(round(max(image.shape) / DOTS_PER_SIDE), 1)
    for color, instances, size in ((ANNOTATED, annotated, radius + 1), (PREDICTED, predicted, radius)):
        for keypoints in instances:
            shown, points = keypoints[:, 2] > 0, np.rint(keypoints[:, :2]).astype(int).tolist()
            for first, second in category.skeleton:
                if shown[first] and shown[second]:
                    cv2.line(drawn, points[first], points[second], color, max(size // 2, 1), cv2.LINE_AA)
            for point, visible in zip(points, shown, strict=True):
                if visible:
                    cv2.circle(drawn, point, size, color, -1, cv2.LINE_AA)
    return drawn


def draw_boxes(image: Image, objects: Objects, names: Sequence[str], min_score: float = 0.0) -> Image:
    """Draw objects as boxes with their class and score.

    Args:
        image: Image (H, W, 3), RGB.
        objects: The objects.
        names: Names of the classes.
        min_score: Objects with a lower score are omitted.
    """
    drawn = np.ascontiguousarray(image).copy()
    colors = class_colors(len(names)).tolist()
    thickness = max(round(min(image.shape[:2]) / 300), 1)
    for box, score, label in reversed(list(zip(objects.boxes, objects.scores, objects.labels, strict=True))):  # the best on top
        if score < min_score:
            continue
        left, top, right, bottom = (round(float(value)) for value in (box[0], box[1], box[0] + box[2], box[1] + box[3]))
        cv2.rectangle(drawn, (left, top), (right, bottom), colors[label], thickness)
        caption = f"{names[label]} {score:.2f}"
        (width, height), _ = cv2.getTextSize(caption, cv2.FONT_HERSHEY_SIMPLEX, TEXT_SCALE, 1)
        base = max(top, height + 2)
        cv2.rectangle(drawn, (left, base - height - 2), (left + width, base + 1), colors[label], -1)
        cv2.putText(drawn, caption, (left, base - 1), cv2.FONT_HERSHEY_SIMPLEX, TEXT_SCALE, (20, 20, 20), 1, cv2.LINE_AA)
    return np.asarray(drawn, np.uint8)
