"""Segmentation as papers evaluate it: sliding windows at several scales, and the mirrored image.

Probabilities (softmax of the upsampled logits) are averaged over the windows and mirror images that cover a pixel, and added over
scales. The official HRNetV2 code adds exp(logits) without normalizing it, so that confident predictions count for more; it cuts
windows only out of enlarged images.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mobile_eval.image.preprocess import resize
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.segmentation.options import SegmentationEvalOptions
from mobile_eval.typed import Size

Image = NDArray[np.uint8]
Plane = NDArray[np.float32]


@dataclass(frozen=True)
class View:
    """Network inputs cut out of an image at one scale.

    Attributes:
        crops: Inputs (N, H, W, 3).
        corners: Position (top, left) of each crop in the view.
        window: Size (height, width) that a crop covers in the view.
        size: Size (height, width) of the view, with padding.
        image_size: Size (height, width) of the scaled image in the view; the rest, right and below, is padding.
    """

    crops: Image
    corners: tuple[tuple[int, int], ...]
    window: Size
    size: Size
    image_size: Size


@dataclass(frozen=True)
class ViewPrediction:
    """Predictions for a view.

    Attributes:
        view: The view.
        logits: Logits (h, w, C) of each window, with its position (top, left).
        log_sums: For each window, log(sum of exp(logits)) (height, width) at the view's pixels.
        counts: Number of predictions (height, width) for each pixel of the view.
    """

    view: View
    logits: tuple[tuple[tuple[int, int], Plane], ...]
    log_sums: tuple[Plane, ...]
    counts: Plane

    def probability(self, index: int, size: Size) -> Plane:
        """Mean probability of class `index`, resized to (height, width)."""
        height, width = self.view.window
        plane = np.zeros(self.view.size, np.float32)
        for ((top, left), logits), log_sum in zip(self.logits, self.log_sums, strict=True):
            plane[top : top + height, left : left + width] += np.exp(upsampled(logits, index, self.view.window) - log_sum)
        plane /= self.counts
        unpadded = np.ascontiguousarray(plane[: self.view.image_size[0], : self.view.image_size[1]])
        if self.view.image_size == size:
            return unpadded
        return np.asarray(cv2.resize(unpadded, size[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def window_starts(length: int, window: int, overlap: float = 0.0) -> list[int]:
    """Where windows begin along a side of an image, in pixels: a stride apart, the last one at the border."""
    stride = max(round(window * (1 - overlap)), 1)
    count = math.ceil(max(length - window, 0) / stride) + 1
    return [min(number * stride, max(length - window, 0)) for number in range(count)]


def make_views(
    image: Image, input_size: Size, options: SegmentationEvalOptions, padding: Sequence[float] = (0, 0, 0)
) -> list[View]:
    """The inputs of a network for an image.

    Args:
        image: RGB image (H, W, 3).
        input_size: Size (height, width) of the network's input.
        options: Sliding windows or not, and their scales.
        padding: Color (RGB) around an image that is smaller than a window.
    """
    if not options.windows:
        size = image.shape[0], image.shape[1]
        return [View(resize(image, input_size)[None], ((0, 0),), size, size, size)]
    return [_windows(image, scale, input_size, options.overlap, padding) for scale in options.scales]


def _windows(image: Image, scale: float, window: Size, overlap: float, padding: Sequence[float]) -> View:
    image_size = max(round(image.shape[0] * scale), 1), max(round(image.shape[1] * scale), 1)
    size = max(image_size[0], window[0]), max(image_size[1], window[1])
    padded = np.empty((*size, 3), np.uint8)
    padded[:] = np.rint(padding)
    padded[: image_size[0], : image_size[1]] = resize(image, image_size)
    rows, columns = (window_starts(length, side, overlap) for length, side in zip(size, window, strict=True))
    corners = tuple((top, left) for top in rows for left in columns)
    crops = np.stack([padded[top : top + window[0], left : left + window[1]] for top, left in corners])
    return View(crops, corners, window, size, image_size)


def predict_view(model: TFLiteModel, view: View, *, flip: bool = False) -> ViewPrediction:
    """Run a model on every crop of a view and, with `flip`, on its mirror image."""
    height, width = view.window
    predictions, sums, counts = [], [], np.zeros(view.size, np.float32)
    for crop, (top, left) in zip(view.crops, view.corners, strict=True):
        for logits in _crop_logits(model, crop, flip=flip):
            predictions.append(((top, left), logits))
            sums.append(log_sums(logits, view.window))
            counts[top : top + height, left : left + width] += 1
    return ViewPrediction(view, tuple(predictions), tuple(sums), counts)


def _crop_logits(model: TFLiteModel, crop: Image, *, flip: bool) -> Iterator[Plane]:
    stored = model.to_input(crop[None])
    yield model.output(stored)[0]
    if flip:
        yield np.ascontiguousarray(model.output(np.ascontiguousarray(stored[:, :, ::-1]))[0, :, ::-1])


def upsampled(logits: Plane, index: int, size: Size) -> Plane:
    """Class `index` of logits (h, w, C) at (height, width): bilinear, half-pixel centers (align_corners False)."""
    plane = np.ascontiguousarray(logits[..., index])
    return plane if plane.shape == size else np.asarray(cv2.resize(plane, size[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def log_sums(logits: Plane, size: Size) -> Plane:
    """log(sum over classes of exp(logits)) at every pixel (height, width) of the upsampled logits; class by class."""
    maximum, total = np.full(size, -np.inf, np.float32), np.zeros(size, np.float32)
    for index in range(logits.shape[-1]):
        plane = upsampled(logits, index, size)
        higher = np.maximum(maximum, plane)
        total = total * np.exp(maximum - higher) + np.exp(plane - higher)
        maximum = higher
    return np.asarray(maximum + np.log(total), np.float32)


def most_probable(predictions: Sequence[ViewPrediction], size: Size) -> NDArray[np.intp]:
    """Class (height, width) of the highest probability, added over views; class by class, which saves memory."""
    best, class_map = np.full(size, -1, np.float32), np.zeros(size, np.intp)
    for index in range(predictions[0].logits[0][1].shape[-1]):
        probability = np.sum([prediction.probability(index, size) for prediction in predictions], axis=0)
        better = probability > best
        best[better], class_map[better] = probability[better], index
    return class_map
