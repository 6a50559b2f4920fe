"""benchmarks/peers/pose.py: MoveNet's crops, coordinates and joints, and the comparison with its file where that is present."""

from __future__ import annotations

import json
import os
import runpy
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import Box

LSPET = [
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist",
    "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck", "head_top",
]  # fmt: skip
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
pose = SimpleNamespace(**runpy.run_path(str(BENCHMARKS / "peers" / "pose.py"), run_name="pose"))
DOTS = {0: (30, 15), 1: (121, 102), 2: (78, 62)}  # (x, y) in the image by channel


@dataclass(frozen=True)
class Instance:
    image_path: Path
    box: Box
    image_size: tuple[int, int] | None = None
    upright: bool = True


def find_dots(crop: NDArray[np.uint8]) -> NDArray[np.float64]:
    """A network whose joint j is the dot of channel j % 3, by its center of mass; score 0 where the crop does not have it."""
    keypoints = np.zeros((17, 3))
    for joint in range(17):
        light = crop[..., joint % 3].astype(np.float64)
        if light.max() > 0:
            y, x = (np.indices(light.shape) * light).sum(axis=(1, 2)) / light.sum()
            keypoints[joint] = y / 192, x / 192, 1
    return keypoints


@pytest.fixture
def dots(tmp_path: Path) -> Path:
    image = np.zeros((120, 160, 3), np.uint8)
    for channel, (x, y) in DOTS.items():
        image[y - 1 : y + 2, x - 1 : x + 2, channel] = 255
    cv2.imwrite(str(tmp_path / "dots.png"), image[..., ::-1])
    return tmp_path / "dots.png"


@pytest.mark.parametrize("box", [(60.0, 20.0, 30.0, 80.0), (35.0, 45.0, 80.0, 30.0)], ids=["tall", "wide"])
def test_the_crop_is_a_square_of_the_longer_side(dots: Path, box: Box) -> None:
    """Around (75, 60), 80 pixels with a padding of 1, and 100 with 1.25: then all dots are in the crop."""
    [wide, narrow] = (pose.predict(find_dots, [Instance(dots, box)], padding)[0] for padding in (1.25, 1.0))
    for joint in range(17):
        np.testing.assert_allclose(wide[joint, :2], DOTS[joint % 3], atol=0.6)
    np.testing.assert_array_equal(narrow[:3, 2], [0, 0, 1])
    np.testing.assert_allclose(narrow[2, :2], DOTS[2], atol=0.6)


def test_joints_are_matched_by_name() -> None:
    ours, movenet = pose.shared_joints(LSPET)
    assert dict(zip(ours, movenet, strict=True)) == {
        0: 16, 1: 14, 2: 12, 3: 11, 4: 13, 5: 15, 6: 10, 7: 8, 8: 6, 9: 5, 10: 7, 11: 9,
    }  # fmt: skip
    with pytest.raises(HRNetError, match="tail"):
        pose.shared_joints(["tail"])


def test_differences_are_paired_over_people() -> None:
    people = np.random.default_rng(0).integers(0, 9, 50)
    movenet, better = (np.column_stack([people + more, np.full(50, 12)]).astype(np.float64) for more in (0, 3))
    first, second = pose.accuracy({"movenet": movenet, "better": better})
    assert (first.pck, first.difference, first.interval) == (people.sum() / 600, None, None)
    assert second.difference == pytest.approx(0.25)
    assert second.interval is not None
    assert (second.interval.low, second.interval.high) == (pytest.approx(0.25), pytest.approx(0.25))


@pytest.mark.external
def test_movenet_beside_a_file(lspet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    movenet = Path(os.environ.get("HRNET_MOVENET", ""))
    if not movenet.is_file():
        pytest.skip("set HRNET_MOVENET to movenet_single_pose_lightning_ptq.tflite; benchmarks/peers/pose.py downloads it")
    annotations = json.loads((lspet / "person_keypoints_val.json").read_text())
    annotations["annotations"] = annotations["annotations"][:100]
    (tmp_path / "val.json").write_text(json.dumps(annotations))
    options = {"--val": tmp_path / "val.json", "--images": lspet / "images", "--json": tmp_path / "result.json"}
    options |= {"--movenet": movenet, "--padding": 1.25, "--rounds": 3}
    file = BENCHMARKS / "results" / "lspet" / "links-int8.tflite"
    words = ["pose.py", file, *(word for item in options.items() for word in item)]
    monkeypatch.setattr(sys, "argv", list(map(str, words)))
    pose.main()
    result = json.loads((tmp_path / "result.json").read_text())
    peer, links = result["accuracy"]
    assert result["people"] == 100
    assert 0.6 < peer["pck"] < 0.8
    assert 0.5 < links["pck"] < 0.8
    assert links["interval"]["low"] < links["difference"] < links["interval"]["high"]
    assert result["processor_time"]["models"][1]["ratio"] < 0.5
