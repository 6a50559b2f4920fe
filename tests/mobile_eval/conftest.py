"""A micro HRNet as .tflite (float32 and int8), and a few drawn people."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mobile_eval.cli.app import app
from mobile_eval.cli.running import run
from mobile_eval.datasets.coco.categories import KeypointCategory
from mobile_eval.image.preprocess import IMAGENET_MEAN, IMAGENET_STD, normalize
from mobile_eval.model.archive import save_model_file
from mobile_eval.model.description import ModelDescription, ModelInput, ModelOutput, TensorFormat
from mobile_eval.runtime.interpreter import make_interpreter

Invoke = Callable[..., tuple[int, str, str]]
SIZE = (64, 48)
JOINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow",
    "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
SKELETON = [[16, 14], [14, 12], [17, 15], [15, 13], [12, 13], [6, 12], [7, 13], [6, 7], [6, 8], [7, 9], [8, 10], [9, 11], [1, 2]]
NETWORK: dict[str, Any] = {
    "width": 4,
    "stages": [{"stage": 2, "modules": 1}, {"stage": 3, "modules": 1}],
    "outputs": [0],
    "live_branches": [f"stage{s}_module0_branch{b}" for s in (2, 3) for b in range(s)],
    "links": ["stage2_module0_link0to1", "stage2_module0_link1to0", "stage3_module0_link1to0", "stage3_module0_link2to0"],
    "removed_links": [],
}


@dataclass(frozen=True)
class MicroModels:
    """A Keras model with its flatbuffers and tensor formats by precision."""

    keras: Any
    flatbuffers: dict[str, bytes]
    formats: dict[str, tuple[TensorFormat, TensorFormat]]


@dataclass(frozen=True)
class People:
    """An annotation file, its image folder and its content."""

    annotations: Path
    images: Path
    coco: dict[str, Any]

    def rewrite(self) -> None:
        """Write the changed content to the annotation file."""
        self.annotations.write_text(json.dumps(self.coco))


@pytest.fixture(scope="session")
def micro(tmp_path_factory: pytest.TempPathFactory) -> MicroModels:
    """A micro HRNet with random weights, built once."""
    from hrnet_tf.backend.keras_module import keras, tf
    from hrnet_tf.backend.tflite_export import tflite_converter
    from hrnet_tf.models.build import build_model
    from hrnet_tf.spec.network import HRNetSpec, StageSpec

    keras.utils.set_random_seed(3)
    stages = (StageSpec(1, 1), StageSpec(1, 1))
    spec = HRNetSpec("micro", 4, SIZE, len(JOINTS), stages, stem_width=4, stage1_blocks=1, stage1_width=4).full()
    model = build_model(spec, folded=True)
    model.get_layer("head_heatmaps").set_weights(
        [np.random.default_rng(0).normal(0, 0.3, w.shape) for w in model.get_layer("head_heatmaps").get_weights()]
    )
    crops = normalize(np.random.default_rng(1).integers(0, 256, (8, *SIZE, 3), np.uint8))
    flatbuffers = {"float32": tflite_converter(model).convert()}
    converter = tflite_converter(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([crop[None]] for crop in crops)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    flatbuffers["int8"] = converter.convert()
    path = tmp_path_factory.mktemp("micro") / "int8.tflite"
    path.write_bytes(flatbuffers["int8"])
    interpreter = make_interpreter(path)
    quantized = [details[0]["quantization"] for details in (interpreter.get_input_details(), interpreter.get_output_details())]
    source, target = (TensorFormat("int8", float(scale), int(zero_point)) for scale, zero_point in quantized)
    formats = {"float32": (TensorFormat("float32"), TensorFormat("float32")), "int8": (source, target)}
    return MicroModels(model, flatbuffers, formats)


@pytest.fixture
def category() -> KeypointCategory:
    return KeypointCategory.from_json({"name": "person", "keypoints": list(JOINTS), "skeleton": SKELETON})


@pytest.fixture
def describe(micro: MicroModels, category: KeypointCategory) -> Callable[..., ModelDescription]:
    """Makes a description of the micro model; keyword arguments replace its fields."""

    def make(precision: str = "float32", **changes: Any) -> ModelDescription:
        source, target = micro.formats[precision]
        fields = {
            "name": "micro",
            "precision": precision,
            "input": ModelInput(SIZE, IMAGENET_MEAN, IMAGENET_STD, source),
            "output": ModelOutput("heatmaps", 4, target),
            "category": category,
            "network": NETWORK,
            "parameters": 1234,
            "multiply_adds": 56789,
            "importance": {name: 0.1 * index for index, name in enumerate(NETWORK["links"])},
        }
        return ModelDescription(**{**fields, **changes})

    return make


@pytest.fixture
def model_path(tmp_path: Path, micro: MicroModels, describe: Callable[..., ModelDescription]) -> Callable[..., Path]:
    """Writes a micro model of a precision and returns its path."""

    def write(precision: str = "float32", name: str = "", **changes: Any) -> Path:
        path = tmp_path / f"{name or precision}.tflite"
        save_model_file(path, micro.flatbuffers[precision], describe(precision, **changes))
        return path

    return write


@pytest.fixture
def people(tmp_path: Path) -> People:
    """Three images of five people, one of them without labelled joints."""
    random = np.random.default_rng(7)
    folder = tmp_path / "images"
    folder.mkdir()
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, count in ((1, 2), (2, 1), (3, 2)):
        height, width = 120 + 10 * image_id, 160
        picture = cv2.resize(random.integers(0, 256, (12, 16, 3), np.uint8), (width, height))
        cv2.imwrite(str(folder / f"{image_id:06d}.jpg"), picture)
        images.append({"id": image_id, "file_name": f"{image_id:06d}.jpg", "height": height, "width": width})
        for _ in range(count):
            x, y = random.uniform(5, 60, 2)
            box = [float(x), float(y), 60.0, 50.0]
            points = np.column_stack([x + random.uniform(0, 60, 17), y + random.uniform(0, 50, 17), random.integers(1, 3, 17)])
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": 1,
                    "iscrowd": 0,
                    "bbox": box,
                    "area": 1800.0,
                    "keypoints": [float(value) for value in points.reshape(-1)],
                    "num_keypoints": 17,
                }
            )
    annotations[-1] |= {"keypoints": [0.0] * 51, "num_keypoints": 0}
    categories = [{"id": 1, "name": "person", "keypoints": list(JOINTS), "skeleton": SKELETON}]
    people = People(tmp_path / "people.json", folder, {"images": images, "categories": categories, "annotations": annotations})
    people.rewrite()
    return people


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Invoke:
    """Runs a command in this process; returns exit code, stdout and stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hrnet", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_info:
            run(app)
        output = capsys.readouterr()
        return int(exit_info.value.code or 0), output.out, output.err

    return call


