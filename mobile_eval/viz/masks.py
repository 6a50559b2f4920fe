"""Colors of classes, and class maps drawn over their images."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from mobile_eval.image.geometry import Image
from mobile_eval.metrics.confusion import IGNORED

OPACITY = 0.55
GOLDEN_RATIO = 0.618034  # of the circle of hues between consecutive classes, so that these differ most
LEVELS = ((0.85, 0.95), (0.55, 0.75), (0.95, 0.6))  # saturation and value, in turn
BACKGROUND = "background"  # a class of this name is not tinted
ROW_HEIGHT = 18  # pixels of a line of the legend
TEXT_COLOR = (20, 20, 20)


def class_colors(count: int) -> Image:
    """Return a color (count, 3), RGB, for each class; an index has the same color whatever the count."""
    hsv = np.array([[(index * GOLDEN_RATIO) % 1 * 179, *LEVELS[index % len(LEVELS)]] for index in range(count)])
    hsv[:, 1:] *= 255
    return np.asarray(cv2.cvtColor(np.rint(hsv).astype(np.uint8)[None], cv2.COLOR_HSV2RGB)[0], np.uint8)


def class_legend_html(names: Sequence[str]) -> Markup:
    """Return the classes with their colors as HTML."""
    fills = (f"background:#{bytes(color.tolist()).hex()}" for color in class_colors(len(names)))
    styles = (fill if is_tinted(name) else "border:1px solid" for name, fill in zip(names, fills, strict=True))
    keys = (f'<span class="key" style="{style}"></span>{escape(name)}' for name, style in zip(names, styles, strict=True))
    return Markup("".join(keys))


def is_tinted(name: str) -> bool:
    """Whether pictures show a class of that name."""
    return name.lower() != BACKGROUND


def mask_colors(mask: NDArray[np.integer], names: Sequence[str]) -> tuple[Image, NDArray[np.bool_]]:
    """Color a class map.

    Args:
        mask: Class of each pixel (H, W).
        names: Names of the classes.

    Returns:
        Colors (H, W, 3), RGB, and which pixels (H, W) are tinted: those that are neither ignored nor background.
    """
    known = mask != IGNORED
    classes = np.where(known, mask, 0)
    tinted = np.array([is_tinted(name) for name in names])
    return class_colors(len(names))[classes], known & tinted[classes]


def mask_overlay(image: Image, mask: NDArray[np.integer], names: Sequence[str]) -> Image:
    """Tint each pixel of an image (H, W, 3), RGB, by its class (H, W); ignored pixels and background are unchanged."""
    colors, tinted = mask_colors(mask, names)
    mixed = image + OPACITY * (colors.astype(np.float32) - image)
    return np.asarray(np.where(tinted[..., None], np.rint(mixed), image), np.uint8)


def class_legend(names: Sequence[str], width: int, colors: Image | None = None) -> Image:
    """Draw a legend of classes.

    Args:
        names: Names of the classes.
        width: Width in pixels; the legend has as many columns as fit.
        colors: Colors (classes, 3), RGB; None for those of the first classes.

    Returns:
        Image (H, width, 3), RGB.
    """
    colors = class_colors(len(names)) if colors is None else colors
    column = min(10 * max(map(len, names)) + 30, width)
    columns = max(width // column, 1)
    rows = -(-len(names) // columns)
    legend = np.full((rows * ROW_HEIGHT + 6, width, 3), 255, np.uint8)
    for index, (name, color) in enumerate(zip(names, colors.tolist(), strict=True)):
        x, y = index % columns * column + 4, index // columns * ROW_HEIGHT + 4
        filled = is_tinted(name)
        cv2.rectangle(legend, (x, y), (x + 12, y + 12), color if filled else TEXT_COLOR, -1 if filled else 1)
        cv2.putText(legend, name, (x + 18, y + 11), cv2.FONT_HERSHEY_SIMPLEX, 0.42, TEXT_COLOR, 1, cv2.LINE_AA)
    return legend


def mask_comparison(image: Image, truth: NDArray[np.integer], prediction: NDArray[np.integer], names: Sequence[str]) -> Image:
    """Draw the true and the predicted mask side by side, with a legend of the classes in them.

    Args:
        image: Image (H, W, 3), RGB.
        truth: True class of each pixel (H, W). Pixels that it ignores are not tinted on either side.
        prediction: Predicted class of each pixel (H, W).
        names: Names of the classes.
    """
    shown = np.where(truth == IGNORED, IGNORED, prediction)
    pair = np.concatenate([mask_overlay(image, mask, names) for mask in (truth, shown)], axis=1)
    present = [index for index in range(len(names)) if (truth == index).any() or (shown == index).any()]
    colors = class_colors(len(names))[present]
    legend = class_legend([names[index] for index in present], pair.shape[1], colors) if present else pair[:0]
    return np.concatenate([pair, legend])
