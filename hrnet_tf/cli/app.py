"""The commands `models` and `build`. Heavy imports wait until a command runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mobile_eval.cli.completion import completed
from mobile_eval.cli.help import Commands
from mobile_eval.errors import HRNetError

app = Commands()

TASKS = ("pose", "landmarks", "segmentation", "classification", "detection")  # of the models


def _models() -> list[str]:
    from hrnet_tf.spec.presets import PRESETS

    return list(PRESETS)


complete_model = completed(_models)  # when Tab is pressed


@app.command(rich_help_panel="Networks")
def models(
    name: Annotated[
        str | None, typer.Argument(help="Name of a model; all if omitted.", show_default=False, autocompletion=complete_model)
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="Task of the models: pose, landmarks, segmentation, classification or detection.",
            autocompletion=completed(TASKS),
        ),
    ] = None,
    input_size: Annotated[str | None, typer.Option(help="Input HEIGHTxWIDTH in pixels; that of each model if omitted.")] = None,
    parts: Annotated[bool, typer.Option("--parts", help="Show the branches, links and other parts of one model.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the models: parameters, multiply-adds, fusion links, and the published sizes.

    Multiply-adds are divided by 1e9, and by 2^30 as in the papers, which call them GFLOPs.

    The differences are from the published sizes to those counted here by the same rule.

    Example: [bold]hrnet models pose-w32 --parts[/bold]
    """
    from json import dumps

    from rich.console import Console

    from hrnet_tf.spec.presets import parse_size
    from hrnet_tf.spec.size_table import WIDE, entries, figures_text, models_table, parts_table, show

    if parts and name is None:
        raise HRNetError("`parts` needs the name of a model, such as hrnet models pose-w32")
    networks = entries(name, task, parse_size(input_size) if input_size else None)
    if json:
        typer.echo(dumps({"models": [entry.to_json(with_parts=parts) for entry in networks]}, indent=1))
        return
    console = Console()
    wide = console.width >= WIDE
    tables = [models_table(networks, wide=wide)]
    if name:
        tables.append(figures_text(networks[0]))
    if parts:
        tables.append(parts_table(networks[0], wide=wide))
    show(console, *tables)


@app.command(rich_help_panel="Networks")
def build(
    model: Annotated[
        str, typer.Argument(help="Name of a model, see `hrnet models`.", show_default=False, autocompletion=complete_model)
    ],
    output: Annotated[Path, typer.Option(help="Folder of the new run.", show_default=False)],
    links_from: Annotated[Path | None, typer.Option(help="Run with the links, blocks and widths to build; else all.")] = None,
    input_size: Annotated[str | None, typer.Option(help="Input HEIGHTxWIDTH in pixels; that of the model if omitted.")] = None,
    width: Annotated[int | None, typer.Option(help="Channels of branch 0; those of the model if omitted.", min=1)] = None,
    modules: Annotated[str | None, typer.Option(help="Numbers of modules in stages 2, 3 and 4, such as 1,4,3.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the initial weights.")] = 0,
) -> None:
    """Create a run of a model with initial weights, such as one with the links of a pruned run.

    Example: [bold]hrnet build pose-w48 --links-from runs/w32-pruned --output runs/w48-sparse[/bold]
    """
    from hrnet_tf.runs.run import Run, create_run
    from hrnet_tf.spec.presets import customized, parse_size, preset

    size = parse_size(input_size) if input_size else None
    spec = customized(preset(model), input_size=size, width=width, modules=modules)
    run = create_run(spec, output, links_from=Run.load(links_from) if links_from else None, seed=seed)
    typer.echo(f"run: {run.path}")
