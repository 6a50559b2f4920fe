"""Images and, for each, a mask of the same size that holds the index of every pixel's class."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.classes import CITYSCAPES, ClassDataset, class_names_beside, numbered_classes, read_class_names
from mobile_eval.datasets.coordinate_frame import find_frame
from mobile_eval.datasets.image_files import image_files, skipped_files_summary
from mobile_eval.errors import HRNetError
from mobile_eval.files import read_bytes
from mobile_eval.image import png
from mobile_eval.image.image_file import decode
from mobile_eval.image.image_size import JPEG, stored_size
from mobile_eval.metrics.confusion import IGNORED
from mobile_eval.words import number_of

CITYSCAPES_IMAGE, CITYSCAPES_MASK = "_leftImg8bit", "_gtFine_labelTrainIds"


@dataclass(frozen=True)
class SegmentationImage:
    """An image and its mask."""

    image_path: Path
    mask_path: Path
    image_size: tuple[int, int] | None = None  # the mask's
    upright: bool = True  # the mask is of the image as EXIF turns it, or else as it is stored


@dataclass(frozen=True, eq=False)
class SegmentationDataset(ClassDataset):
    """The images of a segmentation data set, and the names of its classes."""

    task = "segmentation"
    images: tuple[SegmentationImage, ...]
    skipped: tuple[Path, ...] = ()  # files that are no images
    masks_alone: int = 0  # masks without an image

    @property
    def skipped_summary(self) -> str:
        """The files that are skipped, and how many masks have no image."""
        alone = f"{number_of(self.masks_alone, 'masks')} without an image" if self.masks_alone else ""
        return ", ".join(filter(None, (skipped_files_summary(self.skipped), alone)))


def load_segmentation_dataset(
    images: Path | str, masks: Path | str, classes: Path | None = None, *, exif: str | None = None
) -> SegmentationDataset:
    """Every image in the folder `images` with its mask in the folder `masks`: the file of the same name, in the same subfolder.

    Cityscapes' layout is known too: `aachen/NAME_leftImg8bit.png` goes with `aachen/NAME_gtFine_labelTrainIds.png`. The classes
    are named by the file `classes`; without it by a `classes.json` in the folder of masks or at most two above it, as Cityscapes'
    in its layout, or else by number, as many as the masks hold. One of the two folders may lie in the other. `exif` is how images
    are masked that EXIF turns, one of `coordinate_frame.FRAMES`; None leaves it to the masks' sizes.

    Raises HRNetError where there are no images or the two are one folder, names an image without mask and files of one name, and
    refuses masks that hold nothing but 0 and IGNORED.
    """
    image_folder, mask_folder = Path(images), Path(masks)
    listed, mask_files = image_files(image_folder), image_files(mask_folder).images
    if image_folder.resolve() == mask_folder.resolve():
        raise HRNetError(
            f"images and masks are both in {images}, where masks would be taken for images: give each its own folder"
        )
    by_name = _masks_by_name(_outside(mask_files, mask_folder, image_folder), mask_folder)
    pairs = []
    for name, path in _by_name(_outside(listed.images, image_folder, mask_folder), image_folder, CITYSCAPES_IMAGE).items():
        if name not in by_name:
            raise HRNetError(f"image {path} has no mask: {mask_folder / name}.png is not there")
        pairs.append(SegmentationImage(path, by_name[name]))
    if not pairs:
        raise HRNetError(f"there are no images in {images}")
    names = _class_names(pairs, mask_folder, classes)
    _check_more_than_ignored(pairs, mask_folder)
    skipped = _outside(listed.skipped, image_folder, mask_folder)
    return SegmentationDataset(_in_frame(pairs, masks, exif), names, tuple(skipped), len(by_name) - len(pairs))


def _in_frame(pairs: Sequence[SegmentationImage], masks: Path | str, exif: str | None) -> tuple[SegmentationImage, ...]:
    """The images with what the masks' sizes tell of how those are read that EXIF turns."""
    by_image = {pair.image_path: pair.mask_path for pair in pairs}
    frame = find_frame(by_image, lambda image: stored_size(by_image[image]), masks, exif)
    if not frame.stored:
        return tuple(pairs)
    return tuple(replace(pair, upright=frame.is_upright(pair.image_path)) for pair in pairs)


