"""Class maps over their images, in a colour for each class."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from mobile_eval.metrics.confusion import IGNORED

OPACITY = 0.55
GOLDEN = 0.618034  # of the circle of hues from one class to the next: neighbours in the list differ most
LEVELS = ((0.85, 0.95), (0.55, 0.75), (0.95, 0.6))  # saturation and value, in turn
BACKGROUND = "background"  # the class, if there is one, that says that nothing is there: not tinted
ROW = 18  # height of a line of the legend, pixels


def class_colors(count: int) -> NDArray[np.uint8]:
    """A colour (count, 3) RGB for each class, the same for the same index always."""
    hsv = np.array([[(index * GOLDEN) % 1 * 179, *LEVELS[index % len(LEVELS)]] for index in range(count)])
    hsv[:, 1:] *= 255
    return np.asarray(cv2.cvtColor(np.rint(hsv).astype(np.uint8)[None], cv2.COLOR_HSV2RGB)[0], np.uint8)


def class_keys(names: Sequence[str]) -> Markup:
    """The classes with their colours, for a report."""
    filled = (f"background:#{bytes(color.tolist()).hex()}" for color in class_colors(len(names)))
    styles = (fill if is_tinted(name) else "border:1px solid" for name, fill in zip(names, filled, strict=True))
    keys = (f'<span class="key" style="{style}"></span>{escape(name)}' for name, style in zip(names, styles, strict=True))
    return Markup("".join(keys))


def is_tinted(name: str) -> bool:
    """Whether a class shows in pictures."""
    return name.lower() != BACKGROUND


def tints(mask: NDArray[np.integer], names: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Colours (H, W, 3) RGB of the classes in `mask` (H, W), and which pixels (H, W) have one: not ignored, nor background."""
    known = mask != IGNORED
    classes = np.where(known, mask, 0)
    tinted = np.array([is_tinted(name) for name in names])
    return class_colors(len(names))[classes], known & tinted[classes]


def mask_overlay(image: NDArray[np.uint8], mask: NDArray[np.integer], names: Sequence[str]) -> NDArray[np.uint8]:
    """The image (H, W, 3) RGB with each pixel tinted by its class in `mask` (H, W); ignored and background stay as they are."""
    colors, tinted = tints(mask, names)
    mixed = image + OPACITY * (colors.astype(np.float32) - image)
    return np.asarray(np.where(tinted[..., None], np.rint(mixed), image), np.uint8)


def legend(names: Sequence[str], width: int, colors: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """The classes with their colours as an image (H, width, 3) RGB, in as many columns as fit; `colors` if these are not all."""
    colors = class_colors(len(names)) if colors is None else colors
    column = min(10 * max(map(len, names)) + 30, width)
    columns = max(width // column, 1)
    rows = -(-len(names) // columns)
    picture = np.full((rows * ROW + 6, width, 3), 255, np.uint8)
    for index, (name, color) in enumerate(zip(names, colors.tolist(), strict=True)):
        x, y = index % columns * column + 4, index // columns * ROW + 4
        cv2.rectangle(picture, (x, y), (x + 12, y + 12), color if is_tinted(name) else (20, 20, 20), -1 if is_tinted(name) else 1)
        cv2.putText(picture, name, (x + 18, y + 11), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (20, 20, 20), 1, cv2.LINE_AA)
    return picture


def compared(
    image: NDArray[np.uint8], truth: NDArray[np.integer], found: NDArray[np.integer], names: Sequence[str]
) -> NDArray[np.uint8]:
    """The image (H, W, 3) RGB under its true mask and, right of it, under what was found, with the classes that occur below.

    What the truth ignores is left as it is in both.
    """
    shown = np.where(truth == IGNORED, IGNORED, found)
    pair = np.concatenate([mask_overlay(image, mask, names) for mask in (truth, shown)], axis=1)
    occur = [index for index in range(len(names)) if (truth == index).any() or (shown == index).any()]
    key = legend([names[index] for index in occur], pair.shape[1], class_colors(len(names))[occur]) if occur else pair[:0]
    return np.concatenate([pair, key])
