"""EXIF orientation: pixels against Pillow, the frame of a file, and agreement between commands."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from mobile_eval.datasets.base import DataSource
from mobile_eval.datasets.coco.detection import load_detection_dataset
from mobile_eval.datasets.coco.detector_boxes import load_detector_boxes
from mobile_eval.datasets.coco.keypoints import load_keypoint_dataset
from mobile_eval.datasets.coordinate_frame import STORED, UPRIGHT, find_frame, oriented_size
from mobile_eval.datasets.segmentation import load_segmentation_dataset
from mobile_eval.errors import HRNetError
from mobile_eval.image.exif import read_orientation
from mobile_eval.image.image_file import read_image, read_item
from mobile_eval.image.preprocess import instance_crops
from mobile_eval.keypoints.boxes_file import load_boxes
from mobile_eval.keypoints.inference import predict_instances
from mobile_eval.messages import DataWarning
from mobile_eval.pipeline.pictures import PictureResult, images_frame, predict_pictures
from mobile_eval.pipeline.pipeline import People as PredictedPeople
from mobile_eval.pipeline.predictors import KeypointPredictor
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.pose.predictions import load_keypoints
from tests.mobile_eval.conftest import Invoke, People, TaskModel, one_line

HEIGHT, WIDTH = 48, 80
RED = (220, 20, 20)
ORIENTATION = b"\x01\x12\0\x03\0\0\0\x01\0"  # start of the EXIF entry, big-endian as Pillow writes it
SPOT = (8, 16, 24, 28)  # left, top, right, bottom of the red rectangle in the stored image


def stored_pixels(height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint8]:
    """A grey image with a red rectangle at SPOT, so that all orientations differ."""
    image = np.full((height, width, 3), 120, np.uint8)
    left, top, right, bottom = SPOT
    image[top:bottom, left:right] = RED
    return image


def save(path: Path, turn: int = 1, image: NDArray[np.uint8] | None = None) -> Path:
    """Write an image with EXIF orientation `turn` in the format of the suffix."""
    exif = Image.Exif()
    exif[0x0112] = turn
    path.parent.mkdir(parents=True, exist_ok=True)
    options: dict[str, Any] = {"exif": exif} if turn != 1 else {}
    if path.suffix == ".webp":
        options["lossless"] = True
    Image.fromarray(stored_pixels() if image is None else image).save(path, quality=95, **options)
    return path


def as_pillow(path: Path, *, upright: bool) -> NDArray[np.uint8]:
    """The pixels as read by Pillow, which turns TIFF files by itself."""
    image = Image.open(path)
    return np.array((ImageOps.exif_transpose(image) if upright else image).convert("RGB"))


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("ending", [".jpg", ".png", ".webp", ".tif"])
def test_pixels_match_pillow(ending: str, turn: int, tmp_path: Path) -> None:
    path = save(tmp_path / f"a{ending}", turn)
    with path.open("rb") as file:
        assert read_orientation(file) == turn
    for upright in (True, False):
        lossless = ending != ".jpg"
        pixels = read_image(path, upright=upright)
        expected = stored_pixels() if lossless and not upright else as_pillow(path, upright=upright)
        assert pixels.shape == expected.shape
        assert np.abs(pixels.astype(int) - expected).max() <= (0 if lossless else 4)
        if ending != ".tif":
            assert oriented_size(path, upright=upright) == expected.shape[:2]


@pytest.mark.parametrize("turn", range(2, 9))
def test_square_images(turn: int, tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", turn, stored_pixels(64, 64))
    for upright in (True, False):
        np.testing.assert_array_equal(read_image(path, upright=upright), as_pillow(path, upright=upright))


def test_files_without_orientation(tmp_path: Path) -> None:
    jpeg = save(tmp_path / "a.jpg", 6).read_bytes()
    start = jpeg.index(b"Exif")
    cases = {
        "cut in its EXIF": jpeg[: start + 12],
        "cut before": jpeg[:3],
        "nothing": b"",
        "another orientation": jpeg[:start] + jpeg[start:].replace(ORIENTATION + b"\6", ORIENTATION + b"\11"),
        "no TIFF": jpeg[: start + 6] + b"XX" + jpeg[start + 8 :],
        "no EXIF": jpeg[:start] + b"Exit" + jpeg[start + 4 :],
        "of another kind": b"GIF89a" + bytes(20),
        "after the pixels": save(tmp_path / "b.jpg").read_bytes() + jpeg[2:],
    }
    for name, data in cases.items():
        assert read_orientation(io.BytesIO(data)) == 1, name
    little_endian = jpeg[:start] + b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x08\0\0\0" + bytes(4)
    assert read_orientation(io.BytesIO(little_endian)) == 8


# --- the frame of a file


def keypoint_file(root: Path, images: list[tuple[str, int, tuple[int, int]]], joints: int = 17) -> tuple[Path, Path]:
    """Write a COCO file of images (name, orientation, annotated size) with a person on each red rectangle, and their images."""
    entries, annotations = [], []
    names = ("nose", *(f"{side}_{part}" for part in range(8) for side in ("left", "right")))[:joints]
    for number, (name, turn, (height, width)) in enumerate(images, 1):
        save(root / "images" / name, turn)
        entries.append({"id": number, "file_name": name, "height": height, "width": width})
        annotation = {"id": number, "image_id": number, "category_id": 1, "iscrowd": 0, "area": 100.0, "num_keypoints": joints}
        annotations.append({**annotation, "bbox": [10, 10, 20, 20], "keypoints": [20, 20, 2] * joints})
    coco = {"images": entries, "annotations": annotations, "categories": [{"id": 1, "name": "p", "keypoints": list(names)}]}
    (root / "a.json").write_text(json.dumps(coco))
    return root / "a.json", root / "images"


AS_STORED, AS_SHOWN = (HEIGHT, WIDTH), (WIDTH, HEIGHT)


@pytest.mark.parametrize(
    ("images", "choice", "frame", "warned"),
    [
        ([("a.jpg", 1, AS_STORED)], None, UPRIGHT, False),
        ([("a.jpg", 6, AS_SHOWN)], None, UPRIGHT, False),
        ([("a.jpg", 6, AS_STORED)], None, STORED, False),
        ([("a.jpg", 3, AS_STORED)], None, UPRIGHT, True),  # the sizes do not decide
        ([("a.jpg", 3, AS_STORED)], UPRIGHT, UPRIGHT, False),
        ([("a.jpg", 3, AS_STORED)], STORED, STORED, False),
        ([("a.jpg", 3, AS_STORED), ("b.jpg", 8, AS_SHOWN)], None, UPRIGHT, False),
        ([("a.jpg", 3, AS_STORED), ("b.jpg", 8, AS_STORED)], None, STORED, False),  # the second image decides
        ([("a.jpg", 2, AS_STORED), ("b.jpg", 5, AS_STORED), ("c.jpg", 4, AS_STORED)], None, STORED, False),
        ([("a.jpg", 3, AS_STORED), ("b.jpg", 8, AS_STORED), ("c.jpg", 6, AS_STORED), ("d.jpg", 6, AS_SHOWN)], None, STORED, True),
        ([("a.jpg", 3, AS_STORED), ("b.jpg", 8, AS_STORED), ("d.jpg", 6, AS_SHOWN)], UPRIGHT, UPRIGHT, False),
    ],
)
def test_frame_of_a_file(
    images: list[tuple[str, int, tuple[int, int]]], choice: str | None, frame: str, warned: bool, tmp_path: Path
) -> None:
    path, folder = keypoint_file(tmp_path, images)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = load_keypoint_dataset(path, folder, exif=choice)
    assert data.frame.name == frame
    assert [str(warning.message).startswith(f"{path}: EXIF turns 1 image such as a.jpg") for warning in caught] == [True] * warned
    for instance, (_, turn, size) in zip(data.instances, images, strict=True):
        sideways = turn > 4
        upright = size == AS_SHOWN if sideways else frame == UPRIGHT or turn == 1
        assert instance.upright == upright
        expected = as_pillow(instance.image_path, upright=upright)
        assert np.abs(read_item(instance).astype(int) - expected).max() <= 4


def test_chosen_frame_must_match_the_sizes(tmp_path: Path) -> None:
    path, folder = keypoint_file(tmp_path, [("a.jpg", 3, AS_STORED), ("b.jpg", 6, AS_SHOWN)])
    with pytest.raises(
        ValueError,
        match=r"`exif` is stored.*a\.json.*b\.jpg.*80x48.*48x80",
    ):
        load_keypoint_dataset(path, folder, exif=STORED)
    with pytest.raises(HRNetError, match=r"`exif`.*'sideways'"):
        load_keypoint_dataset(path, folder, exif="sideways")
    path, folder = keypoint_file(tmp_path / "square", [("a.jpg", 6, (50, 50))])
    with pytest.raises(HRNetError, match=r"a\.jpg.*80x48.*50x50"):
        read_item(load_keypoint_dataset(path, folder, exif=UPRIGHT).instances[0])


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("frame", [None, STORED, UPRIGHT])
def test_tables_of_faces(turn: int, frame: str | None, tmp_path: Path) -> None:
    """Tables contain no sizes: images are read as stored, as in the official face code, unless `exif` is set."""
    path = save(tmp_path / "images" / "f.jpg", turn)
    upright = frame == UPRIGHT
    image = as_pillow(path, upright=upright)
    red = np.argwhere((image[..., 0] > 180) & (image[..., 1] < 70))
    (y, x), side = red.mean(axis=0), 16 / 200
    (tmp_path / "a.csv").write_text(f"image_name,scale,center_w,center_h,a_x,a_y\nf.jpg,{side},{x},{y},{x},{y}\n")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = load_keypoints(DataSource(tmp_path / "images", tmp_path / "a.csv", exif=frame))
    assert len(caught) == (frame is None and turn != 1)
    assert data.instances[0].image_size == image.shape[:2]
    crop = instance_crops(data.instances, (64, 64))[0][0]
    assert np.abs(crop[32, 32].astype(int) - RED).max() < 30


def test_mask_sizes_decide_the_frame(tmp_path: Path) -> None:
    for name, turn, size in (("a", 8, AS_STORED), ("b", 3, AS_STORED), ("c", 1, AS_STORED)):
        save(tmp_path / "images" / f"{name}.jpg", turn)
        (tmp_path / "masks").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / "masks" / f"{name}.png"), np.zeros(size, np.uint8))
    data = load_segmentation_dataset(tmp_path / "images", tmp_path / "masks")
    assert [item.upright for item in data.images] == [False, False, True]
    cv2.imwrite(str(tmp_path / "masks" / "a.png"), np.zeros(AS_SHOWN, np.uint8))
    assert [item.upright for item in load_segmentation_dataset(tmp_path / "images", tmp_path / "masks").images] == [True] * 3
    with pytest.raises(HRNetError, match=r"`exif` is stored.*masks"):
        load_segmentation_dataset(tmp_path / "images", tmp_path / "masks", exif=STORED)


def test_boxes_of_detection(tmp_path: Path) -> None:
    save(tmp_path / "a.jpg", 3)
    coco = {
        "images": [{"id": 1, "file_name": "a.jpg", "height": HEIGHT, "width": WIDTH}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": 100, "bbox": [1, 2, 10, 10]}],
        "categories": [{"id": 1, "name": "thing"}],
    }
    (tmp_path / "b.json").write_text(json.dumps(coco))
    for frame in (UPRIGHT, STORED):
        [image] = load_detection_dataset(tmp_path / "b.json", tmp_path, exif=frame).images
        assert np.abs(read_item(image).astype(int) - as_pillow(tmp_path / "a.jpg", upright=frame == UPRIGHT)).max() <= 4


def test_detector_boxes_use_the_frame_of_the_annotations(tmp_path: Path) -> None:
    path, folder = keypoint_file(tmp_path, [("a.jpg", 8, AS_STORED), ("b.jpg", 3, AS_STORED), ("c.jpg", 1, AS_STORED)])
    data = load_keypoint_dataset(path, folder).head(1)
    entries = [{"image_id": n, "category_id": 1, "bbox": [1, 1, 9, 9], "score": 0.9} for n in (1, 2)]
    (tmp_path / "detections.json").write_text(json.dumps(entries[:1]))
    assert [item.upright for item in load_detector_boxes(tmp_path / "detections.json", data, folder)] == [False]


# --- the commands


@pytest.fixture
def turned_people(people: People) -> People:
    """The people, with images stored upside down and an EXIF orientation that turns them back."""
    for entry in people.coco["images"]:
        path = people.images / entry["file_name"]
        image = np.array(Image.open(path))
        save(path, 3, image[::-1, ::-1])
    return people


def test_evaluate_and_compare_agree(
    turned_people: People, model_path: Callable[..., Path], invoke: Invoke, tmp_path: Path
) -> None:
    data = ("--annotations", turned_people.annotations, "--images", turned_people.images)
    for frame in (UPRIGHT, STORED):
        for command, options in (
            ("evaluate", ("--json", tmp_path / "e.json")),
            ("compare", ("--rounds", 1, "--output", tmp_path / "c")),
        ):
            code, _, error = invoke(command, model_path(), *data, *options, "--exif", frame)
            assert code == 0, error
            assert "EXIF" not in error
        evaluation, comparison = (json.loads((tmp_path / name).read_text()) for name in ("e.json", "c/results.json"))
        assert evaluation["options"]["exif"] == comparison["data"]["exif"] == frame
        assert comparison["models"][0]["evaluation"]["pck"] == evaluation["pck"]
        assert comparison["models"][0]["evaluation"]["oks"] == evaluation["oks"]
    model = TFLiteModel(model_path())
    upright, stored = (
        list(
            predict_instances(model, load_keypoint_dataset(turned_people.annotations, turned_people.images, exif=frame).instances)
        )
        for frame in (UPRIGHT, STORED)
    )
    assert not np.allclose(upright, stored)
    for entry in turned_people.coco["images"]:  # Pillow writes upright pixels without EXIF
        path = turned_people.images / entry["file_name"]
        ImageOps.exif_transpose(Image.open(path)).save(path.with_suffix(".png"))
        entry["file_name"] = path.with_suffix(".png").name
    turned_people.rewrite()
    plain = list(predict_instances(model, load_keypoint_dataset(turned_people.annotations, turned_people.images).instances))
    np.testing.assert_allclose(upright, plain, atol=1.0)


def test_the_command_line_warns_in_one_line(turned_people: People, model_path: Callable[..., Path], invoke: Invoke) -> None:
    data = ("--annotations", turned_people.annotations, "--images", turned_people.images)
    code, _, error = invoke("evaluate", model_path(), *data)
    assert code == 0
    [line] = [line for line in error.splitlines() if "EXIF" in line]
    assert line.startswith("warning: ")
    assert f"{turned_people.annotations}: EXIF turns 3 images such as 000001.jpg" in line
    assert "They are read as upright; set --exif to upright or stored" in line
    assert "DataWarning" not in error
    code, _, error = invoke("evaluate", model_path(), *data, "--exif", "both")
    assert code == 2
    assert "--exif must be one of upright, stored, got 'both'" in one_line(error)


@pytest.mark.slow
def test_masks_and_images_share_a_frame(task_model: Callable[..., TaskModel], invoke: Invoke, tmp_path: Path) -> None:
    """The same pixels, stored upside down and turned back by EXIF, give the same figures."""
    rng = np.random.default_rng(0)
    model = task_model("segmentation", ("a", "b", "c")).path
    figures = []
    for kind, turn in (("plain", 1), ("turned", 3)):
        for number in range(3):
            image, mask = cv2.resize(rng.integers(0, 256, (6, 8, 3), np.uint8), (80, 60)), rng.integers(0, 3, (60, 80), np.uint8)
            save(tmp_path / kind / "images" / f"{number}.png", turn, image if turn == 1 else image[::-1, ::-1])
            (tmp_path / kind / "masks").mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / kind / "masks" / f"{number}.png"), mask)
        rng = np.random.default_rng(0)
        data = ("--images", tmp_path / kind / "images", "--masks", tmp_path / kind / "masks", "--exif", UPRIGHT)
        json_path = tmp_path / f"{kind}.json"
        code, _, error = invoke("evaluate", model, *data, "--json", json_path)
        assert code == 0, error
        figures.append(json.loads(json_path.read_text())["miou"])
    assert figures[0] == pytest.approx(figures[1], abs=1e-12)


def people_of(result: PictureResult) -> PredictedPeople:
    assert isinstance(result.prediction, PredictedPeople)
    return result.prediction


def test_predict(turned_people: People, model_path: Callable[..., Path], tmp_path: Path) -> None:
    model = TFLiteModel(model_path())
    images = sorted(turned_people.images.glob("*.jpg"))
    boxes = load_boxes(turned_people.annotations, images)
    for frame in (UPRIGHT, STORED):
        results = predict_pictures(
            KeypointPredictor(model),
            images,
            tmp_path / frame,
            boxes=boxes,
            frame=images_frame(images, turned_people.annotations, frame),
        )
        instances = load_keypoint_dataset(turned_people.annotations, turned_people.images, exif=frame).instances
        expected = list(predict_instances(model, instances))
        keypoints = np.concatenate([people_of(result).keypoints for result in results])
        np.testing.assert_allclose(keypoints[: len(expected)], expected, atol=1e-9)
    assert images_frame(images, None, None).is_upright(images[0])
    assert not images_frame(images, None, STORED).is_upright(images[0])
    with pytest.warns(DataWarning, match=r"people\.json.* 3 images"):
        images_frame(images, turned_people.annotations, None)
    sideways = keypoint_file(tmp_path / "s", [("a.jpg", 8, AS_STORED)])
    assert not images_frame([sideways[1] / "a.jpg"], sideways[0], None).is_upright(sideways[1] / "a.jpg")


def test_missing_images_are_ignored(tmp_path: Path) -> None:
    assert find_frame([tmp_path / "none.jpg"], lambda path: None, "f").stored == frozenset()
