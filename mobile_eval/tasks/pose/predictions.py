"""What pose and landmark evaluation share: keypoints in annotated boxes, predicted and written as COCO results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.base import DataSource
from mobile_eval.datasets.coco.categories import KeypointCategory
from mobile_eval.datasets.coco.keypoints import KeypointDataset, load_keypoint_dataset
from mobile_eval.datasets.coco.schema import Id
from mobile_eval.errors import HRNetError
from mobile_eval.files import check_output_file, check_output_folder, write_json
from mobile_eval.image.image_file import BoxedItem
from mobile_eval.keypoints.inference import DecodingOptions
from mobile_eval.progress import tracked
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.pose.options import KeypointEvalOptions
from mobile_eval.tasks.pose.prediction_log import prediction_function
from mobile_eval.viz.overlays import draw_keypoints

SCORE_THRESHOLD = 0.2  # joints that score less do not count for the score of an instance (official HRNet evaluation)
NAMES_SHOWN = 3  # names of joints in a message


class KeypointResult(TypedDict):
    """An entry of a COCO keypoint results file."""

    image_id: Id
    category_id: Id
    keypoints: list[float]
    score: float


def load_keypoints(source: DataSource) -> KeypointDataset:
    """The annotated instances, people or faces, of an annotation file."""
    return load_keypoint_dataset(
        source.path("annotations"),
        source.path("images"),
        category=source.category,
        strict=source.strict,
        expected=source.expected,
        exif=source.exif,
    )


def predict_dataset(
    model: TFLiteModel,
    dataset: KeypointDataset,
    options: KeypointEvalOptions,
    inference: DecodingOptions,
    boxes: Sequence[BoxedItem] | None = None,
    *,
    progress: bool = False,
) -> NDArray[np.float64]:
    """Run a model in every annotated box of a data set, or in other boxes of its images.

    Args:
        model: The model.
        dataset: The data set; HRNetError if its joints are not the model's.
        options: Where predictions are logged, and whether an interrupted evaluation is resumed.
        inference: Flip test and decoding.
        boxes: Boxes in place of the annotated ones.
        progress: Show a progress bar.

    Returns:
        Keypoints (N, K, 3): x and y in image pixels, and score.
    """
    check_joints(model, dataset.category)
    inference.check(model)
    check_output_file(options.predictions)
    if options.overlays:
        check_output_folder(options.overlays)
    items = dataset.instances if boxes is None else boxes
    keypoints = np.full((len(items), len(dataset.category.joints), 3), np.nan)
    predict = prediction_function(options.predictions, resume=options.resume)
    predictions = predict(model, items, inference)
    for index, prediction in enumerate(tracked(predictions, model.path.name, total=len(items), show=progress)):
        keypoints[index] = prediction
    return keypoints


def write_predictions(dataset: KeypointDataset, results: Sequence[KeypointResult], options: KeypointEvalOptions) -> None:
    """Write the pictures and the file of predictions that the options ask for."""
    if options.overlays:
        draw_keypoints(options.overlays, dataset, results)
    if options.predictions:
        write_json(options.predictions, results)


def coco_results(dataset: KeypointDataset, keypoints: NDArray[np.float64]) -> list[KeypointResult]:
    """Predictions (N, K, 3) of a data set's instances as COCO results, which any COCO evaluation reads."""
    return [
        {
            "image_id": instance.image_id,
            "category_id": dataset.category_id,
            "keypoints": prediction.reshape(-1).tolist(),
            "score": instance_score(prediction),
        }
        for instance, prediction in zip(dataset.instances, keypoints, strict=True)
    ]


def instance_score(keypoints: NDArray[np.float64], box_score: float = 1.0) -> float:
    """Score of an instance (K, 3): mean score of the joints above the threshold, times the box's (official rescoring)."""
    scores = keypoints[:, 2][keypoints[:, 2] > SCORE_THRESHOLD]
    return float(scores.mean() * box_score) if scores.size else 0.0


def check_joints(model: TFLiteModel, category: KeypointCategory) -> None:
    """Raise HRNetError if the joints of the annotations are not the model's, in its order."""
    check_finds_keypoints(model)
    joints = model.description.category.joints
    if joints != category.joints:
        raise HRNetError(
            f"{model.path.name} finds {len(joints)} joints ({_few(joints)}) but the annotations are of {len(category.joints)} "
            f"({_few(category.joints)}); give annotations of the model's joints, in its order"
        )


def check_finds_keypoints(model: TFLiteModel) -> None:
    """Raise HRNetError if the model does not predict keypoints."""
    if not model.description.category.joints:
        raise HRNetError(f"{model.path.name} is a {model.description.task} model: it finds no keypoints")


def _few(joints: Sequence[str]) -> str:
    return ", ".join(joints[:NAMES_SHOWN]) + (", ..." if len(joints) > NAMES_SHOWN else "")
