"""Identities, their counts, smoothing, and people whom a detector finds in a video."""

from __future__ import annotations

import itertools
import json
import math
import runpy
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from mobile_eval.errors import HRNetError
from mobile_eval.metrics.assignment import assign
from mobile_eval.metrics.identities import IdentityCounts, count_identities, iou_matrix
from mobile_eval.pipeline.people_in_video import Following, PeopleInVideo
from mobile_eval.pipeline.predictors import open_predictor
from mobile_eval.pipeline.smoothing import OneEuroFilter, Smoothing
from mobile_eval.pipeline.tracking import Tracker, Tracking
from mobile_eval.pipeline.video import predict_video
from tests.support.ssd_file import scene, write_ssd
from training.data.synthetic.clip import draw_clip

Array = NDArray[np.float64]
NO_KEYPOINTS = np.zeros((2, 17, 3))
BENCHMARK = runpy.run_path(str(Path(__file__).parents[3] / "benchmarks" / "tracking.py"))


def test_assignment_costs_as_much_as_that_of_scipy() -> None:
    rng = np.random.default_rng(0)
    for index in range(300):
        shape = tuple(rng.integers(1, 9, 2))
        costs = rng.normal(size=shape) if index % 2 else rng.integers(0, 4, shape).astype(float)
        pairs = assign(costs)
        rows, columns = linear_sum_assignment(costs)
        assert len(pairs) == len({row for row, _ in pairs}) == len({column for _, column in pairs}) == min(shape)
        assert sum(costs[pair] for pair in pairs) == pytest.approx(costs[rows, columns].sum())
    with pytest.raises(HRNetError, match="`costs` must be finite"):
        assign(np.array([[math.nan]]))


def test_counts_by_hand() -> None:
    first, second = [0.0, 0, 10, 10], [50.0, 0, 10, 10]

    def frame(ids: list[int], predicted: list[int], boxes: list[list[float]]) -> tuple[tuple[NDArray[np.int64], Array], ...]:
        true = [[first, second][identity - 1] for identity in ids]
        return (np.array(ids), np.reshape(true, (-1, 4))), (np.array(predicted, np.int64), np.reshape(boxes, (-1, 4)))

    frames = [
        frame([1, 2], [7, 8], [first, second]),
        frame([1, 2], [7], [first]),  # the second is missed
        frame([1, 2], [7, 9], [first, second]),  # and comes back as another
        frame([1, 2], [9, 7], [first, second]),  # both are exchanged
        frame([1], [9, 4], [first, [20.0, 0, 10, 10]]),  # and one box is of nobody
    ]
    counts = count_identities(frames)  # type: ignore[arg-type]
    assert counts == IdentityCounts(switches=3, matched=8, missed=1, false=1)
    assert counts.mota == pytest.approx(1 - 5 / 9)
    assert iou_matrix(np.array([first]), np.array([[5.0, 0, 10, 10], second])).tolist() == [[pytest.approx(1 / 3), 0]]


def crossing(frame: int, hidden: range = range(0)) -> Array:
    """Boxes of two people who walk through each other; the second is hidden for a while."""
    boxes = np.array([[10.0 + 4 * frame, 10, 20, 60], [170.0 - 4 * frame, 12, 20, 60]])
    return boxes[:1] if frame in hidden else boxes


def test_identities_through_a_crossing() -> None:
    tracker = Tracker(None)
    seen = [tracker.update(boxes, NO_KEYPOINTS[: len(boxes)]).tolist() for boxes in map(crossing, range(40))]
    assert seen == [[1, 2]] * 40
    tracker = Tracker(None)
    hidden = range(17, 24)
    frames = [crossing(frame, hidden) for frame in range(40)]
    seen = [tracker.update(boxes, NO_KEYPOINTS[: len(boxes)]).tolist() for boxes in frames]
    assert seen == [[1] if frame in hidden else [1, 2] for frame in range(40)]


def test_lost_people_are_forgotten_in_time() -> None:
    tracker = Tracker(None, Tracking(max_lost=3))
    boxes, nobody = np.array([[10.0, 10, 20, 60]]), np.zeros((0, 4))
    assert tracker.update(boxes, NO_KEYPOINTS[:1]).tolist() == [1]
    for absent, identity in ((3, 1), (4, 2)):
        for _ in range(absent):
            assert tracker.update(nobody, NO_KEYPOINTS[:0]).tolist() == []
        assert tracker.update(boxes, NO_KEYPOINTS[:1]).tolist() == [identity]
    assert tracker.update(boxes + np.array([200, 0, 0, 0]), NO_KEYPOINTS[:1]).tolist() == [3]
    with pytest.raises(HRNetError, match="`min_similarity` from 0 to 1, got 45 and 2"):
        Tracking(min_similarity=2)


