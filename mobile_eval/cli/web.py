"""The command `web`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mobile_eval.cli.declared import with_options
from mobile_eval.cli.options import MaxPixels
from mobile_eval.datasets.base import DataSource
from mobile_eval.errors import HRNetError
from mobile_eval.pipeline.options import DetectorOptions


@with_options
def web(
    output: Annotated[Path, typer.Option(help="Folder of the page; it must not exist, or be empty.", show_default=False)],
    source: DataSource,
    detector_options: DetectorOptions,
    models: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="A.tflite B.tflite...",
            help="Models of one task with float32, uint8 or int32 inputs and outputs, the full one first.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Number of validation images to bundle.")] = 20,
    litert_js: Annotated[
        Path | None,
        typer.Option(help="Folder where `npm install @litertjs/core` ran. Default: npm fetches it.", show_default=False),
    ] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Serve the page in the local network until Ctrl-C.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the server; 0 for any.")] = 8000,
    certificate: Annotated[
        Path | None,
        typer.Option(
            metavar="PEM", help="Certificate and key, for https, which cameras of other devices need.", show_default=False
        ),
    ] = None,
    max_pixels: MaxPixels = None,
) -> None:
    """Write a page that runs models in the browser, on any phone or computer, offline.

    Camera or pictures in; skeletons, masks or classes over them; several models side by side; latency and accuracy on the
    validation images, saved as a results.json that `hrnet compare` lays beside other devices'. A find-* file as --detector finds
    everyone in pictures and in front of the camera. Without models, --serve serves a
    folder that was written before.

    Example: [bold]hrnet web full.tflite pruned.tflite --output site --annotations val.json --images images --serve[/bold]
    """
    from mobile_eval.web.server import serve as serve_page

    if not models and not serve:
        raise HRNetError("give `models`, or `serve` to serve a folder that was written before")
    if models:
        _write(models, output, source, detector_options, limit, litert_js)
        typer.echo(f"page: {output / 'index.html'}")
    if serve:
        serve_page(output, port, certificate, typer.echo)


def _write(
    models: list[Path], output: Path, source: DataSource, options: DetectorOptions, limit: int, litert_js: Path | None
) -> None:
    from mobile_eval.pipeline.detectors import open_detector
    from mobile_eval.pipeline.selection import BoxSelection
    from mobile_eval.runtime.tflite_model import TFLiteModel
    from mobile_eval.tasks.registry import load_for_model
    from mobile_eval.web.site import write_site

    loaded = [TFLiteModel(path) for path in models]
    dataset = load_for_model(loaded[0], source, limit) if source.to_json() else None
    detector = open_detector(options.detector) if options.detector else None
    selection = BoxSelection(max_iou=options.max_iou, max_boxes=options.max_boxes)
    write_site(
        loaded, output, dataset, source=source, detector=detector, selection=selection, litert_js_folder=litert_js, progress=True
    )
