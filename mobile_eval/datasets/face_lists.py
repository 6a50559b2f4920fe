"""Facial landmarks as their data sets list them: WFLW's lists, the official code's tables, and 300W's .pts files.

Each becomes what a COCO keypoint file holds: one category `face`, and the sizes of the images, which are read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from mobile_eval.datasets.coordinate_frame import STORED, CoordinateFrame, find_frame, oriented_size
from mobile_eval.datasets.image_files import SUFFIXES
from mobile_eval.errors import HRNetError
from mobile_eval.files import numbered_rows, read_bytes
from mobile_eval.typed import brief

WFLW, BOX, ATTRIBUTES = 98, 4, ("pose", "expression", "illumination", "make-up", "occlusion", "blur")
TABLE = ("image_name", "scale", "center_w", "center_h")
SCALE_PX = 200  # what a scale of 1 is in the official code's tables: the side of a face
PTS = re.compile(r"\s*version:\s*\S+\s+n_points:\s*(\d+)\s*\{([^{}]*)\}\s*")


@dataclass(frozen=True)
class Face:
    """A face of a list, and `where` in it it stands: its image's name, box (x, y, width, height) and landmarks (x, y, ...)."""

    where: str
    image: str
    box: tuple[float, float, float, float]
    coordinates: tuple[float, ...]
    attributes: tuple[str, ...] = ()


def is_of_faces(annotations: Path | str) -> bool:
    """Whether it is one of these, and not COCO JSON: a folder, or a file whose name ends in .txt or .csv."""
    return Path(annotations).is_dir() or Path(annotations).suffix.lower() in (".txt", ".csv")


def faces_as_coco(annotations: Path | str, images: Path | str, exif: str | None = None) -> tuple[dict[str, Any], CoordinateFrame]:
    """What a COCO keypoint file of these faces would hold. HRNetError names the file and line of what is not as it should be.

    Of images that EXIF turns these lists name no size: they are read as `exif` says ("upright", "stored"), or else as they are
    stored, which the official face code does; that is the frame.

    `annotations` is a list (.txt, WFLW's: 98 landmarks, box, six attributes and image a line), a table (.csv, as in the official
    code: image_name, scale, center_w, center_h and x and y of each landmark) or a folder of .pts files, named as their images.
    """
    path, folder = Path(annotations), Path(images)
    if not folder.is_dir():
        raise HRNetError(f"image folder {folder} does not exist")
    if path.is_dir():
        names, faces = _points_files(path, folder)
    elif path.suffix.lower() == ".csv":
        names, faces = _table(path)
    else:
        names, faces = [f"landmark_{index}" for index in range(WFLW)], list(_list(path))
    if not faces:
        raise HRNetError(f"{path} holds no face")
    frame = find_frame((folder / face.image for face in faces), lambda image: None, path, exif, STORED)
    return _coco(faces, names, folder, frame), frame


def _coco(faces: Sequence[Face], names: Sequence[str], folder: Path, frame: CoordinateFrame) -> dict[str, Any]:
    ids: dict[str, int] = {}
    entries, annotations = [], []
    for number, face in enumerate(faces, 1):
        if face.image not in ids:
            ids[face.image] = len(ids) + 1
            try:
                image = folder / face.image
                height, width = oriented_size(image, upright=frame.is_upright(image))
            except HRNetError as error:
                raise HRNetError(f"{face.where}: {error}") from error
            entries.append({"id": ids[face.image], "file_name": face.image, "height": height, "width": width})
        keypoints = [value for x, y in zip(face.coordinates[::2], face.coordinates[1::2], strict=True) for value in (x, y, 2)]
        known = {"id": number, "image_id": ids[face.image], "category_id": 1, "bbox": list(face.box), "keypoints": keypoints}
        on = [name for name, flag in zip(ATTRIBUTES, face.attributes, strict=False) if flag != "0"]
        annotations.append({**known, "attributes": on})
    category = {"id": 1, "name": "face", "keypoints": list(names), "skeleton": []}
    return {"images": entries, "categories": [category], "annotations": annotations}


