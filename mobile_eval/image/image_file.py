"""Image files to pixels: every image and mask is decoded here, after its header has said that it is not too large.

A PNG of a megabyte may hold 900 million pixels. As decoded RGB these are more than opencv can warp, or the memory can hold.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mobile_eval.errors import HRNetError
from mobile_eval.image import png
from mobile_eval.image.image_limit import LONGEST_SIDE, MOST_PIXELS, max_pixels
from mobile_eval.image.image_size import FORMATS, JPEG, header_size, jpeg_ends


def decode(data: bytes, flags: int, name: str) -> NDArray[Any]:
    """The pixels (H, W) or (H, W, C) that opencv makes of an image file's content by these flags (cv2.IMREAD_...).

    Args:
        data: The file's content; what follows the image in it, as the video of a motion photo, is passed over.
        flags: Of cv2.imdecode.
        name: What errors call it, such as "image cat.jpg".

    Raises:
        HRNetError: It is larger than `max_pixels` allows, truncated, damaged, or of a format that is not read.
    """
    size = header_size(data)
    if size is not None:
        check_size(size, name)
    if data.startswith(JPEG) and not jpeg_ends(data):  # opencv may fill the rest with grey, silently
        raise HRNetError(f"{name} is truncated: it has no end-of-image marker; copy it again")
    if data.startswith(png.SIGNATURE):
        try:
            data = png.rewritten(data, png.IN_COLOUR)
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


def check_size(size: tuple[int, int], name: str) -> None:
    """Raise HRNetError for a (height, width) of more pixels than `max_pixels` allows, or more than opencv warps."""
    height, width = size
    what = f"{name} is {height}x{width} (height x width)"
    if height * width > max_pixels():
        how = "scale it down" if height * width > MOST_PIXELS else "scale it down, or raise `max_pixels`"
        raise HRNetError(f"{what}, {height * width:,} pixels where `max_pixels` is {max_pixels():,}: {how}")
    if max(size) > LONGEST_SIDE:
        raise HRNetError(f"{what}, and opencv warps no side over {LONGEST_SIDE:,} pixels: scale it down")
