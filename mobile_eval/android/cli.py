"""The commands `hrnet target android benchmark` and `hrnet target android evaluate`, for phones over adb."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from mobile_eval.cli.completion import completed
from mobile_eval.cli.help import Commands
from mobile_eval.cli.options import MODES, Exif, MaxPixels, Model, Threads
from mobile_eval.errors import HRNetError

app = Commands(
    "android",
    "Measure on an Android phone over adb: latency with TFLite's benchmark_model, and accuracy if the phone has Python.",
)
logger = logging.getLogger(__name__)

Adb = Annotated[str | None, typer.Option(metavar="PATH", help="Path of adb; else the one on the PATH.", show_default=False)]
Serial = Annotated[
    str | None,
    typer.Option(help="Serial number of the phone (see `adb devices`), if there are several.", show_default=False),
]
Json = Annotated[Path | None, typer.Option(help="JSON file to write the figures to.", show_default=False)]


@app.command()
def benchmark(
    model: Annotated[Path, typer.Argument(metavar="M.tflite", help="Any .tflite.", show_default=False)],
    benchmark_binary: Annotated[
        Path,
        typer.Option(
            metavar="PATH",
            help="TFLite's benchmark_model, built for the phone (https://ai.google.dev/edge/litert/models/measurement).",
            show_default=False,
        ),
    ],
    serial: Serial = None,
    use_gpu: Annotated[bool, typer.Option("--use-gpu", help="Use the GPU delegate, which may compute in float16.")] = False,
    use_nnapi: Annotated[bool, typer.Option("--use-nnapi", help="Use the NNAPI delegate.")] = False,
    xnnpack: Annotated[
        bool, typer.Option("--xnnpack/--no-xnnpack", help="Use XNNPACK; it is always off beside another delegate.")
    ] = True,
    cores: Annotated[
        str | None,
        typer.Option(metavar="MASK", help="Cores to run on, as a mask for taskset: f0 is cores 4 to 7.", show_default=False),
    ] = None,
    threads: Annotated[str, typer.Option(help="Number of threads; several, such as 1,2,4, are measured in turn.")] = "1",
    mode: Annotated[
        str,
        typer.Option(
            help="Minimum number and duration of runs: full (1024 runs, 60 s), quick (128 runs, 10 s) or rapid (64 runs, 6 s).",
            autocompletion=completed(MODES),
        ),
    ] = "quick",
    runs: Annotated[int | None, typer.Option(min=1, help="Minimum number of runs, instead of a mode.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0, help="Minimum duration in seconds, instead of a mode.")] = None,
    warmup: Annotated[int, typer.Option(min=1, help="Number of warm-up runs, with the first inference.")] = 6,
    memory: Annotated[bool, typer.Option(help="Measure peak memory too, in a separate run.")] = True,
    operators: Annotated[bool, typer.Option(help="Measure the time of each operator too, in a separate run.")] = True,
    adb: Adb = None,
    json: Json = None,
) -> None:
    """Measure a model's latency on a phone, with peak memory, operators, and which of them a delegate took.

    The model and the binary are copied to /data/local/tmp and removed afterwards.

    Example: [bold]hrnet target android benchmark model.tflite --benchmark-binary ./benchmark_model --json phone.json[/bold]
    """
    from mobile_eval.android.adb import find_phone
    from mobile_eval.android.bench import bench
    from mobile_eval.android.benchmark_tool import GPU, NNAPI, PhoneBackend
    from mobile_eval.benchmark.latency import choose_effort
    from mobile_eval.files import check_output_file, write_json
    from mobile_eval.runtime.backend import parse_threads

    check_output_file(json)
    if use_gpu and use_nnapi:
        raise HRNetError("`use_gpu` and `use_nnapi` cannot be combined: measure one at a time")
    delegate = GPU if use_gpu else NNAPI if use_nnapi else None
    backends = [PhoneBackend(count, xnnpack, delegate, cores) for count in parse_threads(threads)]
    effort, phone = choose_effort(mode, runs, seconds), find_phone(adb, serial)
    results = []
    for backend in backends:
        result = bench(phone, model, benchmark_binary, backend, effort=effort, warmup=warmup, memory=memory, operators=operators)
        typer.echo(result)
        results.append(result.to_json())
    if json:
        write_json(json, results[0] if len(results) == 1 else {"sweep": results})


@app.command()
def evaluate(
    model: Model,
    annotations: Annotated[Path, typer.Option(help="COCO keypoint JSON of the model's joints.", show_default=False)],
    images: Annotated[Path, typer.Option(help="Folder of the annotated images.", show_default=False)],
    exif: Exif = None,
    max_pixels: MaxPixels = None,
    serial: Serial = None,
    threads: Threads = 1,
    runtime: Annotated[str, typer.Option(help="TFLite runtime: auto, ai-edge-litert or tflite-runtime.")] = "auto",
    xnnpack: Annotated[
        bool, typer.Option("--xnnpack/--no-xnnpack", help="Let XNNPACK run the operators that it supports.")
    ] = True,
    category: Annotated[
        str | None,
        typer.Option(help="Name or id of the category, if several have keypoints; else the model's.", show_default=False),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse annotations at the first bad label; else up to 1 % are skipped.")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Evaluate the first N instances only.", show_default=False)] = None,
    flip: Annotated[bool, typer.Option("--flip", help="Average heatmaps with those of the mirrored crop.")] = False,
    flip_pairs: Annotated[str, typer.Option(help="Pairs for --flip, as in `hrnet evaluate`.")] = "auto",
    decoding: Annotated[
        str,
        typer.Option(
            help="model (the one it was trained for), quarter (official), dark (arXiv 1910.06278), or udp (arXiv 1911.07524)."
        ),
    ] = "model",
    sigmas: Annotated[str | None, typer.Option(help="OKS sigmas, as in `hrnet evaluate`.", show_default=False)] = None,
    python: Annotated[
        str | None, typer.Option(metavar="PATH", help="The phone's Python, if not in a usual place.", show_default=False)
    ] = None,
    adb: Adb = None,
    json: Json = None,
) -> None:
    """Measure a model's accuracy on a phone that has a Python which adb can start; without one, print what to do.

    The evaluator, the model and the annotated images are copied to /data/local/tmp and removed afterwards.

    Example: [bold]hrnet target android evaluate model.tflite --annotations val.json --images images --json figures.json[/bold]
    """
    from mobile_eval.android.adb import find_phone
    from mobile_eval.android.evaluate import NoPythonError
    from mobile_eval.android.evaluate import evaluate as evaluate_on_phone
    from mobile_eval.datasets.coco.keypoints import load_keypoint_dataset
    from mobile_eval.files import check_output_file, write_json
    from mobile_eval.image.image_size import max_pixels as pixel_limit
    from mobile_eval.keypoints.inference import DecodingOptions, checked_decoding
    from mobile_eval.model.archive import read_description
    from mobile_eval.options import parse_values
    from mobile_eval.tasks.pose.evaluate import joint_sigmas

    check_output_file(json)
    expected = read_description(model).category.name
    data = load_keypoint_dataset(annotations, images, category=category, strict=strict, expected=expected, exif=exif)
    if data.skipped_summary:
        logger.info("%s: %s", annotations, data.skipped_summary)
    dataset = data.head(limit)
    joint_sigmas(parse_values("sigmas", sigmas or "", float), len(dataset.category.joints))
    DecodingOptions(flip, checked_decoding(decoding), flip_pairs)
    options = ["--threads", str(threads), "--runtime", runtime, "--decoding", decoding]
    options += ["--xnnpack" if xnnpack else "--no-xnnpack", *(["--flip", "--flip-pairs", flip_pairs] if flip else [])]
    options += ["--sigmas", sigmas] if sigmas else []
    options += ["--exif", dataset.frame.name] if exif or dataset.frame.stored else []
    options += ["--max-pixels", str(pixel_limit())]  # the callback of `max_pixels` has set it
    phone = find_phone(adb, serial)
    try:
        figures, text = evaluate_on_phone(phone, model, dataset, python=python, options=options)
    except NoPythonError as error:
        typer.echo(error.how)
        raise
    if json:
        write_json(json, {**figures, "annotations": str(annotations)})
    typer.echo(text)
