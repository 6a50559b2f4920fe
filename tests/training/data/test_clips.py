"""Clips of drawn people: exact joints, boxes and identities, crossings and occlusion."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from mobile_eval.errors import HRNetError
from tests.support.program import Hrnet
from training.data.synthetic import write_synthetic_people
from training.data.synthetic.clip import ClipFrame, draw_clip
from training.data.synthetic.clip_files import write_synthetic_clips

SIZE, FRAMES = (120, 160), 40


@pytest.fixture(scope="module")
def clip() -> list[ClipFrame]:
    return list(draw_clip(np.random.default_rng(4), SIZE, FRAMES, 4))


def positions(clip: list[ClipFrame]) -> dict[int, dict[int, float]]:
    """The middle x of the box of each identity, by frame."""
    places: dict[int, dict[int, float]] = {}
    for number, frame in enumerate(clip):
        for entry in frame.people:
            x, _, width, _ = entry.person.box
            places.setdefault(entry.identity, {})[number] = x + width / 2
    return places


def test_people_move_smoothly_and_cross(clip: list[ClipFrame]) -> None:
    places = positions(clip)
    assert set(places) == {1, 2, 3, 4}
    crossings = 0
    for first, second in itertools.combinations(places.values(), 2):
        both = sorted(first.keys() & second.keys())
        sides = np.sign([first[frame] - second[frame] for frame in both])
        crossings += int((np.diff(sides) != 0).sum())
    assert crossings >= 2
    for before, after in itertools.pairwise(clip):
        joints = {entry.identity: entry.person.points[:17, :2] for entry in before.people}
        for entry in after.people:
            if entry.identity in joints:
                steps = np.linalg.norm(entry.person.points[:17, :2] - joints[entry.identity], axis=1)
                assert steps.max() < 0.12 * SIZE[0]


def test_hidden_people_are_marked(clip: list[ClipFrame]) -> None:
    shares = [entry.visible for frame in clip for entry in frame.people]
    assert min(shares) < 0.5
    assert max(shares) == 1
    for frame in clip:
        for entry in frame.people:
            keypoints = entry.person.keypoints
            if entry.visible < 0.2:
                assert (keypoints[:, 2] == 2).mean() < 0.6
            inside = keypoints[keypoints[:, 2] > 0, :2]
            x, y, width, height = entry.person.box
            assert np.all((inside >= (x - 1, y - 1)) & (inside <= (x + width + 1, y + height + 1)))


def test_same_seed_draws_the_same_clip(clip: list[ClipFrame]) -> None:
    again = list(draw_clip(np.random.default_rng(4), SIZE, FRAMES, 4))
    np.testing.assert_array_equal(again[7].image, clip[7].image)
    other = next(draw_clip(np.random.default_rng(5), SIZE, FRAMES, 4))
    assert np.abs(other.image.astype(int) - clip[0].image).mean() > 10
    with pytest.raises(HRNetError, match="`people` 1 to 8, got 5 and 9"):
        next(draw_clip(np.random.default_rng(0), SIZE, 5, 9))


def test_written_clips(tmp_path: Path, hrnet: Hrnet) -> None:
    folder = tmp_path / "clips"
    completed = hrnet("data synthetic --video --clips 2 --frames 6 --people 3 --image-size 96x128 --output", folder)
    assert (completed.code, completed.out.splitlines()[-1]) == (0, f"data: {folder}")
    content = json.loads((folder / "clips.json").read_text())
    assert [(video["name"], video["fps"]) for video in content["videos"]] == [("clip_000.avi", 25.0), ("clip_001.avi", 25.0)]
    assert [(image["video_id"], image["frame_id"]) for image in content["images"]] == [(v, f) for v in (1, 2) for f in range(6)]
    assert {annotation["track_id"] for annotation in content["annotations"]} <= {1, 2, 3}
    first = [annotation for annotation in content["annotations"] if annotation["image_id"] == 7]
    frame = next(draw_clip(np.random.default_rng((0, 1)), (96, 128), 6, 3))
    assert [annotation["bbox"] for annotation in first] == [list(entry.person.box) for entry in frame.people]
    capture = cv2.VideoCapture(str(folder / "clip_001.avi"))
    assert int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) == 6
    _, image = capture.read()
    assert np.abs(cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(int) - frame.image).mean() < 6  # JPEG on noise
    written = (folder / "clips.json").stat().st_mtime_ns
    write_synthetic_clips(folder, 2, frames=6, people=3, image_size=(96, 128))
    assert (folder / "clips.json").stat().st_mtime_ns == written
    completed = hrnet("data synthetic --video --task detection --output", tmp_path / "b")
    assert (completed.code, completed.err.splitlines()[-1]) == (2, "error: --video is for the task pose, got detection")


def test_scenes_of_more_people(tmp_path: Path) -> None:
    write_synthetic_people(tmp_path / "many", 12, 1, people=5)
    content = json.loads((tmp_path / "many" / "person_keypoints_train.json").read_text())
    counts = [sum(a["image_id"] == image["id"] for a in content["annotations"]) for image in content["images"]]
    assert 3 < max(counts) <= 5
    with pytest.raises(HRNetError, match="`people` must be from 1 to 6 in a scene, got 7"):
        write_synthetic_people(tmp_path / "more", 1, 1, people=7)
