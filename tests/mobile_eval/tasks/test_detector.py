"""Decoding of detector outputs in numpy, against the Keras detector."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hrnet_tf.models.detection import anchors as keras_anchors
from hrnet_tf.models.detection import faster_rcnn
from hrnet_tf.models.detection.proposals import Proposals
from hrnet_tf.models.detection.roi_align import RoIAlign
from mobile_eval.tasks.detection import anchors, roi_align
from mobile_eval.tasks.detection.boxes import Objects, box_ious, decode_objects, decode_proposals, non_maximum_suppression
from mobile_eval.tasks.detection.constants import BOX_STDS, STRIDES

SIZE = (64, 96)
Array = NDArray[np.float32]


@pytest.fixture(scope="module")
def rpn() -> tuple[Array, Array]:
    """Logits (A,) and deltas (A, 4) of all anchors; some boxes overlap, some are outside the image."""
    rng = np.random.default_rng(3)
    count = sum(keras_anchors.anchor_counts(SIZE))
    deltas = rng.standard_normal((count, 4)).astype(np.float32)
    deltas[:20, 0] = -50
    return rng.standard_normal(count).astype(np.float32), deltas


@pytest.mark.parametrize("size", [SIZE, (96, 160), (800, 1216)])
def test_anchors(size: tuple[int, int]) -> None:
    levels = anchors.level_anchors(size)
    assert [len(level) for level in levels] == keras_anchors.anchor_counts(size)
    np.testing.assert_array_equal(np.concatenate(levels), keras_anchors.anchor_boxes(size))


def test_decode_deltas(rpn: tuple[Array, Array]) -> None:
    expected = keras_anchors.clip_boxes(keras_anchors.decode_deltas(keras_anchors.anchor_boxes(SIZE), rpn[1], BOX_STDS), SIZE)
    boxes = anchors.decode(np.concatenate(anchors.level_anchors(SIZE)), rpn[1], BOX_STDS, SIZE)
    np.testing.assert_allclose(boxes, expected, atol=1e-3)


def test_suppression_by_hand() -> None:
    empty = [[0, 0, 0, 0], [0, 2, 0, 9], [0, 2, 0, 8]]
    rows = np.array([[0, 0, 10, 10], [0, 0, 10, 7], [0, 0, 10, 4.9], [20, 0, 30, 10], *empty], np.float32)
    assert box_ious(rows[0], rows).tolist() == pytest.approx([1, 0.7, 0.49, 0, 0, 0, 0])
    assert non_maximum_suppression(rows, 0.5, 10).tolist() == [0, 2, 3, 4, 5, 6]
    assert non_maximum_suppression(rows[4:], 0.5, 10).tolist() == [0, 1, 2]
    assert non_maximum_suppression(rows, 0.5, 2).tolist() == [0, 2]
    assert non_maximum_suppression(rows[:0], 0.5, 2).tolist() == []


@pytest.mark.parametrize(("candidates", "count"), [(1000, 1000), (200, 50)])
def test_proposals(rpn: tuple[Array, Array], candidates: int, count: int) -> None:
    expected, scores = (part.numpy()[0] for part in Proposals(SIZE, count, candidates)([part[None] for part in rpn]))
    ends = np.cumsum(keras_anchors.anchor_counts(SIZE))[:-1]
    boxes, probabilities = decode_proposals(np.split(rpn[0], ends), np.split(rpn[1], ends), SIZE, candidates, count)
    np.testing.assert_allclose(probabilities, scores, atol=1e-6)
    np.testing.assert_allclose(boxes, expected, atol=1e-3)
    assert boxes.shape == (count, 4)


def test_roi_align() -> None:
    rng = np.random.default_rng(0)
    levels = [rng.standard_normal((1, 512 // stride, 256 // stride, 3)).astype(np.float32) for stride in STRIDES[:4]]
    corners = rng.uniform(0, [200, 400], (40, 2))
    ends = np.minimum(corners + rng.uniform(0, [256, 512], (40, 2)), [256, 512])
    rows = np.concatenate([corners, ends], axis=1).astype(np.float32)
    rows[:3] = [[0, 0, 256, 512], [0, 0, 0, 0], [250, 500, 256, 512]]
    expected = RoIAlign()([rows[None], *levels]).numpy()[0]
    np.testing.assert_allclose(roi_align.roi_align(rows, [level[0] for level in levels]), expected, atol=1e-3)


def head_outputs(seed: int, count: int = 60, classes: int = 3) -> tuple[Array, Array, Array, Array]:
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, [70, 40], (count, 2))
    rows = np.concatenate([corners, corners + rng.uniform(5, 25, (count, 2))], axis=1)
    objectness = np.where(np.arange(count) < count - 5, 0.5, 0)
    logits, deltas = rng.standard_normal((count, classes + 1)) * 3, rng.standard_normal((count, 4 * (classes + 1)))
    return tuple(np.asarray(values, np.float32) for values in (rows, objectness, logits, deltas))  # type: ignore[return-value]


@pytest.mark.parametrize("seed", range(4))
def test_objects(seed: int) -> None:
    rows = head_outputs(seed)
    names = ("proposals", "objectness", "class_logits", "box_deltas")
    expected = faster_rcnn.decode_detections({name: row[None] for name, row in zip(names, rows, strict=True)}, SIZE)
    objects = decode_objects(*rows, SIZE, SIZE)
    count = int(expected.counts[0])
    assert len(objects) == count > 20
    np.testing.assert_allclose(objects.scores, expected.scores[0, :count], atol=1e-6)
    np.testing.assert_allclose(objects.boxes, expected.boxes[0, :count], atol=1e-3)
    np.testing.assert_array_equal(objects.labels, expected.classes[0, :count])


def test_boxes_are_scaled_to_the_image() -> None:
    rows = head_outputs(0)
    small, large = decode_objects(*rows, SIZE, SIZE), decode_objects(*rows, SIZE, (640, 480))
    np.testing.assert_allclose(large.boxes, small.boxes * np.array([5, 10, 5, 10], np.float32), rtol=1e-5)


def test_objects_of_a_higher_score_are_the_same() -> None:
    rows = head_outputs(1)
    every, best = decode_objects(*rows, SIZE, SIZE), decode_objects(*rows, SIZE, SIZE, min_score=0.5)
    assert 5 < len(best) < len(every)
    np.testing.assert_array_equal(best.boxes, every.boxes[every.scores >= 0.5])


def test_background_has_no_objects() -> None:
    rows, objectness, logits, deltas = head_outputs(0)
    objects = decode_objects(rows, np.zeros_like(objectness), logits, deltas, SIZE, SIZE)
    assert len(objects) == 0
    assert objects.results(1, (1, 2, 3)) == []


def test_results_have_the_category_ids_of_the_file() -> None:
    objects = Objects(np.array([[1, 2, 3, 4]], np.float32), np.array([0.5], np.float32), np.array([1]))
    assert objects.results(9, (3, 7)) == [{"image_id": 9, "category_id": 7, "bbox": [1, 2, 3, 4], "score": 0.5}]
