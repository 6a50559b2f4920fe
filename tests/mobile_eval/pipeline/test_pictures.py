"""Prediction on images: skeletons, keypoint files, and refused images."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mobile_eval.datasets.coco.keypoints import load_keypoint_dataset
from mobile_eval.errors import HRNetError
from mobile_eval.image.image_file import read_image
from mobile_eval.keypoints.boxes_file import load_boxes
from mobile_eval.pipeline.pictures import PictureResult, predict_pictures
from mobile_eval.pipeline.pipeline import People as PredictedPeople
from mobile_eval.pipeline.predictors import KeypointPredictor
from mobile_eval.runtime.tflite_model import TFLiteModel
from tests.mobile_eval.conftest import Invoke, People, one_line
from tests.support.image_files import encoded, png_that_claims


def predict(model: TFLiteModel, images: Sequence[Path], output: Path, **options: Any) -> list[PictureResult]:
    return predict_pictures(KeypointPredictor(model), images, output, **options)


def people_of(result: PictureResult) -> PredictedPeople:
    assert isinstance(result.prediction, PredictedPeople)
    return result.prediction


def test_full_images(people: People, model_path: Callable[..., Path], tmp_path: Path) -> None:
    images = sorted(people.images.iterdir())[:2]
    results = predict(TFLiteModel(model_path()), images, tmp_path / "poses")
    assert [result.picture.name for result in results] == ["000001_pose.jpg", "000002_pose.jpg"]
    assert people_of(results[0]).boxes.tolist() == [[0.0, 0.0, 160.0, 130.0]]
    assert read_image(results[0].picture).shape == read_image(images[0]).shape == (130, 160, 3)
    assert sorted(path.name for path in (tmp_path / "poses").iterdir()) == [
        "000001_pose.jpg",
        "000002_pose.jpg",
        "keypoints.json",
    ]


def test_written_keypoints_are_a_coco_file(people: People, model_path: Callable[..., Path], tmp_path: Path) -> None:
    images = sorted(people.images.iterdir())
    boxes = load_boxes(people.annotations, images)
    results = predict(TFLiteModel(model_path()), images, tmp_path / "poses", boxes=boxes)
    assert [len(people_of(result)) for result in results] == [2, 1, 2]
    data = json.loads((tmp_path / "poses" / "keypoints.json").read_text())
    np.testing.assert_allclose(np.reshape(data["annotations"][2]["keypoints"], (17, 3)), people_of(results[1]).keypoints[0])
    assert data["annotations"][2]["image_id"] == 2
    for annotation in data["annotations"]:
        annotation["keypoints"] = [10.0, 10.0, 1.0] * 17
    copy = tmp_path / "copy.json"
    copy.write_text(json.dumps(data))
    assert len(load_keypoint_dataset(copy, people.images)) == 5


def test_bad_images(people: People, model_path: Callable[..., Path], tmp_path: Path) -> None:
    model = TFLiteModel(model_path())
    with pytest.raises(HRNetError, match=r"absent\.jpg: No such file"):
        predict(model, [people.images / "absent.jpg"], tmp_path / "a")
    with pytest.raises(HRNetError, match="at least one image"):
        predict(model, [], tmp_path / "b")
    assert not (tmp_path / "a").exists()
    assert not (tmp_path / "b").exists()


def written(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_refused_image_leaves_no_output(people: People, model_path: Callable[..., Path], tmp_path: Path) -> None:
    model, images = TFLiteModel(model_path()), [people.images / "000001.jpg", tmp_path / "sub" / "000001.jpg"]
    (tmp_path / "sub").mkdir()
    images[1].write_bytes(images[0].read_bytes()[:2000])
    out = tmp_path / "out"
    with pytest.raises(HRNetError, match=r"000001\.jpg is truncated"):
        predict(model, images, out)
    assert not out.exists()
    out.mkdir()
    (out / "mine.txt").write_text("stays")
    with pytest.raises(HRNetError, match=r"\[500, 1, 5, 5\].*000001\.jpg.*160x130"):
        predict(model, images[:1], out, boxes={images[0]: [(1, 2, 30, 40), (500, 1, 5, 5)]})
    assert written(out) == ["mine.txt"]


def test_existing_output_is_not_overwritten(people: People, model_path: Callable[..., Path], tmp_path: Path) -> None:
    model, images, out = TFLiteModel(model_path()), sorted(people.images.iterdir()), tmp_path / "out"
    predict(model, images[:1], out)
    before = {path: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(HRNetError, match=r"out .*keypoints\.json"):
        predict(model, images[1:], out)
    assert {path: path.read_bytes() for path in out.iterdir()} == before
    predict(model, images[1:], out, overwrite=True)
    assert written(out) == ["000001_pose.jpg", "000002_pose.jpg", "000003_pose.jpg", "keypoints.json"]
    assert len(json.loads((out / "keypoints.json").read_text())["images"]) == 2


def test_images_with_the_same_name_are_both_written(people: People, model_path: Callable[..., Path], tmp_path: Path) -> None:
    model, [first, second, third] = TFLiteModel(model_path()), sorted(people.images.iterdir())
    a, b = tmp_path / "in" / "a" / "1.jpg", tmp_path / "in" / "b" / "1.jpg"
    for source, target in ((first, a), (second, b), (third, a.with_suffix(".jpeg"))):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
    out = tmp_path / "out"
    results = predict(model, [a, b], out)
    assert written(out) == ["a/1_pose.jpg", "b/1_pose.jpg", "keypoints.json"]
    images = json.loads((out / "keypoints.json").read_text())["images"]
    assert [(image["file_name"], image["height"]) for image in images] == [("a/1.jpg", 130), ("b/1.jpg", 140)]
    np.testing.assert_array_equal(
        people_of(results[1]).keypoints, people_of(predict(model, [second], tmp_path / "alone")[0]).keypoints
    )
    predict(model, [a, a.with_suffix(".jpeg")], tmp_path / "same")
    assert written(tmp_path / "same") == ["1.jpeg_pose.jpg", "1.jpg_pose.jpg", "keypoints.json"]
    outside = tmp_path / "in" / "b" / ".." / "a" / "1.jpg"
    with pytest.raises(HRNetError, match=r"1\.jpg .*1\.jpg_pose\.jpg"):
        predict(model, [a, outside], tmp_path / "twice")
    assert not (tmp_path / "twice").exists()


def test_command(people: People, model_path: Callable[..., Path], invoke: Invoke, tmp_path: Path) -> None:
    model, images, out = model_path(), sorted(people.images.iterdir()), tmp_path / "out"
    code, printed, _ = invoke("predict", model, *images, "--boxes", people.annotations, "--output", out)
    assert code == 0
    assert [line.rsplit(": ")[-1] for line in printed.splitlines()[:-1]] == ["2 people", "1 person", "2 people"]
    code, _, error = invoke("predict", model, images[0], "--output", out)
    assert code == 2
    assert "already holds keypoints.json" in one_line(error)
    assert invoke("predict", model, images[0], "--output", out, "--overwrite")[0] == 0
    code, _, error = invoke("predict", model, images[0], "--output", tmp_path / "b", "--category", "person")
    assert code == 2
    assert "--category chooses among the boxes of --boxes or --detector" in one_line(error)


@pytest.mark.parametrize("size", [(40000, 30000), (30000, 30000), (65000, 16000), (100000, 100000)])
def test_large_images_are_refused_in_one_line(
    size: tuple[int, int], people: People, model_path: Callable[..., Path], invoke: Invoke, tmp_path: Path
) -> None:
    width, height = size
    (people.images / "000001.jpg").write_bytes(png_that_claims(width, height, 8, 0))
    model, out = model_path(), tmp_path / "out"
    for command in (
        ("predict", model, people.images / "000001.jpg", "--output", out),
        ("evaluate", model, "--annotations", people.annotations, "--images", people.images),
        ("compare", model, "--annotations", people.annotations, "--images", people.images, "--output", out, "--rounds", 1),
    ):
        code, _, error = invoke(*command)
        assert code == 2
        assert f"000001.jpg is {height}x{width} (height x width)" in one_line(error)
        assert "where --max-pixels is 100,000,000: scale it down" in one_line(error)
    assert not (out / "keypoints.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["half.bmp", "half.png", "half.jpg", "half.tif", "half.gif", "half.ppm", "half.webp"])
def test_damaged_image_ends_in_one_line(name: str, people: People, model_path: Callable[..., Path], tmp_path: Path) -> None:
    """The line comes without a progress bar and without messages of opencv, libpng and libtiff."""
    path = tmp_path / name
    good = people.images / "000001.jpg"
    data = encoded(read_image(good), format={"jpg": "JPEG", "tif": "TIFF"}.get(name[5:], name[5:].upper()))
    path.write_bytes(data[: len(data) // 2])
    command = [sys.executable, "-m", "mobile_eval", "predict", model_path(), good, path, "--output", tmp_path / "out"]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 2
    [line] = [line for line in result.stderr.splitlines() if not line.startswith(("INFO: ", "warning: "))]
    assert line.startswith(f"error: image {path} is ")
    assert not (tmp_path / "out").exists()


def test_max_pixels_option(people: People, model_path: Callable[..., Path], invoke: Invoke, tmp_path: Path) -> None:
    image, model = people.images / "000001.jpg", model_path()
    code, _, error = invoke("predict", model, image, "--output", tmp_path / "a", "--max-pixels", 160 * 130 - 1)
    assert code == 2
    assert "20,800 pixels where --max-pixels is 20,799" in one_line(error)
    assert invoke("predict", model, image, "--output", tmp_path / "a", "--max-pixels", 160 * 130)[0] == 0
    code, _, error = invoke("predict", model, image, "--output", tmp_path / "b", "--max-pixels", 10**10)
    assert code == 2
    assert "--max-pixels must be from 1 to 715,827,882, got 10,000,000,000" in one_line(error)
