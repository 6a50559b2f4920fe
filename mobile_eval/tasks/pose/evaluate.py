"""Accuracy of a `.tflite` on an annotation file: AP and AR (OKS), PCK, PCKh; ground-truth boxes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.coco.categories import KeypointCategory
from mobile_eval.datasets.coco.keypoints import KeypointDataset
from mobile_eval.errors import HRNetError
from mobile_eval.image.image_file import BoxedItem
from mobile_eval.keypoints.inference import DecodingOptions, predict_instances
from mobile_eval.metrics.distance import head_sizes, keypoint_distances
from mobile_eval.metrics.keypoint_ap import KeypointApResult, keypoint_ap
from mobile_eval.metrics.metric import format_score
from mobile_eval.metrics.pck import PckResult, pck, pckh
from mobile_eval.progress import tracked
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.words import number_of

Predicted = Callable[[TFLiteModel, Sequence[BoxedItem], DecodingOptions], Iterator[NDArray[np.float64]]]
SCORE_THRESHOLD = 0.2  # joints below it have no say in a person's score (official HRNet evaluation)


@dataclass(frozen=True, eq=False)
class EvaluationResult:
    """Accuracy of one model. `oks` is None where the joints' sigmas are not known; `oks_missing` says so. `pckh` is None where
    the size of no head is known.

    `keypoints` (N, K, 3): x, y in image pixels and score, in the order of the dataset's instances; `results` are the same as COCO
    results, which any COCO evaluation reads.
    """

    model: str
    instances: int
    images: int
    joints: tuple[str, ...]
    oks: KeypointApResult | None
    oks_missing: str | None
    pck: PckResult
    keypoints: NDArray[np.float64]
    results: list[dict[str, Any]]
    pckh: PckResult | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data, without the keypoints; NaN becomes null."""
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
        found = str(self.oks) if self.oks else f"AP -  ({self.oks_missing})"
        shares = [one for one in (self.pck, self.pckh) if one]
        columns = zip(self.joints, *(one.per_joint for one in shares), strict=True)
        joints = [f"  {joint:<16} {'  '.join(map(format_score, values))}" for joint, *values in columns]
        instances, images = number_of(self.instances, "instances"), number_of(self.images, "images")
        return "\n".join([f"{self.model}: {instances} in {images}", found, *map(str, shares), *joints])


def evaluate(
    model: TFLiteModel,
    dataset: KeypointDataset,
    *,
    sigmas: Sequence[float] | None = None,
    options: DecodingOptions | None = None,
    predicted: Predicted = predict_instances,
    head_joints: tuple[int, int] | None = None,
    progress: bool = False,
) -> EvaluationResult:
    """Run `model` on every instance of `dataset` (ground-truth boxes) and measure what it finds.

    `sigmas` (K,) take precedence over those of the annotation file's category, these over the model's; `head_joints` over the
    annotations' head boxes.
    """
    check_joints(model, dataset.category)
    keypoints = predict_keypoints(model, dataset.instances, options, predicted, progress=progress)
    known = sigmas or dataset.category.sigmas or model.description.category.sigmas
    return measure(model.path.name, dataset, keypoints, known, head_joints)


def measure(
    name: str,
    dataset: KeypointDataset,
    keypoints: NDArray[np.float64],
    sigmas: Sequence[float] | None,
    head_joints: tuple[int, int] | None = None,
) -> EvaluationResult:
    """Accuracy of `keypoints` (N, K, 3), found by whatever means for the instances of `dataset`.

    A head is as long as the way between `head_joints`, by index, or else as its box says.
    """
    joints = dataset.category.joints
    if sigmas is not None and (len(sigmas) != len(joints) or min(sigmas) <= 0):
        raise HRNetError(f"expected {len(joints)} positive OKS sigmas, one for each joint, got {len(sigmas)}: {list(sigmas)}")
    found, missing, results = None, None, coco_results(dataset, keypoints)
    if sigmas is None:
        missing = f"no OKS sigmas are known for the joints of {dataset.category.name!r}; give them with --sigmas"
    else:
        found = keypoint_ap(dataset.coco, results, sigmas, dataset.category_id)
    truth = np.stack([instance.keypoints for instance in dataset.instances])
    head_boxes = head_sizes([instance.head_box for instance in dataset.instances])
    heads = keypoint_distances(truth, head_joints[:1], head_joints[1:]) if head_joints else head_boxes
    return EvaluationResult(
        model=name,
        instances=len(dataset),
        images=len({instance.image_id for instance in dataset.instances}),
        joints=joints,
        oks=found,
        oks_missing=missing,
        pck=pck(keypoints, truth, [instance.box for instance in dataset.instances]),
        keypoints=keypoints,
        results=results,
        pckh=pckh(keypoints, truth, heads, joints) if np.any(heads > 0) else None,
    )


