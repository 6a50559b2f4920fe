"""Drawn people as a data set on disk, of any task: whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress, TaskID

from mobile_eval.errors import HRNetError
from mobile_eval.files import complete_folder, read_json, write_json
from training.data.synthetic.layouts import LAYOUTS, VERSION, Layout
from training.data.synthetic.scene import draw_scene

SETTINGS_FILE = "synthetic.json"
_LEAST_SIZE = 64  # pixels; smaller people have no face


def write_synthetic_people(
    folder: Path | str,
    train_count: int,
    val_count: int,
    *,
    seed: int = 0,
    image_size: tuple[int, int] = (192, 160),
    task: str = "pose",
) -> None:
    """Draw `train_count` and `val_count` scenes of `image_size` (height, width) with one to three people each.

    What is written for a task is said in `layouts`. The same settings draw the same pictures. The folder appears complete or
    not at all; one that is there already with these settings is kept as it is.
    """
    folder = Path(folder)
    if task not in LAYOUTS:
        raise HRNetError(f"there is no task {task!r}; there are {', '.join(LAYOUTS)}")
    if train_count < 1 or val_count < 1:
        raise HRNetError(f"cannot draw {train_count} training and {val_count} validation images, at least 1 of each is needed")
    if min(image_size) < _LEAST_SIZE:
        raise HRNetError(f"image size {image_size[0]}x{image_size[1]} is too small for people, at least {_LEAST_SIZE} is needed")
    if seed < 0:
        raise HRNetError(f"seed must be 0 or more, got {seed}")
    counts = {"train": train_count, "val": val_count}
    settings = {"version": VERSION, "counts": counts, "seed": seed, "image_size": list(image_size), "task": task}
    if _is_complete(folder, settings):
        return
    with complete_folder(folder) as draft, Progress() as progress:
        for index, (split, count) in enumerate(counts.items()):
            shown = progress.add_task(f"Drawing people ({split})", total=count)
            _write_split(LAYOUTS[task](draft, split), count, (seed, index), image_size, progress, shown)
        write_json(draft / SETTINGS_FILE, settings)


def _is_complete(folder: Path, settings: dict[str, Any]) -> bool:
    """Whether `folder` holds what `settings` would draw; HRNetError where it holds anything else."""
    try:
        found = read_json(folder / SETTINGS_FILE, "settings")
    except HRNetError:
        found = None
    if found == settings:
        return True
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        holds = "drawn people of other settings" if found else "something else"
        raise HRNetError(f"{folder} holds {holds}; name another folder or delete it")
    return False


def _write_split(
    layout: Layout, count: int, seed: tuple[int, int], image_size: tuple[int, int], progress: Progress, shown: TaskID
) -> None:
    """A data set's training or validation part; scene i depends on (seed, i) only, not on `count`."""
    size = (layout.zoom * image_size[0], layout.zoom * image_size[1])
    for index in range(count):
        scene = draw_scene(np.random.default_rng((*seed, index)), size)
        layout.add(f"{layout.split}_{index:05d}", scene)
        progress.advance(shown)
    layout.finish()