def _outside(paths: Sequence[Path], folder: Path, other: Path) -> list[Path]:
    """Those of `folder` that are not in the folder `other`, which may lie in it, or be linked to from it."""
    excluded = other.resolve()
    if excluded in folder.resolve().parents:
        return list(paths)
    real = {parent: parent.resolve() for parent in {path.parent for path in paths}}
    return [path for path in paths if excluded not in (real[path.parent], *real[path.parent].parents)]


def _class_names(pairs: list[SegmentationImage], masks: Path, classes: Path | None) -> tuple[str, ...]:
    known = read_class_names(classes) if classes else class_names_beside(masks)
    if known:
        return known
    if pairs[0].mask_path.stem.endswith(CITYSCAPES_MASK):
        return CITYSCAPES
    return numbered_classes(read_mask(pair.mask_path, IGNORED) for pair in pairs)


def _check_more_than_ignored(pairs: list[SegmentationImage], masks: Path) -> None:
    """Refuse masks whose foreground is 255: it would count for nothing. Other data are known by their first mask."""
    ignored = False
    for pair in pairs:
        mask = read_mask(pair.mask_path, IGNORED)
        if np.any((mask > 0) & (mask != IGNORED)):
            return
        ignored |= bool(np.any(mask == IGNORED))
    if ignored:
        raise HRNetError(
            f"the masks in {masks} hold nothing but 0 and {IGNORED}, and {IGNORED} is the label of pixels that do not count: "
            f"write the index of a class in its place, as cv2.imwrite(name, mask // {IGNORED}) does for a foreground of {IGNORED}"
        )


def _masks_by_name(paths: Sequence[Path], masks: Path) -> dict[str, Path]:
    cityscapes = [path for path in paths if path.stem.endswith(CITYSCAPES_MASK)]
    if not cityscapes and any("_gtFine_" in path.stem for path in paths):
        raise HRNetError(f"{masks} holds no {CITYSCAPES_MASK}.png: make them with cityscapesscripts' createTrainIdLabelImgs")
    return _by_name(cityscapes or paths, masks, CITYSCAPES_MASK)


def _by_name(paths: Sequence[Path], folder: Path, ending: str) -> dict[str, Path]:
    """The paths by what an image and its mask have in common."""
    named: dict[str, Path] = {}
    for path in paths:
        name = path.relative_to(folder).with_suffix("").as_posix().removesuffix(ending)
        if name in named:
            raise HRNetError(
                f"{named[name]} and {path.name} have one name: which of them is the image, and which the mask? Keep one"
            )
        named[name] = path
    return named


def read_mask(path: Path | str, classes: int) -> NDArray[np.uint8]:
    """The class indices (H, W) of an image file with one channel, or a palette; IGNORED where nothing counts.

    Raises HRNetError, naming the file, where it is of another kind or holds an index that is no class.
    """
    data, step = read_bytes(path, "mask"), 1
    if data.startswith(JPEG):
        raise HRNetError(f"mask {path} is a JPEG, whose compression changes the indices of classes: write masks as PNG")
    if data.startswith(png.SIGNATURE):
        with contextlib.suppress(png.DamagedPngError):  # decode says it
            data, step = png.with_indices(data)
    mask = decode(data, cv2.IMREAD_UNCHANGED, f"mask {path}")
    if mask.ndim != len("HW") or mask.dtype != np.uint8:
        raise HRNetError(
            f"mask {path} is {mask.dtype} {mask.shape}; expected one channel of bytes, the indices of classes, or a PNG's palette"
        )
    mask = mask // np.uint8(step)
    wrong = mask[(mask >= classes) & (mask != IGNORED)]
    if wrong.size:
        raise HRNetError(
            f"mask {path} holds class {wrong[0]}, but the model has {classes} classes, 0 to {classes - 1} ({IGNORED} is ignored)"
        )
    return np.asarray(mask, np.uint8)
