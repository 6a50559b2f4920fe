"""Whether annotations refer to images as EXIF turns them or as they are stored; one rule for all images of a dataset.

upright     the image as it is displayed: the convention of browsers and most annotation tools
stored      the image as the file stores it: the convention of COCO's tools and the official face code

The image sizes in an annotation file reveal its convention for images that EXIF turns by 90 degrees, unless they are square. If
at least one image reveals it, all images of the file are read by it. If none does, the user can choose (`--exif`), and a warning
says so.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from mobile_eval.errors import HRNetError
from mobile_eval.image.exif import AS_STORED, SIDEWAYS, read_orientation, upright_size
from mobile_eval.image.image_size import stored_size
from mobile_eval.messages import DataWarning
from mobile_eval.typed import Size

UPRIGHT, STORED = FRAMES = ("upright", "stored")
THREADS, FILES_PER_TASK = 8, 500

SizeLookup = Callable[[Path], Size | None]


@dataclass(frozen=True)
class CoordinateFrame:
    """How the images of a dataset are read.

    Args:
        name: One of FRAMES: how to read images that EXIF turns and whose own size does not reveal it.
        stored: The inspected images that are read as they are stored although EXIF turns them.
    """

    name: str = UPRIGHT
    stored: frozenset[Path] = field(default=frozenset(), repr=False)

    def is_upright(self, path: Path) -> bool:
        """Whether an inspected image is read as EXIF turns it; also True if EXIF does not turn it."""
        return path not in self.stored

    def with_images(self, images: Iterable[Path], stated_size: SizeLookup) -> CoordinateFrame:
        """Inspect more images; the frame keeps its name.

        Args:
            images: The image files.
            stated_size: Returns the (height, width) that the annotations state for an image, or None.
        """
        stored = {image.path for image in _turned_images(images, stated_size) if not image.is_upright(self.name)}
        return CoordinateFrame(self.name, self.stored | stored)


ALL_UPRIGHT = CoordinateFrame()


@dataclass(frozen=True)
class _TurnedImage:
    """An image that EXIF turns, and the frame that its stated size reveals; None if it does not reveal it."""

    path: Path
    revealed: str | None

    def is_upright(self, frame: str) -> bool:
        return (self.revealed or frame) == UPRIGHT


def oriented_size(path: Path, *, upright: bool) -> Size:
    """(height, width) of an image as EXIF turns it (`upright`), or as it is stored."""
    return upright_size(stored_size(path), _orientation(path)) if upright else stored_size(path)


def find_frame(
    images: Iterable[Path], stated_size: SizeLookup, source: Path | str, exif: str | None = None, default: str = UPRIGHT
) -> CoordinateFrame:
    """Find out which frame the annotations of images refer to.

    Args:
        images: The annotated image files; missing ones are ignored.
        stated_size: Returns the (height, width) that the annotations state for an image, or None.
        source: The annotation file, for messages.
        exif: One of FRAMES, as the user states it; None decides by the stated sizes.
        default: The frame to use if nothing reveals it. A DataWarning says so.

    Raises:
        HRNetError: `exif` is not one of FRAMES, or all sizes that reveal a frame reveal the other one.
    """
    if exif not in (None, *FRAMES):
        raise HRNetError(f"`exif` must be one of {', '.join(FRAMES)}, got {exif!r}")
    turned = _turned_images(images, stated_size)
    votes = {frame: [image for image in turned if image.revealed == frame] for frame in FRAMES}
    winner = max(FRAMES, key=lambda frame: (len(votes[frame]), frame == default))
    if exif and votes[winner] and not votes[exif]:
        path = votes[winner][0].path
        raise HRNetError(
            f"`exif` is {exif}, but the sizes that {source} states are those of {winner} images: for {path.name} it states "
            f"{_text(stated_size(path))}, and the file stores {_text(stored_size(path))} (height x width)"
        )
    undecided = [image.path for image in turned if image.revealed is None]
    if undecided and not exif and (not votes[winner] or all(votes.values())):
        _warn_undecided(source, undecided, "the sizes of other images disagree" if votes[winner] else "no size reveals", winner)
    frame = exif or winner
    return CoordinateFrame(frame, frozenset(image.path for image in turned if not image.is_upright(frame)))


def _warn_undecided(source: Path | str, images: Sequence[Path], reason: str, frame: str) -> None:
    noun = "image" if len(images) == 1 else "images"
    warnings.warn(
        f"{source}: EXIF turns {len(images)} {noun} such as {images[0].name}, and {reason} whether annotations refer to the "
        f"upright or the stored image. They are read as {frame}; set `exif` to {' or '.join(FRAMES)} to decide",
        DataWarning,
        stacklevel=3,
    )


def _turned_images(images: Iterable[Path], stated_size: SizeLookup) -> list[_TurnedImage]:
    """The images that EXIF turns."""

    def inspect_all(paths: Sequence[Path]) -> list[_TurnedImage]:
        return [image for path in paths if (image := _inspect(path, stated_size))]

    paths = list(dict.fromkeys(images))
    chunks = (paths[start : start + FILES_PER_TASK] for start in range(0, len(paths), FILES_PER_TASK))
    with ThreadPoolExecutor(THREADS) as threads:  # disks and networks open files slowly, but many at a time
        return [image for inspected in threads.map(inspect_all, chunks) for image in inspected]


def _inspect(path: Path, stated_size: SizeLookup) -> _TurnedImage | None:
    """What an image reveals; None if EXIF does not turn it, or if it does not exist."""
    try:
        tag = _orientation(path)
    except OSError:
        return None  # reading the image reports the error
    if tag == AS_STORED:
        return None
    size = stated_size(path) if tag in SIDEWAYS else None
    if size is None or size[0] == size[1]:
        return _TurnedImage(path, None)
    stored = stored_size(path)
    return _TurnedImage(path, {stored: STORED, upright_size(stored, tag): UPRIGHT}.get(size))


def _orientation(path: Path) -> int:
    with path.open("rb") as file:
        return read_orientation(file)


def _text(size: Size | None) -> str:
    return "x".join(map(str, size or ()))
