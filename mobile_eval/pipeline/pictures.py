"""Predictions on image files, drawn into pictures and written as JSON: keypoints and boxes in COCO's form."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2

from mobile_eval.datasets.coordinate_frame import ALL_UPRIGHT, UPRIGHT, CoordinateFrame, find_frame
from mobile_eval.datasets.image_files import image_files
from mobile_eval.errors import HRNetError
from mobile_eval.files import check_output_folder, write_bytes, write_json
from mobile_eval.image.geometry import Box, Image
from mobile_eval.image.image_file import read_image
from mobile_eval.keypoints.boxes_file import image_sizes
from mobile_eval.pipeline.pipeline import People
from mobile_eval.pipeline.predictors import Boxes, KeypointPredictor, Mask, Prediction, Predictor
from mobile_eval.progress import tracked
from mobile_eval.typed import JsonObject, Size
from mobile_eval.viz.cutout import encode_image

RESULTS_FILES = {"pose": "keypoints.json", "boxes": "boxes.json", "mask": "masks.json", "class": "classes.json"}
ONE_PERSON = "without `boxes` and `detector`, each full picture is taken for one {name}"


@dataclass(frozen=True, eq=False)
class PictureResult:
    """The prediction for one image.

    Args:
        image: The image file.
        picture: The picture that was written.
        size: Height and width of the image.
        prediction: The prediction: `People`, or the boxes, mask or classes of `mobile_eval.pipeline.predictors`.
    """

    image: Path
    picture: Path
    size: Size
    prediction: Prediction


def predict_pictures(
    predictor: Predictor,
    images: Sequence[Path | str],
    output: Path | str,
    *,
    boxes: Mapping[Path, Sequence[Box]] | None = None,
    frame: CoordinateFrame = ALL_UPRIGHT,
    min_score: float | None = None,
    overwrite: bool = False,
    progress: bool = False,
) -> list[PictureResult]:
    """Predict on images; write pictures, and a JSON file of all predictions.

    If an image or a box is invalid, the files that this call has written are removed.

    Args:
        predictor: The model (see `predictors.open_predictor`).
        images: Image files.
        output: Folder for the pictures and the JSON file.
        boxes: Boxes by image (see `boxes_file.load_boxes`), for some or all images; None for those of the detector
            or, without one, the full image.
        frame: Which images are read as they are stored, before EXIF turns them (see `images_frame`).
        min_score: Keypoints, boxes and classes with a lower score are not drawn; None for 0.2 of keypoints, 0 of others.
        overwrite: Replace an existing JSON file.
        progress: Show a progress bar.

    Returns:
        The prediction for each image.

    Raises:
        HRNetError: There is no image, one cannot be read, a box is outside of its image, or the output exists.
    """
    paths = [Path(image) for image in images]
    if not paths:
        raise HRNetError("`images` must name at least one image, got none")
    if isinstance(predictor, KeypointPredictor) and boxes is None and predictor.pipeline is None:
        instance = predictor.model.description.category.name or "instance"
        logging.getLogger(__name__).warning(ONE_PERSON.format(name=instance))
    names = _picture_names(paths, predictor.suffix)
    folder = _new_output(output, RESULTS_FILES[predictor.suffix], overwrite=overwrite)
    min_score = predictor.default_min_score if min_score is None else min_score
    results: list[PictureResult] = []
    try:
        for path, name in zip(tracked(paths, "predict", show=progress), names, strict=True):
            image = read_image(path, upright=frame.is_upright(path))
            prediction = _predict_image(predictor, path, image, None if boxes is None else boxes.get(path, ()))
            _write_picture(folder / name, image, prediction, min_score)
            results.append(PictureResult(path, folder / name, image.shape[:2], prediction))
        write_json(folder / RESULTS_FILES[predictor.suffix], results_file(results))
    except HRNetError:
        _remove(results, folder)
        raise
    return results


def expand_folders(images: Iterable[Path]) -> list[Path]:
    """Replace folders by the image files in them and in their subfolders, sorted by path.

    Raises:
        HRNetError: A folder has no images.
    """
    paths: list[Path] = []
    for path in images:
        inside = image_files(path).images if path.is_dir() else (path,)
        if not inside:
            raise HRNetError(f"folder {path} has no images")
        paths += inside
    return paths


def _predict_image(predictor: Predictor, path: Path, image: Image, boxes: Sequence[Box] | None) -> Prediction:
    """Predict in the boxes of an image, or in the image."""
    if boxes is None:
        return predictor.predict(image)
    if not isinstance(predictor, KeypointPredictor):
        raise HRNetError("`boxes` is for models of keypoints, which take boxes")
    height, width = image.shape[:2]
    for left, top, box_width, box_height in boxes:
        if left >= width or top >= height or left + box_width <= 0 or top + box_height <= 0:
            raise HRNetError(
                f"box [{left:g}, {top:g}, {box_width:g}, {box_height:g}] lies outside its image {path}, {width}x{height} pixels"
            )
    return predictor.predict_boxes(image, boxes)


def _write_picture(picture: Path, image: Image, prediction: Prediction, min_score: float) -> None:
    write_bytes(picture, encode_image(prediction.draw(image, min_score), picture.suffix))
    if isinstance(prediction, Mask):
        write_bytes(_class_map_path(picture), cv2.imencode(".png", prediction.mask)[1].tobytes())


def _class_map_path(picture: Path) -> Path:
    """The path of the class map beside a picture: STEM_mask.png beside STEM_mask.jpg."""
    return picture.with_suffix(".png")


def _remove(results: Sequence[PictureResult], folder: Path) -> None:
    """Remove the pictures that were written, and the folders that are empty then."""
    for result in results:
        result.picture.unlink(missing_ok=True)
        if isinstance(result.prediction, Mask):
            _class_map_path(result.picture).unlink(missing_ok=True)
    parents = {parent for result in results for parent in result.picture.parents if folder in parent.parents}
    for parent in sorted({folder, *parents}, reverse=True):
        with contextlib.suppress(OSError):  # it is not empty
            parent.rmdir()


def results_file(results: Sequence[PictureResult]) -> JsonObject:
    """Convert predictions to plain data: keypoints and boxes to a COCO file, masks and classes to a list by image.

    The third number of a keypoint is its score. Images are named by their path within their common folder.
    """
    names = _within_common_folder([result.image for result in results])
    images: list[JsonObject] = [
        {"id": image_id, "file_name": name.as_posix(), "height": result.size[0], "width": result.size[1]}
        for image_id, (name, result) in enumerate(zip(names, results, strict=True), 1)
    ]
    first = results[0].prediction
    if isinstance(first, People):
        return {"images": images, "categories": [{"id": 1, **first.category.to_json()}], "annotations": _people(results)}
    if isinstance(first, Boxes):
        return {"images": images, **_objects(results)}
    entries: list[JsonObject] = []
    for image, result in zip(images, results, strict=True):
        data = result.prediction.to_json()
        entries.append({**image, **(data if isinstance(data, dict) else {})})
    return {"classes": list(first.names), "images": entries} if isinstance(first, Mask) else {"images": entries}


def _people(results: Sequence[PictureResult]) -> list[JsonObject]:
    """COCO annotations of keypoints."""
    annotations: list[JsonObject] = []
    for image_id, result in enumerate(results, 1):
        people = result.prediction
        if isinstance(people, People):
            for box, keypoints, score in zip(people.boxes, people.keypoints, people.scores, strict=True):
                entry = {"id": len(annotations) + 1, "image_id": image_id, "category_id": 1, "bbox": box.tolist()}
                annotations.append({**entry, "keypoints": keypoints.reshape(-1).tolist(), "score": float(score)})
    return annotations


def _objects(results: Sequence[PictureResult]) -> JsonObject:
    """COCO categories, whose ids are labels + 1, and annotations of boxes."""
    predictions = [result.prediction for result in results if isinstance(result.prediction, Boxes)]
    names = max((prediction.names for prediction in predictions), key=len)
    annotations: list[JsonObject] = []
    for image_id, prediction in enumerate(predictions, 1):
        for entry in prediction.objects.results(image_id, tuple(range(1, len(names) + 1))):
            annotations.append({"id": len(annotations) + 1, **entry})
    return {"categories": [{"id": index, "name": name} for index, name in enumerate(names, 1)], "annotations": annotations}


def _new_output(output: Path | str, file: str, *, overwrite: bool) -> Path:
    """Make the output folder; HRNetError if predictions of another call would be lost."""
    if (Path(output) / file).exists() and not overwrite:
        raise HRNetError(f"{output} already holds {file}; give another `output`, or `overwrite`")
    return check_output_folder(output)


def _within_common_folder(images: Sequence[Path]) -> list[Path]:
    """Return the paths of images relative to the deepest folder that contains all of them."""
    absolute = [Path(os.path.abspath(image)) for image in images]
    common = os.path.commonpath([image.parent for image in absolute])
    return [image.relative_to(common) for image in absolute]


def _picture_names(images: Sequence[Path], suffix: str) -> list[Path]:
    """Return the path of each image's picture in the output folder.

    It is STEM_pose.jpg, or if stems are not unique FOLDER/STEM_pose.jpg, as in the common folder of the images.
    """
    relative = _within_common_folder(images)
    for names in (
        [Path(f"{image.stem}_{suffix}.jpg") for image in images],
        [path.with_name(f"{path.stem}_{suffix}.jpg") for path in relative],
        [path.with_name(f"{path.name}_{suffix}.jpg") for path in relative],
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
