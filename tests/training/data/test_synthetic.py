"""Synthetic people: keypoints match the image, and the folder is written completely or not at all."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mobile_eval.datasets.coco.keypoints import load_keypoint_dataset
from mobile_eval.errors import HRNetError
from mobile_eval.files import part_path
from mobile_eval.image.image_file import read_image
from training.data.synthetic import layouts, write_synthetic_people
from training.data.synthetic.body import PART, PARTS, Body, Wardrobe, draw_body, joint_visibility, place_body, random_wardrobe
from training.data.synthetic.figure import JOINTS, Point, random_figure
from training.data.synthetic.scene import draw_scene
from training.tasks.classification.synthetic import SIDES, SideLayout
from training.tasks.landmarks.synthetic import VISIBLE

SIZE = (192, 160)
SCENES = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("drawn") / "people"
    write_synthetic_people(path, 30, 8, seed=3)
    return path


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def single_body(seed: int) -> tuple[Body, Wardrobe]:
    """One person in the center of an image of SIZE."""
    rng = np.random.default_rng(seed)
    wardrobe = random_wardrobe(rng)
    body = place_body(random_figure(rng, wardrobe.build), wardrobe, 130.0)
    return body.moved(np.array([80.0, 95.0]) - (body.box[:2] + body.box[2:]) / 2), wardrobe


def drawn(body: Body, wardrobe: Wardrobe) -> tuple[np.ndarray, np.ndarray]:
    image, labels = np.zeros((*SIZE, 3), np.uint8), np.zeros(SIZE, np.uint8)
    draw_body(image, labels, body, wardrobe, person=0, light=1.0)
    return image, labels


def test_files_depend_on_the_seed(folder: Path, tmp_path: Path) -> None:
    write_synthetic_people(tmp_path / "same_seed", 30, 8, seed=3)
    write_synthetic_people(tmp_path / "other_seed", 30, 8, seed=4)
    assert files(tmp_path / "same_seed") == files(folder)
    assert files(tmp_path / "other_seed")["images/train_00000.jpg"] != files(folder)["images/train_00000.jpg"]


def test_image_does_not_depend_on_the_number_of_images(folder: Path, tmp_path: Path) -> None:
    write_synthetic_people(tmp_path / "few", 2, 1, seed=3)
    few, many = files(tmp_path / "few"), files(folder)
    images = {name for name in few if name.endswith(".jpg")}
    assert images == {"images/train_00000.jpg", "images/train_00001.jpg", "images/val_00000.jpg"}
    assert all(few[name] == many[name] for name in images)


@pytest.mark.parametrize(("split", "count"), [("train", 30), ("val", 8)])
def test_loads_as_a_coco_keypoint_dataset(folder: Path, split: str, count: int) -> None:
    data = load_keypoint_dataset(folder / f"person_keypoints_{split}.json", folder / "images")
    assert data.category.joints == JOINTS
    assert len(data.category.skeleton) == 19
    assert data.category.sigmas is not None
    assert len(data.category.flip_pairs) == 8
    assert len(data.coco["images"]) == count <= len(data)
    assert read_image(data.instances[0].image_path).shape == (*SIZE, 3)


def test_annotations_are_consistent(folder: Path) -> None:
    content = json.loads((folder / "person_keypoints_train.json").read_text())
    assert len({a["id"] for a in content["annotations"]}) == len(content["annotations"])
    for annotation in content["annotations"]:
        x, y, visible = np.reshape(annotation["keypoints"], (-1, 3)).T
        labelled = visible > 0
        assert annotation["num_keypoints"] == labelled.sum() >= 8
        assert annotation["iscrowd"] == 0
        left, top, width, height = annotation["bbox"]
        assert min(left, top) >= 0
        assert left + width <= SIZE[1] - 1 + 0.01
        assert top + height <= SIZE[0] - 1 + 0.01
        assert 0 < annotation["area"] <= (width + 2) * (height + 2)
        assert np.all((x >= left) & (x <= left + width) & (y >= top) & (y <= top + height) | ~labelled)
        assert np.all((x == 0) & (y == 0) | labelled)


def test_scenes_vary() -> None:
    scenes = [draw_scene(np.random.default_rng(seed), SIZE).people for seed in range(SCENES)]
    assert {len(people) for people in scenes} == {1, 2, 3}
    keypoints = np.stack([person.keypoints for people in scenes for person in people])
    shares = [float((keypoints[..., 2] == value).mean()) for value in (0, 1, 2)]
    assert 0 < shares[0] < 0.1
    assert 0.15 < shares[1] < 0.45
    faces_seen = (keypoints[:, Point.NOSE, 2] == 2).mean()
    assert 0.3 < faces_seen < 0.8
    left_is_right = (keypoints[:, Point.LEFT_SHOULDER, 0] > keypoints[:, Point.RIGHT_SHOULDER, 0]).mean()
    assert 0.35 < left_is_right < 0.85


@pytest.mark.parametrize(
    ("joint", "parts"),
    [
        (Point.LEFT_WRIST, ("left_hand", "left_forearm")),
        (Point.RIGHT_WRIST, ("right_hand", "right_forearm")),
        (Point.LEFT_KNEE, ("left_thigh", "left_shin")),
        (Point.RIGHT_ANKLE, ("right_shin", "right_foot")),
        (Point.NOSE, ("nose", "face", "left_eye", "right_eye", "mouth")),
    ],
)
def test_visible_keypoint_has_the_color_of_its_part(joint: Point, parts: tuple[str, ...]) -> None:
    visible_count = exact = 0
    for seed in range(SCENES):
        body, wardrobe = single_body(seed)
        colors = np.zeros((len(PARTS), 3))
        colors[[PART[part] for part in parts]] = (220, 0, 0)
        image, labels = drawn(body, Wardrobe(colors, wardrobe.worn, wardrobe.build))
        if joint_visibility(body, labels, 0)[joint] == 2:
            visible_count += 1
            x, y = np.round(body.points[joint, :2]).astype(int)
            # The dark edge of a neighboring part may cover the keypoint itself by a pixel.
            assert image[y - 1 : y + 2, x - 1 : x + 2, 0].max() >= 130, seed
            exact += image[y, x, 0] >= 110
    assert visible_count >= SCENES / 3
    assert exact >= 0.9 * visible_count


def test_face_is_hidden_from_behind() -> None:
    for seed in range(SCENES):
        body, wardrobe = single_body(seed)
        visibility = joint_visibility(body, drawn(body, wardrobe)[1], 0)
        facing = (body.points[Point.NOSE, 2] - body.points[Point.HEAD, 2]) / body.scale
        if facing < -0.02:
            assert visibility[Point.NOSE] == 1
            assert min(visibility[Point.LEFT_EYE], visibility[Point.RIGHT_EYE]) == 1


def test_visibility_of_covered_and_outside_keypoints() -> None:
    body, wardrobe = single_body(1)
    _, labels = drawn(body, wardrobe)
    assert (joint_visibility(body, labels, 0) == 2).sum() > 8
    assert np.all(joint_visibility(body, np.full_like(labels, 255), 0) == 1)
    assert np.all(joint_visibility(body, labels, person=1) == 1)
    outside = body.moved(np.array([0.0, -1000.0]))
    assert np.all(joint_visibility(outside, labels, 0) == 0)


def test_box_is_tight() -> None:
    for seed in range(10):
        body, wardrobe = single_body(seed)
        image, _ = drawn(body, wardrobe)
        y, x = np.nonzero(image.any(axis=2))
        assert np.array([x.min(), y.min(), x.max(), y.max()]) == pytest.approx(body.box, abs=2)


def test_complete_folder_is_not_written_again(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    write_synthetic_people(folder, 30, 8, seed=3)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_folder_with_other_content(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(HRNetError, match="other settings"):
        write_synthetic_people(folder, 31, 8, seed=3)
    (tmp_path / "mine").write_text("x")
    with pytest.raises(HRNetError, match="something else"):
        write_synthetic_people(tmp_path, 2, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_partial_folder_of_an_interrupted_run_is_removed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    name = part_path(tmp_path / "people").name.replace(f".{os.getpid()}-", f".{ended.pid}-")
    stale = tmp_path / name / "images"
    stale.mkdir(parents=True)
    (stale / "train_00099.jpg").write_bytes(b"half")
    write_synthetic_people(tmp_path / "people", 2, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["people"]
    assert len(list((tmp_path / "people" / "images").iterdir())) == 3


def test_full_disk_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_to_write(path: Path, image: np.ndarray) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(layouts, "write_jpeg", fail_to_write)
    with pytest.raises(HRNetError, match=r"people.*No space left on device"):
        write_synthetic_people(tmp_path / "people", 2, 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("counts", "seed", "size", "message"),
    [
        ((0, 1), 0, SIZE, "got 0 and 1"),
        ((1, 1), -1, SIZE, "got -1"),
        ((1, 1), 0, (32, 160), "got 32x160"),
    ],
)
def test_bad_settings(tmp_path: Path, counts: tuple[int, int], seed: int, size: tuple[int, int], message: str) -> None:
    with pytest.raises(HRNetError, match=message):
        write_synthetic_people(tmp_path / "people", *counts, seed=seed, image_size=size)
    assert list(tmp_path.iterdir()) == []


def test_masks_cover_the_people(tmp_path: Path) -> None:
    write_synthetic_people(tmp_path / "masks", 3, 1, seed=3, task="segmentation")
    scene = draw_scene(np.random.default_rng((3, 0, 0)), SIZE)
    mask = cv2.imread(str(tmp_path / "masks" / "train" / "masks" / "train_00000.png"), cv2.IMREAD_UNCHANGED)
    people_area = sum(person.area for person in scene.people)
    assert set(np.unique(mask)) == {0, 1, 2, 3, 4}
    assert np.count_nonzero(mask) <= people_area  # other people and objects hide some
    assert np.count_nonzero(mask) > 0.5 * people_area


def test_landmarks_are_inside_the_face_box(tmp_path: Path) -> None:
    write_synthetic_people(tmp_path / "faces", 12, 4, seed=3, task="landmarks")
    faces = load_keypoint_dataset(tmp_path / "faces" / "face_keypoints_train.json", tmp_path / "faces" / "images")
    assert faces.category.flip_pairs == ((0, 1), (3, 4))
    for face in faces.instances:
        x, y, width, height = face.box
        assert (np.abs(face.keypoints[:, :2] - (x + width / 2, y + height / 2)) <= (width / 2, height / 2)).all()


def test_heads_are_in_the_folder_of_their_side(tmp_path: Path) -> None:
    rng, counts = np.random.default_rng(3), dict.fromkeys(SIDES, 0)
    layout = SideLayout(tmp_path, "train")
    for index in range(60):
        scene = draw_scene(rng, (192, 160))
        layout.add(str(index), scene)
        for number, person in enumerate(scene.people):
            paths = list(tmp_path.glob(f"train/*/{index}_{number}.jpg"))
            assert len(paths) <= 1
            if not paths:
                continue
            counts[paths[0].parent.name] += 1
            eyes = person.keypoints[[Point.LEFT_EYE, Point.RIGHT_EYE], 2]
            if (eyes == VISIBLE).all():
                assert paths[0].parent.name != "back"
    assert min(counts.values()) > 10
