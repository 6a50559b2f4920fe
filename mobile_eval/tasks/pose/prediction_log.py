"""Keypoints on disk while they are found, so that an evaluation that is interrupted goes on where it stopped.

Beside the file that the evaluation writes at its end lies `FILE.part`: a line that says of what the keypoints are (model,
people, options), then a line for each person in turn. It is removed once everything that the evaluation writes is written.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_eval.errors import HRNetError
from mobile_eval.files import read_bytes, sha256, write_text
from mobile_eval.image.image_file import BoxedItem
from mobile_eval.keypoints.inference import DecodingOptions, predict_instances
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.pose.evaluate import Predicted

FLUSHED = 50  # persons: so many are found again at most


def part_path(output: Path | str) -> Path:
    """Where the unfinished keypoints lie."""
    return Path(f"{output}.part")


def predict_resumably(
    model: TFLiteModel, people: Sequence[BoxedItem], options: DecodingOptions, output: Path | str, *, resume: bool
) -> Iterator[NDArray[np.float64]]:
    """Keypoints as `predict_instances` gives them, kept on disk on the way; with `resume` those that are there come from there.

    Raises HRNetError where what is there is of another model, other people or other options.
    """
    path, key = part_path(output), _key(model, people, options)
    found = _read(path, key, len(model.description.category.joints)) if resume and path.exists() else []
    found = found[: len(people)]
    yield from found
    lines = [key, *(keypoints.tolist() for keypoints in found)]
    write_text(path, "".join(f"{json.dumps(line)}\n" for line in lines))  # whole or not at all: what was found stays
    try:
        with path.open("a", encoding="utf-8") as file:
            for count, keypoints in enumerate(predict_instances(model, people[len(found) :], options), 1):
                file.write(json.dumps(keypoints.tolist()) + "\n")
                if count % FLUSHED == 0:
                    file.flush()
                yield keypoints
    except OSError as error:
        raise HRNetError(f"cannot write {path}: {error.strerror or error}") from error


def finish(output: Path | str | None) -> None:
    """Remove the unfinished keypoints beside `output`: all that the evaluation writes is written."""
    if output is not None:
        part_path(output).unlink(missing_ok=True)


def resumable(output: Path | None, *, resume: bool) -> Predicted:
    """What finds the keypoints of an evaluation that writes them to `output`, or nowhere: a pipe or device keeps no part."""
    if output is None or (output.exists() and not output.is_file()):
        if resume:
            raise HRNetError("`resume` goes with `predictions`, beside which an unfinished evaluation lies")
        return predict_instances
    return partial(predict_resumably, output=output, resume=resume)


def _key(model: TFLiteModel, people: Sequence[BoxedItem], options: DecodingOptions) -> dict[str, Any]:
    listed = json.dumps([[str(instance.image_path), instance.upright, *instance.box] for instance in people])
    return {
        "model": sha256(read_bytes(model.path, "model")),
        "people": sha256(listed.encode()),
        "options": dataclasses.asdict(options.resolved(model)),
    }


def _read(path: Path, key: dict[str, Any], joints: int) -> list[NDArray[np.float64]]:
    """The keypoints of a part file, up to the first line that was not written to its end or is damaged."""
    lines = read_bytes(path, "unfinished keypoints").decode("utf-8", "replace").split("\n")[:-1]
    try:
        there = json.loads(lines[0]) if lines else None
    except json.JSONDecodeError:
        there = None
    if there != key:
        other = [name for name in key if not isinstance(there, dict) or there.get(name) != key[name]]
        raise HRNetError(f"{path} is of another evaluation ({' and '.join(other)} differ): remove it, or leave `resume` out")
    found: list[NDArray[np.float64]] = []
    for line in lines[1:]:
        try:
            keypoints = np.array(json.loads(line), np.float64)
        except (ValueError, TypeError, RecursionError):
            break
        if keypoints.shape != (joints, len("xys")):
            break
        found.append(keypoints)
    return found
