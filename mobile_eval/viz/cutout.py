"""Parts of photographs for reports, and images as the bytes of a file."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import cv2
import numpy as np

from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import Box, Image

MAX_HEIGHT, MAX_WIDTH = 216, 168  # pixels
JPEG_QUALITY = 85
MARGIN = 0.15  # of the box's longer side, on each side


@dataclass(frozen=True)
class Cutout:
    """A part of a photograph.

    Args:
        uri: The pixels as a JPEG data URI.
        width: Width in pixels.
        height: Height in pixels.
        origin: Corner (x, y) of the part in the photograph.
        scale: Pixels of the cutout per pixel of the photograph.
    """

    uri: str
    width: int
    height: int
    origin: tuple[float, float]
    scale: float


def cut_out(image: Image, box: Box) -> Cutout:
    """Cut a box with a margin out of an image, and scale it for a report.

    Args:
        image: Image (H, W, 3), RGB.
        box: Box (x, y, width, height).
    """
    x, y, width, height = box
    margin = MARGIN * max(width, height)
    left, top = max(int(x - margin), 0), max(int(y - margin), 0)
    right, bottom = min(int(np.ceil(x + width + margin)), image.shape[1]), min(int(np.ceil(y + height + margin)), image.shape[0])
    if right <= left or bottom <= top:
        raise HRNetError(f"box {list(box)} lies outside its {image.shape[1]}x{image.shape[0]} image")
    part = image[top:bottom, left:right]
    scale = min(MAX_HEIGHT / part.shape[0], MAX_WIDTH / part.shape[1])
    size = max(round(part.shape[1] * scale), 1), max(round(part.shape[0] * scale), 1)
    resized = cv2.resize(part, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    uri = f"data:image/jpeg;base64,{base64.b64encode(encode_image(np.asarray(resized, np.uint8), '.jpg')).decode('ascii')}"
    return Cutout(uri, size[0], size[1], (left, top), scale)


def encode_image(image: Image, suffix: str) -> bytes:
    """Encode an image (H, W, 3), RGB, as the content of a file with that suffix (.jpg or .png)."""
    settings = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if suffix == ".jpg" else []
    success, data = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), settings)
    if not success:
        raise HRNetError(f"opencv cannot write images as {suffix!r}; use .jpg or .png")
    return bytes(data.tobytes())
