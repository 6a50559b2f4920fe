"""`hrnet android COMMAND`: phones over adb."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mobile_eval.cli.options import Exif
from mobile_eval.errors import HRNetError

app = typer.Typer(
    name="android",
    help="Measure on an Android phone over adb: latency with TFLite's benchmark_model, accuracy where a Python is on it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

Adb = Annotated[str | None, typer.Option(metavar="PATH", help="The adb to use, if not the PATH's.", show_default=False)]
Serial = Annotated[
    str | None, typer.Option(help="The phone, as `adb devices` lists it, where there are several.", show_default=False)
]
Delegates = ("GPU", "NNAPI")


@app.command()
def bench(
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
    use_gpu: Annotated[
        bool, typer.Option("--use-gpu", help="Let the GPU delegate take the model (float16 where it may).")
    ] = False,
    use_nnapi: Annotated[bool, typer.Option("--use-nnapi", help="Let the NNAPI delegate take the model.")] = False,
    xnnpack: Annotated[
        bool, typer.Option("--xnnpack/--no-xnnpack", help="Let XNNPACK run what it can, or nothing; it is off beside a delegate.")
    ] = True,
    cores: Annotated[
        str | None,
        typer.Option(metavar="MASK", help="Cores to run on, as taskset's mask: f0 is cores 4 to 7.", show_default=False),
    ] = None,
    threads: Annotated[str, typer.Option(help="Threads; several, as 1,2,4, are measured in turn.")] = "1",
    mode: Annotated[
        str, typer.Option(help="How much: full (1024 runs and 60 s at least), quick (128 and 10 s), rapid (64 and 6 s).")
    ] = "quick",
    runs: Annotated[int | None, typer.Option(min=1, help="At least this many timed runs, in place of a mode.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0, help="At least this many seconds of them, in place of a mode.")] = None,
    warmup: Annotated[int, typer.Option(min=1, help="Untimed runs before them; the first inference is the first of these.")] = 6,
    memory: Annotated[bool, typer.Option(help="Measure peak memory too, in a run of its own.")] = True,
    operators: Annotated[bool, typer.Option(help="Time every operator too, in a run of its own.")] = True,
    adb: Adb = None,
    json: Annotated[Path | None, typer.Option(help="Write the figures to this JSON file.", show_default=False)] = None,
) -> None:
    """Time a model on a phone: load, first run, the steady state, memory, operators, and what ran where.

    The model and the binary are copied to /data/local/tmp and removed afterwards.

    Example: [bold]hrnet android bench model.tflite --benchmark-binary ./benchmark_model --cores f0 --json phone.json[/bold]
    """
    from mobile_eval.android.adb import find_phone
    from mobile_eval.android.bench import bench as bench_phone
    from mobile_eval.android.benchmark_tool import Target
    from mobile_eval.benchmark.latency import choose_effort
    from mobile_eval.files import check_output_file, write_json
    from mobile_eval.runtime.backend import parse_threads

    check_output_file(json)
    chosen = [name for name, wanted in zip(Delegates, (use_gpu, use_nnapi), strict=True) if wanted]
    if len(chosen) > 1:
        raise HRNetError("`use_gpu` and `use_nnapi` are measured one at a time: give one of them")
    targets = [Target(count, xnnpack, chosen[0] if chosen else None, cores) for count in parse_threads(threads)]
    much, phone = choose_effort(mode, runs, seconds), find_phone(adb, serial)
    results = []
    for target in targets:
        result = bench_phone(
            phone, model, benchmark_binary, target, effort=much, warmup=warmup, memory=memory, operators=operators, say=_say
        )
        typer.echo(result)
        results.append(result.to_json())
    if json:
        write_json(json, results[0] if len(results) == 1 else {"sweep": results})


@app.command()
def evaluate(
    model: Annotated[Path, typer.Argument(metavar="M.tflite", help="A model written by `hrnet convert`.", show_default=False)],
    annotations: Annotated[Path, typer.Option(help="COCO keypoint JSON of the model's joints.", show_default=False)],
    images: Annotated[Path, typer.Option(help="Folder with the images that the annotations name.", show_default=False)],
    exif: Exif = None,
    serial: Serial = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the TFLite runtime.")] = 1,
    runtime: Annotated[str, typer.Option(help="TFLite runtime: auto, ai-edge-litert or tflite-runtime.")] = "auto",
    xnnpack: Annotated[bool, typer.Option("--xnnpack/--no-xnnpack", help="Let XNNPACK run what it can, or nothing.")] = True,
    category: Annotated[
        str | None,
        typer.Option(
            help="Name or id of the category to take, where several have keypoints; the model's if not given.", show_default=False
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse annotations at the first bad label; without it up to 1 % are left out.")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Take only the first N people.", show_default=False)] = None,
    flip: Annotated[bool, typer.Option("--flip", help="Average in the mirrored crop's heatmaps.")] = False,
    flip_pairs: Annotated[str, typer.Option(help="With --flip, as `hrnet evaluate` takes them.")] = "auto",
    decoding: Annotated[
        str,
        typer.Option(
            help="model (the one it was trained for), quarter (official), dark (arXiv 1910.06278), or udp (arXiv 1911.07524)."
        ),
    ] = "model",
    sigmas: Annotated[str | None, typer.Option(help="OKS sigmas, as `hrnet evaluate` takes them.", show_default=False)] = None,
    python: Annotated[
        str | None, typer.Option(metavar="PATH", help="The phone's Python, if not one of the usual places.", show_default=False)
    ] = None,
    adb: Adb = None,
    json: Annotated[Path | None, typer.Option(help="Write the figures to this JSON file.", show_default=False)] = None,
) -> None:
    """Measure a model's accuracy on a phone that has a Python adb can start; where there is none, say what can be done.

    The evaluator, the model and the images that are needed are copied to /data/local/tmp and removed afterwards.

    Example: [bold]hrnet android evaluate model.tflite --annotations val.json --images images --json figures.json[/bold]
    """
    from mobile_eval.android.adb import find_phone
    from mobile_eval.android.evaluate import NoPythonError
    from mobile_eval.android.evaluate import evaluate as evaluate_phone
    from mobile_eval.datasets.coco.keypoints import load_keypoint_dataset
    from mobile_eval.files import check_output_file, write_json
    from mobile_eval.keypoints.inference import DecodingOptions, checked_decoding
    from mobile_eval.model.archive import read_description
    from mobile_eval.options import parse_values
    from mobile_eval.tasks.pose.evaluate import joint_sigmas

    check_output_file(json)
    expected = read_description(model).category.name
    data = load_keypoint_dataset(annotations, images, category=category, strict=strict, expected=expected, exif=exif)
    if data.skipped_summary:
        _say(f"{annotations}: {data.skipped_summary}")
    dataset = data.head(limit)
    joint_sigmas(parse_values("sigmas", sigmas or "", float), len(dataset.category.joints))
    DecodingOptions(flip, checked_decoding(decoding), flip_pairs)
    options = ["--threads", str(threads), "--runtime", runtime, "--decoding", decoding]
    options += ["--xnnpack" if xnnpack else "--no-xnnpack", *(["--flip", "--flip-pairs", flip_pairs] if flip else [])]
    options += ["--sigmas", sigmas] if sigmas else []
    options += ["--exif", dataset.frame.name] if exif or dataset.frame.stored else []
    phone = find_phone(adb, serial)
    try:
        figures, printed = evaluate_phone(phone, model, dataset, python=python, options=options, say=_say)
    except NoPythonError as error:
        typer.echo(error.how)
        raise
    if json:
        write_json(json, {**figures, "annotations": str(annotations)})
    typer.echo(printed)


def _say(line: str) -> None:
    typer.echo(line, err=True)
