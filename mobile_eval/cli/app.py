"""The commands of `mobile_eval`: `python -m mobile_eval COMMAND`, or `hrnet COMMAND` where the whole package is installed."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from mobile_eval.cli.completion import completed
from mobile_eval.cli.declared import with_options, with_options_by_task
from mobile_eval.cli.evaluate import evaluate, task_of_file
from mobile_eval.cli.help import Commands
from mobile_eval.cli.options import MODES, Limit, MaxPixels, Model, RuntimeOptions, Threads
from mobile_eval.cli.predict import predict
from mobile_eval.cli.web import web
from mobile_eval.datasets.base import DataSource
from mobile_eval.errors import HRNetError
from mobile_eval.tasks.registry import TASKS
from mobile_eval.typed import JsonObject

# How errors are measured, rather than how models predict, and the detector of pipelines.
METRIC_OPTIONS = ("sigmas", "unit", "failure_above", "detector")

app = Commands("mobile_eval", "Accuracy and latency of .tflite models, with nothing but a TFLite runtime.")


@with_options
def benchmark(
    models: Annotated[
        list[Path],
        typer.Argument(metavar="M.tflite...", help="Any .tflite files; several take turns.", show_default=False),
    ],
    runtime_options: RuntimeOptions,
    threads: Annotated[str, typer.Option(help="Numbers of threads, separated by commas; each is measured in turn.")] = "1",
    rounds: Annotated[
        int | None, typer.Option(min=1, help="Number of timed runs of each of several models. Default: 50.")
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(
            help="Effort: full (at least 1024 runs and 60 s), quick (128 runs and 10 s) or rapid (64 runs and 6 s).",
            show_default="quick",
            autocompletion=completed(MODES),
        ),
    ] = None,
    runs: Annotated[int | None, typer.Option(min=1, help="Minimum number of timed runs, instead of a mode.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0, help="Minimum duration of the timed runs in seconds.")] = None,
    memory: Annotated[bool, typer.Option(help="Measure peak memory, in a separate process.")] = True,
    detector: Annotated[
        Path | None,
        typer.Option(help="Detector to time with each pose model, from an image to 1, 2 and 5 poses.", show_default=False),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="JSON file for the figures and every sample.", show_default=False)] = None,
    publish: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Name of this device, such as 'Raspberry Pi 5': write its figures to docs/devices, without anything private.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Measure the latency of a model on this machine: loading, first run, p50/p90/p99, size, peak memory, and delegates.

    Several models take turns, so that other load affects all alike. Their ratios to the first have 95 % intervals.

    Example: [bold]hrnet benchmark full-int8.tflite pruned-int8.tflite --threads 1,2 --json latency.json[/bold]
    """
    from mobile_eval.benchmark.chain_timing import time_pipelines
    from mobile_eval.benchmark.interleaved import BenchmarkResult, benchmark_in_turns
    from mobile_eval.benchmark.latency import ROUNDS, LatencyResult, bench, choose_effort
    from mobile_eval.benchmark.published import publication_path, published_device, save_device
    from mobile_eval.files import check_output_file, write_json
    from mobile_eval.runtime.backend import parse_threads

    check_output_file(json)
    if len(models) == 1 and rounds:
        raise HRNetError("`rounds` is for several models, which take turns; `runs` is for one")
    if len(models) > 1 and (mode or runs or seconds is not None):
        raise HRNetError("`mode`, `runs` and `seconds` are for one model; several take turns for `rounds`")
    effort = choose_effort(mode or "quick", runs, seconds)
    timed_runs = effort.runs if len(models) == 1 else rounds or ROUNDS
    publication = publication_path(publish, timed_runs) if publish is not None else None
    results: list[LatencyResult | BenchmarkResult] = []
    for backend in map(runtime_options.backend, parse_threads(threads)):
        if len(models) == 1:
            results.append(bench(models[0], backend, effort=effort, memory=memory, progress=True))
        else:
            results.append(benchmark_in_turns(models, backend, rounds=rounds or ROUNDS, memory=memory, progress=True))
        typer.echo(results[-1])
    single = [result for result in results if isinstance(result, LatencyResult)]
    for result in single[1:]:
        typer.echo(f"{result.threads} threads: {single[0].p50_ms / result.p50_ms:.2f} times as fast as {single[0].threads}")
    data: JsonObject = results[0].to_json() if len(results) == 1 else {"sweep": [result.to_json() for result in results]}
    if detector:
        chains = time_pipelines(detector, models, runtime_options.backend(parse_threads(threads)[0]), rounds, progress=True)
        typer.echo("\n".join(f"{name}, {entry}" for name, entries in chains.items() for entry in entries))
        data["chains"] = {name: [asdict(entry) for entry in entries] for name, entries in chains.items()}
    if json:
        write_json(json, data)
    if publication:
        rows = [row for result in results for row in ([result] if isinstance(result, LatencyResult) else result)]
        save_device(published_device(publish or "", zip(models * len(results), rows, strict=True)), publication)
        typer.echo(f"published: {publication}; look through it, then open a pull request")


