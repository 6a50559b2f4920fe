"""What was found and what is true, drawn into images: a folder of pictures to look through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.coco.categories import KeypointCategory
from mobile_eval.datasets.coco.keypoints import KeypointDataset
from mobile_eval.files import write_bytes
from mobile_eval.image.geometry import Array
from mobile_eval.image.image_file import read_item
from mobile_eval.viz.poses import encode_image

PICTURES = 50  # images that are drawn, the first ones
TRUE, FOUND = (64, 220, 96), (255, 59, 92)  # RGB
DOTS_A_SIDE = 200  # a dot's radius is this part of the image's longer side


def write_picture(folder: Path, index: int, image: Path, drawn: NDArray[np.uint8]) -> None:
    """Write `drawn` (H, W, 3) RGB for the image that is number `index`, under a name that sorts as the images do."""
    write_bytes(folder / f"{index:04d}_{image.stem}.jpg", encode_image(drawn, ".jpg"))


def draw_keypoints(folder: Path, dataset: KeypointDataset, results: Sequence[Mapping[str, Any]]) -> None:
    """Draw the annotated keypoints of `dataset`'s first images, and those of COCO `results`, into `folder`."""
    images = {instance.image_id: instance for instance in dataset.instances}
    for index, (image_id, instance) in enumerate(islice(images.items(), PICTURES)):
        true = [one.keypoints for one in dataset.instances if one.image_id == image_id]
        found = [np.reshape(one["keypoints"], (-1, 3)) for one in results if one["image_id"] == image_id]
        image = read_item(instance)
        write_picture(folder, index, instance.image_path, with_keypoints(image, true, found, dataset.category))


def with_keypoints(
    image: NDArray[np.uint8], true: Sequence[Array], found: Sequence[Array], category: KeypointCategory
) -> NDArray[np.uint8]:
    """The image (H, W, 3) RGB with keypoints (K, 3): true ones green, where they are labelled, and those that were found red."""
    drawn = image.copy()
    radius = max(round(max(image.shape) / DOTS_A_SIDE), 1)
    for color, all_of_them, size in ((TRUE, true, radius + 1), (FOUND, found, radius)):
        for keypoints in all_of_them:
            shown, points = keypoints[:, 2] > 0, np.rint(keypoints[:, :2]).astype(int).tolist()
            for first, second in category.skeleton:
                if shown[first] and shown[second]:
                    cv2.line(drawn, points[first], points[second], color, max(size // 2, 1), cv2.LINE_AA)
            for point, visible in zip(points, shown, strict=True):
                if visible:
                    cv2.circle(drawn, point, size, color, -1, cv2.LINE_AA)
    return drawn
