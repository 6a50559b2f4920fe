"""Reading image files: every image and mask is decoded here, after its header has been checked."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from mobile_eval.errors import HRNetError
from mobile_eval.files import read_bytes
from mobile_eval.image import png
from mobile_eval.image.exif import orient_decoded
from mobile_eval.image.geometry import Box, Image
from mobile_eval.image.image_size import FORMATS, JPEG, check_size, header_size, jpeg_is_complete
from mobile_eval.typed import Size


class ImageItem(Protocol):
    """An item of a dataset that has an image.

    `image_size` is the (height, width) that the dataset gives, if any. `upright` is whether the annotations are of the image as
    EXIF turns it, or else as it is stored (see `mobile_eval.datasets.coordinate_frame`).
    """

    @property
    def image_path(self) -> Path: ...
    @property
    def image_size(self) -> Size | None: ...
    @property
    def upright(self) -> bool: ...


class BoxedItem(ImageItem, Protocol):
    """An item of a dataset with a box (x, y, width, height) in image pixels."""

    @property
    def box(self) -> Box: ...


def read_item(item: ImageItem) -> Image:
    """Read the image (H, W, 3), RGB, of a dataset item, in the orientation of its annotations."""
    return read_image(item.image_path, item.image_size, upright=item.upright)


def read_image(
    path: Path | str, size: Size | None = None, because: str = "its annotations say", *, upright: bool = True
) -> Image:
    """Read an image file.

    Args:
        path: The file.
        size: Expected height and width; None for any.
        because: Who expects that size; the message puts it before the size.
        upright: Turn the image by its EXIF orientation, or else return it as it is stored.

    Returns:
        Image (H, W, 3), uint8 RGB.

    Raises:
        HRNetError: The file cannot be read or decoded, or the image has another size.
    """
    data = read_bytes(path, "image")
    decoded = decode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION, f"image {path}")
    image = orient_decoded(np.asarray(decoded, np.uint8), data, upright=upright)
    if size is not None and image.shape[:2] != size:
        actual, expected = ("x".join(map(str, shape)) for shape in (image.shape[:2], size))
        raise HRNetError(f"image {path} is {actual} (height x width), but {because} {expected}: is it another image?")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def decode(data: bytes, flags: int, name: str) -> NDArray[np.generic]:
    """Decode the content of an image file by opencv.

    Args:
        data: The file's content. Data after the image, such as the video of a motion photo, is ignored.
        flags: Flags of `cv2.imdecode` (cv2.IMREAD_...).
        name: What messages call the image, such as "image cat.jpg".

    Returns:
        Pixels (H, W) or (H, W, C).

    Raises:
        HRNetError: The image is larger than `max_pixels`, truncated, damaged, or of a format that is not supported.
    """
    size = header_size(data)
    if size is not None:
        check_size(size, name)
    if data.startswith(JPEG) and not jpeg_is_complete(data):  # opencv may fill the rest with gray, silently
        raise HRNetError(f"{name} is truncated: it has no end-of-image marker; copy it again")
    if data.startswith(png.SIGNATURE):
        try:
            data = png.keep_chunks(data, png.COLOR_CHUNKS)
        except png.DamagedPngError as error:
            raise HRNetError(f"{name} is damaged: {error}; copy it again") from None
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if size else None
    except cv2.error:
        pixels = None
    if pixels is None:
        raise HRNetError(
            f"{name} is damaged, or of another format than {FORMATS} (opencv {cv2.__version__}); copy or convert it again"
        )
    return pixels
