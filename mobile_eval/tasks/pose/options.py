"""Options of evaluating pose and landmark models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mobile_eval.errors import HRNetError
from mobile_eval.options import option


@dataclass(frozen=True)
class KeypointEvalOptions:
    """Options of evaluating any model that finds keypoints in boxes."""

    decoding: str = option(
        "model",
        "Decoding of heatmaps: model (as it was trained), quarter (official), dark (arXiv 1910.06278) or udp (arXiv 1911.07524).",
        choices=("model", "quarter", "dark", "udp"),
    )
    predictions: Path | None = option(None, "File for the predictions, as COCO results (JSON).")
    resume: bool = option(False, "Continue an interrupted evaluation into --predictions.")
    overlays: Path | None = option(None, "Folder for pictures of annotations and predictions, of the first 50 images.")


@dataclass(frozen=True)
class PoseEvalOptions(KeypointEvalOptions):
    """Options of evaluating pose models."""

    flip: bool = option(False, "Flip test: average the heatmaps of the mirrored crop in.")
    flip_pairs: str = option(
        "auto",
        "With --flip, keypoints that change places in a mirrored image, such as nose_a:nose_b,2:5, or none. Default: as the "
        "model's description has them.",
    )
    sigmas: tuple[float, ...] = option(
        (), "OKS sigmas, if the annotations have none: one for all joints, or one per joint (0.08,0.1,...)."
    )
    head_joints: tuple[str, ...] = option(
        (), "Two joints, such as head_top,neck, whose distance is the head size of PCKh, instead of the annotated head boxes."
    )
    boxes: Path | None = option(None, "Boxes of a person detector, as COCO detection results, instead of the annotated boxes.")
    detector: Path | None = option(
        None,
        "Detector of the boxes, as of `hrnet predict --detector`: measures the chain beside the model in the annotated boxes.",
    )
    min_score: float = option(0.0, "Lowest score of a detector's box.")

    def __post_init__(self) -> None:
        if self.boxes and self.head_joints:
            raise HRNetError("`head_joints` is for PCKh, which is measured in annotated boxes: leave `boxes` out")
        if self.boxes and self.detector:
            raise HRNetError("`boxes` and `detector` both give boxes: give one of them")
        if self.detector and self.resume:
            raise HRNetError("`resume` is for an evaluation in given boxes: leave `detector` out")
        if any(not sigma > 0 for sigma in self.sigmas):
            raise HRNetError(f"`sigmas` must be above 0, got {', '.join(f'{sigma:g}' for sigma in self.sigmas)}")
