"""The command `evaluate`. The task of the model decides which options it takes and what is measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mobile_eval.cli.declared import with_options, with_options_by_task
from mobile_eval.cli.options import Limit, MaxPixels, Model, RuntimeOptions, Threads
from mobile_eval.datasets.base import DataSource
from mobile_eval.errors import HRNetError
from mobile_eval.tasks.registry import TASKS


def task_of_file(word: str) -> str | None:
    """The task of a model file; None for another word."""
    from mobile_eval.model.archive import read_description

    path = Path(word)
    if path.suffix != ".tflite" or not path.is_file():
        return None
    try:
        return read_description(path).task
    except HRNetError:
        return None


@with_options
@with_options_by_task({name: task.options for name, task in TASKS.items()}, task_of_file)
def evaluate(
    model: Model,
    source: DataSource,
    options: dict[str, object],
    runtime_options: RuntimeOptions,
    threads: Threads = 1,
    limit: Limit = None,
    json: Annotated[Path | None, typer.Option(help="JSON file for the figures.", show_default=False)] = None,
    max_pixels: MaxPixels = None,
) -> None:
    """Evaluate the accuracy of a model with the metrics of its task.

    Pose: AP, AP50, AP75, AR (OKS, as COCO computes them), PCK@0.1 and, if head sizes are known, PCKh@0.5. With --boxes, poses
    are rescored by the detector's scores, and duplicates are removed (OKS above 0.9). With --detector, the chain of both is
    measured so too, beside the annotated boxes, with the detector's recall and the times of each stage for 1, 2 and 5 people.
    Landmarks: NME, failure rate, AUC. Segmentation: mIoU, IoU of every class. Classification: top-1, top-5, recall.
    Detection: AP, AP50, AP75 and AP of small, medium and large boxes, as COCO computes them; the second file, .boxes.tflite, must
    lie beside the first.

    Example: [bold]hrnet evaluate model.tflite --annotations val.json --images images --json figures.json[/bold]
    """
    from mobile_eval.options import checked_options
    from mobile_eval.runtime.tflite_model import TFLiteModel
    from mobile_eval.tasks.registry import evaluate as evaluate_model
    from mobile_eval.tasks.registry import task_of

    loaded = TFLiteModel(model, runtime_options.backend(threads))
    task = task_of(loaded)
    task_options = task.options(**checked_options(task.options, options, f"{task.name} models"))
    typer.echo(evaluate_model(loaded, source, task_options, limit=limit, json=json, progress=True))
    typer.echo(f"{loaded.runtime}: {loaded.placement}")