def one_line(error: str) -> str:
    """The error line; everything before it must be progress."""
    lines = [line for line in error.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert error.rstrip().endswith(lines[0])
    assert "Traceback" not in error
    return lines[0]


@dataclass(frozen=True)
class TaskModel:
    """A micro HRNet of a task: its file, and the Keras model that was converted."""

    path: Path
    keras: Any


TASK_SIZE = (64, 64)
KINDS = {"landmarks": ("heatmaps", 4), "segmentation": ("class-maps", 4), "classification": ("class-scores", 0)}


@lru_cache
def converted(task: str, channels: int, precision: str) -> tuple[Any, bytes]:
    """A micro HRNet of a task with random weights: the Keras model and its flatbuffer."""
    from hrnet_tf.backend.keras_module import keras, tf
    from hrnet_tf.backend.tflite_export import tflite_converter
    from hrnet_tf.models.build import build_model
    from hrnet_tf.spec.network import HRNetSpec, StageSpec

    keras.utils.set_random_seed(3)
    spec = HRNetSpec("micro", 4, TASK_SIZE, channels, (StageSpec(1, 1),), 8, 1, 4, task=task, interpolation="bilinear").full()
    model = build_model(spec, folded=True)
    random = np.random.default_rng(0)
    output_layer = next(layer for layer in reversed(model.layers) if layer.weights)
    output_layer.set_weights([random.normal(0, 0.5, weights.shape) for weights in output_layer.get_weights()])
    converter = tflite_converter(model)
    if precision == "int8":
        crops = normalize(random.integers(0, 256, (8, *TASK_SIZE, 3), np.uint8))
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([crop[None]] for crop in crops)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    return model, converter.convert()


@pytest.fixture
def task_model(tmp_path: Path) -> Callable[..., TaskModel]:
    """Writes a micro model of a task with named outputs; keyword arguments replace fields of its description."""

    def write(task: str, names: Sequence[str], precision: str = "float32", /, **changes: Any) -> TaskModel:
        keras, flatbuffer = converted(task, len(names), precision)
        path = tmp_path / f"{task}-{precision}.tflite"
        path.write_bytes(flatbuffer)
        interpreter = make_interpreter(path)
        source, target = (
            TensorFormat("float32") if precision == "float32" else TensorFormat("int8", *details[0]["quantization"])
            for details in (interpreter.get_input_details(), interpreter.get_output_details())
        )
        kind, stride = KINDS[task]
        joints = tuple(names) if task == "landmarks" else ()
        fields = {
            "name": "micro",
            "precision": precision,
            "input": ModelInput(TASK_SIZE, IMAGENET_MEAN, IMAGENET_STD, source),
            "output": ModelOutput(kind, stride, target),
            "category": KeypointCategory("face" if joints else task, joints),
            "network": NETWORK,
            "parameters": 1,
            "multiply_adds": 1,
            "task": task,
            "classes": () if joints else tuple(names),
        }
        save_model_file(path, flatbuffer, ModelDescription(**{**fields, **changes}))
        return TaskModel(path, keras)

    return write


def data_set(name: str) -> Path:
    """The folder of a data set; the test is skipped where it is missing."""
    folder = Path(os.environ.get("HRNET_DATA", Path(__file__).parents[3] / "shared" / "data")) / name
    if not folder.is_dir():
        pytest.skip(f"the data set is not in {folder}; set HRNET_DATA to the folder that holds {name}/")
    return folder


@pytest.fixture
def lspet() -> Path:
    """Leeds Sports Pose Extended."""
    return data_set("lspet")


@pytest.fixture
def faces() -> Path:
    """Faces with 68 landmarks."""
    return data_set("faces")


@pytest.fixture
def camvid() -> Path:
    """Street scenes with segmentation masks."""
    return data_set("camvid")


@pytest.fixture
def cells() -> Path:
    """Blood cells, one folder per class."""
    return data_set("cells")


@pytest.fixture
def bccd() -> Path:
    """Blood cells with boxes."""
    return data_set("bccd")
