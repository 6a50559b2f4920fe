"""Read every image of a data set once: its size, what is wrong with it, and what identifies it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.base import TaskDataset
from mobile_eval.errors import HRNetError
from mobile_eval.files import read_bytes
from mobile_eval.image.image_file import ImageItem, read_item
from mobile_eval.image.prefetch import prefetch
from mobile_eval.messages import number_of
from mobile_eval.progress import tracked
from mobile_eval.typed import Size
from training.data.check.result import ERROR, TRAIN, WARNING, Finding, Spread

THUMBNAIL = (8, 9)  # rows and columns: 64 differences of neighbors in a row
DIGEST_BYTES = 16
NO_PIXELS = np.zeros(THUMBNAIL, np.uint8)


@dataclass(frozen=True)
class ImageFacts:
    """What is kept of an image: some 200 bytes.

    Args:
        path: The image file.
        size: (height, width) in pixels, in the orientation of its annotations; None if it cannot be read.
        digest: Hash of the file's content; b"" if there is no such file.
        thumbnail: Gray levels (8, 9).
        problem: Why it cannot be read; "" if it can.
    """

    path: Path
    size: Size | None = None
    digest: bytes = b""
    thumbnail: NDArray[np.uint8] = field(default_factory=lambda: NO_PIXELS, repr=False)
    problem: str = ""


def read_images(data: TaskDataset, label: str, *, progress: bool = False) -> list[ImageFacts]:
    """Read each image of a data set, in background threads.

    Args:
        data: The data set.
        label: Name of the progress bar.
        progress: Show it.
    """
    items = list({item.image_path: item for item in data.items}.values())
    return list(tracked(prefetch(_facts, items), label, total=len(items), show=progress))


def _facts(item: ImageItem) -> ImageFacts:
    digest = b""
    try:
        digest = hashlib.blake2b(read_bytes(item.image_path, "image"), digest_size=DIGEST_BYTES).digest()
        image = read_item(item)
    except (HRNetError, OSError) as error:
        return ImageFacts(item.image_path, digest=digest, problem=str(error))
    thumbnail = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), THUMBNAIL[::-1], interpolation=cv2.INTER_AREA)
    return ImageFacts(item.image_path, image.shape[:2], digest, np.asarray(thumbnail, np.uint8))


def spread(numbers: Iterable[float]) -> Spread | None:
    """The smallest, the median and the largest number; None of none."""
    values = np.fromiter(numbers, np.float64)
    return Spread(float(values.min()), float(np.median(values)), float(values.max())) if len(values) else None


def damaged_images(data: TaskDataset, images: Iterable[ImageFacts], split: str, max_share: float) -> list[Finding]:
    """The images that cannot be read, by the rule of training.

    Args:
        data: The data set.
        images: Its images.
        split: "train" or "val". Training skips a few unreadable images of the training set, but none of the validation set.
        max_share: Largest fraction of the items of the training set that may be skipped.
    """
    problems = {facts.path: facts.problem for facts in images if facts.problem}
    if not problems:
        return []
    items = sum(item.image_path in problems for item in data.items)
    is_fatal = split != TRAIN or items > max_share * len(data)
    text = f"{number_of(len(problems), 'images')} cannot be read"
    reason = f", with {items:,} of {len(data):,} items; training skips up to {max_share:.0%}" if split == TRAIN else ""
    return [
        Finding("damaged images", text + reason, ERROR if is_fatal else WARNING, split, len(problems), tuple(problems.values()))
    ]
