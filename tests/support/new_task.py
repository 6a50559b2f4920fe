"""An example of a new task, the depth of planes: all that a user writes to train, convert, evaluate and compare its models."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.types import KerasLoss
from hrnet_tf.spec.architectures import Network
from mobile_eval.datasets.base import DataSource
from mobile_eval.files import read_json
from mobile_eval.image.geometry import Geometry
from mobile_eval.image.image_file import ImageItem, read_item
from mobile_eval.image.preprocess import normalize, resize
from mobile_eval.metrics.metric import Metric
from mobile_eval.options import option
from mobile_eval.progress import tracked
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.base import Task, TaskResult
from mobile_eval.tasks.report import Array, Example, LabeledResult, ModelMeasurement, Panel, TaskReport
from mobile_eval.viz.cutout import cut_out
from training.tasks.base import ExampleBuilder, Image, TrainingTask
from training.tasks.registry import TaskEntry
from training.tasks.settings import TaskSettings

STRIDE = 4  # stride of the head "dense"
METRIC = Metric("RMSE", "rmse", higher_is_better=False)


# Data set: each image shows a plane z = x * column + y * row + offset, with column and row from 0 to 1
@dataclass(frozen=True)
class PlaneImage:
    image_path: Path
    plane: tuple[float, float, float]
    image_size: tuple[int, int] | None = None
    upright: bool = True

    def depth(self, height: int, width: int) -> NDArray[np.float32]:
        rows, columns = np.mgrid[0.5:height, 0.5:width]
        return np.float32(self.plane[0] * columns / width + self.plane[1] * rows / height + self.plane[2])


@dataclass(frozen=True)
class PlaneDataset:
    items: tuple[PlaneImage, ...]
    names: tuple[str, ...] = ("depth",)
    skipped_summary: str = ""

    @property
    def label_schema(self) -> dict[str, Any]:
        return {"name": "depth", "classes": list(self.names)}

    def __len__(self) -> int:
        return len(self.items)

    def head(self, count: int | None) -> PlaneDataset:
        return self.part(slice(count))

    def part(self, which: slice) -> PlaneDataset:
        return dataclasses.replace(self, items=self.items[which])


def load(source: DataSource) -> PlaneDataset:
    planes: dict[str, list[float]] = read_json(source.path("annotations"), "planes")
    folder = source.path("images")
    return PlaneDataset(tuple(PlaneImage(folder / name, (a, b, c)) for name, (a, b, c) in planes.items()))


# Evaluation and report
@dataclass(frozen=True)
class DepthOptions:
    max_depth: float = option(10.0, "Largest depth that is evaluated, in meters.")


@dataclass(frozen=True)
class DepthResult(TaskResult):
    squared_errors: Array  # (N, 2): sum of squares and number of pixels, for each image

    @property
    def rmse(self) -> float:
        return float(rmse_of_sums(self.squared_errors.sum(axis=0)))

    def to_json(self) -> dict[str, Any]:
        return {"rmse": self.rmse, "images": len(self.squared_errors)}

    def __str__(self) -> str:
        return f"RMSE {self.rmse:.4f} m"


def inputs(items: Sequence[ImageItem], size: tuple[int, int], geometry: Geometry) -> NDArray[np.uint8]:
    return np.stack([resize(read_item(item), size) for item in items])


def rmse_of_sums(sums: Array) -> Array:
    return np.sqrt(sums[..., 0] / np.maximum(sums[..., 1], 1))


def evaluate(model: TFLiteModel, dataset: PlaneDataset, options: DepthOptions, *, progress: bool) -> DepthResult:
    sums = []
    for item in tracked(dataset.items, "depth", show=progress):
        [prediction] = model.predict(inputs([item], model.input_size, "standard"))[..., 0]
        truth = item.depth(*prediction.shape)
        evaluated = truth <= options.max_depth
        sums.append((np.square(prediction - truth)[evaluated].sum(), evaluated.sum()))
    return DepthResult(np.array(sums, np.float64))


def measure(result: DepthResult, dataset: PlaneDataset) -> ModelMeasurement:
    correctness = -rmse_of_sums(result.squared_errors)[:, None]
    return ModelMeasurement(result.rmse, None, {"depth": result.rmse}, correctness, result.squared_errors)


def example(dataset: PlaneDataset, index: int, models: Sequence[LabeledResult[DepthResult]]) -> Example:
    image = read_item(dataset.items[index])
    cutout = cut_out(image, (0, 0, image.shape[1], image.shape[0]))
    errors = [Panel(model.label, f"RMSE {-model.measurement.correctness[index, 0]:.2f} m") for model in models]
    return Example(index, dataset.items[index].image_path.name, cutout, tuple(errors))


REPORT = TaskReport("-", "images", "map", "RMSE is in meters.", measure, example, rmse_of_sums)
# Step 1: register with mobile_eval.tasks.registry
TASK = Task("depth", METRIC, DepthOptions, load, inputs, evaluate, lambda: REPORT, needs=("annotations", "images"))


# Training
@dataclass(frozen=True)
class DepthSettings(TaskSettings):
    flip_probability: float = option(0.5, "Probability of a horizontal flip.")


class DepthExamples(ExampleBuilder):
    def __init__(self, dataset: PlaneDataset, spec: Network, settings: DepthSettings):
        self.items, self.size, self.settings = dataset.items, spec.input_size, settings
        height, width = spec.input_size
        self.shapes = ((height, width, 3), (height // STRIDE, width // STRIDE, 1))

    def augmented(self, index: int, image: Image, rng: np.random.Generator, out: Sequence[NDArray[np.float32]]) -> None:
        self.plain(index, image, out)
        if rng.random() < self.settings.flip_probability:
            for array in out:
                array[:] = array[:, ::-1].copy()

    def plain(self, index: int, image: Image, out: Sequence[NDArray[np.float32]]) -> None:
        normalize(resize(image, self.size), out=out[0])
        out[1][..., 0] = self.items[index].depth(*self.shapes[1][:2])


class DepthEvaluator:
    def __init__(self, dataset: PlaneDataset, spec: Network, geometry: Geometry):
        self.items, self.sums, self.count = dataset.items, np.zeros(2), 0

    def update(self, outputs: NDArray[np.float32]) -> None:
        for output in np.asarray(outputs)[..., 0]:
            error = output - self.items[self.count].depth(*output.shape)
            self.sums += np.square(error).sum(), error.size
            self.count += 1

    def result(self) -> float:
        return float(rmse_of_sums(self.sums))


def loss(settings: DepthSettings) -> KerasLoss:
    from hrnet_tf.backend.keras_module import keras

    return keras.losses.MeanSquaredError()


def draw(images: Image, maps: NDArray[np.float32], category: dict[str, Any], geometry: Geometry) -> Image:
    brightness = np.clip(np.asarray(maps)[..., 0] * 60, 0, 255).astype(np.uint8)
    return np.stack([cv2.merge([cv2.resize(depth, images.shape[2:0:-1])] * 3) for depth in brightness])


TRAINING_TASK = TrainingTask(METRIC, "images", DepthExamples, loss, DepthEvaluator, draw)
# Step 2: register with training.tasks.registry
ENTRY = TaskEntry(DepthSettings, lambda: TRAINING_TASK)


def draw_planes(folder: Path, count: int, seed: int) -> DataSource:
    """Writes images of planes whose brightness is their depth, up to 4 m."""
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    planes = {f"{index}.png": rng.uniform((-1, -1, 1), (1, 1, 3)).round(3).tolist() for index in range(count)}
    for name, plane in planes.items():
        depth = PlaneImage(folder / name, tuple(plane)).depth(48, 64)
        cv2.imwrite(str(folder / "images" / name), cv2.merge([np.clip(depth * 60, 0, 255).astype(np.uint8)] * 3))
    (folder / "planes.json").write_text(json.dumps(planes))
    return DataSource(folder / "images", folder / "planes.json")
