"""The command `evaluate`: what the model's task is decides what it takes and what it measures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mobile_eval.cli.options import (
    DelegateLibrary,
    DelegateOptions,
    Exif,
    Limit,
    MaxPixels,
    Model,
    ReferenceKernels,
    RuntimeName,
    Sigmas,
    Threads,
    Xnnpack,
)

KEYPOINTS, POSE, LANDMARKS, MASKS = "Of pose and landmarks", "Of pose", "Of landmarks", "Of segmentation"  # headings in --help
ANNOTATED = "Of pose, landmarks and detection"

Images = Annotated[
    Path | None,
    typer.Option(help="Folder with the images; of classification, with a folder of them for each class.", show_default=False),
]
Masks = Annotated[
    Path | None,
    typer.Option(
        help="Folder with a mask of class indices for each image (255: ignored).",
        show_default=False,
        rich_help_panel=MASKS,
    ),
]
Classes = Annotated[
    Path | None,
    typer.Option(
        help="File of the classes' names in the masks' order, a JSON list or one a line.",
        show_default=False,
        rich_help_panel=MASKS,
    ),
]
Annotations = Annotated[
    Path | None,
    typer.Option(
        help="COCO keypoint JSON of the model's joints or landmarks; of faces also WFLW's list, a .csv, a folder of .pts files.",
        show_default=False,
        rich_help_panel=KEYPOINTS,
    ),
]
Category = Annotated[
    str | None,
    typer.Option(
        help="Name or id of the category to take, where several have keypoints; the model's if not given.",
        show_default=False,
        rich_help_panel=KEYPOINTS,
    ),
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="Refuse annotations at the first bad label; without it up to 1 % are left out.",
        rich_help_panel=ANNOTATED,
    ),
]
Decoding = Annotated[
    str,
    typer.Option(
        help="model (the one it was trained for), quarter (official), dark (arXiv 1910.06278), or udp (arXiv 1911.07524).",
        rich_help_panel=KEYPOINTS,
    ),
]
Predictions = Annotated[
    Path | None,
    typer.Option(help="Write the keypoints to this file, as COCO results JSON.", show_default=False, rich_help_panel=KEYPOINTS),
]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Go on where an evaluation into --predictions was interrupted.", rich_help_panel=KEYPOINTS),
]
Flip = Annotated[
    bool,
    typer.Option(
        "--flip",
        help="Average in what is found in the mirrored image: heatmaps, probabilities of classes (the papers' flip test).",
        rich_help_panel="Of pose and segmentation",
    ),
]
FlipPairs = Annotated[
    str,
    typer.Option(
        help="With --flip, keypoints that change places in the mirrored image: auto (the model's), such pairs as "
        "nose_a:nose_b,2:5 besides (names, or numbers from 0), or none of an object without sides.",
        rich_help_panel=POSE,
    ),
]
Windows = Annotated[
    bool,
    typer.Option(
        "--windows",
        help="Look at the image at its own size, in windows of the network's input size, not resized as a whole.",
        rich_help_panel=MASKS,
    ),
]
Scales = Annotated[
    str | None,
    typer.Option(
        help="With --windows, sum probabilities over these scales of the image, such as 0.5,1,1.5.",
        show_default=False,
        rich_help_panel=MASKS,
    ),
]
Overlap = Annotated[float, typer.Option(help="Share of a window that the next one sees again, at least.", rich_help_panel=MASKS)]
Overlays = Annotated[
    Path | None,
    typer.Option(
        help="Draw what was found and what is true into this folder, of the first 50 images.",
        show_default=False,
        rich_help_panel="Of all but classification",
    ),
]
HeadJoints = Annotated[
    str | None,
    typer.Option(
        help="PCKh by the way between two joints, such as head_top,neck, in place of the annotated head boxes.",
        show_default=False,
        rich_help_panel=POSE,
    ),
]
Boxes = Annotated[
    Path | None,
    typer.Option(
        help="A detector's boxes, as COCO detection results, in place of the annotated ones.",
        show_default=False,
        rich_help_panel=POSE,
    ),
]
LeastScore = Annotated[float, typer.Option(help="Leave out boxes that the detector scores lower.", rich_help_panel=POSE)]
Unit = Annotated[
    str | None,
    typer.Option(
        help="What errors are in units of: inter-ocular (outer eye corners), inter-pupil (eye centres), box (the root of its "
        "area), or landmarks by index, as 36,45 or 36-41,42-47. Without it inter-ocular where the eyes are known, else box.",
        show_default=False,
        rich_help_panel=LANDMARKS,
    ),
]
FailureAbove = Annotated[
    float, typer.Option(help="The error above which a face has failed, and at which AUC ends.", rich_help_panel=LANDMARKS)
]
Picture = Annotated[
    Path | None,
    typer.Option(
        help="Draw what was taken for what into this SVG file.",
        show_default=False,
        rich_help_panel="Of segmentation and classification",
    ),
]
Json = Annotated[Path | None, typer.Option(help="Write the figures to this JSON file.", show_default=False)]


def evaluate(
    model: Model,
    images: Images = None,
    annotations: Annotations = None,
    masks: Masks = None,
    classes: Classes = None,
    category: Category = None,
    strict: Strict = False,
    exif: Exif = None,
    threads: Threads = 1,
    runtime: RuntimeName = "auto",
    xnnpack: Xnnpack = True,
    delegate: DelegateLibrary = None,
    delegate_option: DelegateOptions = None,
    reference: ReferenceKernels = False,
    limit: Limit = None,
    json: Json = None,
    decoding: Decoding = "model",
    predictions: Predictions = None,
    resume: Resume = False,
    sigmas: Sigmas = None,
    flip: Flip = False,
    flip_pairs: FlipPairs = "auto",
    windows: Windows = False,
    scales: Scales = None,
    overlap: Overlap = 0.0,
    overlays: Overlays = None,
    picture: Picture = None,
    head_joints: HeadJoints = None,
    boxes: Boxes = None,
    least_score: LeastScore = 0.0,
    unit: Unit = None,
    failure_above: FailureAbove = 0.1,
    max_pixels: MaxPixels = None,
) -> None:
    """Measure a model's accuracy, as is usual for its task.

    Pose: AP, AP50, AP75, AR (OKS, as COCO computes them), PCK@0.1 and, where heads are measured, PCKh@0.5. With a detector's
    --boxes poses are scored by their boxes too, and those that are another's left out (OKS above 0.9).
    Landmarks: NME, failure rate, AUC. Segmentation: mIoU, IoU of every class. Classification: top-1, top-5, recall.
    Detection: AP, AP50, AP75 and AP of small, medium and large boxes, as COCO computes them; .boxes.tflite must lie beside.

    Example: [bold]hrnet evaluate model.tflite --annotations val.json --images images --json figures.json[/bold]
    """
    given = dict(locals())
    from mobile_eval.files import check_output_file
    from mobile_eval.runtime.backend import parse_backend
    from mobile_eval.runtime.tflite_model import TFLiteModel
    from mobile_eval.tasks.base import Asked
    from mobile_eval.tasks.pose.prediction_log import finish
    from mobile_eval.tasks.registry import evaluate_asked, save_figures

    check_output_file(json)
    check_output_file(predictions)
    asked = Asked.of(given)
    loaded = TFLiteModel(model, parse_backend(runtime, threads, xnnpack, delegate, delegate_option, reference))
    result = evaluate_asked(loaded, asked, progress=True)
    if json:
        save_figures(json, loaded, asked, result)
    finish(predictions)
    typer.echo(result)
    typer.echo(f"{loaded.runtime}: {loaded.placement}")
