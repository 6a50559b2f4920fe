"""Decoded images kept in one file, so that a training reads each of them once: raw pixels, and so exactly the same examples."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_eval.errors import HRNetError
from mobile_eval.files import check_output_folder, write_atomically, write_bytes
from mobile_eval.image.image_file import ImageItem, read_item

Image = NDArray[np.uint8]

PIXELS, DONE = "pixels.rgb", "done.bin"


class ImageCache:
    """The images of some items in a folder, filled as they are asked for; the file is mapped, not read into memory.

    `save` notes which images are there, after their pixels are on the disk: a killed training loses the rest and decodes it
    again. An image that is not of the size that its annotations say is not kept.
    """

    def __init__(self, folder: Path, items: Sequence[ImageItem]):
        self.folder = folder / _key(items)
        images = {item.image_path: item.image_size or (0, 0) for item in items}
        ends = np.cumsum([3 * height * width for height, width in images.values()])
        self._index = {path: number for number, path in enumerate(images)}
        self._starts = np.concatenate([[0], ends[:-1]])
        self.size_bytes = int(ends[-1])
        self._map = self._opened()
        self._done = self._noted()

    def read(self, item: ImageItem) -> Image:
        """The image (H, W, 3) that an item is of, as `read_item` does."""
        number = self._index[item.image_path]
        if item.image_size is None:
            return read_item(item)
        start, shape = int(self._starts[number]), (*item.image_size, 3)
        kept: Image = np.asarray(self._map)[start : start + int(np.prod(shape))].reshape(shape)
        if not self._done[number]:
            kept[:] = read_item(item)
            self._done[number] = True
        return kept

    def save(self) -> None:
        """Note what is there."""
        done = self._done.tobytes()  # of these the pixels are written; others may come meanwhile
        self._map.flush()
        write_bytes(self.folder / DONE, done)

    def _opened(self) -> np.memmap[Any, np.dtype[np.uint8]]:
        """The pixels' file, as large as it will be: a mapped file must not find the disk full later."""
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
                needed = f"the decoded images need {self.size_bytes / 1e9:.1f} GB"
                raise HRNetError(
                    f"{needed} in {self.folder}: {error.strerror}; give `cache` another disk, or leave it out"
                ) from error

    def _noted(self) -> NDArray[np.bool_]:
        path = self.folder / DONE
        if not path.is_file():
            return np.zeros(len(self._index), np.bool_)
        noted = np.frombuffer(path.read_bytes(), np.bool_).copy()
        if len(noted) != len(self._index):
            raise HRNetError(f"{path} is damaged: {len(noted)} images, expected {len(self._index)}; delete {self.folder}")
        return noted


def _key(items: Sequence[ImageItem]) -> str:
    """A name for these images as they lie on the disk now: other images, or changed ones, have another."""
    digest = hashlib.sha256()
    for path, size, upright in dict.fromkeys((item.image_path, item.image_size, item.upright) for item in items):
        state = path.stat()
        digest.update(f"{path} {size} {upright} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]
