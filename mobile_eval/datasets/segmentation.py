"""Segmentation datasets: images, and for each a mask with the class index of every pixel."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.classes import CITYSCAPES, ClassDataset, find_class_names, numbered_classes, read_class_names
from mobile_eval.datasets.coordinate_frame import find_frame
from mobile_eval.datasets.image_files import image_files, skipped_files_summary
from mobile_eval.errors import HRNetError
from mobile_eval.files import read_bytes
from mobile_eval.image import png
from mobile_eval.image.image_file import decode
from mobile_eval.image.image_size import JPEG, stored_size
from mobile_eval.messages import number_of
from mobile_eval.metrics.confusion import IGNORED

CITYSCAPES_IMAGE, CITYSCAPES_MASK = "_leftImg8bit", "_gtFine_labelTrainIds"  # endings of file names


@dataclass(frozen=True)
class SegmentationImage:
    """An image and its mask.

    Args:
        image_path: The image file.
        mask_path: The mask file, of the same size.
        image_size: None: folders of images do not state sizes.
        upright: Whether the mask refers to the image as EXIF turns it, or as it is stored.
    """

    image_path: Path
    mask_path: Path
    image_size: tuple[int, int] | None = None
    upright: bool = True


@dataclass(frozen=True, eq=False)
class SegmentationDataset(ClassDataset[SegmentationImage]):
    """Images with masks.

    Args:
        images: The images with their masks.
        classes: Names of the classes.
        skipped: Files that are not images.
        unused_masks: Number of masks without an image.
    """

    task = "segmentation"
    skipped: tuple[Path, ...] = ()
    unused_masks: int = 0

    @property
    def skipped_summary(self) -> str:
        """The skipped files, and the number of masks without an image."""
        unused = f"{number_of(self.unused_masks, 'masks')} without an image" if self.unused_masks else ""
        return ", ".join(filter(None, (skipped_files_summary(self.skipped), unused)))


def load_segmentation_dataset(
    images: Path | str, masks: Path | str, classes: Path | None = None, *, exif: str | None = None
) -> SegmentationDataset:
    """Read a folder of images and a folder of masks.

    The mask of an image has the same name and is in the same subfolder. In Cityscapes' layout,
    `aachen/NAME_gtFine_labelTrainIds.png` is the mask of `aachen/NAME_leftImg8bit.png`. One of the two folders may lie inside
    the other.

    Args:
        images: Folder of the images.
        masks: Folder of the masks.
        classes: File with the names of the classes. Default: a `classes.json` in the folder of masks or the two folders above
            it; Cityscapes' classes for its layout; otherwise class_0, class_1, ... up to the largest index.
        exif: Whether masks refer to images as EXIF turns them or as they are stored, one of `coordinate_frame.FRAMES`; None
            decides by the sizes of the masks.

    Raises:
        HRNetError: There are no images, both folders are the same, an image has no mask, two files have the same name, or
            all masks hold only 0 and IGNORED.
    """
    image_folder, mask_folder = Path(images), Path(masks)
    files, mask_files = image_files(image_folder), image_files(mask_folder).images
    if image_folder.resolve() == mask_folder.resolve():
        raise HRNetError(f"images and masks are both in {images}, where masks would be read as images; use a folder for each")
    mask_paths = _masks_by_name(_outside(mask_files, mask_folder, image_folder), mask_folder)
    pairs = []
    for name, path in _by_name(_outside(files.images, image_folder, mask_folder), image_folder, CITYSCAPES_IMAGE).items():
        if name not in mask_paths:
            raise HRNetError(f"image {path} has no mask: {mask_folder / name}.png does not exist")
        pairs.append(SegmentationImage(path, mask_paths[name]))
    if not pairs:
        raise HRNetError(f"there are no images in {images}")
    names = _class_names(pairs, mask_folder, classes)
    _check_foreground(pairs, mask_folder)
    skipped = _outside(files.skipped, image_folder, mask_folder)
    return SegmentationDataset(_in_frame(pairs, masks, exif), names, tuple(skipped), len(mask_paths) - len(pairs))


def _in_frame(pairs: Sequence[SegmentationImage], masks: Path | str, exif: str | None) -> tuple[SegmentationImage, ...]:
    """The images with `upright` set."""
    mask_paths = {pair.image_path: pair.mask_path for pair in pairs}
    frame = find_frame(mask_paths, lambda image: stored_size(mask_paths[image]), masks, exif)
    if not frame.stored:
        return tuple(pairs)
    return tuple(replace(pair, upright=frame.is_upright(pair.image_path)) for pair in pairs)


def _outside(paths: Sequence[Path], folder: Path, excluded: Path) -> list[Path]:
    """The files of `folder` outside the folder `excluded`, which may lie inside it or be linked from it."""
    excluded = excluded.resolve()
    if excluded in folder.resolve().parents:
        return list(paths)
    real = {parent: parent.resolve() for parent in {path.parent for path in paths}}
    return [path for path in paths if excluded not in (real[path.parent], *real[path.parent].parents)]


def _class_names(pairs: Sequence[SegmentationImage], masks: Path, classes: Path | None) -> tuple[str, ...]:
    names = read_class_names(classes) if classes else find_class_names(masks)
    if names:
        return names
    if pairs[0].mask_path.stem.endswith(CITYSCAPES_MASK):
        return CITYSCAPES
    return numbered_classes(read_mask(pair.mask_path, IGNORED) for pair in pairs)


def _check_foreground(pairs: Sequence[SegmentationImage], masks: Path) -> None:
    """Raise HRNetError if masks use IGNORED for the foreground. Usually the first mask shows that they do not."""
    has_ignored = False
    for pair in pairs:
        mask = read_mask(pair.mask_path, IGNORED)
        if np.any((mask > 0) & (mask != IGNORED)):
            return
        has_ignored |= bool(np.any(mask == IGNORED))
    if has_ignored:
        raise HRNetError(
            f"the masks in {masks} hold nothing but 0 and {IGNORED}, and pixels of {IGNORED} are ignored: write the index of a "
            f"class instead, such as cv2.imwrite(name, mask // {IGNORED}) for a foreground of {IGNORED}"
        )


def _masks_by_name(paths: Sequence[Path], masks: Path) -> dict[str, Path]:
    cityscapes = [path for path in paths if path.stem.endswith(CITYSCAPES_MASK)]
    if not cityscapes and any("_gtFine_" in path.stem for path in paths):
        raise HRNetError(f"{masks} holds no {CITYSCAPES_MASK}.png: make them with cityscapesscripts' createTrainIdLabelImgs")
    return _by_name(cityscapes or paths, masks, CITYSCAPES_MASK)


def _by_name(paths: Sequence[Path], folder: Path, ending: str) -> dict[str, Path]:
    """The paths by the name that an image and its mask share."""
    named: dict[str, Path] = {}
    for path in paths:
        name = path.relative_to(folder).with_suffix("").as_posix().removesuffix(ending)
        if name in named:
            raise HRNetError(
                f"{named[name]} and {path.name} have the same name, so it is unclear which is the image and which the mask; "
                "keep one of them"
            )
        named[name] = path
    return named


def read_mask(path: Path | str, classes: int) -> NDArray[np.uint8]:
    """Read a mask.

    Args:
        path: An image file with one channel, or with a palette.
        classes: Number of classes.

    Returns:
        Class indices (H, W); pixels of IGNORED do not count.

    Raises:
        HRNetError: The file has another format, or holds an index that is not a class.
    """
    data, step = read_bytes(path, "mask"), 1
    if data.startswith(JPEG):
        raise HRNetError(f"mask {path} is a JPEG, whose compression changes class indices; write masks as PNG")
    if data.startswith(png.SIGNATURE):
        with contextlib.suppress(png.DamagedPngError):  # `decode` reports the damage
            data, step = png.with_indices(data)
    mask = decode(data, cv2.IMREAD_UNCHANGED, f"mask {path}")
    if mask.ndim != 2 or mask.dtype != np.uint8:
        raise HRNetError(
            f"mask {path} is {mask.dtype} {mask.shape}; expected one channel of bytes with class indices, or a PNG with a palette"
        )
    mask = mask // np.uint8(step)
    invalid = mask[(mask >= classes) & (mask != IGNORED)]
    if invalid.size:
        raise HRNetError(
            f"mask {path} holds class {invalid[0]}, but the model has {classes} classes, 0 to {classes - 1} "
            f"({IGNORED} is ignored)"
        )
    return np.asarray(mask, np.uint8)