@with_options
@with_options_by_task({name: task.options for name, task in TASKS.items()}, task_of_file, only=METRIC_OPTIONS)
def compare(
    models: Annotated[
        list[Path],
        typer.Argument(
            metavar="A.tflite B.tflite...",
            help="Models, the full one first; or results.json files of several devices.",
            show_default=False,
        ),
    ],
    output: Annotated[Path, typer.Option(help="Folder for index.html and results.json.", show_default=False)],
    source: DataSource,
    options: dict[str, object],
    runtime_options: RuntimeOptions,
    threads: Threads = 1,
    rounds: Annotated[int, typer.Option(min=1, help="Number of timed runs of each model; the models take turns.")] = 50,
    limit: Limit = None,
    arms: Annotated[
        Path | None, typer.Option(help="Manifest, by `hrnet study`, of the study that the models belong to.", show_default=False)
    ] = None,
    max_pixels: MaxPixels = None,
) -> None:
    """Compare accuracy and latency of models of one task on the same data and machine, in an HTML report.

    Ratios are to the first model of the same precision. With --detector, pipelines of a detector and each model are compared
    as well: AP of the chain, and times for 1, 2 and 5 people. Given results.json files from several devices, the command puts
    these side by side.

    Example: [bold]hrnet compare full.tflite pruned.tflite --annotations val.json --images images --output report[/bold]
    """
    from mobile_eval.report.comparison import compare_files
    from mobile_eval.report.devices import compare_devices

    device_results = [path for path in models if path.suffix == ".json"]
    if device_results and len(device_results) < len(models):
        raise HRNetError("give models to measure here, or results.json files of devices, not both")
    if device_results:
        typer.echo(compare_devices(device_results, output))
    else:
        result = compare_files(
            models,
            source,
            output,
            limit=limit,
            options=options,
            backend=runtime_options.backend(threads),
            rounds=rounds,
            command=command_line(),
            arms=arms,
            progress=True,
        )
        typer.echo(result)
    typer.echo(f"report: {output / 'index.html'}")


@with_options
def vectors(
    model: Model,
    output: Annotated[Path, typer.Option(help="Folder for the vectors; it must not exist, or be empty.", show_default=False)],
    source: DataSource,
    runtime_options: RuntimeOptions,
    limit: Annotated[int, typer.Option(min=1, help="Number of people or faces.")] = 3,
    threads: Threads = 1,
    max_pixels: MaxPixels = None,
) -> None:
    """Write test vectors for a port to an app: image, box, matrix, crop, input, outputs and keypoints of a few people or faces.

    Example: [bold]hrnet vectors model.tflite --annotations val.json --images images --output vectors[/bold]
    """
    from mobile_eval.keypoints.vectors import write_vectors
    from mobile_eval.runtime.tflite_model import TFLiteModel
    from mobile_eval.tasks.pose.predictions import check_finds_keypoints
    from mobile_eval.tasks.registry import load_for_model

    loaded = TFLiteModel(model, runtime_options.backend(threads))
    check_finds_keypoints(loaded)
    dataset = load_for_model(loaded, source, limit)
    written = write_vectors(loaded, dataset.items, output, progress=True)
    typer.echo(f"vectors: {output}, {len(written['cases'])} cases, the steps in {output / 'README.md'}")


@with_options
def profile(
    model: Annotated[Path, typer.Argument(metavar="M.tflite", help="Any .tflite file.", show_default=False)],
    runtime_options: RuntimeOptions,
    threads: Threads = 1,
    rounds: Annotated[int, typer.Option(min=1, help="Number of timed runs of each operator; operators take turns.")] = 50,
    json: Annotated[
        Path | None, typer.Option(help="JSON file for the profile, which `hrnet prune --profile` reads.", show_default=False)
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="SVG file for a chart of the profile.", show_default=False)] = None,
) -> None:
    """Time every operator of a model on this machine: by kind, and by the stem, branches and links of the network.

    Example: [bold]hrnet profile full-int8.tflite --json profile.json --picture profile.svg[/bold]
    """
    from mobile_eval.benchmark.profile import profile as profile_model
    from mobile_eval.files import check_output_file, write_bytes, write_json
    from mobile_eval.viz.profile_chart import profile_svg

    check_output_file(json)
    check_output_file(picture)
    result = profile_model(model, runtime_options.backend(threads), rounds=rounds, progress=True)
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
    """Compare the importance of fusion links in several networks, such as those of different tasks.

    Example: [bold]hrnet links pose.tflite segmentation.tflite --output links[/bold]
    """
    from mobile_eval.report.links import compare_links

    typer.echo(compare_links(models, output))
    typer.echo(f"page: {output / 'index.html'}")


COMMANDS = (evaluate, benchmark, profile, compare, predict, vectors, web, links)
for command in COMMANDS:
    app.command()(command)


def command_line() -> str:
    """The command that is running, as it could be typed again."""
    program = Path(sys.argv[0])
    name = f"python -m {program.parent.name}" if program.stem == "__main__" else program.name
    return f"{name} {shlex.join(sys.argv[1:])}"
