"""Poses in pictures: of a whole image, or of the people in given boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.coco import KeypointCategory
from mobile_eval.datasets.frames import ALL_UPRIGHT, UPRIGHT, Frame, find_frame
from mobile_eval.evaluate import check_finds_keypoints, person_score
from mobile_eval.files import check_output_folder, read_json, write_bytes, write_json
from mobile_eval.geometry import checked_box
from mobile_eval.inference import predict_box
from mobile_eval.pose_picture import draw_skeleton, encode_image
from mobile_eval.preprocess import read_image
from mobile_eval.progress import tracked
from mobile_eval.runtime import TfliteModel

Box = tuple[float, float, float, float]
KEYPOINTS_FILE = "keypoints.json"


@dataclass(frozen=True, eq=False)
class PredictionResult:
    """The people of one image: boxes (x, y, width, height), keypoints (N, K, 3) as x, y and score, and their scores."""

    image: Path
    picture: Path
    size: tuple[int, int]
    boxes: tuple[Box, ...]
    keypoints: NDArray[np.float64]
    scores: tuple[float, ...]


def predict(
    model: TfliteModel,
    images: Sequence[Path | str],
    output: Path | str,
    *,
    boxes: Mapping[Path, Sequence[Box]] | None = None,
    frame: Frame = ALL_UPRIGHT,
    progress: bool = False,
) -> list[PredictionResult]:
    """Find the people in `images`; write pictures with skeletons and `keypoints.json` (COCO format) into folder `output`.

    Without `boxes` (see `load_boxes`) each image is taken to show one person; with them, images without a box are
    written as they are. `frame` (see `pictures_frame`) is how images are read that EXIF turns: boxes and keypoints are of what
    is read, and so is drawn.
    """
    check_finds_keypoints(model)
    paths = [Path(image) for image in images]
    if not paths:
        raise ValueError("expected at least one image, got none")
    folder = check_output_folder(output)
    pictures = _picture_paths(paths, folder)
    results = []
    for path, picture in zip(tracked(paths, "predict", show=progress), pictures, strict=True):
        image = read_image(path, upright=frame.is_upright(path))
        height, width = image.shape[:2]
        people = [(0.0, 0.0, float(width), float(height))] if boxes is None else [tuple(box) for box in boxes.get(path, ())]
        found = [predict_box(model, image, box) for box in people]
        drawn = image
        for keypoints in found:
            drawn = draw_skeleton(drawn, keypoints, model.description.category)
        write_bytes(picture, encode_image(drawn, picture.suffix))
        stacked = np.reshape(found, (len(found), len(model.description.category.joints), 3))
        scores = tuple(person_score(keypoints) for keypoints in found)
        results.append(PredictionResult(path, picture, (height, width), tuple(people), stacked, scores))  # type: ignore[arg-type]
    write_json(folder / KEYPOINTS_FILE, coco_file(results, model.description.category))
    return results


def coco_file(results: Sequence[PredictionResult], category: KeypointCategory) -> dict[str, Any]:
    """The predictions as a COCO keypoint file; a keypoint's third number is its score."""
    annotations: list[dict[str, Any]] = []
    for image_id, result in enumerate(results, 1):
        for box, keypoints, score in zip(result.boxes, result.keypoints, result.scores, strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": 1,
                    "bbox": list(box),
                    "keypoints": keypoints.reshape(-1).tolist(),
                    "score": score,
                }
            )
    sizes = enumerate(results, 1)
    images = [{"id": i, "file_name": r.image.name, "height": r.size[0], "width": r.size[1]} for i, r in sizes]
    return {"images": images, "categories": [{"id": 1, **category.to_json()}], "annotations": annotations}


def load_boxes(path: Path | str, images: Sequence[Path | str]) -> dict[Path, list[Box]]:
    """The boxes of a JSON file, by image.

    The file is a COCO annotation file, or a list of entries (COCO detection results) with "bbox" [x, y, width,
    height] and "file_name" or "image_id". Without a COCO file's table of images, an `image_id` is that of the image
    whose file name is this number (`000000000139.jpg` is 139). Entries of other images are passed over.
    """
    data = read_json(path, "boxes file")
    entries = data.get("annotations") if isinstance(data, dict) else data
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(
            f"boxes file {path} must hold COCO annotations, or a list of entries with bbox and file_name or image_id"
        )
    known = {image["id"]: image["file_name"] for image in data.get("images", ())} if isinstance(data, dict) else {}
    by_name = {Path(image).name: Path(image) for image in images}
    by_number = {int(Path(image).stem): Path(image) for image in images if Path(image).stem.isdecimal()}
    boxes: dict[Path, list[Box]] = {}
    for number, entry in enumerate(entries):
        name = entry.get("file_name") or known.get(entry.get("image_id"))
        image = by_name.get(Path(name).name) if name else by_number.get(entry.get("image_id", -1))
        box = checked_box(entry.get("bbox"), f"{path}, entry {number}")
        if image is not None:
            boxes.setdefault(image, []).append(box)
    if not boxes:
        raise ValueError(f"boxes file {path} holds no box for {', '.join(list(by_name)[:3])}; entries need file_name or image_id")
    return boxes


def pictures_frame(images: Sequence[Path | str], boxes: Path | str | None, exif: str | None) -> Frame:
    """How images are read that EXIF turns: as `exif` says ("upright", "stored"), or as the sizes tell that a boxes file names."""
    paths = [Path(image) for image in images]
    if boxes is None:
        return find_frame(paths, lambda path: None, "the images", exif or UPRIGHT)
    data = read_json(boxes, "boxes file")
    entries = data.get("images", ()) if isinstance(data, dict) else ()
    sizes = {Path(one["file_name"]).name: (one.get("height"), one.get("width")) for one in entries}
    return find_frame(paths, lambda path: sizes.get(path.name), boxes, exif)


def _picture_paths(images: Sequence[Path], folder: Path) -> list[Path]:
    """`STEM_pose.jpg` in `folder` for each image; two images of one name would overwrite each other."""
    pictures = [folder / f"{image.stem}_pose.jpg" for image in images]
    for index, picture in enumerate(pictures):
        if picture in pictures[:index]:
            first = images[pictures.index(picture)]
            raise ValueError(f"{first} and {images[index]} would both be written to {picture}; give them in two calls")
    return pictures
