"""The commands `checkpoint import` and `checkpoint export`. Heavy imports wait until a command runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hrnet_tf.cli.app import complete_model
from mobile_eval.cli.help import Commands

app = Commands("checkpoint", "Import and export PyTorch checkpoints.")


@app.command("import")
def import_(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            help="A .pth, .pt, .pth.tar, .safetensors or .npz file, or the .index of a TensorFlow checkpoint.", show_default=False
        ),
    ],
    output: Annotated[Path, typer.Option(help="Folder of the new run.", show_default=False)],
    model: Annotated[
        str | None,
        typer.Option(help="Name of the model, see `hrnet models`; inferred if omitted.", autocompletion=complete_model),
    ] = None,
    input_size: Annotated[str | None, typer.Option(help="Input HEIGHTxWIDTH in pixels; that of the model if omitted.")] = None,
    inplace_abn: Annotated[
        bool | None,
        typer.Option(
            "--inplace-abn/--no-inplace-abn",
            help="Trained with InPlaceABN, as old segmentation weights are; detected if omitted.",
        ),
    ] = None,
) -> None:
    """Import a checkpoint of the official repositories, timm or OpenMMLab as a run.

    An ImageNet checkpoint can initialize a network of another task (--model), whose head keeps its initial weights.

    Example: [bold]hrnet checkpoint import pose_hrnet_w32_256x192.pth --output runs/w32[/bold]
    """
    from hrnet_tf.checkpoints.from_torch import import_checkpoint
    from hrnet_tf.spec.presets import parse_size, preset

    network = preset(model) if model else None
    size = parse_size(input_size) if input_size else None
    run, report = import_checkpoint(checkpoint, output, network, input_size=size, inplace_abn=inplace_abn)
    typer.echo(report)
    typer.echo(f"run: {run.path}")


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Run to export; not a quantized one.", show_default=False)],
    output: Annotated[Path, typer.Option(help="Checkpoint to write: a .safetensors, .npz or .pth file.", show_default=False)],
    layout: Annotated[str, typer.Option(help="Layout of the names: official.")] = "official",
) -> None:
    """Export the weights of a run under the names of the official repositories; removed links are written as zero weights.

    Example: [bold]hrnet checkpoint export runs/full --layout official --output hrnet.safetensors[/bold]
    """
    from hrnet_tf.checkpoints.to_torch import export_run
    from hrnet_tf.runs.run import Run

    count = export_run(Run.load(run), output, layout)
    typer.echo(f"checkpoint: {output}, {count} entries")
