"""Commands for conversion; heavy imports wait until a command runs."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from conversion.options import APPS, ConvertOptions
from mobile_eval.cli.completion import completed
from mobile_eval.cli.declared import with_options
from mobile_eval.cli.help import Commands
from mobile_eval.cli.options import MaxPixels
from mobile_eval.datasets.base import DataSource
from mobile_eval.errors import HRNetError

if TYPE_CHECKING:
    from hrnet_tf.runs.run import Run

app = Commands()
targets = Commands()  # mounted as `hrnet target`

MemoryBudget = Annotated[str, typer.Option(help="Memory for images and activations, such as 1GiB or 512MiB.")]
CompiledFolder = Annotated[
    Path | None, typer.Option("--output", help="Folder for the compiled file; by default that of M.tflite.", show_default=False)
]
Int8Model = Annotated[Path, typer.Argument(metavar="M.tflite", help="An int8 model.", show_default=False)]


@app.command(rich_help_panel="Convert")
@with_options
def convert(
    context: typer.Context,
    run: Annotated[Path, typer.Argument(help="Run folder: trained, pruned or quantized.", show_default=False)],
    output: Annotated[
        Path, typer.Option(help="The .tflite to write. A copy of its description goes beside it, as .json.", show_default=False)
    ],
    options: ConvertOptions,
    source: DataSource,
    app: Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="APP",
            help=f"Choose types, decoding and softmax for an app: {', '.join(APPS)}. Options that contradict it are an error.",
            autocompletion=completed(APPS),
            show_default=False,
        ),
    ] = None,
    samples: Annotated[int, typer.Option(help="Number of calibration samples (people or images).", min=1)] = 200,
    sample_seed: Annotated[
        int | None, typer.Option(help="Seed for random calibration samples; by default the first are taken.", show_default=False)
    ] = None,
    quantization_recipe: Annotated[
        Path | None,
        typer.Option(help="JSON of per-layer settings for int8 without QAT: float layers, ranges.", show_default=False),
    ] = None,
    debug_quantization: Annotated[
        bool, typer.Option("--debug-quantization", help="Write the error of each layer of an int8 file, as table and plot.")
    ] = False,
    runtime: Annotated[str, typer.Option(help="tflite-runtime: refuse operators that its last version lacks.")] = "auto",
    memory_budget: MemoryBudget = "1GiB",
    max_pixels: MaxPixels = None,
) -> None:
    """Convert a run to a self-describing .tflite, compared with the Keras model before it is written.

    int8 of a run from `hrnet quantize` needs no data. int8 of any other run, and int16x8, is calibrated on --images and the
    options that go with it, by default on the run's training data.

    Google's TFLite Task Library and MediaPipe run classifiers and segmenters with --input-type uint8-rgb and --output-type uint8
    or float32; classifiers also need --softmax. They refuse int8 outputs, and MediaPipe refuses float32 inputs.

    Example: [bold]hrnet convert runs/full-qat --format int8 --output full-int8.tflite[/bold]
    """
    from rich.console import Console

    from hrnet_tf.backend.choice import check_tf_keras

    check_tf_keras("conversion to TFLite")
    from conversion.checks.layer_errors import write_layer_errors
    from conversion.convert import convert_run
    from conversion.quantization.quantization_recipe import load_quantization_recipe
    from hrnet_tf.runs.run import Run
    from hrnet_tf.spec.memory import parse_memory
    from mobile_eval.files import check_output_file
    from mobile_eval.tasks.registry import TASKS

    loaded = Run.load(run)
    if app is not None:
        options = _options_for_app(context, app, loaded, options)
    if debug_quantization and options.format != "int8":
        raise HRNetError(f"`debug_quantization` needs `format` int8, got {options.format}")
    recipe = load_quantization_recipe(quantization_recipe) if quantization_recipe else None
    check_output_file(output)
    memory_bytes = parse_memory(memory_budget)
    task = TASKS[loaded.spec.task]
    source = dataclasses.replace(source, expected=loaded.category.get("name"))
    data = task.load_optional(source.read_as(loaded.config))
    with Console(stderr=True).status(f"converting {run} to {options.format}"):
        result = convert_run(
            loaded,
            options,
            output,
            data,
            samples=samples,
            seed=sample_seed,
            quantization_recipe=recipe,
            runtime=runtime,
            memory_budget=memory_bytes,
        )
    typer.echo(result)
    if debug_quantization:
        table, plot = write_layer_errors(result.layers, output)
        typer.echo(f"  layers: {table}, {plot}")


def _options_for_app(context: typer.Context, app: str, run: Run, options: ConvertOptions) -> ConvertOptions:
    """The options for a kind of app, with those that were typed; says which were chosen."""
    from conversion.apps import explanation, options_for
    from conversion.model_info import info_of_run
    from mobile_eval.cli.running import is_typed, spelled
    from mobile_eval.image.geometry import STANDARD

    info = info_of_run(run)
    names = [field.name for field in dataclasses.fields(options) if is_typed(context, field.name)]
    requested = {name: getattr(options, name) for name in names}
    chosen = options_for(app, info.task, info.kind, requested, quarter_rule=info.geometry == STANDARD)
    typer.echo(spelled(explanation(app, chosen), context))
    return chosen


@app.command(rich_help_panel="Convert")
@with_options
def restore(
    model: Annotated[
        Path, typer.Argument(metavar="M.tflite", help="A float32 model written by `hrnet convert`.", show_default=False)
    ],
    output: Annotated[Path, typer.Option(help="Run folder to write.", show_default=False)],
    source: DataSource,
    memory_budget: MemoryBudget = "1GiB",
    max_pixels: MaxPixels = None,
) -> None:
    """Restore a run from a float32 .tflite, to prune or fine-tune a network whose run is lost.

    BatchNorm statistics are measured on the first images (pose, landmarks: the first people in them).

    Example: [bold]hrnet restore full-float32.tflite --annotations train.json --images images --output runs/full[/bold]
    """
    from hrnet_tf.backend.choice import check_tf_keras

    check_tf_keras("restoring from a .tflite file")
    from conversion.restore import restore_run
    from hrnet_tf.spec.memory import parse_memory
    from mobile_eval.model.archive import read_description
    from mobile_eval.tasks.registry import get_task

    description = read_description(model)
    task = get_task(description.task)
    data = task.load_optional(dataclasses.replace(source, expected=description.category.name))
    if data is None:
        raise HRNetError(f"BatchNorm statistics need images: give {task.data_options}")
    run = restore_run(model, data, output, memory_budget=parse_memory(memory_budget))
    typer.echo(f"run: {run.path}")


@app.command("targets", rich_help_panel="Convert")
def every_target(
    context: typer.Context,
    model: Annotated[Path, typer.Argument(metavar="M.tflite", help="Any .tflite file.", show_default=False)],
    threads: Annotated[int, typer.Option(min=1, help="Number of threads for latencies on this machine.")] = 1,
    python: Annotated[
        list[Path] | None,
        typer.Option(
            help="Python of another environment that runs the file too, such as one with tflite-runtime, or FOLDER/python of "
            "tools/arm_userland.sh; may be repeated.",
            show_default=False,
        ),
    ] = None,
    qairt: Annotated[Path | None, typer.Option(help="Folder of an installed QAIRT, for Snapdragon.", show_default=False)] = None,
    json: Annotated[Path | None, typer.Option(help="JSON file for the table.", show_default=False)] = None,
    html: Annotated[Path | None, typer.Option(help="HTML page for the table.", show_default=False)] = None,
) -> None:
    """Show in a table which targets take a file, how that is known, and its size and cost there.

    Targets: CPUs by XNNPACK, tflite-runtime and OpenVINO, GPU, Edge TPU, Ethos-U, Snapdragon, TFLite Micro and browsers.

    Example: [bold]hrnet targets pruned-int8.tflite --json targets.json[/bold]
    """
    from rich.console import Console

    from conversion.targets.attempts import TargetTrials
    from mobile_eval.cli.running import spelled
    from mobile_eval.files import check_output_file, write_json, write_text

    check_output_file(json)
    check_output_file(html)
    trials = TargetTrials(model, threads=threads, pythons=python or (), qairt=qairt)
    with Console(stderr=True).status("targets") as status:
        table = trials.table(lambda target: status.update(f"trying {target}"))
    typer.echo(spelled(str(table), context))
    if json:
        write_json(json, table.to_json())
    if html:
        write_text(html, table.to_html(lambda note: spelled(note, context)))


@targets.command()
def edgetpu(
    model: Int8Model,
    output: CompiledFolder = None,
    compiler: Annotated[
        Path | None, typer.Option(help="Path of edgetpu_compiler, if it is not on the PATH.", show_default=False)
    ] = None,
    segments: Annotated[int, typer.Option(help="Number of Edge TPUs to split the model between, as a pipeline.", min=1)] = 1,
    json: Annotated[Path | None, typer.Option(help="JSON file for the check of each operator.", show_default=False)] = None,
) -> None:
    """Check which operators map to the Edge TPU, then compile if Google's compiler is installed.

    Example: [bold]hrnet target edgetpu full-int8.tflite[/bold]
    """
    from conversion.targets.edgetpu import COMPILER, check_edgetpu, compile_for_edgetpu, find_compiler
    from mobile_eval.files import write_json
    from mobile_eval.model.archive import files_of

    compiler_path = find_compiler(compiler)
    if segments > 1 and not compiler_path:
        raise HRNetError(f"`segments` needs {COMPILER}, which is not on the PATH: give its path by `compiler`")
    files = files_of(model)
    checks = [check_edgetpu(file) for file in files]
    if json:
        rows = [{**dataclasses.asdict(result), "path": str(result.path)} for result in checks]
        write_json(json, rows[0] if len(rows) == 1 else {"files": rows})
    for result in checks:
        typer.echo(result)
    if compiler_path:
        for file in files:
            typer.echo(compile_for_edgetpu(file, output or model.parent, compiler_path, segments))
    else:
        typer.echo(f"checked by the documented rules only: no {COMPILER} on the PATH, none given by --compiler")


@targets.command()
def ethosu(
    model: Int8Model,
    accelerator: Annotated[str, typer.Option(help="Such as ethos-u55-128, ethos-u65-256 or ethos-u85-512.")] = "ethos-u65-256",
    output: CompiledFolder = None,
    against: Annotated[
        Path | None, typer.Option(metavar="M.tflite", help="Second model, to compare cycles with.", show_default=False)
    ] = None,
    json: Annotated[Path | None, typer.Option(help="JSON file for the estimates.", show_default=False)] = None,
) -> None:
    """Compile for an Arm Ethos-U NPU with Arm's Vela, and show its estimates.

    Example: [bold]hrnet target ethosu pruned-int8.tflite --against full-int8.tflite --accelerator ethos-u65-256[/bold]
    """
    from conversion.targets.ethosu import compile_for_ethosu
    from mobile_eval.files import write_json

    results = [compile_for_ethosu(path, output or path.parent, accelerator) for path in (model, against) if path]
    for result in results:
        typer.echo(result)
    if against:
        ratio = results[0].cycles / results[1].cycles
        typer.echo(f"{model.name} / {against.name}: {ratio:.3f} of the cycles (estimated)")
    if json:
        write_json(json, {"models": [{**dataclasses.asdict(result), "path": str(result.path)} for result in results]})


@targets.command()
def snapdragon(
    model: Annotated[Path, typer.Argument(metavar="M.tflite", help="An int8 or float32 file.", show_default=False)],
    soc: Annotated[str, typer.Option(help="SoC, such as SM8650 (Snapdragon 8 Gen 3).")] = "SM8650",
    output: CompiledFolder = None,
    every: Annotated[bool, typer.Option("--all", help="Compile for all SoCs that are known.")] = False,
    qairt: Annotated[
        Path | None, typer.Option(help="Folder of an installed QAIRT. Default: the wheel onnxruntime-qnn.", show_default=False)
    ] = None,
    json: Annotated[Path | None, typer.Option(help="JSON file for what runs where.", show_default=False)] = None,
) -> None:
    """Compile for the NPU of a Snapdragon with Qualcomm's compiler, and show which operators run there.

    Example: [bold]hrnet target snapdragon pruned-int8.tflite --soc SM8750[/bold]
    """
    from conversion.targets.snapdragon import SOCS, CompilerRefusedError, compile_for_snapdragon
    from mobile_eval.files import write_json

    results, names = [], SOCS if every else (soc,)
    for name in names:
        try:
            results.append(compile_for_snapdragon(model, output or model.parent, name, qairt))
            typer.echo(results[-1])
        except CompilerRefusedError as refusal:
            if not every:
                raise
            typer.echo(f"{name}: {refusal}")
    typer.echo("compiled here, not run: what it takes on the phone is not known")
    if json:
        write_json(json, {"compiled": [{**dataclasses.asdict(result), "path": str(result.path)} for result in results]})


@targets.command()
def micro(
    model: Annotated[Path, typer.Argument(metavar="M.tflite", help="An int8 file.", show_default=False)],
    json: Annotated[Path | None, typer.Option(help="JSON file for operators and memory.", show_default=False)] = None,
) -> None:
    """Run by TensorFlow Lite for Microcontrollers: operators, flash, memory, and equality with TFLite's reference kernels.

    Example: [bold]hrnet target micro pose-micro-int8.tflite[/bold]
    """
    from conversion.targets.micro import run_micro
    from mobile_eval.files import write_json
    from mobile_eval.model.archive import files_of

    results = [run_micro(path) for path in files_of(model)]
    for result in results:
        typer.echo(result)
    if json:
        write_json(json, {"files": [{**dataclasses.asdict(result), "path": str(result.path)} for result in results]})
