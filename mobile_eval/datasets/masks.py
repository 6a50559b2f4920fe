"""Images and, for each, a mask of the same size that holds the index of every pixel's class."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.class_data import ClassData
from mobile_eval.datasets.class_names import CITYSCAPES, class_names_beside, numbered_classes, read_class_names
from mobile_eval.datasets.folders import images_in
from mobile_eval.datasets.frames import find_frame
from mobile_eval.files import read_bytes
from mobile_eval.image_size import stored_size
from mobile_eval.metrics.confusion import IGNORED

CITYSCAPES_IMAGE, CITYSCAPES_MASK = "_leftImg8bit", "_gtFine_labelTrainIds"
PNG = b"\x89PNG\r\n\x1a\n"
IHDR_DEPTH, IHDR_COLOUR = 8, 9  # where these lie in PNG's header chunk
PALETTE, BYTE_DEEP = 3, 8
SHOWN = b"IHDR", b"IDAT", b"IEND"


@dataclass(frozen=True)
class MaskedImage:
    """An image and its mask."""

    image_path: Path
    mask_path: Path
    image_size: tuple[int, int] | None = None  # the mask's
    upright: bool = True  # the mask is of the image as EXIF turns it, or else as it is stored


@dataclass(frozen=True, eq=False)
class MaskedImages(ClassData):
    """The images of a segmentation data set, and the names of its classes."""

    task = "segmentation"
    images: tuple[MaskedImage, ...]


def load_masked_images(
    images: Path | str, masks: Path | str, classes: Path | None = None, *, exif: str | None = None
) -> MaskedImages:
    """Every image in the folder `images` with its mask in the folder `masks`: the file of the same name, in the same subfolder.

    Cityscapes' layout is known too: `aachen/NAME_leftImg8bit.png` goes with `aachen/NAME_gtFine_labelTrainIds.png`. The classes
    are named by the file `classes`; without it by a `classes.json` in the folder of masks or at most two above it, as Cityscapes'
    in its layout, or else by number, as many as the masks hold. `exif` is how images are masked that EXIF turns, one of
    `frames.FRAMES`; None leaves it to the masks' sizes. Raises ValueError where there are no images, and names an image without
    mask.
    """
    found = images_in(images)
    if not found:
        raise ValueError(f"there are no images in {images}")
    by_name = _masks_by_name(masks)
    pairs = []
    for path in found:
        name = _name(path, Path(images), CITYSCAPES_IMAGE)
        if name not in by_name:
            raise ValueError(f"image {path} has no mask: {Path(masks) / name}.png is not there")
        pairs.append(MaskedImage(path, by_name[name]))
    return MaskedImages(_in_frame(pairs, masks, exif), _class_names(pairs, Path(masks), classes))


def _in_frame(pairs: Sequence[MaskedImage], masks: Path | str, exif: str | None) -> tuple[MaskedImage, ...]:
    """The images with what the masks' sizes tell of how those are read that EXIF turns."""
    by_image = {pair.image_path: pair.mask_path for pair in pairs}
    frame = find_frame(by_image, lambda image: stored_size(by_image[image]), masks, exif)
    if not frame.stored:
        return tuple(pairs)
    return tuple(replace(pair, upright=frame.is_upright(pair.image_path)) for pair in pairs)


def _class_names(pairs: list[MaskedImage], masks: Path, classes: Path | None) -> tuple[str, ...]:
    known = read_class_names(classes) if classes else class_names_beside(masks)
    if known:
        return known
    if pairs[0].mask_path.stem.endswith(CITYSCAPES_MASK):
        return CITYSCAPES
    return numbered_classes(read_mask(pair.mask_path, IGNORED) for pair in pairs)


def _masks_by_name(masks: Path | str) -> dict[str, Path]:
    paths = images_in(masks)
    cityscapes = [path for path in paths if path.stem.endswith(CITYSCAPES_MASK)]
    if not cityscapes and any("_gtFine_" in path.stem for path in paths):
        raise ValueError(f"{masks} holds no {CITYSCAPES_MASK}.png: make them with cityscapesscripts' createTrainIdLabelImgs")
    return {_name(path, Path(masks), CITYSCAPES_MASK): path for path in cityscapes or paths}


def _name(path: Path, folder: Path, ending: str) -> str:
    """What an image and its mask have in common."""
    return path.relative_to(folder).with_suffix("").as_posix().removesuffix(ending)


def read_mask(path: Path | str, classes: int) -> NDArray[np.uint8]:
    """The class indices (H, W) of an image file with one channel, or a palette; IGNORED where nothing counts.

    Raises ValueError, naming the file, where it is of another kind or holds an index that is no class.
    """
    data = read_bytes(path, "mask")
    mask = cv2.imdecode(np.frombuffer(_without_palette(data), np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    if mask is None:
        raise ValueError(f"mask {path} is damaged or of a format that opencv cannot read")
    if mask.ndim != len("HW") or mask.dtype != np.uint8:
        raise ValueError(f"mask {path} is {mask.dtype} {mask.shape}; expected one channel of bytes, the indices of classes")
    wrong = mask[(mask >= classes) & (mask != IGNORED)]
    if wrong.size:
        raise ValueError(
            f"mask {path} holds class {wrong[0]}, but the model has {classes} classes, 0 to {classes - 1} ({IGNORED} is ignored)"
        )
    return np.asarray(mask, np.uint8)


def _without_palette(data: bytes) -> bytes:
    """A PNG with one byte a pixel and a palette (as PASCAL VOC's masks are) as greyscale, so that the indices are read.

    opencv would give the palette's colours. Anything else stays as it is.
    """
    chunks = list(_chunks(data))
    header = bytearray(chunks[0][1]) if chunks else bytearray()
    if len(header) <= IHDR_COLOUR or (header[IHDR_DEPTH], header[IHDR_COLOUR]) != (BYTE_DEEP, PALETTE):
        return data
    header[IHDR_COLOUR] = 0
    kept = [(b"IHDR", bytes(header)), *(chunk for chunk in chunks[1:] if chunk[0] in SHOWN)]
    pieces = (struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in kept)
    return PNG + b"".join(pieces)


def _chunks(data: bytes) -> Iterable[tuple[bytes, bytes]]:
    """Kind and body of each chunk of a PNG; none of another file, and those before its damage of one that is cut off."""
    place = len(PNG)
    while data.startswith(PNG) and place + 12 <= len(data):
        [length] = struct.unpack(">I", data[place : place + 4])
        body = data[place + 8 : place + 8 + length]
        if len(body) < length:
            return
        yield data[place + 4 : place + 8], body
        place += length + 12
