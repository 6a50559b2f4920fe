"""Face lists: WFLW text files, tables of the official code, and .pts files of 300W."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from mobile_eval.datasets.coco.keypoints import load_keypoint_dataset
from mobile_eval.errors import HRNetError
from mobile_eval.image.image_size import stored_size
from tests.mobile_eval.conftest import Invoke, TaskModel, one_line


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two images: 120 x 200 (height x width) as JPEG, 90 x 80 as PNG in a subfolder."""
    folder = tmp_path / "images"
    (folder / "37--Soccer").mkdir(parents=True)
    cv2.imwrite(str(folder / "37--Soccer" / "b.png"), np.zeros((90, 80, 3), np.uint8))
    cv2.imwrite(str(folder / "a.jpg"), np.zeros((120, 200, 3), np.uint8))
    return folder


def wflw_line(image: str, x: float, attributes: str = "0 0 0 0 0 0", box: str = "10 20 70 100") -> str:
    points = " ".join(f"{x + index % 10} {30.5 + index // 10}" for index in range(98))
    return f"{points} {box} {attributes} {image}"


def test_wflw(images: Path, tmp_path: Path) -> None:
    path = tmp_path / "list_98pt_rect_attr_train.txt"
    lines = [
        wflw_line("a.jpg", 20.25, "1 0 0 0 1 0"),
        wflw_line("37--Soccer/b.png", -5),
        wflw_line("a.jpg", 90, box="80 20 140 100"),
    ]
    path.write_text("\n".join(lines) + "\n\n")
    data = load_keypoint_dataset(path, images)
    assert (data.category.name, data.names[0], data.names[97], len(data.names)) == ("face", "landmark_0", "landmark_97", 98)
    first, second, third = data.instances
    assert first.box == (10, 20, 60, 80)
    assert (first.image_size, second.image_size) == ((120, 200), (90, 80))
    assert (first.image_id, second.image_id, third.image_id) == (1, 2, 1)
    assert second.image_path == images / "37--Soccer" / "b.png"
    assert first.keypoints[[0, 11, 97]].tolist() == [[20.25, 30.5, 2], [21.25, 31.5, 2], [27.25, 39.5, 2]]
    assert second.keypoints[0].tolist() == [-5, 30.5, 2]  # outside its image, but it counts
    assert [a["attributes"] for a in data.coco["annotations"]] == [["pose", "occlusion"], [], []]
    assert data.skipped_summary == ""


def test_tables(images: Path, tmp_path: Path) -> None:
    path = tmp_path / "face_landmarks_300w_train.csv"
    header = "image_name,scale,center_w,center_h,original_0_x,original_0_y,original_1_x,original_1_y"
    path.write_text(f"{header}\na.jpg,0.5,60.0,55,10,20.5,30,40\n")
    data = load_keypoint_dataset(path, images)
    assert data.names == ("landmark_0", "landmark_1")
    assert data.instances[0].box == (10, 5, 100, 100)
    assert data.instances[0].keypoints.tolist() == [[10, 20.5, 2], [30, 40, 2]]
    path.write_text("index,image_name,scale,center_w,center_h,left_x,left_y,right_x,right_y,kind\n0,a.jpg,0.5,60,55,1,2,3,4,z\n")
    data = load_keypoint_dataset(path, images)
    assert (data.names, data.category.flip_pairs) == (("left", "right"), ((0, 1),))
    assert data.instances[0].keypoints[1].tolist() == [3, 4, 2]


def points_file(points: list[tuple[float, float]]) -> str:
    return f"version: 1\nn_points:  {len(points)}\n{{\n" + "".join(f"{x} {y}\n" for x, y in points) + "}\n"


def test_points_files(images: Path) -> None:
    (images / "a.pts").write_text(points_file([(11, 21), (41, 61), (31, 30.5)]))
    (images / "37--Soccer" / "b.pts").write_text(points_file([(1, 1), (2, 3), (4, 5)]))
    data = load_keypoint_dataset(images, images)
    assert [instance.image_path.name for instance in data.instances] == ["b.png", "a.jpg"]
    assert data.instances[1].keypoints.tolist() == [[10, 20, 2], [40, 60, 2], [30, 29.5, 2]]  # counted from 0
    assert data.instances[1].box == (10, 20, 30, 40)
    assert data.names == ("landmark_0", "landmark_1", "landmark_2")


