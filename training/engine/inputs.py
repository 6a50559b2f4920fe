"""What a run is made from, told apart by content: a data folder may be moved, but not changed, before a run is resumed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from hrnet_tf.runs.run import Run
from mobile_eval.datasets.base import DataSource, TaskDataset
from mobile_eval.errors import HRNetError
from training.config import TrainingConfig

Inputs = dict[str, dict[str, Any]]
CHUNK = 1 << 20  # bytes that are read at once


def inputs_of(
    config: TrainingConfig, train: TaskDataset, val: TaskDataset | None, parent: Run | None = None, teacher: Run | None = None
) -> Inputs:
    """The number of items and a checksum of the training and validation data, and the checksum of each run's weights."""
    inputs: Inputs = {"train": data_identity(config.train, train)}
    if val is not None and config.val is not None:
        inputs["val"] = data_identity(config.val, val)
    weights = {name: run.weights_path for name, run in (("parent", parent), ("teacher", teacher)) if run}
    return inputs | {name: {"sha256": _checksum(path)} for name, path in weights.items() if path.is_file()}


def data_identity(source: DataSource, data: TaskDataset) -> dict[str, Any]:
    """How many items there are, and SHA-256 of their images' names, of the annotations, and of the masks' names and sizes.

    Images are not read: that would take as long as an epoch.
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
    """The file itself, or those of a folder and the folders in it; hidden ones are no data."""
    if path is None:
        return []
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))


def _checksum(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(CHUNK):
                digest.update(block)
    except OSError as error:
        raise HRNetError(f"cannot read {path}: {error.strerror or error}") from error
    return digest.hexdigest()
