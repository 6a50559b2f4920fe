"""Accuracy of pose models in annotated boxes: AP and AR (OKS), PCK and PCKh."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.coco.keypoints import KeypointDataset
from mobile_eval.errors import HRNetError
from mobile_eval.keypoints.inference import DecodingOptions, checked_decoding
from mobile_eval.messages import number_of
from mobile_eval.metrics.distance import head_sizes, keypoint_distances
from mobile_eval.metrics.keypoint_ap import KeypointApResult, keypoint_ap
from mobile_eval.metrics.metric import format_score
from mobile_eval.metrics.pck import PckResult, pck, pckh
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.base import TaskResult
from mobile_eval.tasks.pose.options import PoseEvalOptions
from mobile_eval.tasks.pose.predictions import KeypointResult, coco_results, predict_dataset, write_predictions


@dataclass(frozen=True, eq=False)
class PoseResult(TaskResult):
    """Accuracy of a pose model.

    Attributes:
        model: File name of the model.
        instances: Number of annotated instances.
        images: Number of images.
        joints: Names of the K joints.
        oks: AP and AR; None if the OKS sigmas of the joints are not known.
        oks_missing: Why `oks` is None.
        pck: PCK@0.1.
        keypoints: Predictions (N, K, 3) in the order of the data set: x and y in image pixels, and score.
        results: The predictions as COCO results.
        pckh: PCKh@0.5; None if no head size is known.
    """

    model: str
    instances: int
    images: int
    joints: tuple[str, ...]
    oks: KeypointApResult | None
    oks_missing: str | None
    pck: PckResult
    keypoints: NDArray[np.float64]
    results: list[KeypointResult]
    pckh: PckResult | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data without the predictions; NaN becomes null."""
        return {
            "model": self.model,
            "instances": self.instances,
            "images": self.images,
            "oks": dataclasses.asdict(self.oks) if self.oks else None,
            "oks_missing": self.oks_missing,
            "pck": self.pck.to_json(self.joints),
            "pckh": self.pckh.to_json(self.joints) if self.pckh else None,
        }

    def __str__(self) -> str:
        oks_line = str(self.oks) if self.oks else f"AP -  ({self.oks_missing})"
        shares = [result for result in (self.pck, self.pckh) if result]
        columns = zip(self.joints, *(result.per_joint for result in shares), strict=True)
        rows = [f"  {joint:<16} {'  '.join(map(format_score, values))}" for joint, *values in columns]
        instances, images = number_of(self.instances, "instances"), number_of(self.images, "images")
        return "\n".join([f"{self.model}: {instances} in {images}", oks_line, *map(str, shares), *rows])


def evaluate_pose(
    model: TFLiteModel, dataset: KeypointDataset, options: PoseEvalOptions | None = None, *, progress: bool = False
) -> PoseResult:
    """Run a model in every annotated box of a data set and measure its keypoints.

    Args:
        model: A model whose joints are the data set's.
        dataset: Annotated people.
        options: Flip test, decoding, sigmas, and files to write.
        progress: Show a progress bar.

    Returns:
        AP and AR if OKS sigmas are known (those of the options, else the annotations', else the model's), PCK, and PCKh if head
        sizes are known.

    Example:
        >>> evaluate_pose(TFLiteModel("pose.tflite"), load_keypoint_dataset("val.json", "images")).pck.pck  # doctest: +SKIP
    """
    options = options or PoseEvalOptions()
    heads = head_joint_indices(options.head_joints, dataset.category.joints)
    sigmas = oks_sigmas(model, dataset, options)
    inference = DecodingOptions(options.flip, checked_decoding(options.decoding), options.flip_pairs)
    keypoints = predict_dataset(model, dataset, options, inference, progress=progress)
    result = measure_pose(model.path.name, dataset, keypoints, sigmas, heads)
    write_predictions(dataset, result.results, options)
    return result


def measure_pose(
    name: str,
    dataset: KeypointDataset,
    keypoints: NDArray[np.float64],
    sigmas: Sequence[float] | None,
    head_joints: tuple[int, int] | None = None,
) -> PoseResult:
    """Accuracy of predicted keypoints.

    Args:
        name: Name of the model.
        dataset: Annotated people.
        keypoints: Predictions (N, K, 3) in the order of the data set.
        sigmas: OKS sigmas (K,); None if they are not known.
        head_joints: Indices of the joints whose distance is the size of the head. None: the annotated head boxes give it.
    """
    joints = dataset.category.joints
    if sigmas is not None and (len(sigmas) != len(joints) or min(sigmas) <= 0):
        raise HRNetError(f"expected {len(joints)} positive OKS sigmas, one for each joint, got {len(sigmas)}: {list(sigmas)}")
    oks_result, missing, results = None, None, coco_results(dataset, keypoints)
    if sigmas is None:
        missing = f"no OKS sigmas are known for the joints of {dataset.category.name!r}; give them with --sigmas"
    else:
        oks_result = keypoint_ap(dataset.coco, results, sigmas, dataset.category_id)
    truth = np.stack([instance.keypoints for instance in dataset.instances])
    head_boxes = head_sizes([instance.head_box for instance in dataset.instances])
    heads = keypoint_distances(truth, head_joints[:1], head_joints[1:]) if head_joints else head_boxes
    return PoseResult(
        model=name,
        instances=len(dataset),
        images=len({instance.image_id for instance in dataset.instances}),
        joints=joints,
        oks=oks_result,
        oks_missing=missing,
        pck=pck(keypoints, truth, [instance.box for instance in dataset.instances]),
        keypoints=keypoints,
        results=results,
        pckh=pckh(keypoints, truth, heads, joints) if np.any(heads > 0) else None,
    )


def oks_sigmas(model: TFLiteModel, dataset: KeypointDataset, options: PoseEvalOptions) -> tuple[float, ...] | None:
    """OKS sigmas (K,) of the options, else of the annotations, else of the model; None if none are known."""
    sigmas = joint_sigmas(options.sigmas, len(dataset.category.joints))
    return sigmas or dataset.category.sigmas or model.description.category.sigmas


def joint_sigmas(sigmas: tuple[float, ...], joints: int) -> tuple[float, ...]:
    """One sigma for each of K joints, of one for all or of K; none of none."""
    if len(sigmas) not in (0, 1, joints):
        raise HRNetError(f"`sigmas`: expected one, or one for each of {joints} joints, got {len(sigmas)}")
    return sigmas * joints if len(sigmas) == 1 else sigmas


def head_joint_indices(names: tuple[str, ...], joints: Sequence[str]) -> tuple[int, int] | None:
    """Indices of the two joints between which the head lies; None for no names."""
    if not names:
        return None
    if len(names) != 2 or names[0] == names[1] or not set(names) <= set(joints):
        raise HRNetError(
            f"`head_joints` takes two of the joints {', '.join(joints)}, such as head_top,neck; got {','.join(names)}"
        )
    return joints.index(names[0]), joints.index(names[1])
