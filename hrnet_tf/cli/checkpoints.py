"""The command line of checkpoints; heavy imports wait until a command runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True)


@app.command("import", rich_help_panel="Networks")
def import_(
    checkpoint: Annotated[Path, typer.Argument(help="A .pth, .pt, .pth.tar, .safetensors or .npz file.", show_default=False)],
    output: Annotated[Path, typer.Option(help="Run folder to write.", show_default=False)],
    model: Annotated[str | None, typer.Option(help="A name from `hrnet models`; found out if not given.")] = None,
    input_size: Annotated[str | None, typer.Option(help="HEIGHTxWIDTH in pixels, if not the model's own.")] = None,
    inplace_abn: Annotated[
        bool | None,
        typer.Option(
            "--inplace-abn/--no-inplace-abn", help="Trained with InPlaceABN (old segmentation weights); found out if not given."
        ),
    ] = None,
) -> None:
    """Make a published checkpoint into a run: the official repositories', timm's, or OpenMMLab's.

    An ImageNet checkpoint also starts a network of another task (give --model): its head is then as initialised.

    Example: [bold]hrnet import pose_hrnet_w32_256x192.pth --output runs/w32[/bold]
    """
    from hrnet_tf.checkpoints.from_torch import import_checkpoint
    from hrnet_tf.spec.presets import parse_size, preset

    network = preset(model) if model else None
    size = parse_size(input_size) if input_size else None
    run, report = import_checkpoint(checkpoint, output, network, input_size=size, inplace_abn=inplace_abn)
    typer.echo(report)
    typer.echo(f"run: {run.path}")


@app.command(rich_help_panel="Networks")
def export(
    run: Annotated[Path, typer.Argument(help="A trained, pruned or imported run.", show_default=False)],
    output: Annotated[Path, typer.Option(help="A .safetensors, .npz or .pth file to write.", show_default=False)],
    layout: Annotated[str, typer.Option(help="Whose names: official.")] = "official",
) -> None:
    """Write a run's weights under the official repositories' names; removed links become links that add nothing.

    Example: [bold]hrnet export runs/full --layout official --output hrnet.safetensors[/bold]
    """
    from hrnet_tf.checkpoints.to_torch import export_run
    from hrnet_tf.runs.run import load_run

    count = export_run(load_run(run), output, layout)
    typer.echo(f"checkpoint: {output}, {count} entries")
