"""Keypoints in image files, each as a whole or in given boxes, drawn into pictures and written as COCO JSON."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mobile_eval.datasets.coco.categories import KeypointCategory
from mobile_eval.datasets.coordinate_frame import ALL_UPRIGHT, UPRIGHT, CoordinateFrame, find_frame
from mobile_eval.errors import HRNetError
from mobile_eval.files import check_output_folder, write_bytes, write_json
from mobile_eval.image.geometry import Array, Box, Image
from mobile_eval.image.image_file import read_image
from mobile_eval.keypoints.boxes_file import image_sizes
from mobile_eval.keypoints.inference import predict_box
from mobile_eval.progress import tracked
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.pose.predictions import check_finds_keypoints, instance_score
from mobile_eval.typed import JsonObject, Size
from mobile_eval.viz.cutout import encode_image
from mobile_eval.viz.poses import draw_skeleton

KEYPOINTS_FILE = "keypoints.json"


@dataclass(frozen=True, eq=False)
class PredictionResult:
    """The predictions for one image.

    Args:
        image: The image file.
        picture: The picture that was written.
        size: Height and width of the image.
        boxes: Boxes (x, y, width, height), N of them.
        keypoints: Keypoints (N, K, 3): x and y in image pixels, and score.
        scores: Score of each instance.
    """

    image: Path
    picture: Path
    size: Size
    boxes: tuple[Box, ...]
    keypoints: Array
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
    """Predict keypoints in images; write pictures with skeletons, and `keypoints.json` in COCO format.

    If an image or a box is invalid, the files that this call has written are removed.

    Args:
        model: A pose or landmarks model.
        images: Image files.
        output: Folder for the pictures and `keypoints.json`.
        boxes: Boxes by image (see `boxes_file.load_boxes`), for some or all images; None for one box, the full image.
        frame: Which images are read as they are stored, before EXIF turns them (see `images_frame`).
        overwrite: Replace an existing `keypoints.json`.
        progress: Show a progress bar.

    """
    check_finds_keypoints(model)
    paths = [Path(image) for image in images]
    if not paths:
        raise HRNetError("`images` must name at least one image, got none")
    names = _picture_names(paths)
    folder = _new_output(output, overwrite=overwrite)
    results: list[PredictionResult] = []
    try:
        for path, name in zip(tracked(paths, "predict", show=progress), names, strict=True):
            image = read_image(path, upright=frame.is_upright(path))
            results.append(_predict_image(model, path, image, folder / name, None if boxes is None else boxes.get(path, ())))
        write_json(folder / KEYPOINTS_FILE, coco_file(results, model.description.category))
    except HRNetError:
        _remove(results, folder)
        raise
    return results


def _predict_image(model: TFLiteModel, path: Path, image: Image, picture: Path, boxes: Sequence[Box] | None) -> PredictionResult:
    """Predict in the boxes of an image, or in the full image, and write the picture."""
    height, width = image.shape[:2]
    boxes = [(0.0, 0.0, float(width), float(height))] if boxes is None else boxes
    for left, top, box_width, box_height in boxes:
        if left >= width or top >= height or left + box_width <= 0 or top + box_height <= 0:
            raise HRNetError(
                f"box [{left:g}, {top:g}, {box_width:g}, {box_height:g}] lies outside its image {path}, {width}x{height} pixels"
            )
    predictions = [predict_box(model, image, box) for box in boxes]
    drawn = image
    for keypoints in predictions:
        drawn = draw_skeleton(drawn, keypoints, model.description.category)
    write_bytes(picture, encode_image(drawn, picture.suffix))
    stacked = np.reshape(predictions, (len(predictions), len(model.description.category.joints), 3))
    scores = tuple(instance_score(keypoints) for keypoints in predictions)
    return PredictionResult(path, picture, (height, width), tuple(boxes), stacked, scores)


def _remove(results: Sequence[PredictionResult], folder: Path) -> None:
    """Remove the pictures that were written, and the folders that are empty then."""
    for result in results:
        result.picture.unlink(missing_ok=True)
    parents = {parent for result in results for parent in result.picture.parents if folder in parent.parents}
    for parent in sorted({folder, *parents}, reverse=True):
        with contextlib.suppress(OSError):  # it is not empty
            parent.rmdir()


def coco_file(results: Sequence[PredictionResult], category: KeypointCategory) -> JsonObject:
    """Convert predictions to a COCO keypoint file.

    The third number of a keypoint is its score. Images are named by their path within their common folder.
    """
    annotations: list[JsonObject] = []
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
    """Make the output folder; HRNetError if keypoints of another call would be lost."""
    if (Path(output) / KEYPOINTS_FILE).exists() and not overwrite:
        raise HRNetError(f"{output} already holds {KEYPOINTS_FILE}; give another `output`, or `overwrite`")
    return check_output_folder(output)


def _within_common_folder(images: Sequence[Path]) -> list[Path]:
    """Return the paths of images relative to the deepest folder that contains all of them."""
    absolute = [Path(os.path.abspath(image)) for image in images]
    common = os.path.commonpath([image.parent for image in absolute])
    return [image.relative_to(common) for image in absolute]


def _picture_names(images: Sequence[Path]) -> list[Path]:
    """Return the path of each image's picture in the output folder.

    It is STEM_pose.jpg, or if stems are not unique FOLDER/STEM_pose.jpg, as in the common folder of the images.
    """
    relative = _within_common_folder(images)
    for names in (
        [Path(f"{image.stem}_pose.jpg") for image in images],
        [path.with_name(f"{path.stem}_pose.jpg") for path in relative],
        [path.with_name(f"{path.name}_pose.jpg") for path in relative],
    ):
        keys = [str(name).casefold() for name in names]  # some file systems ignore case
        if len(set(keys)) == len(images):
            return names
    second = next(index for index, key in enumerate(keys) if key in keys[:index])
    raise HRNetError(f"{images[keys.index(keys[second])]} and {images[second]} would both be written to {names[second]}")


def images_frame(images: Sequence[Path | str], boxes: Path | str | None, exif: str | None) -> CoordinateFrame:
    """Decide which images are read as they are stored, before EXIF turns them.

    Args:
        images: Image files.
        boxes: Boxes file; the image sizes in it decide if `exif` is None.
        exif: "upright" or "stored".
    """
    paths = [Path(image) for image in images]
    if boxes is None:
        return find_frame(paths, lambda path: None, "the images", exif or UPRIGHT)
    return find_frame(paths, image_sizes(boxes, paths).get, boxes, exif)
