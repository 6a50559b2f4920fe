"""The page's modules against the evaluator: each step from an image to keypoints and classes, metrics and statistics."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mobile_eval.benchmark.bootstrap import ratio_of_medians
from mobile_eval.datasets.coco.keypoints import load_keypoint_dataset
from mobile_eval.image.image_file import read_image
from mobile_eval.image.preprocess import resize, resized_center
from mobile_eval.keypoints.decode import decoded_in_graph
from mobile_eval.keypoints.vectors import read_tensor, write_vectors
from mobile_eval.metrics.confusion import IGNORED, confusion, mean_over_classes, per_class_iou
from mobile_eval.metrics.pck import pck
from mobile_eval.pipeline.people_in_video import box_around
from mobile_eval.pipeline.selection import BoxSelection
from mobile_eval.report.devices import compare_devices
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.detection.centers import decode_centers
from mobile_eval.tasks.segmentation.evaluate import most_likely
from mobile_eval.web.contract import center_decoding
from tests.mobile_eval.conftest import People
from tests.mobile_eval.web.conftest import JavaScript

PCK = {"name": "PCK@0.1", "key": "pck", "higher_is_better": True}


def rgba(image: NDArray[np.uint8]) -> dict[str, Any]:
    """An image (H, W, 3) as a canvas gives it."""
    opaque = np.full((*image.shape[:2], 1), 255, np.uint8)
    data = np.concatenate([image, opaque], axis=-1).reshape(-1).tolist()
    return {"data": data, "width": image.shape[1], "height": image.shape[0]}


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "geometry"), [("float32", "standard"), ("int8", "standard"), ("float32", "udp")])
def test_each_step_of_the_vectors(
    precision: str, geometry: str, people: People, model_path: Callable[..., Path], tmp_path: Path, javascript: JavaScript
) -> None:
    source = TFLiteModel(model_path(precision)).description.input
    model = TFLiteModel(model_path(precision, input=dataclasses.replace(source, geometry=geometry)))
    folder = tmp_path / "vectors"
    vectors = write_vectors(model, load_keypoint_dataset(people.annotations, people.images).items[:3], folder)
    for case in vectors["cases"]:
        image, crop = (read_image(folder / case["folder"] / name) for name in ("image.png", "crop.png"))
        matrix = javascript("keypoints.js", "boxMatrix", case["box"], vectors)
        np.testing.assert_allclose(matrix, case["matrix"], atol=1e-9)
        warped = np.array(javascript("images.js", "warp", rgba(image), matrix, vectors["input"]["size"])).reshape(crop.shape)
        difference = np.abs(warped - crop.astype(int))
        assert difference.max() <= 8  # OpenCV 4 has weights in multiples of 1 / 32
        assert difference.mean() < 1
        stored = javascript("images.js", "toInput", crop.reshape(-1).tolist(), vectors["input"])
        np.testing.assert_allclose(stored, read_tensor(folder, case, "input", vectors).reshape(-1), atol=1e-6)
        heatmaps = read_tensor(folder, case, "heatmaps", vectors)
        decoded = javascript("keypoints.js", "decode", [heatmaps.reshape(-1).tolist()], vectors)
        tolerance = 2e-3 if geometry == "udp" else 1e-6  # the blur is in float32
        np.testing.assert_allclose(decoded, case["heatmap_keypoints"], atol=tolerance)
        keypoints = javascript("keypoints.js", "toImage", decoded, matrix, vectors)
        np.testing.assert_allclose(keypoints, case["keypoints"], atol=10 * tolerance)


def test_keypoints_that_the_graph_decodes(javascript: JavaScript) -> None:
    locations, scores = np.array([[[5, 9], [2, 3]]], np.int32), np.array([[0.75, 0.0]], np.float32)
    tensors = [{"scale": None}, {"scale": 0.25, "zero_point": 3}]
    contract = {"decoding": {"kind": "keypoints"}, "outputs": tensors}
    outputs = [locations.reshape(-1).tolist(), [6, 3]]  # scores as uint8
    np.testing.assert_allclose(javascript("keypoints.js", "decode", outputs, contract), decoded_in_graph(locations, scores)[0])


@pytest.mark.parametrize("count", [2, 8])
def test_box_of_the_next_frame(count: int, javascript: JavaScript) -> None:
    keypoints = np.random.default_rng(count).uniform(20, 300, (count, 3))
    keypoints[:, 2] = 0.9
    expected = box_around(keypoints, (200, 320))
    np.testing.assert_allclose(javascript("keypoints.js", "boxAround", keypoints.tolist(), 320, 200), expected)


@pytest.mark.parametrize(("size", "shape"), [((24, 32), (70, 90)), ((40, 64), (33, 21))])
def test_resizing(size: tuple[int, int], shape: tuple[int, int], javascript: JavaScript) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    for name, function in (("resize", resize), ("resizedCenter", resized_center)):
        resized = np.array(javascript("images.js", name, rgba(image), size)).reshape(*size, 3)
        difference = np.abs(resized - function(image, size).astype(int))
        assert (difference.max() <= 1, (difference > 0).mean() < 0.01) == (True, True), name


def test_class_maps_and_probabilities(javascript: JavaScript) -> None:
    logits = np.random.default_rng(0).normal(size=(1, 6, 8, 4)).astype(np.float32)
    predicted = np.array(javascript("classes.js", "classMap", logits.reshape(-1).tolist(), logits.shape, 25, 30)).reshape(25, 30)
    assert (predicted != most_likely(logits[0], (25, 30))).mean() < 0.005  # float32 sums in another order
    assert javascript("classes.js", "probabilities", [0.0, float(np.log(3))]) == pytest.approx([0.25, 0.75])
    assert javascript("classes.js", "bestClasses", [1, 7, 7, 0]) == [1, 2, 0, 3]


@pytest.mark.parametrize("is_quantized", [False, True])
def test_boxes_of_a_detector(is_quantized: bool, javascript: JavaScript) -> None:
    """Several classes, boxes beyond the image, and overlaps that the limits decide on."""
    rng, size, image_size = np.random.default_rng(1), (64, 96), (150, 200)
    real = [rng.normal(-1, 2, (1, 16, 24, 3)), rng.normal(1.5, 0.7, (1, 16, 24, 2)), rng.uniform(0, 1, (1, 16, 24, 2))]
    scales = (0.05, 0.02, 0.01)
    if is_quantized:
        stored = [np.round(values / scale) for values, scale in zip(real, scales, strict=True)]
        values = [steps * np.float32(scale) for steps, scale in zip(stored, scales, strict=True)]
    else:
        stored = values = [each.astype(np.float32) for each in real]
    tensors = [
        {"shape": each.shape, "scale": scale if is_quantized else None, "zero_point": 0}
        for each, scale in zip(stored, scales, strict=True)
    ]
    selection = BoxSelection(min_score=0.4, max_iou=0.3, max_boxes=12)
    contract = {"input": {"size": size}, "outputs": tensors, "decoding": center_decoding(1, selection)}
    boxes = javascript("boxes.js", "boxesOf", [each.ravel().tolist() for each in stored], contract, {"width": 200, "height": 150})
    objects = decode_centers(*(each[0].astype(np.float32) for each in values), size, image_size)
    expected = selection.select(objects, 1, image_size).boxes
    assert len(expected) == 12
    np.testing.assert_allclose(boxes, expected, atol=1e-3)
    nothing = [[-9.0 / (scales[0] if is_quantized else 1)] * stored[0].size, *(each.ravel().tolist() for each in stored[1:])]
    assert javascript("boxes.js", "boxesOf", nothing, contract, {"width": 200, "height": 150}) == []


def test_metrics(javascript: JavaScript) -> None:
    random = np.random.default_rng(0)
    truth = np.concatenate([random.uniform(0, 100, (5, 6, 2)), random.integers(0, 3, (5, 6, 1))], axis=-1)
    predicted = truth + np.concatenate([random.normal(0, 6, (5, 6, 2)), np.zeros((5, 6, 1))], axis=-1)
    items = [{"keypoints": points.tolist(), "unit": 80.0} for points in truth]
    predictions = [{"keypoints": points.tolist()} for points in predicted]
    sums = [javascript("metrics.js", "sumsOf", PCK, *pair) for pair in zip(predictions, items, strict=True)]
    expected = pck(predicted, truth, [(0, 0, 80, 40)] * 5).pck
    assert javascript("metrics.js", "scoreOf", PCK, sums) == pytest.approx(expected)
    expected_keypoints = predicted[0] + [0.3, 0.4, 0]
    expected_keypoints[1] = predicted[0, 1] + [3, 4, 0]
    distances = javascript("metrics.js", "difference", predictions[0], expected_keypoints.tolist())
    assert distances == pytest.approx([0.5, 5, 0.5, 0.5, 0.5, 0.5])
    overall = javascript("metrics.js", "overallDifference", PCK, [[0.1, 5.0], [0.2, 0.4]])
    assert overall == {"value": 5.0, "remark": "1 of 4 above 0.5"}
    assert javascript("metrics.js", "overallDifference", {"key": "miou"}, [[0.1], [0.3]])["value"] == pytest.approx(20)

    mask, class_map = random.integers(0, 3, (2, 50)), random.integers(0, 4, (2, 50))
    mask[0, :5] = IGNORED
    item, miou = {"classes": 4}, {"key": "miou"}
    sums = [
        javascript("metrics.js", "sumsOf", miou, {"classMap": c.tolist()}, item, m.tolist())
        for c, m in zip(class_map, mask, strict=True)
    ]
    counts = confusion(mask, class_map, 4, IGNORED)
    assert javascript("metrics.js", "scoreOf", miou, sums) == pytest.approx(mean_over_classes(per_class_iou(counts)))


def test_statistics(javascript: JavaScript) -> None:
    samples, reference = np.random.default_rng(0).gamma(9, 1, (2, 40))
    figures = javascript("statistics.js", "summary", samples.tolist())
    assert figures["p90_ms"] == pytest.approx(np.percentile(samples, 90))
    assert figures["std_ms"] == pytest.approx(samples.std())
    assert figures["drift"] == pytest.approx(np.median(samples[-13:]) / np.median(samples[:13]) - 1)
    interval, expected = (
        javascript("statistics.js", "ratioInterval", samples.tolist(), reference.tolist()),
        (ratio_of_medians(samples.tolist(), reference.tolist())),
    )
    assert (interval["low"], interval["high"]) == pytest.approx((expected.low, expected.high), rel=0.03)  # other random numbers


def test_results_are_laid_beside_other_devices(tmp_path: Path, javascript: JavaScript) -> None:
    description = {"name": "pose", "precision": "float32", "task": "pose"}
    entry = {"links_kept": 1, "links_possible": 2, "reference": 0, "size_bytes": 3, "sha256": "0", "description": description}
    models = [{**entry, "label": name, "model": f"{name}.tflite"} for name in ("full", "pruned")]
    site = {
        "task": "pose",
        "metric": PCK,
        "data": {},
        "models": models,
        "items": [{}, {}],
        "runtime": {"name": "L", "version": "1"},
    }
    times = {"load_ms": 1, "first_ms": 2, "warmup_ms": [1], "runs_per_sample": 1, "clock_step_ms": 0.1}
    timings = [{**times, "samples_ms": [4, 5, 6]}, {**times, "samples_ms": [2, 2.5, 3]}]
    sums = [[[8, 10], [9, 10]], [[7, 10], [8, 10]]]
    for device in ("phone", "tablet"):
        machine = {"processor": device, "architecture": "arm", "date": "2026-01-01T00:00:00+00:00"}
        content = javascript("results.js", "results", site, timings, sums, machine)
        (tmp_path / f"{device}.json").write_text(json.dumps(content))
    result = compare_devices([tmp_path / "phone.json", tmp_path / "tablet.json"], tmp_path / "report")
    cell = result.devices[0].models["pruned"]
    assert (cell.p50_ms, cell.ratio, cell.score) == pytest.approx((2.5, 0.5, 0.75))
    assert cell.score_difference == pytest.approx(-0.1)
    assert cell.score_interval is not None
    assert cell.score_interval.low <= -0.1 + 1e-9
