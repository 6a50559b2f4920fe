"""Segmentation as papers test it: windows of the network's size slid over the image, at several scales, mirrored too.

Probabilities (softmax of the upsampled logits) are averaged over the windows and mirror images that see a pixel, and summed over
scales. The official HRNetV2 code sums exp(logits), which it does not normalize, so that sure answers count for more; it cuts
windows only of enlarged images.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mobile_eval.errors import HRNetError
from mobile_eval.image.preprocess import resize
from mobile_eval.runtime.tflite_model import TFLiteModel

Image = NDArray[np.uint8]
Plane = NDArray[np.float32]
Size = tuple[int, int]


@dataclass(frozen=True)
class MapOptions:
    """How a class map is found: of the image resized as a whole or, with `windows`, of windows of it at each of `scales` of its
    own size, `overlap` the share of a window that the next one sees again; with `flip` mirrored as well.
    """

    windows: bool = False
    scales: tuple[float, ...] = (1.0,)
    overlap: float = 0.0
    flip: bool = False

    def __post_init__(self) -> None:
        if not self.scales or not all(0 < scale < math.inf for scale in self.scales):
            raise HRNetError(f"`scales` takes numbers above 0, such as 0.5,1,1.5; got {', '.join(map(str, self.scales))}")
        if not 0 <= self.overlap < 1:
            raise HRNetError(f"`overlap` must be at least 0 and below 1, got {self.overlap:g}")
        if not self.windows and (self.scales != (1.0,) or self.overlap):
            raise HRNetError("`scales` and `overlap` go with `windows`: as a whole, an image has the network's input size")


def parse_scales(text: str | None) -> tuple[float, ...]:
    """Scales as given on a command line, with commas between; 1 for None."""
    try:
        return tuple(float(part) for part in text.split(",")) if text is not None else (1.0,)
    except ValueError:
        raise HRNetError(f"`scales` takes numbers with commas between, such as 0.5,1,1.5; got {text!r}") from None


@dataclass(frozen=True)
class View:
    """An image as it is looked at: `crops` (N, H, W, 3) for the network, and where they lie in a map of `size` (height, width).

    A crop covers `window` (height, width) of it, from its `corners` (top, left) on. What lies beyond `seen` is padding.
    """

    crops: Image
    corners: tuple[tuple[int, int], ...]
    window: Size
    size: Size
    seen: Size


@dataclass(frozen=True)
class Answered:
    """What a network answered to a view: logits (h, w, classes) of places (top, left), and at every pixel of the view the
    logarithm of what exp(logits) sum up to (N, height, width), and how many answers there are (height, width).
    """

    view: View
    logits: tuple[tuple[tuple[int, int], Plane], ...]
    sums: tuple[Plane, ...]
    counts: Plane

    def probability(self, index: int, size: Size) -> Plane:
        """The mean probability of class `index`, resized to (height, width)."""
        height, width = self.view.window
        plane = np.zeros(self.view.size, np.float32)
        for ((top, left), logits), log_sum in zip(self.logits, self.sums, strict=True):
            plane[top : top + height, left : left + width] += np.exp(upsampled(logits, index, self.view.window) - log_sum)
        plane /= self.counts
        seen = np.ascontiguousarray(plane[: self.view.seen[0], : self.view.seen[1]])
        if self.view.seen == size:
            return seen
        return np.asarray(cv2.resize(seen, size[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def window_starts(length: int, window: int, overlap: float = 0.0) -> list[int]:
    """Where windows begin along a side of an image: a stride apart, the last one aligned to the border; one on a short side."""
    stride = max(round(window * (1 - overlap)), 1)
    count = math.ceil(max(length - window, 0) / stride) + 1
    return [min(number * stride, max(length - window, 0)) for number in range(count)]


def make_views(image: Image, input_size: Size, options: MapOptions, padding: Sequence[float] = (0, 0, 0)) -> list[View]:
    """The image (H, W, 3) as `options` say, for a network of `input_size`; where it is smaller, `padding` (RGB) is around it."""
    if not options.windows:
        whole = image.shape[0], image.shape[1]
        return [View(resize(image, input_size)[None], ((0, 0),), whole, whole, whole)]
    return [_windows(image, scale, input_size, options.overlap, padding) for scale in options.scales]


def _windows(image: Image, scale: float, window: Size, overlap: float, padding: Sequence[float]) -> View:
    seen = max(round(image.shape[0] * scale), 1), max(round(image.shape[1] * scale), 1)
    size = max(seen[0], window[0]), max(seen[1], window[1])
    whole = np.empty((*size, 3), np.uint8)
    whole[:] = np.rint(padding)
    whole[: seen[0], : seen[1]] = resize(image, seen)
    rows, columns = (window_starts(length, side, overlap) for length, side in zip(size, window, strict=True))
    corners = tuple((top, left) for top in rows for left in columns)
    crops = np.stack([whole[top : top + window[0], left : left + window[1]] for top, left in corners])
    return View(crops, corners, window, size, seen)


def answer_view(model: TFLiteModel, view: View, *, flip: bool = False) -> Answered:
    """Run `model` on every crop of a view and, with `flip`, on its mirror image."""
    height, width = view.window
    found, sums, counts = [], [], np.zeros(view.size, np.float32)
    for crop, (top, left) in zip(view.crops, view.corners, strict=True):
        for logits in _answers(model, crop, flip=flip):
            found.append(((top, left), logits))
            sums.append(log_sums(logits, view.window))
            counts[top : top + height, left : left + width] += 1
    return Answered(view, tuple(found), tuple(sums), counts)


def _answers(model: TFLiteModel, crop: Image, *, flip: bool) -> Iterator[Plane]:
    stored = model.to_input(crop[None])
    yield model.output(stored)[0]
    if flip:
        yield np.ascontiguousarray(model.output(np.ascontiguousarray(stored[:, :, ::-1]))[0, :, ::-1])


def upsampled(logits: Plane, index: int, size: Size) -> Plane:
    """Class `index` of logits (h, w, classes) at (height, width): bilinear, half-pixel centres (align_corners False)."""
    own = np.ascontiguousarray(logits[..., index])
    return own if own.shape == size else np.asarray(cv2.resize(own, size[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def log_sums(logits: Plane, size: Size) -> Plane:
    """log(sum over classes of exp(logits)) at every pixel (height, width) of the upsampled logits; class by class."""
    most, total = np.full(size, -np.inf, np.float32), np.zeros(size, np.float32)
    for index in range(logits.shape[-1]):
        own = upsampled(logits, index, size)
        higher = np.maximum(most, own)
        total = total * np.exp(most - higher) + np.exp(own - higher)
        most = higher
    return np.asarray(most + np.log(total), np.float32)


def likeliest(answers: Sequence[Answered], size: Size) -> NDArray[np.intp]:
    """The class (height, width) whose probability, summed over views, is the highest; class by class, which spares memory."""
    best, found = np.full(size, -1, np.float32), np.zeros(size, np.intp)
    for index in range(answers[0].logits[0][1].shape[-1]):
        own = np.sum([one.probability(index, size) for one in answers], axis=0)
        better = own > best
        best[better], found[better] = own[better], index
    return found
