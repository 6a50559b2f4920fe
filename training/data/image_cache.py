"""Decoded images in one file, so that a training decodes each only once. They are raw pixels: the examples stay the same."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mobile_eval.errors import HRNetError
from mobile_eval.files import check_output_folder, write_atomically, write_bytes
from mobile_eval.image.image_file import ImageItem, read_item

Image: TypeAlias = NDArray[np.uint8]

PIXELS, DONE = "pixels.rgb", "done.bin"


class ImageCache:
    """A cache of the images of items, filled as they are read. Its file is mapped, not read into memory.

    `save` records which images are complete, after their pixels are on the disk: after an interruption the others are decoded
    again. Images whose size differs from their annotations are not cached.

    Args:
        folder: Folder of the cache; several data sets can share it.
        items: Items of a data set.
    """

    def __init__(self, folder: Path, items: Sequence[ImageItem]):
        self.folder = folder / _key(items)
        images = {item.image_path: item.image_size or (0, 0) for item in items}
        ends = np.cumsum([3 * height * width for height, width in images.values()])
        self._index = {path: number for number, path in enumerate(images)}
        self._starts = np.concatenate([[0], ends[:-1]])
        self.size_bytes = int(ends[-1])
        self._map = self._opened()
        self._done = self._completed()

    def read(self, item: ImageItem) -> Image:
        """Return the image (H, W, 3) of an item, as `read_item` does."""
        number = self._index[item.image_path]
        if item.image_size is None:
            return read_item(item)
        start, shape = int(self._starts[number]), (*item.image_size, 3)
        pixels: Image = np.asarray(self._map)[start : start + int(np.prod(shape))].reshape(shape)
        if not self._done[number]:
            pixels[:] = read_item(item)
            self._done[number] = True
        return pixels

    def save(self) -> None:
        """Record which images are complete."""
        done = self._done.tobytes()  # their pixels are written; others may follow meanwhile
        self._map.flush()
        write_bytes(self.folder / DONE, done)

    def _opened(self) -> np.memmap[tuple[int, ...], np.dtype[np.uint8]]:
        """Map the file of the pixels at its full size: a mapped file must not run out of disk space later."""
        path = check_output_folder(self.folder) / PIXELS
        if not path.is_file():
            write_atomically(path, self._reserve)
        if path.stat().st_size != self.size_bytes:
            raise HRNetError(f"{path} is damaged: {path.stat().st_size} bytes, expected {self.size_bytes}; delete {self.folder}")
        return np.memmap(path, np.uint8, "r+")

    def _reserve(self, path: Path) -> None:
        with path.open("wb") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, self.size_bytes)
            except OSError as error:
                raise HRNetError(
                    f"the decoded images need {self.size_bytes / 1e9:.1f} GB in {self.folder}: {error.strerror}; give `cache` on "
                    "another disk, or train without it"
                ) from error

    def _completed(self) -> NDArray[np.bool_]:
        path = self.folder / DONE
        if not path.is_file():
            return np.zeros(len(self._index), np.bool_)
        completed = np.frombuffer(path.read_bytes(), np.bool_).copy()
        if len(completed) != len(self._index):
            raise HRNetError(f"{path} is damaged: {len(completed)} images, expected {len(self._index)}; delete {self.folder}")
        return completed


def _key(items: Sequence[ImageItem]) -> str:
    """Return a name for the images in their present state on the disk."""
    digest = hashlib.sha256()
    for path, size, upright in dict.fromkeys((item.image_path, item.image_size, item.upright) for item in items):
        state = path.stat()
        digest.update(f"{path} {size} {upright} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]
