"""Drawn people as a data set on disk: images and COCO keypoint JSON, whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.progress import Progress, TaskID

from hrnet_tf.keypoints import COCO_PERSON
from hrnet_tf.runs import write_json
from training.synthetic.body import Image
from training.synthetic.scene import DrawnPerson, draw_scene

VERSION = 1  # of what is drawn: a change of pictures or truth is a new version
SETTINGS_FILE = "synthetic.json"
JPEG_QUALITY = 92
_LEAST_SIZE = 64  # pixels; smaller people have no face
CATEGORY = {"id": 1, "supercategory": "person", **COCO_PERSON}


def write_synthetic_people(
    folder: Path | str, train_count: int, val_count: int, *, seed: int = 0, image_size: tuple[int, int] = (192, 160)
) -> None:
    """Draw `train_count` and `val_count` images of `image_size` (height, width) with one to three people each.

    Writes `folder/images/*.jpg`, `folder/person_keypoints_train.json` and `folder/person_keypoints_val.json`.
    The same settings draw the same pictures. The folder appears complete or not at all; one that is there
    already with these settings is kept as it is.
    """
    folder = Path(folder)
    if train_count < 1 or val_count < 1:
        raise ValueError(f"cannot draw {train_count} training and {val_count} validation images, at least 1 of each is needed")
    if min(image_size) < _LEAST_SIZE:
        raise ValueError(f"image size {image_size[0]}x{image_size[1]} is too small for people, at least {_LEAST_SIZE} is needed")
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, got {seed}")
    counts = {"train": train_count, "val": val_count}
    settings = {"version": VERSION, "counts": counts, "seed": seed, "image_size": list(image_size)}
    if _is_complete(folder, settings):
        return
    beside = folder.with_name(f".{folder.name}.part")
    try:
        shutil.rmtree(beside, ignore_errors=True)  # of a run that was interrupted
        (beside / "images").mkdir(parents=True)
        with Progress() as progress:
            for index, (split, count) in enumerate(counts.items()):
                task = progress.add_task(f"Drawing people ({split})", total=count)
                _write_split(beside, split, count, (seed, index), image_size, progress, task)
        write_json(beside / SETTINGS_FILE, settings)
        os.replace(beside, folder)
    except OSError as error:
        raise ValueError(f"cannot write {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _is_complete(folder: Path, settings: dict[str, Any]) -> bool:
    """Whether `folder` holds what `settings` would draw; ValueError where it holds anything else."""
    try:
        found = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if found == settings:
        return True
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        holds = "drawn people of other settings" if found else "something else"
        raise ValueError(f"{folder} holds {holds}; name another folder or delete it")
    return False


def _write_split(
    folder: Path, split: str, count: int, seed: tuple[int, int], image_size: tuple[int, int], progress: Progress, task: TaskID
) -> None:
    """One annotation file and its images; image i depends on (seed, i) only, not on `count`."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index in range(count):
        picture, people = draw_scene(np.random.default_rng((*seed, index)), image_size)
        name = f"{split}_{index:05d}.jpg"
        _write_jpeg(folder / "images" / name, picture)
        images.append({"id": index + 1, "file_name": name, "height": image_size[0], "width": image_size[1]})
        annotations += [_annotation(person, len(annotations) + number, index + 1) for number, person in enumerate(people, 1)]
        progress.advance(task)
    info = {"description": "Synthetic people: drawn figures with exact joints", "version": str(VERSION)}
    content = {"info": info, "images": images, "annotations": annotations, "categories": [CATEGORY]}
    write_json(folder / f"person_keypoints_{split}.json", content)


def _write_jpeg(path: Path, picture: Image) -> None:
    _, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))
    path.write_bytes(data.tobytes())


def _annotation(person: DrawnPerson, annotation_id: int, image_id: int) -> dict[str, Any]:
    keypoints = [int(v) if i % 3 == 2 else float(v) for i, v in enumerate(person.keypoints.ravel())]
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": CATEGORY["id"],
        "iscrowd": 0,
        "bbox": list(person.box),
        "area": person.area,
        "num_keypoints": int((person.keypoints[:, 2] > 0).sum()),
        "keypoints": keypoints,
    }