def _list(path: Path) -> Iterator[Face]:
    expected = 2 * WFLW + BOX + len(ATTRIBUTES) + 1
    for number, line in enumerate(_text(path).splitlines(), 1):
        where, fields = f"{path}, line {number}", line.split()
        if not fields:
            continue
        if len(fields) != expected:
            raise HRNetError(
                f"{where}: {len(fields)} entries, expected {expected}: {2 * WFLW} coordinates, {BOX} of the box, "
                f"{len(ATTRIBUTES)} attributes and the image"
            )
        numbers = _numbers(fields[: 2 * WFLW + BOX], where)
        left, top, right, bottom = numbers[2 * WFLW :]
        box = _checked((left, top, right - left, bottom - top), where)
        yield Face(where, fields[-1], box, numbers[: 2 * WFLW], tuple(fields[2 * WFLW + BOX : -1]))


def _table(path: Path) -> tuple[list[str], list[Face]]:
    rows = numbered_rows(_text(path), path)
    header = [name.strip() for name in next(rows, (0, []))[1]]
    starts = [index for index, (x, y) in enumerate(pairwise(header)) if x.endswith("_x") and y == f"{x[:-2]}_y"]
    if not set(TABLE) <= set(header) or not starts:
        raise HRNetError(f"{path}, line 1: expected a header {','.join(TABLE)},original_0_x,original_0_y,...")
    image, *square = (header.index(name) for name in TABLE)
    names = [re.sub(r"^original_(\d+)$", r"landmark_\1", header[start][:-2]) for start in starts]
    faces = []
    for line, row in rows:
        where = f"{path}, line {line}"
        if len(row) != len(header):
            raise HRNetError(f"{where}: {len(row)} entries, but the header has {len(header)}")
        scale, x, y = _numbers([row[index] for index in square], where)
        side = scale * SCALE_PX
        coordinates = _numbers([row[index] for start in starts for index in (start, start + 1)], where)
        faces.append(Face(where, row[image].strip(), _checked((x - side / 2, y - side / 2, side, side), where), coordinates))
    return names, faces


def _points_files(path: Path, images: Path) -> tuple[list[str], list[Face]]:
    """Faces of .pts files, whose boxes are those around their landmarks; these count pixels from 1."""
    files = sorted(path.rglob("*.pts"))
    if not files:
        raise HRNetError(f"{path} is a folder without .pts files; annotations are a file, or a folder of .pts files")
    faces: list[Face] = []
    for file in files:
        match = PTS.fullmatch(_text(file))
        if match is None:
            raise HRNetError(f"{file} is no .pts file: expected version, n_points, and the points in braces")
        numbers = _numbers(match[2].split(), str(file))
        if len(numbers) != 2 * int(match[1]) or len(numbers) != len(faces[0].coordinates if faces else numbers):
            wanted = len(faces[0].coordinates) // 2 if faces else int(match[1])
            raise HRNetError(f"{file}: {len(numbers)} coordinates, expected those of {wanted} landmarks")
        xs, ys = [x - 1 for x in numbers[::2]], [y - 1 for y in numbers[1::2]]
        box = _checked((min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)), str(file))
        coordinates = tuple(value for point in zip(xs, ys, strict=True) for value in point)
        faces.append(Face(str(file), _image_of(file.relative_to(path), images), box, coordinates))
    return [f"landmark_{index}" for index in range(len(faces[0].coordinates) // 2)], faces


def _image_of(points: Path, images: Path) -> str:
    name = points.with_suffix("").as_posix()
    endings = [*SUFFIXES, *map(str.upper, SUFFIXES)]
    found = next((f"{name}{ending}" for ending in endings if (images / f"{name}{ending}").is_file()), None)
    if found is None:
        raise HRNetError(f"{points} has no image {name}.jpg (or .png, ...) in {images}")
    return found


def _numbers(fields: Sequence[str], where: str) -> tuple[float, ...]:
    return tuple(_number(field, where) for field in fields)


def _number(field: str, where: str) -> float:
    try:
        number = float(field)
    except ValueError:
        raise HRNetError(f"{where}: {brief(field)} is not a number") from None
    if not math.isfinite(number):
        raise HRNetError(f"{where}: a number is not finite, {brief(field)}")
    return number


def _checked(box: tuple[float, float, float, float], where: str) -> tuple[float, float, float, float]:
    if not (box[2] > 0 and box[3] > 0):
        raise HRNetError(f"{where}: its box {', '.join(f'{value:g}' for value in box)} (x, y, width, height) has no area")
    return box


def _text(path: Path) -> str:
    return read_bytes(path, "annotation file").decode("utf-8-sig", "replace")
