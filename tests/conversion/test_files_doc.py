"""The program in docs/reference/files.md, which does not import this package, gives the keypoints of the package."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conversion.convert import convert_run
from conversion.options import ConvertOptions
from hrnet_tf.backend.keras_module import keras
from hrnet_tf.models.build import build_model
from hrnet_tf.runs.run import Run, save_run
from hrnet_tf.runs.weights import model_weights, save_weights
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.datasets.coco.keypoints import KeypointDataset, load_keypoint_dataset
from mobile_eval.image.image_file import read_image
from mobile_eval.keypoints.inference import predict_instances
from mobile_eval.model.archive import read_description
from mobile_eval.runtime.tflite_model import TFLiteModel

pytestmark = pytest.mark.slow
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "files.md"
FILES = {
    "float32": ConvertOptions("float32"),
    "int8": ConvertOptions("int8"),
    "camera": ConvertOptions("int8", "uint8-rgb", "float32"),
}


@pytest.fixture(scope="module")
def people(drawn: Path) -> KeypointDataset:
    return load_keypoint_dataset(drawn / "person_keypoints_val.json", drawn / "images")


@pytest.fixture(scope="module")
def run(tiny: HRNetSpec, people: KeypointDataset, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of a network with random weights, whose heatmaps have maxima at random positions."""
    keras.utils.set_random_seed(2)
    weights = model_weights(build_model(tiny))
    head = "head_heatmaps/kernel"
    weights[head] = np.random.default_rng(2).normal(0, 1, weights[head].shape).astype(np.float32)
    run = Run(tmp_path_factory.mktemp("doc") / "run", "train", tiny, people.category.to_json(), {})
    save_run(run)
    save_weights(run.weights_path, weights)
    return run


@pytest.mark.parametrize("name", FILES)
def test_program_gives_the_keypoints_of_the_package(name: str, run: Run, people: KeypointDataset, tmp_path: Path) -> None:
    [program] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert "mobile_eval" not in program
    namespace: dict[str, Any] = {}
    exec(program, namespace)
    path = convert_run(run, FILES[name], tmp_path / "m.tflite", people).path
    expected = list(predict_instances(TFLiteModel(path), people.instances))
    actual = [namespace["keypoints"](str(path), read_image(instance.image_path), instance.box) for instance in people.instances]
    visible = np.stack(expected)[..., 2] > 0.05  # keypoints with a score near 0 or below are not predicted
    difference = np.abs(np.stack(actual) - np.stack(expected))[visible]
    assert len(difference) > 60
    step = read_description(path).output.tensor.scale or 0
    assert difference[..., 2].max() <= 1e-5 + step
    assert (difference[..., :2].max(axis=-1) < 1e-3).mean() > 0.95  # the rest have equal maxima in flat image regions
