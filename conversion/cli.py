"""The command line of conversion; heavy imports wait until a command runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mobile_eval.cli.options import Category, Exif, MaxPixels, Strict
from mobile_eval.errors import HRNetError

app = typer.Typer(no_args_is_help=True)

DATA = "Data to take ranges or statistics on"
Images = Annotated[Path | None, typer.Option(help="Folder of the images.", show_default=False, rich_help_panel=DATA)]
Annotations = Annotated[
    Path | None, typer.Option(help="COCO JSON, of pose, landmarks and detection.", show_default=False, rich_help_panel=DATA)
]
Masks = Annotated[Path | None, typer.Option(help="Folder of masks, of segmentation.", show_default=False, rich_help_panel=DATA)]
MemoryBudget = Annotated[str, typer.Option(help="Memory for images and activations, such as 1GiB or 512MiB.")]
Classes = Annotated[
    Path | None, typer.Option(help="File of the classes' names, of segmentation.", show_default=False, rich_help_panel=DATA)
]
InputNumbers = Annotated[
    str | None,
    typer.Option("--input", help="uint8-rgb (a camera's bytes, normalized in the model), int8, uint8 or float32."),
]
Softmax = Annotated[bool, typer.Option("--softmax", help="Probabilities of classes come out, not logits (classification).")]
RecipeFile = Annotated[
    Path | None, typer.Option(help="JSON: layers that stay float, and how ranges are chosen (int8 without QAT).")
]
DebugQuantization = Annotated[
    bool, typer.Option("--debug-quantization", help="Write the error of each layer of an int8 file, as table and plot.")
]


@app.command()
def convert(
    run: Annotated[Path, typer.Argument(help="A trained, pruned or quantized run.")],
    output: Annotated[Path, typer.Option(help="The .tflite to write; its description goes inside, and beside as .json.")],
    precision: Annotated[str, typer.Option("--format", help="float32, float16, dynamic, int8 or int16x8.")] = "int8",
    source: InputNumbers = None,
    target: Annotated[str | None, typer.Option("--output-type", help="Numbers that come out: int8, uint8 or float32.")] = None,
    decode: Annotated[bool, typer.Option("--decode", help="Keypoints come out, found in the model, not heatmaps.")] = False,
    softmax: Softmax = False,
    images: Images = None,
    annotations: Annotations = None,
    masks: Masks = None,
    classes: Classes = None,
    category: Category = None,
    strict: Strict = False,
    exif: Exif = None,
    samples: Annotated[int, typer.Option(help="Persons or images to calibrate on.", min=1)] = 200,
    sample_seed: Annotated[int | None, typer.Option(help="Draw them at random, not the first.")] = None,
    recipe: RecipeFile = None,
    max_error: Annotated[float | None, typer.Option(help="Refuse a file further than this from the Keras model.")] = None,
    debug_quantization: DebugQuantization = False,
    runtime: Annotated[str, typer.Option(help="tflite-runtime: refuse what its last version does not know.")] = "auto",
    memory_budget: MemoryBudget = "1GiB",
    max_pixels: MaxPixels = None,
) -> None:
    """Convert a run to a .tflite that describes itself, checked against the Keras model before it is written.

    int8 of a run from `hrnet quantize` needs nothing more. int8 of any other run, and int16x8, is calibrated post-training
    on --images and what goes with them or, without these, on the data that the run was trained on.

    Google's TFLite Task Library and MediaPipe run classifiers and segmenters with --input uint8-rgb and --output-type uint8 (or
    float32), of classifiers with --softmax; they refuse int8 numbers, and MediaPipe a float32 input.

    Example: [bold]hrnet convert runs/full-qat --format int8 --output full-int8.tflite[/bold]
    """
    from rich.console import Console

    from hrnet_tf.backend.choice import check_tf_keras

    check_tf_keras("conversion to TFLite")
    from conversion.checks.layer_errors import write_layer_errors
    from conversion.convert import convert_run
    from conversion.options import ConvertOptions
    from conversion.quantization.recipe import load_recipe
    from hrnet_tf.runs.run import load_run
    from hrnet_tf.spec.memory import parse_memory
    from mobile_eval.files import check_output_file
    from mobile_eval.tasks.base import DataSource, load_given
    from mobile_eval.tasks.registry import TASKS

    if debug_quantization and precision != "int8":
        raise HRNetError(f"`debug_quantization` goes with the format int8, not {precision}")
    options = ConvertOptions(precision, source, target, max_error, decode, softmax)
    chosen = load_recipe(recipe) if recipe else None
    check_output_file(output)
    budget_bytes = parse_memory(memory_budget)
    loaded = load_run(run)
    task = loaded.spec.task
    given = DataSource(images, annotations, masks, classes, category, strict, loaded.category.get("name"), exif)
    data = load_given(task, TASKS[task], given.read_as(loaded.config))
    with Console(stderr=True).status(f"converting {run} to {precision}"):
        result = convert_run(
            loaded,
            options,
            output,
            data,
            samples=samples,
            seed=sample_seed,
            recipe=chosen,
            runtime=runtime,
            memory_budget=budget_bytes,
        )
    typer.echo(result)
    if debug_quantization:
        table, plot = write_layer_errors(result.layers, output)
        typer.echo(f"  layers: {table}, {plot}")


@app.command()
def restore(
    model: Annotated[Path, typer.Argument(metavar="M.tflite", help="A float32 file written by `hrnet convert`.")],
    output: Annotated[Path, typer.Option(help="Run folder to write.", show_default=False)],
    images: Images = None,
    annotations: Annotations = None,
    masks: Masks = None,
    classes: Classes = None,
    memory_budget: MemoryBudget = "1GiB",
    category: Category = None,
    strict: Strict = False,
    exif: Exif = None,
    max_pixels: MaxPixels = None,
) -> None:
    """Make a float32 .tflite a run again, to prune or tune a network of which only the file is there.

    BatchNorm's statistics are taken on the first images, or the first persons in them.

    Example: [bold]hrnet restore full-float32.tflite --annotations train.json --images images --output runs/full[/bold]
    """
    from hrnet_tf.backend.choice import check_tf_keras

    check_tf_keras("restoring from a .tflite file")
    from conversion.restore import restore_run
    from hrnet_tf.spec.memory import parse_memory
    from mobile_eval.model.archive import read_description
    from mobile_eval.tasks.base import DataSource, given_by, load_given
    from mobile_eval.tasks.registry import TASKS, task_named

    description = read_description(model)
    name = description.task
    given = DataSource(images, annotations, masks, classes, category, strict, description.category.name, exif)
    data = load_given(name, task_named(name), given)
    if data is None:
        raise HRNetError(f"BatchNorm's statistics need images: give {given_by(TASKS[name])}")
    run = restore_run(model, data, output, memory_budget=parse_memory(memory_budget))
    typer.echo(f"run: {run.path}")


@app.command()
def edgetpu(
    model: Annotated[Path, typer.Argument(metavar="M.tflite", help="A full int8 file.")],
    output: Annotated[Path | None, typer.Option(help="Folder for the compiled file; beside M.tflite if not given.")] = None,
    compiler: Annotated[Path | None, typer.Option(help="edgetpu_compiler, if it is not on the PATH.")] = None,
    segments: Annotated[int, typer.Option(help="Split it for a pipeline of so many Edge TPUs.", min=1)] = 1,
    json: Annotated[Path | None, typer.Option(help="Also write the check, operator by operator, here.")] = None,
) -> None:
    """Check by the documented rules what the Edge TPU would take, then compile where Google's compiler is installed.

    Example: [bold]hrnet edgetpu full-int8.tflite[/bold]
    """
    from dataclasses import asdict

    from conversion.targets.edgetpu import COMPILER, check, compile_for_edgetpu, find_compiler
    from mobile_eval.files import write_json
    from mobile_eval.model.archive import files_of

    found = find_compiler(compiler)
    if segments > 1 and not found:
        raise HRNetError(f"`segments` needs {COMPILER}: give it by `compiler`")
    files = files_of(model)
    checked = [check(file) for file in files]
    if json:
        rows = [{**asdict(one), "path": str(one.path)} for one in checked]
        write_json(json, rows[0] if len(rows) == 1 else {"files": rows})
    for one in checked:
        typer.echo(one)
    if found:
        for file in files:
            typer.echo(compile_for_edgetpu(file, output or model.parent, found, segments))
    else:
        typer.echo(f"checked by the documented rules alone: no {COMPILER} on the PATH, none given by --compiler")


@app.command()
def ethosu(
    model: Annotated[Path, typer.Argument(metavar="M.tflite", help="A full int8 file.")],
    accelerator: Annotated[str, typer.Option(help="Such as ethos-u55-128, ethos-u65-256 or ethos-u85-512.")] = "ethos-u65-256",
    output: Annotated[Path | None, typer.Option(help="Folder for the compiled file; beside M.tflite if not given.")] = None,
    against: Annotated[Path | None, typer.Option(help="Another file to compile too, and to give the ratio to.")] = None,
    json: Annotated[Path | None, typer.Option(help="Also write the figures here.")] = None,
) -> None:
    """Compile for an Arm Ethos-U NPU by Arm's Vela, and show its estimates.

    Example: [bold]hrnet ethosu pruned-int8.tflite --against full-int8.tflite --accelerator ethos-u65-256[/bold]
    """
    from dataclasses import asdict

    from conversion.targets.ethosu import compile_for_ethosu
    from mobile_eval.files import write_json

    results = [compile_for_ethosu(m, output or m.parent, accelerator) for m in (model, against) if m]
    for result in results:
        typer.echo(result)
    if against:
        own, other = results
        typer.echo(f"{model.name} over {against.name}: {own.cycles / other.cycles:.3f} of the cycles (estimated)")
    if json:
        write_json(json, {"models": [{**asdict(result), "path": str(result.path)} for result in results]})
