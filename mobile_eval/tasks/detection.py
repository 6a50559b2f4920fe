"""Detection: COCO's AP and AR of boxes, of whole images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.instances import InstanceImage, Instances, load_instances
from mobile_eval.preprocess import read_image, resize
from mobile_eval.runtime import TfliteModel
from mobile_eval.tasks.asked import Asked, Source, Task


def _load(source: Source) -> Instances:
    return load_instances(source.path("annotations"), source.path("images"))


def _inputs(images: Sequence[InstanceImage], size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.stack([resize(read_image(one.image_path, one.image_size), size) for one in images])


def _evaluate(model: TfliteModel, asked: Asked, *, progress: bool) -> Any:
    raise ValueError("not there yet")


TASK = Task(needs=("annotations", "images"), takes=("limit",), evaluate=_evaluate, load=_load, inputs=_inputs)
