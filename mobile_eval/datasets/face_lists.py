"""Facial landmarks in the formats of their datasets: WFLW's lists, the official code's tables, and 300W's .pts files.

Each is converted to the content of a COCO keypoint file with one category, `face`. Image sizes are read from the images.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from mobile_eval.datasets.coco.schema import Box
from mobile_eval.datasets.coordinate_frame import STORED, CoordinateFrame, find_frame, oriented_size
from mobile_eval.datasets.image_files import SUFFIXES, check_folder
from mobile_eval.errors import HRNetError
from mobile_eval.files import numbered_rows, read_bytes
from mobile_eval.typed import JsonObject, brief

WFLW_LANDMARKS, BOX_NUMBERS = 98, 4
ATTRIBUTES = ("pose", "expression", "illumination", "make-up", "occlusion", "blur")
TABLE_COLUMNS = ("image_name", "scale", "center_w", "center_h")
SCALE_PX = 200  # side of a face of scale 1 in the official code's tables
PTS = re.compile(r"\s*version:\s*\S+\s+n_points:\s*(\d+)\s*\{([^{}]*)\}\s*")


@dataclass(frozen=True)
class Face:
    """A face of a list.

    Args:
        where: Its file and line, for messages.
        image: Name of its image file.
        box: x, y, width, height in pixels.
        coordinates: x and y of each landmark (2 K,), in pixels.
        attributes: WFLW's flags, in the order of ATTRIBUTES.
    """

    where: str
    image: str
    box: Box
    coordinates: tuple[float, ...]
    attributes: tuple[str, ...] = ()


def is_face_list(annotations: Path | str) -> bool:
    """Whether annotations are in one of these formats, not COCO JSON: a folder, or a .txt or .csv file."""
    return Path(annotations).is_dir() or Path(annotations).suffix.lower() in (".txt", ".csv")


def faces_as_coco(annotations: Path | str, images: Path | str, exif: str | None = None) -> tuple[JsonObject, CoordinateFrame]:
    """Convert a list of faces to the content of a COCO keypoint file.

    Args:
        annotations: A list (.txt, WFLW's: 98 landmarks, box, six attributes and image name per line), a table (.csv, the
            official code's: image_name, scale, center_w, center_h, and x and y of each landmark), or a folder of .pts files
            with the names of their images.
        images: Folder of the images.
        exif: Whether landmarks refer to images as EXIF turns them ("upright") or as they are stored ("stored"). The lists
            state no image sizes that would reveal it; the default is "stored", as in the official face code.

    Returns:
        The content of the file, and the frame that its images are read in.

    Raises:
        HRNetError: An entry is malformed, or an image is missing. The message names the file and the line.
    """
    path, folder = Path(annotations), check_folder(images)
    if path.is_dir():
        names, faces = _read_points_files(path, folder)
    elif path.suffix.lower() == ".csv":
        names, faces = _read_table(path)
    else:
        names, faces = _landmark_names(WFLW_LANDMARKS), list(_read_list(path))
    if not faces:
        raise HRNetError(f"{path} holds no face")
    frame = find_frame((folder / face.image for face in faces), lambda image: None, path, exif, STORED)
    return _coco(faces, names, folder, frame), frame


def _coco(faces: Sequence[Face], names: Sequence[str], folder: Path, frame: CoordinateFrame) -> JsonObject:
    images: dict[str, JsonObject] = {}
    annotations = []
    for place, face in enumerate(faces, 1):
        if face.image not in images:
            images[face.image] = {"id": len(images) + 1, "file_name": face.image, **_size(face, folder, frame)}
        points = zip(face.coordinates[::2], face.coordinates[1::2], strict=True)
        annotations.append(
            {
                "id": place,
                "image_id": images[face.image]["id"],
                "category_id": 1,
                "bbox": list(face.box),
                "keypoints": [value for x, y in points for value in (x, y, 2)],
                "attributes": [name for name, flag in zip(ATTRIBUTES, face.attributes, strict=False) if flag != "0"],
            }
        )
    category = {"id": 1, "name": "face", "keypoints": list(names), "skeleton": []}
    return {"images": list(images.values()), "categories": [category], "annotations": annotations}


def _size(face: Face, folder: Path, frame: CoordinateFrame) -> dict[str, int]:
    path = folder / face.image
    try:
        height, width = oriented_size(path, upright=frame.is_upright(path))
    except HRNetError as error:
        raise HRNetError(f"{face.where}: {error}") from error
    return {"height": height, "width": width}


def _read_list(path: Path) -> Iterator[Face]:
    coordinates = 2 * WFLW_LANDMARKS
    numeric = coordinates + BOX_NUMBERS
    expected = numeric + len(ATTRIBUTES) + 1
    for number, line in enumerate(_text(path).splitlines(), 1):
        where, fields = f"{path}, line {number}", line.split()
        if not fields:
            continue
        if len(fields) != expected:
            raise HRNetError(
                f"{where}: {len(fields)} entries, expected {expected}: {coordinates} coordinates, {BOX_NUMBERS} of the box, "
                f"{len(ATTRIBUTES)} attributes and the image"
            )
        numbers = _numbers(fields[:numeric], where)
        left, top, right, bottom = numbers[coordinates:]
        box = _checked_box((left, top, right - left, bottom - top), where)
        yield Face(where, fields[-1], box, numbers[:coordinates], tuple(fields[numeric:-1]))


def _read_table(path: Path) -> tuple[list[str], list[Face]]:
    """Landmark names and faces of a table."""
    rows = numbered_rows(_text(path), path)
    header = [name.strip() for name in next(rows, (0, []))[1]]
    starts = [index for index, (x, y) in enumerate(pairwise(header)) if x.endswith("_x") and y == f"{x[:-2]}_y"]
    if not set(TABLE_COLUMNS) <= set(header) or not starts:
        raise HRNetError(f"{path}, line 1: expected a header {','.join(TABLE_COLUMNS)},original_0_x,original_0_y,...")
    image, *square = (header.index(name) for name in TABLE_COLUMNS)
    names = [re.sub(r"^original_(\d+)$", r"landmark_\1", header[start][:-2]) for start in starts]
    faces = []
    for line, row in rows:
        where = f"{path}, line {line}"
        if len(row) != len(header):
            raise HRNetError(f"{where}: {len(row)} entries, but the header has {len(header)}")
        scale, x, y = _numbers([row[index] for index in square], where)
        side = scale * SCALE_PX
        coordinates = _numbers([row[index] for start in starts for index in (start, start + 1)], where)
        box = _checked_box((x - side / 2, y - side / 2, side, side), where)
        faces.append(Face(where, row[image].strip(), box, coordinates))
    return names, faces


def _read_points_files(path: Path, images: Path) -> tuple[list[str], list[Face]]:
    """Landmark names and faces of .pts files. Their pixels count from 1; boxes are those of the landmarks."""
    files = sorted(path.rglob("*.pts"))
    if not files:
        raise HRNetError(f"{path} is a folder without .pts files; annotations are a file, or a folder of .pts files")
    faces: list[Face] = []
    for file in files:
        match = PTS.fullmatch(_text(file))
        if match is None:
            raise HRNetError(f"{file} is not a .pts file: expected version, n_points, and the points in braces")
        numbers = _numbers(match[2].split(), str(file))
        landmarks = len(faces[0].coordinates) // 2 if faces else int(match[1])
        if len(numbers) != 2 * int(match[1]) or len(numbers) != 2 * landmarks:
            raise HRNetError(f"{file}: {len(numbers)} coordinates, expected those of {landmarks} landmarks")
        xs, ys = [x - 1 for x in numbers[::2]], [y - 1 for y in numbers[1::2]]
        box = _checked_box((min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)), str(file))
        coordinates = tuple(value for point in zip(xs, ys, strict=True) for value in point)
        faces.append(Face(str(file), _find_image(file.relative_to(path), images), box, coordinates))
    return _landmark_names(len(faces[0].coordinates) // 2), faces


def _find_image(points: Path, images: Path) -> str:
    name = points.with_suffix("").as_posix()
    suffixes = [*SUFFIXES, *map(str.upper, SUFFIXES)]
    image = next((f"{name}{suffix}" for suffix in suffixes if (images / f"{name}{suffix}").is_file()), None)
    if image is None:
        raise HRNetError(f"{points} has no image {name}.jpg (or .png, ...) in {images}")
    return image


def _landmark_names(count: int) -> list[str]:
    return [f"landmark_{index}" for index in range(count)]


def _numbers(fields: Sequence[str], where: str) -> tuple[float, ...]:
    return tuple(_number(field, where) for field in fields)


def _number(field: str, where: str) -> float:
    try:
        number = float(field)
    except ValueError:
        raise HRNetError(f"{where}: {brief(field)} is not a number") from None
    if not math.isfinite(number):
        raise HRNetError(f"{where}: {brief(field)} is not a finite number")
    return number


def _checked_box(box: Box, where: str) -> Box:
    if not (box[2] > 0 and box[3] > 0):
        raise HRNetError(f"{where}: its box {', '.join(f'{value:g}' for value in box)} (x, y, width, height) has no area")
    return box


def _text(path: Path) -> str:
    text = read_bytes(path, "annotation file").decode("utf-8-sig", "replace")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise HRNetError(f"{path}, line {line} contains a NUL character: the file is damaged; copy it again")
    return text
