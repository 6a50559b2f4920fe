"""Test vectors: their files are what the evaluator computes, and the port of the examples is checked with them."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from mobile_eval.datasets.coco.keypoints import KeypointDataset, load_keypoint_dataset
from mobile_eval.errors import HRNetError
from mobile_eval.image.image_file import read_image
from mobile_eval.keypoints.inference import predict_box
from mobile_eval.keypoints.vectors import VECTORS_FILE, largest_difference, read_tensor, write_vectors
from mobile_eval.runtime.tflite_model import TFLiteModel
from tests.mobile_eval.conftest import Invoke, People, one_line

PORT = Path(__file__).parents[3] / "examples" / "pose_in_numpy.py"
FILES = Path(__file__).parents[3] / "benchmarks" / "results" / "lspet"


@pytest.fixture(scope="module")
def port() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ported_pose", PORT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def dataset(people: People) -> KeypointDataset:
    return load_keypoint_dataset(people.annotations, people.images)


def test_files_are_what_the_evaluator_computes(dataset: KeypointDataset, model_path: Callable[..., Path], tmp_path: Path) -> None:
    model = TFLiteModel(model_path())
    vectors = write_vectors(model, dataset.items[:2], tmp_path / "vectors")
    assert json.loads((tmp_path / "vectors" / VECTORS_FILE).read_text()) == vectors
    assert len(vectors["cases"]) == 2
    for case, item in zip(vectors["cases"], dataset.items, strict=False):
        folder = tmp_path / "vectors" / case["folder"]
        image, crop = read_image(folder / "image.png"), read_image(folder / "crop.png")
        np.testing.assert_array_equal(image, read_image(item.image_path))
        np.testing.assert_array_equal(read_tensor(folder.parent, case, "input", vectors), model.to_input(crop[None]))
        outputs = [read_tensor(folder.parent, case, name, vectors) for name in model.output_names]
        np.testing.assert_array_equal(model.decode(outputs)[0], case["heatmap_keypoints"])
        np.testing.assert_allclose(predict_box(model, image, item.box), case["keypoints"])
    text = (tmp_path / "vectors" / "README.md").read_text()
    height, width = model.input_size
    assert f"aspect ratio {width}:{height}" in text
    assert f"1x{height}x{width}x3" in text


@pytest.mark.parametrize("name", ["links-int8.tflite", "links-float32.tflite"])
def test_port_reproduces_every_step(
    name: str, port: ModuleType, dataset: KeypointDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = TFLiteModel(FILES / name)
    contract = write_vectors(model, dataset.items[:3], tmp_path / "vectors")
    folder = tmp_path / "vectors"
    for case in contract["cases"]:
        image, crop = (read_image(folder / case["folder"] / file) for file in ("image.png", "crop.png"))
        matrix = port.box_matrix(case["box"], contract)
        np.testing.assert_allclose(matrix, case["matrix"], atol=1e-9)
        warped = port.warp(image, matrix, contract["input"]["size"]).astype(int)
        assert np.abs(warped - crop).max() <= 8  # weights of OpenCV are multiples of 1 / 32
        assert np.abs(warped - crop).mean() < 1
        stored = port.to_input(crop, contract)
        assert stored.dtype == contract["input"]["dtype"]
        np.testing.assert_allclose(stored, read_tensor(folder, case, "input", contract), atol=1e-6 if "float" in name else 0)
        decoded = port.decode(read_tensor(folder, case, "heatmaps", contract), contract)
        np.testing.assert_allclose(decoded, case["heatmap_keypoints"], atol=1e-6)
        keypoints = port.to_image(decoded, matrix, contract)
        assert largest_difference(keypoints, np.array(case["keypoints"])) < 1e-6
    assert all(0 <= joint < len(contract["joints"]) for bone in contract["skeleton"] for joint in bone)
    wrong = np.array(case["keypoints"])
    wrong[0, :2] += [3, 4]
    assert largest_difference(wrong, np.array(case["keypoints"])) == pytest.approx(5)
    assert largest_difference(wrong, np.array(case["keypoints"]), least_score=9.0) == 0


def test_udp_is_described(dataset: KeypointDataset, model_path: Callable[..., Path], tmp_path: Path) -> None:
    path = model_path()
    source = TFLiteModel(path).description.input
    model = TFLiteModel(model_path(input=dataclasses.replace(source, geometry="udp")))
    vectors = write_vectors(model, dataset.items[:1], tmp_path / "vectors")
    height, width = model.input_size
    assert vectors["decoding"]["heatmap_pixel"] == pytest.approx([(width - 1) / (width / 4 - 1), (height - 1) / (height / 4 - 1)])
    assert "Newton step" in (tmp_path / "vectors" / "README.md").read_text()


def test_bad_input(
    people: People, dataset: KeypointDataset, model_path: Callable[..., Path], tmp_path: Path, invoke: Invoke
) -> None:
    model = TFLiteModel(model_path())
    with pytest.raises(HRNetError, match="`instances`"):
        write_vectors(model, [], tmp_path / "vectors")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    data = ("--annotations", people.annotations, "--images", people.images)
    code, _, error = invoke("vectors", model.path, *data, "--output", tmp_path / "full")
    assert (code, "full exists already" in one_line(error)) == (2, True)
    assert [entry.name for entry in (tmp_path / "full").iterdir()] == ["file"]
    assert not (tmp_path / "vectors").exists()
