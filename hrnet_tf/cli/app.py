"""The command line of the networks themselves; heavy imports wait until a command runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mobile_eval.errors import HRNetError

app = typer.Typer(no_args_is_help=True)


@app.command(rich_help_panel="Networks")
def models(
    name: Annotated[str | None, typer.Argument(help="One model; all if not given.", show_default=False)] = None,
    task: Annotated[
        str | None, typer.Option(help="Models of one task: pose, landmarks, segmentation, classification or detection.")
    ] = None,
    input_size: Annotated[str | None, typer.Option(help="HEIGHTxWIDTH in pixels, if not the models' own.")] = None,
    parts: Annotated[bool, typer.Option("--parts", help="Every branch, link and other part of the one model.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """The models there are: parameters, multiply-adds, links, and what the papers and READMEs print of them.

    Multiply-adds are shown by 1e9, and by 2^30 as the papers do, who call them GFLOPs.

    A difference is from the printed number to the model's own, counted by the source's rule.

    Example: [bold]hrnet models pose-w32 --parts[/bold]
    """
    from json import dumps

    from rich.console import Console

    from hrnet_tf.spec.presets import parse_size
    from hrnet_tf.spec.size_table import WIDE, entries, figures_text, models_table, parts_table, show

    if parts and name is None:
        raise HRNetError("--parts shows one model: give its name, such as hrnet models pose-w32 --parts")
    listed = entries(name, task, parse_size(input_size) if input_size else None)
    if json:
        typer.echo(dumps({"models": [entry.to_json(with_parts=parts) for entry in listed]}, indent=1))
        return
    console = Console()
    wide = console.width >= WIDE
    tables = [models_table(listed, wide=wide)]
    if name:
        tables.append(figures_text(listed[0]))
    if parts:
        tables.append(parts_table(listed[0], wide=wide))
    show(console, *tables)


@app.command(rich_help_panel="Networks")
def build(
    model: Annotated[str, typer.Argument(help="A name from `hrnet models`, such as pose-w48.", show_default=False)],
    output: Annotated[Path, typer.Option(help="Run folder to write.", show_default=False)],
    links_from: Annotated[Path | None, typer.Option(help="Have only the links and blocks that this run has.")] = None,
    input_size: Annotated[str | None, typer.Option(help="HEIGHTxWIDTH in pixels, if not the model's own.")] = None,
    width: Annotated[int | None, typer.Option(help="Channels of the first branch, if not the model's own.", min=1)] = None,
    modules: Annotated[str | None, typer.Option(help="Modules of stages 2, 3, 4, such as 1,4,3.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the initial weights.")] = 0,
) -> None:
    """Make a run of a network with initial weights; with --links-from, with the connectivity of a pruned run.

    Example: [bold]hrnet build pose-w48 --links-from runs/w32-pruned --output runs/w48-sparse[/bold]
    """
    from hrnet_tf.runs.run import create_run, load_run
    from hrnet_tf.spec.presets import customized, parse_size, preset

    size = parse_size(input_size) if input_size else None
    spec = customized(preset(model), input_size=size, width=width, modules=modules)
    run = create_run(spec, output, links_from=load_run(links_from) if links_from else None, seed=seed)
    typer.echo(f"run: {run.path}")
