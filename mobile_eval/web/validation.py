"""Validation images of a page: the pixels, the labels, and what the evaluator predicts for each model.

Pixels are stored as PNG, upright and without loss, so that the page sees what the evaluator sees. Of a person or face only the
part of the image that the crop shows is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.base import TaskDataset
from mobile_eval.datasets.coco.keypoints import KeypointDataset, KeypointInstance
from mobile_eval.datasets.segmentation import SegmentationDataset, read_mask
from mobile_eval.files import write_bytes
from mobile_eval.image.geometry import Array, Image, expand_box
from mobile_eval.image.image_file import read_image, read_item
from mobile_eval.image.preprocess import resize
from mobile_eval.metrics.distance import longer_sides
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.classification.evaluate import ClassificationResult
from mobile_eval.tasks.landmarks.evaluate import LandmarkResult, face_units
from mobile_eval.tasks.pose.evaluate import PoseResult
from mobile_eval.tasks.segmentation.evaluate import SegmentationResult, most_likely
from mobile_eval.typed import JsonObject, Size
from mobile_eval.viz.cutout import encode_image

FOLDER = "validation"
MARGIN = 2  # pixels around the part of an image that is kept: bilinear interpolation reads neighbors

Results = Sequence[PoseResult | LandmarkResult | SegmentationResult | ClassificationResult]


def write_items(models: Sequence[TFLiteModel], dataset: TaskDataset, results: Results, folder: Path) -> list[JsonObject]:
    """Write the images of a data set for the page.

    Args:
        models: The models.
        dataset: The data set.
        results: What the evaluator measured on it, for each model.
        folder: The folder of the page.

    Returns:
        For each item its entry in `site.json`: the picture, the labels, and the evaluator's prediction of each model.
    """
    if isinstance(dataset, KeypointDataset):
        return _keypoint_items(models, dataset, results, folder)
    if isinstance(dataset, SegmentationDataset):
        return _mask_items(models, dataset, folder)
    measured = [result for result in results if isinstance(result, ClassificationResult)]
    return [
        {
            "image": _write_png(folder, f"{number}.png", read_item(item)),
            "label": int(measured[0].labels[number]),
            "expected": [int(result.predictions[number]) for result in measured],
        }
        for number, item in enumerate(dataset.items)
    ]


def _keypoint_items(models: Sequence[TFLiteModel], dataset: KeypointDataset, results: Results, folder: Path) -> list[JsonObject]:
    """The entries of people or faces. "unit" is what distances are divided by, 0 where it is not known."""
    measured = [result for result in results if isinstance(result, PoseResult | LandmarkResult)]
    is_pose = isinstance(results[0], PoseResult)
    units = longer_sides([item.box for item in dataset.items]) if is_pose else face_units(dataset)[1]
    entries = []
    for number, item in enumerate(dataset.items):
        part, corner = _visible_part(item, [model.input_size for model in models])
        x, y, width, height = item.box
        entries.append(
            {
                "image": _write_png(folder, f"{number}.png", part),
                "box": [float(x - corner[0]), float(y - corner[1]), float(width), float(height)],
                "keypoints": _moved(item.keypoints, corner),
                "unit": float(np.nan_to_num(units[number])),
                "expected": [_moved(result.keypoints[number], corner) for result in measured],
            }
        )
    return entries


def _visible_part(item: KeypointInstance, sizes: Sequence[Size]) -> tuple[Image, Array]:
    """The part of an image that the crops of networks with these input sizes show, and its corner (x, y)."""
    image = read_item(item)
    center = expand_box(item.box, sizes[0])[0]
    reach = np.max([expand_box(item.box, size)[1] for size in sizes], axis=0) / 2 + MARGIN
    limits = np.array(image.shape[1::-1])
    low = np.clip(np.floor(center - reach), 0, limits - 1).astype(int)
    high = np.clip(np.ceil(center + reach), low + 1, limits).astype(int)
    return image[low[1] : high[1], low[0] : high[0]], low.astype(np.float64)


def _moved(keypoints: Array, corner: Array) -> list[list[float]]:
    """Keypoints (K, 3) with the origin at a corner (x, y)."""
    return np.column_stack([keypoints[:, :2] - corner, keypoints[:, 2]]).tolist()


def _mask_items(models: Sequence[TFLiteModel], dataset: SegmentationDataset, folder: Path) -> list[JsonObject]:
    """The entries of images with masks; masks and predicted class maps are pictures."""
    entries = []
    for number, item in enumerate(dataset.items):
        mask = read_mask(item.mask_path, len(models[0].description.classes))
        image = read_image(item.image_path, mask.shape, f"its mask {item.mask_path} is", upright=item.upright)
        predicted = []
        for index, model in enumerate(models):
            logits = model.output(model.to_input(resize(image, model.input_size)[None]))[0]
            predicted.append(_write_png(folder, f"{number}-model{index}.png", most_likely(logits, mask.shape)))
        picture, truth = _write_png(folder, f"{number}.png", image), _write_png(folder, f"{number}-mask.png", mask)
        entries.append({"image": picture, "mask": truth, "expected": predicted})
    return entries


def _write_png(folder: Path, name: str, pixels: NDArray[np.integer]) -> str:
    """Write pixels (H, W, 3), RGB, or classes (H, W) as gray, and return the path in the folder of the page."""
    image = np.asarray(pixels, np.uint8)
    write_bytes(folder / FOLDER / name, encode_image(image if image.ndim == 3 else np.repeat(image[..., None], 3, 2), ".png"))
    return f"{FOLDER}/{name}"
