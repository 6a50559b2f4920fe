"""The command `predict`: predictions on images, videos and cameras, drawn and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mobile_eval.cli.declared import with_options
from mobile_eval.cli.options import MaxPixels, RuntimeOptions, Threads
from mobile_eval.errors import HRNetError
from mobile_eval.pipeline.options import MIN_BOX_SCORE, DetectorOptions, VideoOptions

if TYPE_CHECKING:
    from mobile_eval.pipeline.predictors import Predictor


@with_options
def predict(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="M.tflite", help="A model written by `hrnet convert`, or any detector as of --detector.", show_default=False
        ),
    ],
    images: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMAGE...",
            help="Images and folders of images; or one video, or a camera's number, such as 0.",
            show_default=False,
        ),
    ],
    output: Annotated[Path, typer.Option(help="Folder for the pictures, or the video, and JSON.", show_default=False)],
    runtime_options: RuntimeOptions,
    detector_options: DetectorOptions,
    video_options: VideoOptions,
    boxes: Annotated[
        Path | None,
        typer.Option(
            help="Boxes of people: COCO annotations, or a JSON list of entries with file_name (the end of an image's path) or "
            "image_id, and bbox (x, y, width, height). Default: each image shows one person.",
            show_default=False,
        ),
    ] = None,
    exif: Annotated[
        str | None,
        typer.Option(
            help="Whether images and boxes are as EXIF turns them (upright) or as they are stored (stored). Default: decided by "
            "the sizes in --boxes, else upright.",
            show_default=False,
        ),
    ] = None,
    category: Annotated[
        str | None,
        typer.Option(
            "--category",
            "--class",
            help="Name or id of the boxes' category, such as person. Default: the model's.",
            show_default=False,
        ),
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option(
            help="Lowest score of boxes, and of keypoints and classes that are drawn. Default: 0.3 of boxes, 0.2 of keypoints.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing JSON file.")] = False,
    threads: Threads = 1,
    max_pixels: MaxPixels = None,
) -> None:
    """Draw predictions into images or a video, and write them as JSON: keypoints, boxes, masks or classes.

    With --detector, keypoints are predicted for everyone in the picture. Without it and without --boxes, a picture is taken for
    one person.

    Example: [bold]hrnet predict pose.tflite photo.jpg --detector detector.tflite --output poses[/bold]
    """
    from mobile_eval.pipeline.frames import is_video
    from mobile_eval.pipeline.predictors import open_predictor
    from mobile_eval.pipeline.selection import BoxSelection

    if boxes is not None and detector_options.detector is not None:
        raise HRNetError("`boxes` and `detector` both find boxes: give one of them")
    if category is not None and boxes is None and detector_options.detector is None:
        raise HRNetError("`category` chooses among the boxes of `boxes` or `detector`: give one of these")
    if is_video(images[0]) and (boxes or exif or len(images) > 1):
        raise HRNetError("a video or camera goes alone, without `boxes` and `exif`: its boxes follow the person")
    best = MIN_BOX_SCORE if min_score is None else min_score
    selection = BoxSelection(best, detector_options.max_iou, detector_options.max_boxes)
    backend = runtime_options.backend(threads)
    predictor = open_predictor(model, backend, detector=detector_options.detector, category=category, selection=selection)
    if is_video(images[0]):
        _predict_video(predictor, images[0], output, video_options, min_score)
    else:
        _predict_pictures(predictor, images, output, boxes, category, exif, min_score, overwrite=overwrite)


def _predict_video(predictor: Predictor, source: Path, output: Path, options: VideoOptions, min_score: float | None) -> None:
    from mobile_eval.pipeline.people_in_video import Following
    from mobile_eval.pipeline.smoothing import Smoothing
    from mobile_eval.pipeline.video import predict_video

    x, y, width, height = options.first_box or (0.0, 0.0, 0.0, 0.0)
    following = Following(
        options.detect_every,
        track=not options.whole_frame,
        first_box=(x, y, width, height) if options.first_box else None,
        smoothing=Smoothing() if options.smooth else None,
    )
    result = predict_video(
        predictor,
        source,
        output,
        following=following,
        frames=options.frames,
        min_score=min_score,
        save_every=options.save_every,
        show=options.show,
        timeout_s=options.timeout,
        progress=True,
    )
    typer.echo(result)


def _predict_pictures(
    predictor: Predictor,
    images: Sequence[Path],
    output: Path,
    boxes: Path | None,
    category: str | None,
    exif: str | None,
    min_score: float | None,
    *,
    overwrite: bool,
) -> None:
    from mobile_eval.keypoints.boxes_file import MIN_SCORE, BoxChoice, load_boxes
    from mobile_eval.pipeline.pictures import RESULTS_FILES, expand_folders, images_frame, predict_pictures
    from mobile_eval.pipeline.predictors import KeypointPredictor

    paths = expand_folders(images)
    image_boxes = None
    if boxes is not None:
        if not isinstance(predictor, KeypointPredictor):
            raise HRNetError("`boxes` is for models of keypoints, which take boxes")
        choice = BoxChoice(category, predictor.model.description.category.name, MIN_SCORE if min_score is None else min_score)
        image_boxes = load_boxes(boxes, paths, choice)
    frame = images_frame(paths, boxes, exif)
    results = predict_pictures(
        predictor, paths, output, boxes=image_boxes, frame=frame, min_score=min_score, overwrite=overwrite, progress=True
    )
    for result in results:
        typer.echo(f"{result.picture}: {result.prediction}")
    typer.echo(f"predictions: {output / RESULTS_FILES[predictor.suffix]}")