def check_joints(model: TFLiteModel, category: KeypointCategory) -> None:
    """Refuse annotations of other joints than the model's."""
    check_finds_keypoints(model)
    own = model.description.category.joints
    if own != category.joints:
        raise HRNetError(
            f"{model.path.name} finds {len(own)} joints ({_few(own)}) but the annotations are of {len(category.joints)} "
            f"({_few(category.joints)}); give annotations of the model's joints, in its order"
        )


def check_finds_keypoints(model: TFLiteModel) -> None:
    """Refuse a model of classes."""
    if not model.description.category.joints:
        raise HRNetError(f"{model.path.name} is a {model.description.task} model: it finds no keypoints")


def _few(joints: Sequence[str]) -> str:
    return ", ".join(joints[:3]) + (", ..." if len(joints) > 3 else "")


def predict_keypoints(
    model: TFLiteModel,
    people: Sequence[BoxedItem],
    options: DecodingOptions | None = None,
    predicted: Predicted = predict_instances,
    *,
    progress: bool = False,
) -> NDArray[np.float64]:
    """Keypoints (N, K, 3) as x, y in image pixels and score, of the people in their boxes, as `predicted` finds them."""
    keypoints = np.zeros((len(people), len(model.description.category.joints), 3))
    keypoints[:] = np.nan  # takes its memory now, and no more on the way
    found = predicted(model, people, options or DecodingOptions())
    for index, one in enumerate(tracked(found, model.path.name, total=len(people), show=progress)):
        keypoints[index] = one
    return keypoints


def instance_score(keypoints: NDArray[np.float64], box_score: float = 1.0) -> float:
    """Score of a person (K, 3): mean of the joints' scores above the threshold, times the box's (official rescoring)."""
    sure = keypoints[:, 2][keypoints[:, 2] > SCORE_THRESHOLD]
    return float(sure.mean() * box_score) if sure.size else 0.0


def coco_results(dataset: KeypointDataset, keypoints: NDArray[np.float64]) -> list[dict[str, Any]]:
    """Predictions (N, K, 3) as COCO results, which any COCO evaluation reads."""
    return [
        {
            "image_id": instance.image_id,
            "category_id": dataset.category_id,
            "keypoints": found.reshape(-1).tolist(),
            "score": instance_score(found),
        }
        for instance, found in zip(dataset.instances, keypoints, strict=True)
    ]


def parse_sigmas(text: str | None, joints: int) -> tuple[float, ...] | None:
    """OKS sigmas as given on a command line: one number for all joints, or one a joint with commas between; None for None."""
    if text is None:
        return None
    try:
        sigmas = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise HRNetError(f"`sigmas` takes numbers with commas between, got {text!r}") from None
    sigmas = sigmas * joints if len(sigmas) == 1 else sigmas
    if len(sigmas) != joints or min(sigmas) <= 0:
        raise HRNetError(f"`sigmas`: expected one positive number, or one for each of {joints} joints, got {text!r}")
    return sigmas


def parse_head_joints(text: str | None, joints: Sequence[str]) -> tuple[int, int] | None:
    """The two joints between which a head lies, as given on a command line ("head_top,neck"), by index; None for None."""
    if text is None:
        return None
    names = [name.strip() for name in text.split(",")]
    if len(set(names)) != len(("top", "neck")) or not set(names) <= set(joints):
        raise HRNetError(f"`head_joints` takes two of the joints {', '.join(joints)}, with a comma between; got {text!r}")
    return joints.index(names[0]), joints.index(names[1])
