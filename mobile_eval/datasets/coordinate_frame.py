"""Which pixels the annotations of a data set are of, where EXIF says that images are to be turned: one rule for all of a file.

upright     the image as it is shown, as browsers and most annotation tools have it
stored      the image as it lies in the file, as COCO's tools and the official face code read it

The sizes that a file names tell for images on their side that are not square. Where at least one does, all of the file are read
so. Where none does, the user has the choice (`--exif`), and is told of it.
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
from mobile_eval.notices import DataWarning

UPRIGHT, STORED = FRAMES = ("upright", "stored")
READERS, PART = 8, 500  # threads that look into files, and how many files each takes at a time

Size = tuple[int, int]
NamedSize = Callable[[Path], Size | None]


@dataclass(frozen=True)
class CoordinateFrame:
    """How the images of a data set are read: those that EXIF turns as `name` says, except where their own size tells otherwise.

    `stored` are the images, of those that were looked at, that stay as they are stored although EXIF turns them.
    """

    name: str = UPRIGHT
    stored: frozenset[Path] = field(default=frozenset(), repr=False)

    def is_upright(self, path: Path) -> bool:
        """Whether an image that was looked at is turned as its EXIF says; one that EXIF does not turn is upright anyway."""
        return path not in self.stored

    def with_images(self, images: Iterable[Path], named_size: NamedSize) -> CoordinateFrame:
        """The same frame for more images."""
        more = {one.path for one in _turned(images, named_size) if not one.is_upright(self.name)}
        return CoordinateFrame(self.name, self.stored | more)


ALL_UPRIGHT = CoordinateFrame()


@dataclass(frozen=True)
class _Turned:
    """An image that EXIF turns, and which way its named size tells that it was annotated; None where it does not tell."""

    path: Path
    told: str | None

    def is_upright(self, frame: str) -> bool:
        return (self.told or frame) == UPRIGHT


def oriented_size(path: Path, *, upright: bool) -> Size:
    """(height, width) of an image when it is turned as EXIF says, or as it is stored."""
    return upright_size(stored_size(path), _orientation(path)) if upright else stored_size(path)


def find_frame(
    images: Iterable[Path], named_size: NamedSize, where: Path | str, choice: str | None = None, default: str = UPRIGHT
) -> CoordinateFrame:
    """The frame of the images that a file annotates.

    Args:
        images: Those files; one that is not there is passed over.
        named_size: The (height, width) that the file names for an image, None if it names none.
        where: The file, for messages.
        choice: One of FRAMES, as the user says; None leaves it to the sizes.
        default: What is taken where neither tells; DataWarning then says so.

    Raises:
        HRNetError: The choice is none of FRAMES, or the sizes that tell are all of the other frame.
    """
    if choice not in (None, *FRAMES):
        raise HRNetError(f"`exif` is one of {', '.join(FRAMES)}, got {choice!r}")
    turned = _turned(images, named_size)
    votes = {frame: [one for one in turned if one.told == frame] for frame in FRAMES}
    most = max(FRAMES, key=lambda frame: (len(votes[frame]), frame == default))
    if choice and votes[most] and not votes[choice]:
        example = votes[most][0].path
        raise HRNetError(
            f"`exif` {choice}: the sizes that {where} names are of {most} images; {example.name} is named "
            f"{_shown(named_size(example))}, and is stored as {_shown(stored_size(example))} (height x width)"
        )
    open_images = [one for one in turned if one.told is None]
    if open_images and not choice and (not votes[most] or all(votes.values())):
        count = len(open_images)
        warnings.warn(
            f"{where}: EXIF turns {count} image{'s' if count > 1 else ''} such as {open_images[0].path.name}, and "
            f"{'nothing tells' if not votes[most] else 'the sizes of others tell differently'} whether the annotations are of "
            f"the upright image or of the stored one: it is read as {most}; `exif` {' or `exif` '.join(FRAMES)} decides",
            DataWarning,
            stacklevel=2,
        )
    frame = choice or most
    return CoordinateFrame(frame, frozenset(one.path for one in turned if not one.is_upright(frame)))


def _turned(images: Iterable[Path], named_size: NamedSize) -> list[_Turned]:
    """Those of the images that EXIF turns."""

    def look(paths: Sequence[Path]) -> list[_Turned]:
        return [one for path in paths if (one := _look(path, named_size))]

    paths = list(dict.fromkeys(images))
    parts = (paths[start : start + PART] for start in range(0, len(paths), PART))
    with ThreadPoolExecutor(READERS) as readers:  # disks and networks are slow to open files, and do so side by side
        return [one for found in readers.map(look, parts) for one in found]


def _look(path: Path, named_size: NamedSize) -> _Turned | None:
    """What an image says; None where EXIF does not turn it, or where it is not there."""
    try:
        said = _orientation(path)
    except OSError:
        return None  # whoever reads it says so
    if said == AS_STORED:
        return None
    size = named_size(path) if said in SIDEWAYS else None
    if size is None or size[0] == size[1]:
        return _Turned(path, None)
    stored = stored_size(path)
    return _Turned(path, {stored: STORED, upright_size(stored, said): UPRIGHT}.get(size))


def _orientation(path: Path) -> int:
    with path.open("rb") as file:
        return read_orientation(file)


def _shown(size: Size | None) -> str:
    return "x".join(map(str, size or ()))