def test_colours_tell_people_apart() -> None:
    """Two people exchange places while nobody is seen."""
    image, exchanged = np.zeros((80, 200, 3), np.uint8), np.zeros((80, 200, 3), np.uint8)
    image[:, :100], image[:, 100:] = (200, 30, 30), (30, 30, 200)
    exchanged[:, :100], exchanged[:, 100:] = (30, 30, 200), (200, 30, 30)
    boxes = np.array([[60.0, 10, 30, 60], [105.0, 10, 30, 60]])
    tracker = Tracker(None)
    assert tracker.update(boxes, NO_KEYPOINTS, image).tolist() == [1, 2]
    for _ in range(20):
        tracker.update(np.zeros((0, 4)), NO_KEYPOINTS[:0], image)
    middle = np.array([[70.0, 10, 30, 60], [95.0, 10, 30, 60]])
    assert tracker.update(middle, NO_KEYPOINTS, exchanged).tolist() == [2, 1]


@pytest.mark.slow
def test_fewer_switches_than_boxes_alone() -> None:
    """Drawn clips with crossings, as `benchmarks/tracking.py` has them."""
    totals = {settings: IdentityCounts() for settings in (Tracking(), Tracking(boxes_only=True))}
    for seed in (200, 201, 202):
        frames = list(draw_clip(np.random.default_rng(seed), (120, 160), 60, 4))
        rng = np.random.default_rng(seed)
        predicted = [BENCHMARK["disturbed"](frame, rng) for frame in frames]
        for settings in totals:
            totals[settings] += BENCHMARK["count"](frames, predicted, settings)
    tracker, baseline = totals.values()
    assert tracker.switches < baseline.switches / 2
    assert tracker.mota > 0.9


def test_smoothing_removes_jitter_and_lags_little() -> None:
    rng = np.random.default_rng(0)
    noisy = 50 + rng.normal(0, 1, (200, 17, 2))
    smooth = OneEuroFilter(Smoothing())
    filtered = np.stack([smooth(points, number / 25, 100.0) for number, points in enumerate(noisy)])
    assert filtered[50:].std() < 0.75 * noisy[50:].std()
    assert np.abs(filtered.mean() - 50) < 0.05
    frames = [list(draw_clip(np.random.default_rng(3), (96, 128), 45, 4))]
    before, after, error, lag = BENCHMARK["smoothing_figures"](Smoothing(), frames)
    assert after < 0.85 * before
    assert error < 1.1
    assert lag < 1
    step = OneEuroFilter(Smoothing())
    assert step(np.zeros((1, 2)), 0.0, 100.0).tolist() == [[0, 0]]
    assert step(np.full((1, 2), 8.0), 0.0, 100.0).tolist() == [[8, 8]]  # a time that does not grow begins anew
    with pytest.raises(HRNetError, match=r"`min_cutoff_hz` must be above 0 .* got 0 and 1"):
        Smoothing(0, 1)


def write_scenes(path: Path, count: int = 10) -> Path:
    """Two people, and for two frames nobody."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (240, 160))
    for number in range(count):
        cells = {} if number in (6, 7) else {(0, 0): "person", (2, 4): "person"}
        writer.write(scene(cells, (160, 240))[..., ::-1])
    writer.release()
    return path


def test_people_of_a_detector_keep_their_identities(model_path: Callable[..., Path], tmp_path: Path) -> None:
    detector = write_ssd(tmp_path / "ssd.tflite")
    predictor = open_predictor(model_path(), detector=detector)
    result = predict_video(predictor, write_scenes(tmp_path / "walk.avi"), tmp_path / "out")
    assert (result.frames, result.identities) == (10, 2)
    assert str(result).startswith(f"{tmp_path / 'out' / 'walk_pose.mp4'}: 10 frames, 2 identities, ")
    lines = [json.loads(line) for line in (tmp_path / "out" / "walk_pose.jsonl").read_text().splitlines()]
    ids = [sorted(entry["id"] for entry in line["instances"]) for line in lines]
    assert ids == [[] if number in (6, 7) else [1, 2] for number in range(10)]
    by_place = {entry["id"]: entry["bbox"][0] for entry in lines[-1]["instances"]}
    assert sorted(by_place.values()) == [pytest.approx(0, abs=1), pytest.approx(160, abs=1)]
    assert [line["time_s"] for line in lines] == pytest.approx([number / 10 for number in range(10)])


def test_detector_runs_in_every_nth_frame(model_path: Callable[..., Path], tmp_path: Path) -> None:
    predictor = open_predictor(model_path(), detector=write_ssd(tmp_path / "ssd.tflite"))
    people = PeopleInVideo(predictor, Following(detect_every=3, smoothing=Smoothing()))  # type: ignore[arg-type]
    image = scene({(0, 0): "person"}, (160, 240))
    ran = [people.predict(image, number / 10).detector_times.network_ms > 0 for number in range(7)]
    assert ran == [True, False, False, True, False, False, True]
    with pytest.raises(HRNetError, match="`detect_every` must be at least 1, got 0"):
        Following(detect_every=0)


def test_boxes_of_a_video(tmp_path: Path) -> None:
    result = predict_video(open_predictor(write_ssd(tmp_path / "ssd.tflite")), write_scenes(tmp_path / "walk.avi", 3), tmp_path)
    assert result.video.name == "walk_boxes.mp4"
    lines = [json.loads(line) for line in result.video.with_suffix(".jsonl").read_text().splitlines()]
    assert [[entry["class"] for entry in line["instances"]] for line in lines] == [["person", "person"]] * 3
    assert all(before["time_s"] < after["time_s"] for before, after in itertools.pairwise(lines))
