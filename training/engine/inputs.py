"""The inputs of a training: its data sets, loaded and checked, and checksums of everything that a run is made from.

Checksums go by content: data may be moved, but not changed, before a run is resumed.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from hrnet_tf.runs.run import Run
from mobile_eval.datasets.base import DataSource, TaskDataset, label_names
from mobile_eval.errors import HRNetError
from mobile_eval.image.image_file import read_item
from mobile_eval.progress import tracked
from mobile_eval.tasks.registry import TASKS
from training.config import TrainingConfig
from training.data.examples import steps_per_epoch
from training.tasks.base import Category
from training.tasks.registry import training_task

Inputs = dict[str, dict[str, Any]]
CHUNK_BYTES = 1 << 20
SHOWN_NAMES = 3


def load_data(config: TrainingConfig, category: Category | None = None) -> tuple[TaskDataset, TaskDataset | None]:
    """Load the training set and the validation set, if any.

    Args:
        config: The config.
        category: Category of the run that is fine-tuned, if any, whose flip pairs hold for the data.

    Raises:
        HRNetError: The data cannot be used with the settings, or a validation image cannot be read.
    """
    task = training_task(config.task)

    def load(source: DataSource) -> TaskDataset:
        data: TaskDataset = TASKS[config.task].load(source)
        return task.prepare(data, config.settings, category) if task.prepare else data

    train = load(config.data.train)
    steps_per_epoch(train, config.step_items)  # raises before anything is written if the data fill no batch
    if task.check:
        task.check(train, config.settings, True)
    if config.data.val is None:
        return train, None
    val = load(config.data.val)
    if val.names != train.names:
        raise HRNetError(
            f"the validation data have other labels ({', '.join(val.names[:SHOWN_NAMES])}, ...) than the training data "
            f"({', '.join(train.names[:SHOWN_NAMES])}, ...)"
        )
    if task.check:
        task.check(val, config.settings, False)
    images = {item.image_path: item for item in val.items}
    for item in tracked(list(images.values()), "validation images"):
        read_item(item)  # a damaged one would end the training after its first epoch
    return train, val


def check_category(run: Run, data: TaskDataset) -> None:
    """Raise HRNetError unless the joints or classes of the data are those of the run."""
    if label_names(run.category) != data.names:
        kind = "keypoints" if "keypoints" in run.category else "classes"
        raise HRNetError(
            f"{run.path} was trained for {run.spec.classes} {kind} of {run.category['name']!r}; "
            f"the data have others ({', '.join(data.names[:SHOWN_NAMES])}, ...)"
        )


def known_category(run: Run, data: TaskDataset) -> Category:
    """Return the category of a run that is fine-tuned, with the flip pairs of the data."""
    pairs = data.label_schema.get("flip_pairs")
    return run.category if pairs is None else {**run.category, "flip_pairs": pairs}


def inputs_of(
    config: TrainingConfig, train: TaskDataset, val: TaskDataset | None, parent: Run | None = None, teacher: Run | None = None
) -> Inputs:
    """Return the number of items and checksums of the data sets, and the checksums of the weights of other runs."""
    inputs: Inputs = {"train": data_identity(config.data.train, train)}
    if val is not None and config.data.val is not None:
        inputs["val"] = data_identity(config.data.val, val)
    weights = {name: run.weights_path for name, run in (("parent", parent), ("teacher", teacher)) if run}
    return inputs | {name: {"sha256": _checksum(path)} for name, path in weights.items() if path.is_file()}


def data_identity(source: DataSource, data: TaskDataset) -> dict[str, Any]:
    """Return the number of items and the SHA-256 of the image names, the annotations, and the names and sizes of masks.

    Images are not read, because that would take as long as an epoch.
    """
    digest = hashlib.sha256()
    folder = source.path("images")
    for item in data.items:
        path = Path(item.image_path)
        digest.update(f"{path.relative_to(folder) if path.is_relative_to(folder) else path.name}\n".encode(errors="replace"))
    for path in _files(source.annotations):
        digest.update(f"{path.name} {_checksum(path)}\n".encode(errors="replace"))
    for path in _files(source.masks):
        digest.update(f"{path.name} {path.stat().st_size}\n".encode(errors="replace"))
    return {"items": len(data), "sha256": digest.hexdigest()}


def _files(path: Path | None) -> list[Path]:
    """Return the file itself, or the files in a folder and its folders except hidden ones."""
    if path is None:
        return []
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))


def _checksum(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
    except OSError as error:
        raise HRNetError(f"cannot read {path}: {error.strerror or error}") from error
    return digest.hexdigest()
