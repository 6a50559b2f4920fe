"""A log of predicted keypoints, so that an interrupted evaluation can be resumed.

It lies beside the file of predictions, as `FILE.part`: a line that identifies the evaluation (model, boxes, options), then a line
with the keypoints of each box. It is removed when every file of the evaluation is written.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
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

PredictFunction = Callable[[TFLiteModel, Sequence[BoxedItem], DecodingOptions], Iterator[NDArray[np.float64]]]
FLUSH_INTERVAL = 50  # predictions; at most this many are lost when the process is killed


def log_path(output: Path | str) -> Path:
    """Path of the log beside a file of predictions."""
    return Path(f"{output}.part")


def prediction_function(output: Path | None, *, resume: bool) -> PredictFunction:
    """The function that predicts keypoints, with a log beside `output`. There is none without `output`, or beside a device."""
    if output is None or (output.exists() and not output.is_file()):
        if resume:
            raise HRNetError("`resume` goes with `predictions`, beside which the log of an unfinished evaluation lies")
        return predict_instances
    return partial(predict_with_log, output=output, resume=resume)


def predict_with_log(
    model: TFLiteModel, instances: Sequence[BoxedItem], options: DecodingOptions, output: Path | str, *, resume: bool
) -> Iterator[NDArray[np.float64]]:
    """Predict keypoints as `predict_instances` does, and log them.

    Args:
        model: The model.
        instances: Boxes in images.
        options: Flip test and decoding.
        output: The file of predictions that the log lies beside.
        resume: Take the keypoints that are logged from there.

    Yields:
        Keypoints (K, 3) of each box in turn.

    Raises:
        HRNetError: The log is of another model, of other boxes or of other options.
    """
    path, key = log_path(output), _evaluation_key(model, instances, options)
    logged = _read(path, key, len(model.description.category.joints)) if resume and path.exists() else []
    logged = logged[: len(instances)]
    yield from logged
    lines = [key, *(keypoints.tolist() for keypoints in logged)]
    write_text(path, "".join(f"{json.dumps(line)}\n" for line in lines))  # atomically: logged predictions are not lost
    try:
        with path.open("a", encoding="utf-8") as file:
            for count, keypoints in enumerate(predict_instances(model, instances[len(logged) :], options), 1):
                file.write(json.dumps(keypoints.tolist()) + "\n")
                if count % FLUSH_INTERVAL == 0:
                    file.flush()
                yield keypoints
    except OSError as error:
        raise HRNetError(f"cannot write {path}: {error.strerror or error}") from error


def remove_prediction_log(output: Path | str) -> None:
    """Remove the log beside a file of predictions that is complete."""
    log_path(output).unlink(missing_ok=True)


def _evaluation_key(model: TFLiteModel, instances: Sequence[BoxedItem], options: DecodingOptions) -> dict[str, Any]:
    boxes = json.dumps([[str(instance.image_path), instance.upright, *instance.box] for instance in instances])
    return {
        "model": sha256(read_bytes(model.path, "model")),
        "instances": sha256(boxes.encode()),
        "options": dataclasses.asdict(options.resolved(model)),
    }


def _read(path: Path, key: dict[str, Any], joints: int) -> list[NDArray[np.float64]]:
    """The keypoints in a log, up to the first line that is incomplete or damaged."""
    lines = read_bytes(path, "log of predictions").decode("utf-8", "replace").split("\n")[:-1]
    try:
        logged_key = json.loads(lines[0]) if lines else None
    except json.JSONDecodeError:
        logged_key = None
    if logged_key != key:
        different = [name for name in key if not isinstance(logged_key, dict) or logged_key.get(name) != key[name]]
        raise HRNetError(f"{path} is of another evaluation ({' and '.join(different)} differ): remove it, or leave `resume` out")
    logged: list[NDArray[np.float64]] = []
    for line in lines[1:]:
        try:
            keypoints = np.array(json.loads(line), np.float64)
        except (ValueError, TypeError, RecursionError):
            break
        if keypoints.shape != (joints, 3):  # x, y, score
            break
        logged.append(keypoints)
    return logged
