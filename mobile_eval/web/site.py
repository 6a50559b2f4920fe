"""Write a folder for the browser: a page, models, LiteRT.js, and validation images. It needs a web server, and nothing else.

index.html, style.css, *.js   the page
site.json                     the models with their contracts, the labels, and the validation images
models/0.tflite ...           the models
validation/0.png ...          the validation images
litert-js/                    LiteRT.js
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path

from mobile_eval.datasets.base import DataSource, TaskDataset
from mobile_eval.errors import HRNetError
from mobile_eval.files import complete_folder, read_bytes, sha256, short_names, write_bytes, write_json
from mobile_eval.metrics.metric import none_if_nan
from mobile_eval.model.description import HEATMAPS, KEYPOINTS, ModelDescription
from mobile_eval.pipeline.detectors import ObjectDetector
from mobile_eval.pipeline.selection import BoxSelection
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.detection.detector import CenterDetector
from mobile_eval.tasks.registry import task_of
from mobile_eval.typed import JsonObject
from mobile_eval.viz.masks import class_colors, is_tinted
from mobile_eval.viz.poses import bone_colors, joint_colors
from mobile_eval.web import litert_js
from mobile_eval.web.contract import detector_contract, page_contract
from mobile_eval.web.validation import write_items

SITE_FILE = "site.json"
FORMAT_VERSION = 1
PAGE_FILES = (".html", ".css", ".js")


def write_site(
    models: Sequence[TFLiteModel],
    output: Path | str,
    dataset: TaskDataset | None = None,
    *,
    source: DataSource | None = None,
    detector: ObjectDetector | None = None,
    selection: BoxSelection | None = None,
    litert_js_folder: Path | None = None,
    progress: bool = False,
) -> JsonObject:
    """Write a page that runs models in the browser.

    Args:
        models: Models of one task with the same labels. Ratios are to the first one of the same precision.
        output: Folder to write. It must not exist, or be empty; it is complete or not there.
        dataset: Validation images to bundle; None for none.
        source: Where they are, which the results name.
        detector: A detector by centers, which finds the boxes for models of keypoints in pictures and cameras; None for none.
        selection: Which of its boxes are used; None for the default.
        litert_js_folder: Folder with LiteRT.js, as `litert_js.read_litert_js` takes it; None: npm fetches it.
        progress: Whether to show progress.

    Returns:
        What `site.json` holds.

    Raises:
        HRNetError: A model cannot run in the page, the models do not go together, LiteRT.js is missing, or the folder has files.

    Example:
        >>> write_site([TFLiteModel("full.tflite"), TFLiteModel("pruned.tflite")], "site", people[:20])  # doctest: +SKIP
    """
    output = Path(output)
    _check_models(models)
    contracts = [page_contract(model) for model in models]
    detector_rules = _check_detector(detector, models[0], selection or BoxSelection()) if detector else None
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise HRNetError(f"{output} exists already and is not empty: give another `output`")
    task = task_of(models[0])
    results = [task.evaluate(model, dataset, task.options(), progress=progress) for model in models] if dataset else []
    scores = [none_if_nan(task.report().measure(result, dataset).score) for result in results] or [None] * len(models)
    runtime_files = litert_js.read_litert_js(litert_js_folder)
    with complete_folder(output) as folder:
        for file in resources.files("mobile_eval.web").joinpath("page").iterdir():
            if file.name.endswith(PAGE_FILES):
                write_bytes(folder / file.name, file.read_bytes())
        litert_js.write_litert_js(runtime_files, folder / "litert-js")
        site = {
            "format_version": FORMAT_VERSION,
            "task": task.name,
            "metric": dataclasses.asdict(task.metric),
            "runtime": {"name": litert_js.NAME, "version": litert_js.VERSION},
            "data": _data_names(source),
            "labels": _labels(models[0].description),
            "models": _write_models(models, contracts, scores, folder),
            "detector": {**_write_model(detector.path, "detector", folder), "contract": detector_rules} if detector else None,
            "items": write_items(models, dataset, results, folder) if dataset else [],
        }
        write_json(folder / SITE_FILE, site)
    return site


def _check_models(models: Sequence[TFLiteModel]) -> None:
    """Raise HRNetError unless there are models, of one task and with the same labels."""
    if not models:
        raise HRNetError("`models` must have at least one .tflite file, got none")
    first = models[0].description
    for model in models[1:]:
        other = model.description
        for what, same in (("task", other.task == first.task), ("labels", other.label_names == first.label_names)):
            if not same:
                raise HRNetError(
                    f"{model.path.name} and {models[0].path.name} differ in their {what}; the models of a page have the same"
                )


def _check_detector(detector: ObjectDetector, model: TFLiteModel, selection: BoxSelection) -> JsonObject:
    """The contract of a detector that the page can run with a model."""
    if model.description.output.kind not in (HEATMAPS, KEYPOINTS):
        raise HRNetError(f"`detector` goes with models of keypoints; {model.path.name} is a {model.description.task} model")
    if not isinstance(detector, CenterDetector):
        raise HRNetError(f"`detector` {detector.path.name}: the page runs detectors of one file by centers (find-*)")
    return detector_contract(detector, model.description.category.name, selection)


def _data_names(source: DataSource | None) -> JsonObject:
    """The data source without folders of the machine that wrote the page."""
    fields = source.to_json() if source else {}
    return {name: Path(value).name if isinstance(value, str) else value for name, value in fields.items()}


def _labels(description: ModelDescription) -> JsonObject:
    """Names and colors of the joints or classes."""
    names = list(description.label_names)
    if description.classes:
        return {"names": names, "colors": class_colors(len(names)).tolist(), "tinted": [is_tinted(name) for name in names]}
    category = description.category
    return {
        "names": names,
        "bones": [list(bone) for bone in category.skeleton],
        "joint_colors": joint_colors(category),
        "bone_colors": bone_colors(category),
    }


def _write_models(
    models: Sequence[TFLiteModel], contracts: Iterable[JsonObject], scores: Iterable[float | None], folder: Path
) -> list[JsonObject]:
    """Write the models, and return their entries."""
    precisions = [model.description.precision for model in models]
    labels = short_names([model.path.with_suffix("") for model in models])
    entries = []
    for index, (model, contract, score) in enumerate(zip(models, contracts, scores, strict=True)):
        description = model.description
        kept = len(description.network.get("links", ()))
        entries.append(
            {
                "label": labels[index],
                **_write_model(model.path, str(index), folder),
                "parameters": description.parameters,
                "multiply_adds": description.multiply_adds,
                "links_kept": kept,
                "links_possible": kept + len(description.network.get("removed_links", ())),
                "reference": precisions.index(precisions[index]),
                "score": score,
                "description": {"name": description.name, "precision": description.precision, "task": description.task},
                "contract": contract,
            }
        )
    return entries


def _write_model(path: Path, name: str, folder: Path) -> JsonObject:
    """Write a model under another name, since its own would have to be escaped in an address, and say what it is."""
    data, file = read_bytes(path, "model"), f"models/{name}.tflite"
    write_bytes(folder / file, data)
    return {"model": path.name, "file": file, "size_bytes": len(data), "sha256": sha256(data)}
