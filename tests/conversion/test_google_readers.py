"""Classifiers and segmenters in TFLite Task Library and MediaPipe Tasks, compared with TFLiteModel.

Each library is installed in a separate environment, because its dependencies conflict with those of TensorFlow.
"""

from __future__ import annotations

import json
import re
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
from conversion.quantization.samples import dataset_inputs
from hrnet_tf.backend.keras_module import keras
from hrnet_tf.models.build import build_model
from hrnet_tf.runs.run import Run, save_run
from hrnet_tf.runs.weights import model_weights, save_weights
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.model.archive import read_description
from mobile_eval.runtime.interpreter import make_interpreter
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.registry import TASKS
from tests.support.environments import make_environment, python_of, run_script
from tests.support.synthetic_tasks import CLASSES, drawn_source, micro_spec

pytestmark = [pytest.mark.slow, pytest.mark.external]
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
Results = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def metadata_only(detector_spec: HRNetSpec, small: HRNetSpec, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files that these libraries cannot run, but whose metadata they read: keypoints and a detector."""
    folder = tmp_path_factory.mktemp("metadata")
    joints = {"name": "person", "keypoints": [f"joint_{index}" for index in range(17)], "skeleton": []}
    pose = untrained_run(small, joints, folder / "pose")
    detector = untrained_run(detector_spec, {"name": "detection", "classes": ["square", "disc"]}, folder / "detector")
    result = convert_run(detector, ConvertOptions("float32"), folder / "detection-maps.tflite")
    return {
        "pose-decoded": convert_run(pose, ConvertOptions("float32", decode=True), folder / "pose-decoded.tflite").path,
        "detection-maps": result.path,
        "detection-boxes": result.paths[1],
    }


def untrained_run(spec: HRNetSpec, category: dict[str, Any], folder: Path) -> Run:
    keras.utils.set_random_seed(4)
    run = Run(folder, "train", spec, category, {})
    save_run(run)
    save_weights(run.weights_path, model_weights(build_model(spec)))
    return run


@pytest.fixture(scope="module")
def files(drawn_for: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files of both tasks by TASK-NAME; the outputs of the networks differ between classes."""
    folder, paths = tmp_path_factory.mktemp("readers"), {}
    for task, names in NAMES.items():
        run = random_run(task, names, folder / task)
        data = TASKS[task].load(drawn_source(task, drawn_for(task), "val"))
        for name, options in (FILES | (SOFTMAX_FILES if task == "classification" else {})).items():
            paths[f"{task}-{name}"] = convert_run(run, options, folder / f"{task}-{name}.tflite", data).path
    return paths


def random_run(task: str, names: tuple[str, ...], folder: Path) -> Run:
    """A run of a network with random weights, large in the last layer."""
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
    """An image of the data set as the input of a classifier. All libraries get the same image."""
    data = TASKS["classification"].load(drawn_source("classification", drawn_for("classification"), "val"))
    [crop] = dataset_inputs(data, micro_spec("classification"), 1)
    return crop


@pytest.fixture(scope="module")
def task_library(
    files: dict[str, Path], metadata_only: dict[str, Path], image: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory
) -> Results:
    """Metadata and results of tflite-support. It needs libusb, which its wheel lacks."""
    folder = tmp_path_factory.mktemp("tflite-support")
    packages = ("tflite-support==0.4.4", "numpy<2", "libusb-package")
    python = make_environment(folder / "env", python_of(((3, 11), (3, 10))), *packages)
    (folder / "lib").mkdir()
    [libusb] = (folder / "env").glob("lib/python*/site-packages/libusb_package/libusb-1.0.so*")
    (folder / "lib" / "libusb-1.0.so.0").symlink_to(libusb)
    return run_library(python, "tflite_support_reads.py", files | metadata_only, image, folder, folder / "lib")


@pytest.fixture(scope="module")
def mediapipe(files: dict[str, Path], image: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Results of MediaPipe."""
    folder = tmp_path_factory.mktemp("mediapipe")
    return run_library(make_environment(folder / "env", sys.executable, "mediapipe"), "mediapipe_reads.py", files, image, folder)


def run_library(
    python: Path, script: str, files: dict[str, Path], image: NDArray[np.uint8], folder: Path, libraries: Path | None = None
) -> Results:
    np.save(folder / "image.npy", image)
    run_script(python, SCRIPTS / script, folder / "image.npy", folder / "results.json", *files.values(), libraries=libraries)
    results = json.loads((folder / "results.json").read_text())
    return {name: results[str(path)] for name, path in files.items()}


def predict(path: Path, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    [output] = TFLiteModel(path).predict(image[None])
    return output


@pytest.mark.parametrize("reader", ["task_library", "mediapipe"])
@pytest.mark.parametrize("name", READ_BY_ALL)
def test_scores_of_a_classifier(
    name: str, reader: str, files: dict[str, Path], image: NDArray[np.uint8], request: pytest.FixtureRequest
) -> None:
    result = request.getfixturevalue(reader)[f"classification-{name}"]
    expected = predict(files[f"classification-{name}"], image)
    assert np.ptp(expected) > 0.05
    assert result["scores"] == pytest.approx(dict(zip(NAMES["classification"], expected.tolist(), strict=True)), rel=1e-5)
    if "softmax" in name:
        assert sum(result["scores"].values()) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("name", ["camera-uint8", "camera-float32", "float32-camera"])
def test_masks_of_a_segmenter(
    name: str, files: dict[str, Path], image: NDArray[np.uint8], task_library: Results, mediapipe: Results
) -> None:
    expected = predict(files[f"segmentation-{name}"], image)
    labels = expected.argmax(axis=-1)
    assert len(np.unique(labels)) > 2
    result = task_library[f"segmentation-{name}"]
    assert result["names"][: len(NAMES["segmentation"])] == list(NAMES["segmentation"])
    np.testing.assert_array_equal(result["mask"], labels)

    result = mediapipe[f"segmentation-{name}"]
    assert result["names"] == list(NAMES["segmentation"])
    exponentials = np.exp(expected - expected.max(axis=-1, keepdims=True))
    softmax = exponentials / exponentials.sum(axis=-1, keepdims=True)
    probabilities = cv2.resize(softmax, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(np.moveaxis(result["probabilities"], 0, -1), probabilities, atol=1e-5)


def test_unsupported_types(task_library: Results, mediapipe: Results) -> None:
    for task in NAMES:
        assert "INT8" in task_library[f"{task}-int8"]["error"]
        assert "INT8" in mediapipe[f"{task}-int8"]["error"]
        assert "Per-channel image normalization" in mediapipe[f"{task}-float32"]["error"]


def test_task_library_normalizes_float_input(files: dict[str, Path], image: NDArray[np.uint8], task_library: Results) -> None:
    result, expected = task_library["classification-float32"], predict(files["classification-float32"], image)
    assert result["scores"] == pytest.approx(dict(zip(NAMES["classification"], expected.tolist(), strict=True)), rel=1e-4)
    np.testing.assert_array_equal(
        task_library["segmentation-float32"]["mask"], predict(files["segmentation-float32"], image).argmax(axis=-1)
    )


def test_metadata_of_outputs_and_associated_files(
    files: dict[str, Path], metadata_only: dict[str, Path], task_library: Results
) -> None:
    for name, path in (files | metadata_only).items():
        result, description = task_library[name], read_description(path)
        names = "keypoints.txt" if name.startswith("pose") else "labels.txt"
        assert set(result["files"]) == {"model.json", names}
        assert set(re.findall(r"[\w.]+\.(?:txt|json)", json.dumps(result["metadata"]))) == {"model.json", names}
        with zipfile.ZipFile(path) as tail:
            assert tail.read(names).decode().splitlines() == list(description.label_names)
        [graph] = result["metadata"]["subgraph_metadata"]
        outputs = [(tensor["name"], tensor["description"]) for tensor in graph["output_tensor_metadata"]]
        assert outputs == [(tensor.name, tensor.content) for tensor in description.outputs]
        interpreter = make_interpreter(path)
        signature = interpreter.get_signature_runner().get_output_details()
        order = [details["index"] for details in interpreter.get_output_details()]
        assert [signature[tensor]["index"] for tensor, _ in outputs] == order


def test_metadata_of_inputs(task_library: Results) -> None:
    inputs = {
        name: result["metadata"]["subgraph_metadata"][0]["input_tensor_metadata"][0] for name, result in task_library.items()
    }
    assert "one person" in inputs["pose-decoded"]["description"]
    assert "1.25 times" in inputs["pose-decoded"]["description"]
    assert not any("person" in inputs[name]["description"] for name in inputs if not name.startswith("pose"))
    assert inputs["detection-maps"]["content"]["content_properties"]["default_size"] == {"width": 96, "height": 64}
    assert inputs["detection-boxes"]["content"]["content_properties_type"] == "FeatureProperties"
    camera, float32 = (inputs[f"classification-{name}"]["process_units"][0]["options"] for name in ("camera-uint8", "float32"))
    assert (camera["mean"], camera["std"]) == ([0.0] * 3, [1.0] * 3)
    assert (float32["mean"], float32["std"]) == (
        pytest.approx([123.675, 116.28, 103.53], abs=1e-3),
        pytest.approx([58.395, 57.12, 57.375], abs=1e-3),
    )
