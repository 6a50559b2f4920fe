"""Drawn people as a data set of any task, written completely or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress, TaskID

from mobile_eval.errors import HRNetError
from mobile_eval.files import complete_folder, read_json, write_json
from training.data.synthetic.layouts import VERSION, Layout
from training.data.synthetic.scene import MAX_PEOPLE, MOST_PEOPLE, draw_scene
from training.tasks.registry import synthetic_layout

SETTINGS_FILE = "synthetic.json"
MIN_SIZE = 64  # pixels; smaller people have no face


def write_synthetic_people(
    folder: Path | str,
    train_count: int,
    val_count: int,
    *,
    seed: int = 0,
    image_size: tuple[int, int] = (192, 160),
    task: str = "pose",
    people: int = MAX_PEOPLE,
) -> None:
    """Draw scenes with one to three people each, or more, with exact labels.

    The same arguments draw the same pictures. The folder is written completely or not at all; one that is complete is kept.

    Args:
        folder: Folder to write.
        train_count: Number of training scenes.
        val_count: Number of validation scenes.
        seed: Seed of everything random.
        image_size: Height and width of the scenes in pixels.
        task: Task whose labels and layout are written (see `training/tasks/T/synthetic.py`).
        people: Highest number of people of a scene, up to 6.

    Raises:
        HRNetError: An argument is out of range, the task has no synthetic data, or the folder holds something else.
    """
    folder, layout = Path(folder), synthetic_layout(task)
    if train_count < 1 or val_count < 1:
        raise HRNetError(f"`train_images` and `val_images` must be at least 1, got {train_count} and {val_count}")
    if min(image_size) < MIN_SIZE:
        raise HRNetError(f"`image_size` must be at least {MIN_SIZE}x{MIN_SIZE}, got {image_size[0]}x{image_size[1]}")
    if seed < 0:
        raise HRNetError(f"`seed` must be at least 0, got {seed}")
    if not 1 <= people <= MOST_PEOPLE:
        raise HRNetError(f"`people` must be from 1 to {MOST_PEOPLE} in a scene, got {people}")
    counts = {"train": train_count, "val": val_count}
    settings: dict[str, Any] = {"version": VERSION, "counts": counts, "seed": seed, "image_size": list(image_size), "task": task}
    if people != MAX_PEOPLE:
        settings["people"] = people
    if is_complete(folder, settings):
        return
    with complete_folder(folder) as draft, Progress() as progress:
        for index, (split, count) in enumerate(counts.items()):
            bar = progress.add_task(f"Drawing people ({split})", total=count)
            _write_split(layout(draft, split), count, (seed, index), image_size, people, progress, bar)
        write_json(draft / SETTINGS_FILE, settings)


def is_complete(folder: Path, settings: dict[str, Any]) -> bool:
    """Whether a folder holds the data of these settings; HRNetError where it holds anything else."""
    try:
        stored = read_json(folder / SETTINGS_FILE, "settings")
    except HRNetError:
        stored = None
    if stored == settings:
        return True
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        content = "drawn people of other settings" if stored else "something else"
        raise HRNetError(f"{folder} holds {content}; give another `output`, or delete it")
    return False


def _write_split(
    layout: Layout,
    count: int,
    seed: tuple[int, int],
    image_size: tuple[int, int],
    people: int,
    progress: Progress,
    bar: TaskID,
) -> None:
    """Write a split. A scene depends on the seed and its index, but not on `count`."""
    size = (layout.zoom * image_size[0], layout.zoom * image_size[1])
    for index in range(count):
        scene = draw_scene(np.random.default_rng((*seed, index)), size, people)
        layout.add(f"{layout.split}_{index:05d}", scene)
        progress.advance(bar)
    layout.finish()
