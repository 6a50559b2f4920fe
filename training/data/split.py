"""Split an annotation file by the names of its images, so that settings are chosen on people that are not the validation set."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from mobile_eval.errors import HRNetError
from mobile_eval.files import check_output_folder, read_json, write_json
from mobile_eval.typed import JsonObject, checked, checked_entry

REST_FILE, HELD_OUT_FILE = "train.json", "held_out.json"
HASH_VALUES = 2**64  # of the eight bytes that are read


@dataclass(frozen=True)
class Split:
    """The two files of a split.

    Attributes:
        rest: The larger part, to train on.
        held_out: The part that is held out.
        rest_images: Number of images of `rest`.
        held_out_images: Number of images of `held_out`.
    """

    rest: Path
    held_out: Path
    rest_images: int
    held_out_images: int


def is_held_out(file_name: str, fraction: float) -> bool:
    """Return whether an image is in the held-out part, which depends on nothing but its name.

    Args:
        file_name: Name of the image as the annotation file states it.
        fraction: Share of the images to hold out, between 0 and 1.

    Example:
        >>> [is_held_out(f"im{number:05}.jpg", 0.5) for number in range(1, 5)]
        [True, False, False, False]
    """
    digest = hashlib.sha256(file_name.encode()).digest()
    return int.from_bytes(digest[:8], "big") / HASH_VALUES < fraction


def split_annotations(annotations: Path | str, output: Path | str, fraction: float = 0.1) -> Split:
    """Split a COCO file into a part to train on and a part to choose settings on, image by image.

    An image is held out if the SHA-256 of its name, as a number from 0 to 1, is below `fraction`. So it is in the same part on
    every machine, in whatever order the file has its images and whatever is added to it.

    Args:
        annotations: COCO JSON file.
        output: Folder for `train.json` and `held_out.json`.
        fraction: Share of the images to hold out, between 0 and 1.

    Raises:
        HRNetError: The file is not COCO's, or one of the parts would have no image.

    Example:
        >>> split_annotations("annotations/train.json", "split", 0.1).held_out_images  # doctest: +SKIP
        803
    """
    if not 0 < fraction < 1:
        raise HRNetError(f"`fraction` must be between 0 and 1, got {fraction:g}")
    path, place = Path(annotations), str(annotations)
    data = checked(read_json(path, "annotations"), JsonObject, place)
    images = checked_entry(data, "images", list[JsonObject], place)
    labels = checked_entry(data, "annotations", list[JsonObject], place)
    held_out = {
        checked_entry(image, "id", int | str, f"{place}: images")
        for image in images
        if is_held_out(checked_entry(image, "file_name", str, f"{place}: images"), fraction)
    }
    if not 0 < len(held_out) < len(images):
        raise HRNetError(f"`fraction` {fraction:g} holds out {len(held_out)} of the {len(images)} images of {path}")
    folder = check_output_folder(output)
    split = Split(folder / REST_FILE, folder / HELD_OUT_FILE, len(images) - len(held_out), len(held_out))
    for file, part in ((split.rest, False), (split.held_out, True)):
        chosen = [image for image in images if (image["id"] in held_out) == part]
        labelled = [label for label in labels if (label.get("image_id") in held_out) == part]
        write_json(file, {**data, "images": chosen, "annotations": labelled})
    return split
