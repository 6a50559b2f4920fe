"""Poses in pictures: of a whole image, or of the people in given boxes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.coco.categories import KeypointCategory
from mobile_eval.datasets.coordinate_frame import ALL_UPRIGHT, UPRIGHT, CoordinateFrame, find_frame
from mobile_eval.errors import HRNetError
from mobile_eval.files import check_output_folder, write_bytes, write_json
from mobile_eval.image.image_file import read_image
from mobile_eval.keypoints.boxes_file import Box, image_sizes
from mobile_eval.keypoints.inference import predict_box
from mobile_eval.progress import tracked
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.pose.predictions import check_finds_keypoints, instance_score
from mobile_eval.viz.poses import draw_skeleton, encode_image

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
    model: TFLiteModel,
    images: Sequence[Path | str],
    output: Path | str,
    *,
    boxes: Mapping[Path, Sequence[Box]] | None = None,
    frame: CoordinateFrame = ALL_UPRIGHT,
    overwrite: bool = False,
    progress: bool = False,
) -> list[PredictionResult]:
    """Find the people in `images`; write pictures with skeletons and `keypoints.json` (COCO format) into folder `output`.

    Without `boxes` (see `boxes_file.load_boxes`) each image is taken to show one person; with them, images without a box are
    written as they are. `frame` (see `pictures_frame`) is how images are read that EXIF turns: boxes and keypoints are of what
    is read, and so is drawn. A folder that holds the keypoints of an earlier call is refused, unless it is to `overwrite`. Where
    an image or box is refused, nothing is left of the others.
    """
    check_finds_keypoints(model)
    paths = [Path(image) for image in images]
    if not paths:
        raise HRNetError("expected at least one image, got none")
    names = _picture_names(paths)
    folder = _new_output(output, overwrite=overwrite)
    results: list[PredictionResult] = []
    try:
        for path, name in zip(tracked(paths, "predict", show=progress), names, strict=True):
            image = read_image(path, upright=frame.is_upright(path))
            results.append(_predicted(model, path, image, folder / name, None if boxes is None else boxes.get(path, ())))
        write_json(folder / KEYPOINTS_FILE, coco_file(results, model.description.category))
    except HRNetError:
        _remove(results, folder)
        raise
    return results


def _predicted(
    model: TFLiteModel, path: Path, image: NDArray[np.uint8], picture: Path, boxes: Sequence[Box] | None
) -> PredictionResult:
    """The people in `boxes` of an image, or without these of all of it, drawn into `picture`."""
    height, width = image.shape[:2]
    people = [(0.0, 0.0, float(width), float(height))] if boxes is None else list(boxes)
    for left, top, wide, high in people:
        if left >= width or top >= height or left + wide <= 0 or top + high <= 0:
            raise HRNetError(
                f"box [{left:g}, {top:g}, {wide:g}, {high:g}] lies outside its image {path}, {width}x{height} pixels"
            )
    found = [predict_box(model, image, box) for box in people]
    drawn = image
    for keypoints in found:
        drawn = draw_skeleton(drawn, keypoints, model.description.category)
    write_bytes(picture, encode_image(drawn, picture.suffix))
    stacked = np.reshape(found, (len(found), len(model.description.category.joints), 3))
    scores = tuple(instance_score(keypoints) for keypoints in found)
    return PredictionResult(path, picture, (height, width), tuple(people), stacked, scores)


def _remove(results: Sequence[PredictionResult], folder: Path) -> None:
    """Remove pictures that were written, and the folders that are empty then."""
    for result in results:
        result.picture.unlink(missing_ok=True)
    inside = {parent for result in results for parent in result.picture.parents if folder in parent.parents}
    for place in sorted({folder, *inside}, reverse=True):
        with contextlib.suppress(OSError):  # it holds something else
            place.rmdir()


def coco_file(results: Sequence[PredictionResult], category: KeypointCategory) -> dict[str, Any]:
    """The predictions as a COCO keypoint file; a keypoint's third number is its score.

    Images are named by their path in the folder that all of them lie in.
    """
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
    names = _within_common_folder([result.image for result in results])
    images = [
        {"id": image_id, "file_name": name.as_posix(), "height": result.size[0], "width": result.size[1]}
        for image_id, (name, result) in enumerate(zip(names, results, strict=True), 1)
    ]
    return {"images": images, "categories": [{"id": 1, **category.to_json()}], "annotations": annotations}


def _new_output(output: Path | str, *, overwrite: bool) -> Path:
    """The output folder; HRNetError where it holds the keypoints of other images, which would be lost."""
    if (Path(output) / KEYPOINTS_FILE).exists() and not overwrite:
        raise HRNetError(f"{output} holds {KEYPOINTS_FILE} of an earlier call; give another `output`, or `overwrite`")
    return check_output_folder(output)


def _within_common_folder(images: Sequence[Path]) -> list[Path]:
    """The paths of images from the folder that all of them lie in."""
    absolute = [Path(os.path.abspath(image)) for image in images]
    common = os.path.commonpath([image.parent for image in absolute])
    return [image.relative_to(common) for image in absolute]


def _picture_names(images: Sequence[Path]) -> list[Path]:
    """Where each image's picture goes in the output folder: STEM_pose.jpg; where stems are not unique, at its place in the folder
    that all images lie in, as FOLDER/STEM_pose.jpg.
    """
    within = _within_common_folder(images)
    for names in (
        [Path(f"{image.stem}_pose.jpg") for image in images],
        [path.with_name(f"{path.stem}_pose.jpg") for path in within],
        [path.with_name(f"{path.name}_pose.jpg") for path in within],
    ):
        keys = [str(name).casefold() for name in names]  # not every disk tells a.jpg from A.jpg
        if len(set(keys)) == len(images):
            return names
    second = next(index for index, key in enumerate(keys) if key in keys[:index])
    raise HRNetError(f"{images[keys.index(keys[second])]} and {images[second]} would both be written to {names[second]}")


def pictures_frame(images: Sequence[Path | str], boxes: Path | str | None, exif: str | None) -> CoordinateFrame:
    """How images are read that EXIF turns: as `exif` says ("upright", "stored"), or as the sizes tell that a boxes file names."""
    paths = [Path(image) for image in images]
    if boxes is None:
        return find_frame(paths, lambda path: None, "the images", exif or UPRIGHT)
    return find_frame(paths, image_sizes(boxes, paths).get, boxes, exif)
