"""Classifiers and segmenters in Google's own readers, the TFLite Task Library and MediaPipe Tasks, against our evaluator.

Each reader has an environment of its own: their dependencies do not go together with TensorFlow's.
"""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from conversion.convert import convert_run
from conversion.options import ConvertOptions
from conversion.samples import inputs_of
from hrnet_tf._keras import keras
from hrnet_tf.networks import build_model
from hrnet_tf.runs import Run, save_run
from hrnet_tf.weights import model_weights, save_weights
from mobile_eval.detector.anchors import softmax
from mobile_eval.model_file import read_description
from mobile_eval.runtime import TfliteModel
from mobile_eval.tasks.registry import TASKS
from tests.drawn_tasks import CLASSES, drawn_source, micro_spec
from tests.environments import make_environment, python_of, run_script

pytestmark = pytest.mark.slow
SCRIPTS = Path(__file__).parent / "google_readers"
NAMES = {
    "classification": ("front", "side", "rear"),
    "segmentation": ("sky", "head", "torso", "arm", "leg"),
}
FILES = {
    "camera-uint8": ConvertOptions("int8", "uint8-rgb", "uint8"),
    "camera-float32": ConvertOptions("int8", "uint8-rgb", "float32"),
    "float32-camera": ConvertOptions("float32", "uint8-rgb"),
    "float32": ConvertOptions("float32"),
    "int8": ConvertOptions("int8"),
}
SOFTMAX_FILES = {
    "softmax-uint8": ConvertOptions("int8", "uint8-rgb", "uint8", softmax=True),
    "softmax-float32": ConvertOptions("float32", "uint8-rgb", softmax=True),
}
READ_BY_ALL = ("camera-uint8", "camera-float32", "float32-camera", *SOFTMAX_FILES)
Answers = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def files(drawn_for: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files of both tasks by TASK-NAME, of networks whose outputs differ much from class to class."""
    folder, made = tmp_path_factory.mktemp("readers"), {}
    for task, names in NAMES.items():
        run = drawn_run(task, names, folder / task)
        data = TASKS[task].load(drawn_source(task, drawn_for(task), "val"))
        for name, options in (FILES | (SOFTMAX_FILES if task == "classification" else {})).items():
            made[f"{task}-{name}"] = convert_run(run, options, folder / f"{task}-{name}.tflite", data).path
    return made


def drawn_run(task: str, names: tuple[str, ...], folder: Path) -> Run:
    """A run of a network with drawn weights, the last layer's large."""
    keras.utils.set_random_seed(4)
    model = build_model(micro_spec(task))
    weights, rng = model_weights(model), np.random.default_rng(4)
    last = [name for name in weights if name.endswith("/kernel") and weights[name].shape[-1] == CLASSES[task]][-1]
    weights[last] = rng.normal(0, 3, weights[last].shape).astype(np.float32)
    run = Run(folder, "train", micro_spec(task), {"name": task, "classes": list(names)}, {})
    save_run(run)
    save_weights(run.weights_path, weights)
    return run


@pytest.fixture(scope="module")
def image(drawn_for: Callable[[str], Path]) -> NDArray[np.uint8]:
    """What our evaluator gives a classifier of an image of the data set: both readers are given the same."""
    data = TASKS["classification"].load(drawn_source("classification", drawn_for("classification"), "val"))
    [crop] = inputs_of(data, micro_spec("classification"), 1)
    return crop


@pytest.fixture(scope="module")
def task_library(files: dict[str, Path], image: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """What tflite-support reads and finds. It wants libusb, which its wheel does not hold."""
    folder = tmp_path_factory.mktemp("tflite-support")
    packages = ("tflite-support==0.4.4", "numpy<2", "libusb-package")
    python = make_environment(folder / "env", python_of(((3, 11), (3, 10))), *packages)
    (folder / "lib").mkdir()
    [libusb] = (folder / "env").glob("lib/python*/site-packages/libusb_package/libusb-1.0.so*")
    (folder / "lib" / "libusb-1.0.so.0").symlink_to(libusb)
    return answers(python, "tflite_support_reads.py", files, image, folder, folder / "lib")


@pytest.fixture(scope="module")
def mediapipe(files: dict[str, Path], image: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """What MediaPipe reads and finds."""
    folder = tmp_path_factory.mktemp("mediapipe")
    return answers(make_environment(folder / "env", sys.executable, "mediapipe"), "mediapipe_reads.py", files, image, folder)


def answers(
    python: Path, script: str, files: dict[str, Path], image: NDArray[np.uint8], folder: Path, libraries: Path | None = None
) -> Answers:
    np.save(folder / "image.npy", image)
    run_script(python, SCRIPTS / script, folder / "image.npy", folder / "found.json", *files.values(), libraries=libraries)
    found = json.loads((folder / "found.json").read_text())
    return {name: found[str(path)] for name, path in files.items()}


def ours(path: Path, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    [output] = TfliteModel(path).answers(image[None])
    return output


@pytest.mark.parametrize("reader", ["task_library", "mediapipe"])
@pytest.mark.parametrize("name", READ_BY_ALL)
def test_a_classifier_classifies(
    name: str, reader: str, files: dict[str, Path], image: NDArray[np.uint8], request: pytest.FixtureRequest
) -> None:
    found = request.getfixturevalue(reader)[f"classification-{name}"]
    expected = ours(files[f"classification-{name}"], image)
    assert np.ptp(expected) > 0.05
    assert found["scores"] == pytest.approx(dict(zip(NAMES["classification"], expected.tolist(), strict=True)), rel=1e-5)
    if "softmax" in name:
        assert sum(found["scores"].values()) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("name", ["camera-uint8", "camera-float32", "float32-camera"])
def test_a_segmenter_segments(
    name: str, files: dict[str, Path], image: NDArray[np.uint8], task_library: Answers, mediapipe: Answers
) -> None:
    expected = ours(files[f"segmentation-{name}"], image)
    labels = expected.argmax(axis=-1)
    assert len(np.unique(labels)) > 2
    found = task_library[f"segmentation-{name}"]
    assert found["names"][: len(NAMES["segmentation"])] == list(NAMES["segmentation"])
    np.testing.assert_array_equal(found["mask"], labels)

    found = mediapipe[f"segmentation-{name}"]
    assert found["names"] == list(NAMES["segmentation"])
    probabilities = cv2.resize(softmax(expected), image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(np.moveaxis(found["probabilities"], 0, -1), probabilities, atol=1e-5)


def test_what_they_refuse_is_what_the_help_says(task_library: Answers, mediapipe: Answers) -> None:
    for task in NAMES:
        assert "INT8" in task_library[f"{task}-int8"]["refused"]
        assert "INT8" in mediapipe[f"{task}-int8"]["refused"]
        assert "Per-channel image normalization" in mediapipe[f"{task}-float32"]["refused"]


def test_a_float_input_is_normalized_by_the_task_library(
    files: dict[str, Path], image: NDArray[np.uint8], task_library: Answers
) -> None:
    found, expected = task_library["classification-float32"], ours(files["classification-float32"], image)
    assert found["scores"] == pytest.approx(dict(zip(NAMES["classification"], expected.tolist(), strict=True)), rel=1e-4)
    np.testing.assert_array_equal(
        task_library["segmentation-float32"]["mask"], ours(files["segmentation-float32"], image).argmax(axis=-1)
    )


def test_the_files_that_metadata_names_are_there(files: dict[str, Path]) -> None:
    for name, path in files.items():
        task = name.partition("-")[0]
        with zipfile.ZipFile(path) as tail:
            assert tail.read("labels.txt").decode().split() == list(NAMES[task])
        softmax_ending = "softmax" in name
        assert read_description(path).output.softmax == softmax_ending
        [output] = read_description(path).outputs
        assert output.name == ("class_maps" if task == "segmentation" else "probabilities" if softmax_ending else "logits")
