"""The commands of `mobile_eval`: `python -m mobile_eval COMMAND`, or `hrnet COMMAND` where the whole package is installed."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from mobile_eval.cli.evaluate import evaluate
from mobile_eval.cli.options import (
    Category,
    DelegateLibrary,
    DelegateOptions,
    Exif,
    LeastScore,
    Limit,
    MaxPixels,
    Model,
    RuntimeName,
    Sigmas,
    Strict,
    Threads,
    Xnnpack,
)
from mobile_eval.errors import HRNetError

app = typer.Typer(
    name="mobile_eval",
    help="Accuracy and latency of .tflite models, with nothing but a TFLite runtime.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["--help", "-h"]},
)


def bench(
    model: Annotated[Path, typer.Argument(metavar="M.tflite", help="Any .tflite.", show_default=False)],
    threads: Annotated[str, typer.Option(help="Threads of the TFLite runtime; several, as 1,2,4, are measured in turn.")] = "1",
    mode: Annotated[
        str, typer.Option(help="How much: full (1024 runs and 60 s at least), quick (128 and 10 s), rapid (64 and 6 s).")
    ] = "quick",
    runs: Annotated[int | None, typer.Option(min=1, help="At least this many timed runs, in place of a mode.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0, help="At least this many seconds of them, in place of a mode.")] = None,
    runtime: RuntimeName = "auto",
    xnnpack: Xnnpack = True,
    delegate: DelegateLibrary = None,
    delegate_option: DelegateOptions = None,
    memory: Annotated[bool, typer.Option(help="Measure peak memory too, in a process of its own.")] = True,
    json: Annotated[
        Path | None, typer.Option(help="Write the figures and every sample to this JSON file.", show_default=False)
    ] = None,
) -> None:
    """Time a model on this machine: load, first run, p50/p90/p99 of the steady state, size and peak memory, and what ran where.

    Example: [bold]hrnet bench model.tflite --threads 1,2 --mode full --json latency.json[/bold]
    """
    from mobile_eval.benchmark.latency import bench as bench_model
    from mobile_eval.benchmark.latency import choose_effort
    from mobile_eval.files import check_output_file, write_json
    from mobile_eval.runtime.backend import parse_backend, parse_threads

    check_output_file(json)
    counts, much = parse_threads(threads), choose_effort(mode, runs, seconds)
    results = []
    for count in counts:
        backend = parse_backend(runtime, count, xnnpack, delegate, delegate_option)
        results.append(bench_model(model, backend, effort=much, memory=memory, progress=True))
        typer.echo(results[-1])
    for result in results[1:]:
        faster = results[0].p50_ms / result.p50_ms
        typer.echo(f"{result.threads} threads: {faster:.2f} times as fast as {results[0].threads}")
    if json:
        write_json(json, results[0].to_json() if len(results) == 1 else {"sweep": [result.to_json() for result in results]})


def compare(
    models: Annotated[
        list[Path],
        typer.Argument(
            metavar="A.tflite B.tflite...",
            help="The full model first; or results.json files of several devices.",
            show_default=False,
        ),
    ],
    output: Annotated[Path, typer.Option(help="Folder for index.html and results.json.", show_default=False)],
    annotations: Annotated[
        Path | None, typer.Option(help="COCO JSON of the models' joints, landmarks or classes.", show_default=False)
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the images; of classification, with one for each class.", show_default=False)
    ] = None,
    masks: Annotated[Path | None, typer.Option(help="Folder of the images' masks (segmentation).", show_default=False)] = None,
    classes: Annotated[Path | None, typer.Option(help="File of the classes' names (segmentation).", show_default=False)] = None,
    category: Category = None,
    strict: Strict = False,
    exif: Exif = None,
    threads: Threads = 1,
    rounds: Annotated[int, typer.Option(min=1, help="Timed runs of each model; the models take turns.")] = 50,
    runtime: RuntimeName = "auto",
    xnnpack: Xnnpack = True,
    delegate: DelegateLibrary = None,
    delegate_option: DelegateOptions = None,
    limit: Limit = None,
    sigmas: Sigmas = None,
    arms: Annotated[
        Path | None, typer.Option(help="Manifest of the study that the models are of, by `hrnet study`.", show_default=False)
    ] = None,
    max_pixels: MaxPixels = None,
) -> None:
    """Measure several models of a task on the same data and machine, and write a report to look at in a browser.

    Ratios are to the first model of the same precision. Given results.json files that devices wrote, it lays these side by side.

    Example: [bold]hrnet compare full.tflite pruned.tflite --annotations val.json --images images --output report[/bold]
    """
    from mobile_eval.report.comparison import compare_files
    from mobile_eval.report.devices import compare_devices
    from mobile_eval.runtime.backend import parse_backend
    from mobile_eval.tasks.base import Asked

    results = [path for path in models if path.suffix == ".json"]
    if results:
        if len(results) < len(models):
            raise HRNetError("give models to measure here, or results.json files of devices, not both")
        typer.echo(compare_devices(results, output))
        typer.echo(f"report: {output / 'index.html'}")
        return
    result = compare_files(
        models,
        Asked(images, annotations, masks, classes, category, strict, exif=exif, limit=limit, sigmas=sigmas),
        output,
        backend=parse_backend(runtime, threads, xnnpack, delegate, delegate_option),
        rounds=rounds,
        command=command_line(),
        arms=arms,
        progress=True,
    )
    typer.echo(result)
    typer.echo(f"report: {output / 'index.html'}")


def predict(
    model: Model,
    images: Annotated[
        list[Path],
        typer.Argument(metavar="IMAGE...", help="Pictures; or one video, or a camera's number, such as 0.", show_default=False),
    ],
    output: Annotated[Path, typer.Option(help="Folder for the pictures and keypoints.json.", show_default=False)],
    boxes: Annotated[
        Path | None,
        typer.Option(
            help="People's boxes: COCO annotations, or a JSON list of entries with file_name (the end of an image's path) or "
            "image_id, and bbox (x, y, width, height). Without it each picture is taken to show one person.",
            show_default=False,
        ),
    ] = None,
    exif: Annotated[
        str | None,
        typer.Option(
            help="How pictures are read that EXIF turns, and what their boxes are of: upright, or stored. Without it as the "
            "sizes in --boxes tell, or else upright.",
            show_default=False,
        ),
    ] = None,
    category: Annotated[
        str | None,
        typer.Option(help="Name or id of the boxes' category, if not the model's, such as person.", show_default=False),
    ] = None,
    least_score: LeastScore = 0.3,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the keypoints.json of an earlier call.")] = False,
    frames: Annotated[int | None, typer.Option(min=1, help="Frames of a video or camera, at most.", show_default=False)] = None,
    whole_frame: Annotated[
        bool, typer.Option("--whole-frame", help="Look at each frame of a video as a whole; do not follow the person.")
    ] = False,
    threads: Threads = 1,
    runtime: RuntimeName = "auto",
    xnnpack: Xnnpack = True,
    delegate: DelegateLibrary = None,
    delegate_option: DelegateOptions = None,
    max_pixels: MaxPixels = None,
) -> None:
    """Draw the poses a model finds into pictures, and write them as COCO keypoint JSON; or into a video, of one person.

    Example: [bold]hrnet predict model.tflite photo.jpg --boxes boxes.json --output poses[/bold]
    """
    from mobile_eval.keypoints.boxes_file import BoxChoice, load_boxes
    from mobile_eval.keypoints.predict import KEYPOINTS_FILE, pictures_frame
    from mobile_eval.keypoints.predict import predict as predict_images
    from mobile_eval.keypoints.video import is_video, predict_video
    from mobile_eval.runtime.backend import parse_backend
    from mobile_eval.runtime.tflite_model import TFLiteModel
    from mobile_eval.words import number_of

    loaded = TFLiteModel(model, parse_backend(runtime, threads, xnnpack, delegate, delegate_option))
    if is_video(images[0]):
        if boxes or exif or len(images) > 1:
            raise HRNetError("a video or camera goes alone, without `boxes` and `exif`: its boxes follow the person")
        typer.echo(predict_video(loaded, images[0], output, frames=frames, track=not whole_frame, progress=True))
        return
    if category is not None and boxes is None:
        raise HRNetError("`category` chooses among the boxes of `boxes`: give these")
    choice = BoxChoice(category, loaded.description.category.name, least_score)
    known = load_boxes(boxes, images, choice) if boxes else None
    frame = pictures_frame(images, boxes, exif)
    results = predict_images(loaded, images, output, boxes=known, frame=frame, overwrite=overwrite, progress=True)
    for result in results:
        typer.echo(f"{result.picture}: {number_of(len(result.scores), 'people')}")
    typer.echo(f"keypoints: {output / KEYPOINTS_FILE}")


def profile(
    model: Annotated[Path, typer.Argument(metavar="M.tflite", help="Any .tflite.", show_default=False)],
    threads: Threads = 1,
    rounds: Annotated[int, typer.Option(min=1, help="Timed runs of each operator; they take turns.")] = 50,
    runtime: RuntimeName = "auto",
    xnnpack: Xnnpack = True,
    delegate: DelegateLibrary = None,
    delegate_option: DelegateOptions = None,
    json: Annotated[
        Path | None, typer.Option(help="Write the profile to this JSON file, for `hrnet prune --profile`.", show_default=False)
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw it into this SVG file.", show_default=False)] = None,
) -> None:
    """Time every operator of a model on this machine: by kind, and by the network's stem, branches and links.

    Example: [bold]python -m mobile_eval profile full-int8.tflite --json profile.json --picture profile.svg[/bold]
    """
    from mobile_eval.benchmark.profile import profile as profile_model
    from mobile_eval.files import check_output_file, write_bytes, write_json
    from mobile_eval.runtime.backend import parse_backend
    from mobile_eval.viz.profile_chart import profile_svg

    check_output_file(json)
    check_output_file(picture)
    backend = parse_backend(runtime, threads, xnnpack, delegate, delegate_option)
    result = profile_model(model, backend, rounds=rounds, progress=True)
    if json:
        write_json(json, result.to_json())
    if picture:
        write_bytes(picture, profile_svg(result).encode())
    typer.echo(result)


def links(
    models: Annotated[
        list[Path],
        typer.Argument(metavar="A.tflite B.tflite...", help="Files of ranked networks, of any tasks.", show_default=False),
    ],
    output: Annotated[Path, typer.Option(help="Folder for index.html and links.json.", show_default=False)],
) -> None:
    """Lay the fusion links of several networks side by side: are the same ones needed for each task?

    Example: [bold]hrnet links pose.tflite segmentation.tflite --output links[/bold]
    """
    from mobile_eval.report.links import compare_links

    typer.echo(compare_links(models, output))
    typer.echo(f"page: {output / 'index.html'}")


COMMANDS = (evaluate, bench, profile, compare, predict, links)
for command in COMMANDS:
    app.command()(command)


def command_line() -> str:
    """The command that is running, as it could be typed again."""
    program = Path(sys.argv[0])
    name = f"python -m {program.parent.name}" if program.stem == "__main__" else program.name
    return f"{name} {shlex.join(sys.argv[1:])}"