HEADER = "image_name,scale,center_w,center_h,a_x,a_y"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("list.txt", "{good}\n1 2 3", "list.txt, line 2: 3 entries, expected 207: 196 coordinates, 4 of the box, 6 attributes"),
        ("list.txt", "{good} more", "list.txt, line 1: 208 entries, expected 207"),
        ("list.txt", "{letter}", "list.txt, line 1: 'x' is not a number"),
        ("list.txt", "{flat}", "list.txt, line 1: its box 10, 20, 0, 80 (x, y, width, height) has no area"),
        ("list.txt", "\n{missing}", "list.txt, line 2: cannot read image "),
        ("list.txt", "", "list.txt holds no face"),
        ("list.csv", "name,x\n", "list.csv, line 1: expected a header image_name,scale,center_w,center_h,original_0_x"),
        (
            "list.csv",
            HEADER + "\na.jpg,1,2,3,4,5\na.jpg,1,2",
            "line 3: 3 entries, but the header",
        ),
        ("list.csv", HEADER + "\na.jpg,1,2,3,nan,5", "line 2: 'nan' is not a finite number"),
        ("list.csv", HEADER + "\na.jpg\0,1,2,3,4,5", "list.csv, line 2"),
        ("list.csv", HEADER + "\na.jpg,0,2,3,4,5", "line 2: its box 2, 3, 0, 0 (x, y"),
        ("list.csv", HEADER + "\na.jpg,1,900,3,4,5", "lies outside the 200x120 image"),
        ("points/a.pts", "version: 1\nn_points: 68\n{1 2 3 4}", "a.pts: 4 coordinates, expected those of 68 landmarks"),
        ("points/a.pts", "1 2 3 4", "a.pts is not a .pts file"),
        ("points/c.pts", "version: 1\nn_points: 2\n{1 2 3 4}", "c.pts has no image c.jpg (or .png, ...) in "),
        ("points/a.txt", "", "points is a folder without .pts files"),
    ],
)
def test_malformed_entries_are_named(
    name: str, content: str, message: str, images: Path, tmp_path: Path, task_model: Callable[..., TaskModel], invoke: Invoke
) -> None:
    lines = {
        "good": wflw_line("a.jpg", 20),
        "letter": wflw_line("a.jpg", 20).replace("20 30.5", "20 x"),
        "flat": wflw_line("a.jpg", 20, box="10 20 10 100"),
        "missing": wflw_line("none.jpg", 20),
    }
    for key, line in lines.items():
        content = content.replace(f"{{{key}}}", line)
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    annotations = path.parent if path.parent != tmp_path else path
    model = task_model("landmarks", [f"landmark_{index}" for index in range(68)]).path
    code, _, error = invoke("evaluate", model, "--annotations", annotations, "--images", images)
    assert code == 2
    assert message in one_line(error)


@pytest.mark.slow
def test_face_lists_are_evaluated(images: Path, tmp_path: Path, task_model: Callable[..., TaskModel], invoke: Invoke) -> None:
    path = tmp_path / "test.txt"
    path.write_text(f"{wflw_line('a.jpg', 20)}\n{wflw_line('a.jpg', 25)}\n")
    model = task_model("landmarks", [f"landmark_{index}" for index in range(98)]).path
    code, out, _ = invoke("evaluate", model, "--annotations", path, "--images", images)
    assert code == 0
    assert "2 faces in 1 image, errors by inter-ocular" in out


@pytest.mark.parametrize("ending", [".jpg", ".png", ".bmp", ".webp", ".tif"])
def test_stored_size_of_each_format(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"image{ending}"
    cv2.imwrite(str(path), np.zeros((33, 71, 3), np.uint8))
    assert stored_size(path) == (33, 71)


def test_stored_size_after_long_comments_and_of_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "image.jpg"
    cv2.imwrite(str(path), np.zeros((33, 71, 3), np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    data = path.read_bytes()
    comment = b"\xff\xfe\xff\xff" + b"\xff" * 65533
    path.write_bytes(data[:2] + comment * 2 + b"\xff" + data[2:])
    assert stored_size(path) == (33, 71)
    for damaged in (b"", b"\xff\xd8\xff", b"text"):
        path.write_bytes(damaged)
        with pytest.raises(HRNetError, match=r"image\.jpg"):
            stored_size(path)
