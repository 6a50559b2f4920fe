"""The command line of the networks themselves; heavy imports wait until a command runs."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True)


@app.command()
def models(
    input_size: Annotated[str | None, typer.Option(help="HEIGHTxWIDTH in pixels, if not the models' own.")] = None,
) -> None:
    """The models there are: input, parameters, multiply-adds (by 1e9, and by 2^30 as the papers print them), links.

    Example: [bold]hrnet models --input-size 384x288[/bold]
    """
    from rich.console import Console
    from rich.table import Table

    from hrnet_tf.networks import complexity
    from hrnet_tf.presets import PRESETS, customized, parse_size

    table = Table("name", "input", "parameters", "multiply-adds / 1e9", "/ 2^30", "links")
    for column in table.columns[2:]:
        column.justify = "right"
    for name, spec in PRESETS.items():
        sized = customized(spec, input_size=parse_size(input_size)) if input_size else spec
        cost = complexity(sized)
        macs = cost.multiply_adds
        height, width = sized.input_size
        table.add_row(
            name, f"{height}x{width}", f"{cost.parameters:,}", f"{macs / 1e9:.3f}", f"{macs / 2**30:.3f}", str(len(sized.links))
        )
    Console().print(table)
