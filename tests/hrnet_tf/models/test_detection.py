"""The detector: sizes, and each step from anchors to detections against values computed by hand."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hrnet_tf.backend.keras_module import keras, tf
from hrnet_tf.models.build import build_model
from hrnet_tf.models.detection import faster_rcnn as detection
from hrnet_tf.models.detection.anchors import anchor_boxes, anchor_counts, clip_boxes, decode_deltas, encode_deltas
from hrnet_tf.models.detection.faster_rcnn import decode_detections
from hrnet_tf.models.detection.proposals import Proposals
from hrnet_tf.models.detection.roi_align import RoIAlign
from hrnet_tf.models.detection.two_stage import flatten_rpn_outputs, stages_of
from hrnet_tf.models.heads import feature_pyramid
from hrnet_tf.models.hrnet import build_trunk
from hrnet_tf.spec.complexity import parts
from hrnet_tf.spec.network import HRNetSpec, StageSpec
from hrnet_tf.spec.presets import preset
from hrnet_tf.spec.units import FusionLink
from mobile_eval.errors import HRNetError
from mobile_eval.tasks.detection.constants import BOX_STDS

Array = NDArray[Any]
SIZE = (64, 96)
ANCHORS = 3 * (16 * 24 + 8 * 12 + 4 * 6 + 2 * 3 + 1)


def detector_spec(size: tuple[int, int] = SIZE, stages: int = 3) -> HRNetSpec:
    sizes = {"stem_width": 8, "stage1_blocks": 1, "stage1_width": 4}
    return HRNetSpec("micro", 4, size, 80, (StageSpec(1, 1),) * stages, task="detection", **sizes).full()


@pytest.fixture(scope="module")
def detector() -> Any:
    """A detector with few proposals, for speed."""
    spec = detector_spec()
    image = keras.Input((*SIZE, 3))
    levels = feature_pyramid(build_trunk(image, spec))
    return keras.Model(image, detection.detector_outputs(image, levels, spec, proposals=20))


@pytest.fixture(scope="module")
def rpn_outputs() -> tuple[Array, Array]:
    """Logits (2, A) and deltas (2, A, 4) that move some anchors onto each other and some out of the image."""
    rng = np.random.default_rng(3)
    deltas = rng.standard_normal((2, ANCHORS, 4)).astype(np.float32)
    deltas[0, :20, 0] = -50.0
    return rng.standard_normal((2, ANCHORS)).astype(np.float32), deltas


@pytest.fixture(scope="module")
def proposals(rpn_outputs: tuple[Array, Array]) -> tuple[Array, Array]:
    boxes, scores = Proposals(SIZE)(list(rpn_outputs))
    return boxes.numpy(), scores.numpy()


def parameter_count(layers: list[Any]) -> int:
    return sum(int(np.prod(weight.shape)) for layer in layers for weight in layer.trainable_weights)


# The network


@pytest.mark.slow
def test_outputs(detector: Any) -> None:
    image = np.random.default_rng(0).standard_normal((2, *SIZE, 3)).astype(np.float32)
    outputs = detector.predict_on_batch(image)
    assert {name: array.shape for name, array in outputs.items()} == {
        "proposals": (2, 20, 4),
        "objectness": (2, 20),
        "class_logits": (2, 20, 81),
        "box_deltas": (2, 20, 324),
        "rpn_logits": (2, ANCHORS),
        "rpn_deltas": (2, ANCHORS, 4),
    }
    detections = decode_detections(outputs, SIZE, score_threshold=0.0)
    assert detections.boxes.shape == (2, 100, 4)
    assert detections.counts.tolist() == [100, 100]
    assert np.all(np.diff(detections.scores) <= 0)


def test_parameters_of_each_part(detector: Any) -> None:
    costs = {name: parts(detector_spec())[name].parameters for name in ("neck", "rpn", "box_head")}
    built = {name: parameter_count([layer for layer in detector.layers if layer.name.startswith(name)]) for name in costs}
    assert built == costs == {"neck": 3840 * 4 + 256 + 2_950_400, "rpn": 593_935, "box_head": 14_310_805}
    assert parameter_count([detector]) == sum(cost.parameters for cost in parts(detector_spec()).values())


@pytest.mark.slow
def test_parameters_of_a_narrow_head() -> None:
    spec = dataclasses.replace(detector_spec(), head_width=8, classes=3)
    model, costs = build_model(spec), parts(spec)
    concatenated, features = 15 * 4, 4 * 8
    neck = concatenated * 8 + 8 + 5 * (9 * 8 * 8 + 8)
    rpn = 9 * 8 * 8 + 8 + 8 * 15 + 15
    boxes = 49 * 8 * features + features + features * features + features + features * 5 * 4 + 5 * 4
    assert [costs[name].parameters for name in ("neck", "rpn", "box_head")] == [neck, rpn, boxes]
    assert parameter_count([model]) == sum(cost.parameters for cost in costs.values())
    assert costs["box_head"].multiply_adds == 100 * (49 * 8 * features + features * features + features * 5 * 4)
    assert model.output_shape["proposals"] == (None, 100, 4)
    assert HRNetSpec.from_json(spec.to_json()) == spec
    with pytest.raises(HRNetError, match="`head_width` 0"):
        dataclasses.replace(spec, head_width=0)


@pytest.mark.slow
@pytest.mark.parametrize("folded", [False, True])
def test_two_stages_equal_the_detector(folded: bool) -> None:
    spec = dataclasses.replace(detector_spec(), head_width=8, classes=3)
    network = build_model(spec, folded=folded)
    image = np.random.default_rng(0).standard_normal((2, *SIZE, 3)).astype(np.float32)
    expected, stages = network.predict_on_batch(image), stages_of(network)
    maps = stages.maps(image)
    assert maps["P5"].shape == (2, 2, 3, 8)
    assert maps["P6_deltas"].shape == (2, 1, 1, 12)
    logits, deltas = flatten_rpn_outputs(maps)
    np.testing.assert_allclose(logits, expected["rpn_logits"], atol=1e-6)
    np.testing.assert_allclose(deltas, expected["rpn_deltas"], atol=1e-6)
    pooled = RoIAlign()([expected["proposals"], *(maps[level] for level in ("P2", "P3", "P4", "P5"))])
    outputs = stages.boxes(tf.reshape(pooled, (-1, 7, 7, 8)))
    np.testing.assert_allclose(outputs["class_logits"], expected["class_logits"].reshape(-1, 4), atol=1e-4)
    np.testing.assert_allclose(outputs["box_deltas"], expected["box_deltas"].reshape(-1, 16), atol=1e-4)


def test_encoding_is_the_inverse_of_decoding() -> None:
    rng = np.random.default_rng(1)
    corners, sizes = rng.uniform(0, 50, (2, 6, 2)), rng.uniform(5, 40, (2, 6, 2))
    boxes, targets = np.concatenate([corners, corners + sizes], axis=-1).astype(np.float32)
    deltas = encode_deltas(boxes, targets, BOX_STDS)
    np.testing.assert_allclose(decode_deltas(boxes, deltas, BOX_STDS), targets, atol=1e-4)
    assert not np.any(encode_deltas(boxes, np.zeros_like(boxes), BOX_STDS))


@pytest.mark.slow
def test_detect_w18() -> None:
    model = build_model(preset("detect-w18"))
    assert parameter_count([model]) == 27_486_776
    assert model.output_shape["rpn_logits"] == (None, 3 * (200 * 304 + 100 * 152 + 50 * 76 + 25 * 38 + 12 * 19))
    assert model.output_shape["class_logits"] == (None, 1000, 81)


@pytest.mark.slow
def test_detector_without_some_links() -> None:
    links = {FusionLink(4, 0, 3, 0), FusionLink(3, 0, 0, 2)}
    model = build_model(detector_spec().without(links), folded=True)
    assert model.output_shape["box_deltas"] == (None, 1000, 324)
    assert not [layer for layer in model.layers if layer.name.startswith(tuple(link.name for link in links))]


@pytest.mark.slow
@pytest.mark.parametrize(("size", "stages"), [((32, 64), 3), ((64, 80), 2)])
def test_invalid_input_sizes(size: tuple[int, int], stages: int) -> None:
    with pytest.raises(HRNetError, match=f"got {size[0]}x{size[1]}"):
        build_model(detector_spec(size, stages))


def test_dense1_takes_reordered_weights_of_mmdetection(detector: Any) -> None:
    rng = np.random.default_rng(0)
    pooled, weight = rng.standard_normal((7, 7, 256)), rng.standard_normal((5, 256 * 7 * 7))
    expected = weight @ pooled.transpose(2, 0, 1).ravel()
    flat = detector.get_layer("box_head_flatten")(pooled[None, None].astype(np.float32)).numpy()[0, 0]
    converted = weight.reshape(5, 256, 7, 7).transpose(2, 3, 1, 0).reshape(-1, 5)
    np.testing.assert_allclose(flat @ converted, expected, rtol=1e-3, atol=1e-3)


# Anchors and deltas


def test_anchors_are_centered_on_multiples_of_the_stride() -> None:
    anchors = anchor_boxes(SIZE)
    assert anchors.shape == (ANCHORS, 4)
    wide, tall = 16 * 2**0.5, 8 * 2**0.5  # half of 32 * sqrt(2) and 32 / sqrt(2)
    first_position = [[-wide, -tall, wide, tall], [-16, -16, 16, 16], [-tall, -wide, tall, wide]]
    np.testing.assert_allclose(anchors[:3], first_position, rtol=1e-6)
    np.testing.assert_allclose(anchors[3:6], np.add(first_position, [4, 0, 4, 0]), rtol=1e-6)  # the next column
    np.testing.assert_allclose(anchors[24 * 3 + 1], [-16, -12, 16, 20])  # the next row
    np.testing.assert_allclose(anchors[16 * 24 * 3 + 1], [-32, -32, 32, 32])  # P3
    np.testing.assert_allclose(anchors[-2], [-256, -256, 256, 256])  # P6


def test_anchors_equal_those_of_keras_cv_shifted_by_half_a_stride() -> None:
    from keras_cv.layers import AnchorGenerator

    levels = range(5)
    generator = AnchorGenerator(
        "xyxy",
        sizes={level: 32.0 * 2**level for level in levels},
        scales=[1.0],
        aspect_ratios=[2.0, 1.0, 0.5],  # width / height
        strides={level: 4 * 2**level for level in levels},
    )
    reference = generator(image_shape=(128, 192, 3))
    shifted = np.concatenate([reference[level].numpy() - 2 * 2**level for level in levels])
    np.testing.assert_allclose(anchor_boxes((128, 192)), shifted, atol=1e-4)


def test_anchors_where_the_pool_to_p6_rounds_down() -> None:
    assert anchor_counts((800, 1216)) == [182_400, 45_600, 11_400, 2_850, 684]
    assert len(anchor_boxes((800, 1216))) == 242_934


def test_deltas_move_and_scale() -> None:
    boxes = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1], [5, 5, 5, 5], [10, 20, 30, 60]], np.float32)
    deltas = np.array([[0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 2, -1], [0.7, -1.9, -0.5, 0.3], [0.5, 0.25, 100, 0]], np.float32)
    decoded = clip_boxes(decode_deltas(boxes[:4], deltas[:4], (1, 1, 1, 1.0)), (32, 32)).numpy()
    mmdetection_example = [[0, 0, 1, 1], [0.1409, 0.1409, 2.8591, 2.8591], [0, 0.3161, 4.1945, 0.6839], [5, 5, 5, 5]]
    np.testing.assert_allclose(decoded, mmdetection_example, atol=1e-4)
    half_width = 20 * 1000 / 16 / 2  # the largest factor of the width
    np.testing.assert_allclose(
        decode_deltas(boxes[4], deltas[4], (1, 1, 1, 1.0)), [30 - half_width, 30, 30 + half_width, 70], rtol=1e-6
    )
    np.testing.assert_allclose(decode_deltas(boxes[4], [1, 1, 0, 5 * np.log(2)], BOX_STDS), [12, 4, 32, 84], rtol=1e-6)


# Proposals


def plain_suppression(boxes: Array, scores: Array, threshold: float) -> list[int]:
    """Reference implementation of non-maximum suppression: indices of the remaining boxes, best first."""
    selected: list[int] = []
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    for index in np.argsort(-scores):
        overlap = np.minimum(boxes[index, 2:], boxes[selected, 2:]) - np.maximum(boxes[index, :2], boxes[selected, :2])
        intersections = np.prod(np.maximum(overlap, 0), axis=1)
        if np.all(intersections < threshold * (areas[selected] + areas[index] - intersections)):
            selected.append(int(index))
    return selected


def test_proposals_equal_those_of_plain_suppression(rpn_outputs: tuple[Array, Array], proposals: tuple[Array, Array]) -> None:
    logits, deltas = rpn_outputs
    decoded = clip_boxes(decode_deltas(anchor_boxes(SIZE), deltas, (1, 1, 1, 1.0)), SIZE).numpy()
    ends = np.cumsum(anchor_counts(SIZE))
    for image in range(2):
        expected: list[tuple[float, list[float]]] = []
        for start, end in zip([0, *ends], ends, strict=False):
            best = start + np.argsort(-logits[image, start:end])[:1000]
            best = best[np.all(decoded[image, best, 2:] > decoded[image, best, :2], axis=1)]
            selected = best[plain_suppression(decoded[image, best], logits[image, best], 0.7)]
            expected += zip(logits[image, selected].tolist(), decoded[image, selected].tolist(), strict=True)
        expected.sort(reverse=True)
        count = int(np.sum(proposals[1][image] > 0))
        assert count == len(expected)
        np.testing.assert_allclose(proposals[0][image, :count], [box for _, box in expected], atol=1e-4)


def test_proposals_are_inside_the_image_and_sorted(proposals: tuple[Array, Array]) -> None:
    boxes, scores = proposals
    assert boxes.shape == (2, 1000, 4)
    assert boxes.min() == 0
    assert boxes[..., [0, 2]].max() <= 96
    assert boxes[..., [1, 3]].max() <= 64
    assert np.all(np.diff(scores) <= 0)
    padding = scores == 0
    assert 0 < padding.sum() < 1500
    assert np.all(boxes[padding] == 0)
    assert np.all(boxes[~padding][:, 2:] > boxes[~padding][:, :2])


def test_fewer_proposals_are_the_best_of_many(rpn_outputs: tuple[Array, Array], proposals: tuple[Array, Array]) -> None:
    layer = Proposals.from_config(Proposals(SIZE, 10).get_config())
    boxes, scores = layer(list(rpn_outputs), training=True)
    np.testing.assert_array_equal(boxes, proposals[0][:, :10])
    np.testing.assert_array_equal(scores, proposals[1][:, :10])


def test_proposals_are_exact_in_mixed_precision(rpn_outputs: tuple[Array, Array], proposals: tuple[Array, Array]) -> None:
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        boxes, _ = Proposals(SIZE)(list(rpn_outputs))
    finally:
        keras.mixed_precision.set_global_policy("float32")
    np.testing.assert_array_equal(boxes, proposals[0])


@pytest.mark.parametrize("count", [0, 1001])
def test_invalid_number_of_proposals(count: int) -> None:
    with pytest.raises(HRNetError, match=f"1 to 1000, got {count}"):
        Proposals(SIZE, count)


# RoIAlign


def pyramid(size: int, values: Any) -> list[Array]:
    """P2 to P5 of a square image with one channel. `values` computes a map from its level, rows and columns."""
    levels = []
    for level in range(4):
        y, x = np.mgrid[: size >> level + 2, : size >> level + 2].astype(np.float32)
        levels.append(values(level, y, x)[None, :, :, None].astype(np.float32))
    return levels


@pytest.mark.parametrize(
    ("box", "level"),
    [
        ((64, 64, 175, 175), 0),
        ((64, 64, 176, 176), 1),
        ((64, 128, 176, 184), 0),
        ((32, 64, 480, 176), 2),
        ((32, 32, 480, 480), 3),
    ],
)
def test_linear_maps_are_sampled_at_bin_centers(box: tuple[int, ...], level: int) -> None:
    maps = pyramid(512, lambda level, y, x: 1000 * level + 3 * x + 0.5 * y)
    pooled = RoIAlign()([np.array([[box]], np.float32), *maps]).numpy()
    assert pooled.shape == (1, 1, 7, 7, 1)
    x1, y1, x2, y2 = np.array(box) / 4 / 2**level
    centers = (np.arange(7) + 0.5) / 7
    columns, rows = x1 + (x2 - x1) * centers - 0.5, y1 + (y2 - y1) * centers - 0.5
    np.testing.assert_allclose(pooled[0, 0, :, :, 0], 1000 * level + 3 * columns + 0.5 * rows[:, None], rtol=1e-5)


def interpolated(maps: Array, y: float, x: float) -> float:
    """Bilinear interpolation as in mmcv: samples up to a pixel outside have the value of the edge."""
    y, x = min(max(y, 0), maps.shape[0] - 1), min(max(x, 0), maps.shape[1] - 1)
    top, left = int(min(y, maps.shape[0] - 2)), int(min(x, maps.shape[1] - 2))
    (a, b), (c, d) = maps[top : top + 2, left : left + 2]
    row_weight, column_weight = y - top, x - left
    upper, lower = ((1 - column_weight) * first + column_weight * second for first, second in ((a, b), (c, d)))
    return float((1 - row_weight) * upper + row_weight * lower)


def test_samples_outside_have_the_value_of_the_edge() -> None:
    maps = pyramid(64, lambda level, y, x: np.random.default_rng(level).standard_normal(x.shape))
    boxes = np.array([[[0, 0, 9, 5], [50, 40, 64, 64]], [[0, 60, 64, 64], [3, 0, 3.5, 64]]], np.float32)
    batch_maps = [np.concatenate([level, -level]) for level in maps]
    pooled = RoIAlign()([boxes, *batch_maps]).numpy()[..., 0]
    expected = np.zeros((2, 2, 7, 7))
    for image, index, row, column in np.ndindex(expected.shape):
        x1, y1, x2, y2 = boxes[image, index] / 4
        ys = [y1 + (y2 - y1) * (row + sample) / 7 - 0.5 for sample in (0.25, 0.75)]
        xs = [x1 + (x2 - x1) * (column + sample) / 7 - 0.5 for sample in (0.25, 0.75)]
        expected[image, index, row, column] = np.mean([interpolated(batch_maps[0][image, :, :, 0], y, x) for y in ys for x in xs])
    np.testing.assert_allclose(pooled, expected, atol=1e-5)


def test_every_bin_has_a_gradient() -> None:
    maps = [tf.constant(level) for level in pyramid(512, lambda level, y, x: x)]
    with tf.GradientTape() as tape:
        tape.watch(maps)
        total = tf.reduce_sum(RoIAlign()([tf.constant([[[0.0, 0, 50, 50], [0, 0, 300, 300]]]), *maps]))
    gradients = tape.gradient(total, maps)
    np.testing.assert_allclose([tf.reduce_sum(gradient) for gradient in gradients], [49, 0, 49, 0], atol=1e-4)


# Detections


def outputs(proposals: list[list[float]], classes: list[int], probabilities: list[float]) -> dict[str, Array]:
    """Outputs for one image. Each proposal has one class; the remaining probability is that of the background (80)."""
    count = len(proposals)
    logits = np.full((1, count, 81), -30.0, np.float32)
    for index, (label, probability) in enumerate(zip(classes, probabilities, strict=True)):
        logits[0, index, [label, 80]] = np.log([probability, 1 - probability])
    return {
        "proposals": np.array([proposals], np.float32),
        "objectness": np.ones((1, count), np.float32),
        "class_logits": logits,
        "box_deltas": np.zeros((1, count, 324), np.float32),
    }


def test_suppression_per_class() -> None:
    boxes: list[list[float]] = [[10, 10, 30, 50], [11, 10, 31, 50], [11, 10, 31, 50], [60, 0, 80, 20], [60, 30, 80, 50]]
    batch = outputs(boxes, [3, 3, 7, 3, 3], [0.6, 0.9, 0.7, 0.5, 0.04])
    batch["objectness"][0, 3] = 0  # padding
    detections = decode_detections(batch, SIZE)
    assert detections.boxes.shape == (1, 100, 4)
    assert detections.counts.tolist() == [2]
    np.testing.assert_allclose(detections.boxes[0, :2], [[11, 10, 20, 40], [11, 10, 20, 40]])
    np.testing.assert_allclose(detections.scores[0, :3], [0.9, 0.7, 0], rtol=1e-5)
    assert detections.classes[0, :2].tolist() == [3, 7]


def test_deltas_per_class_and_clipping() -> None:
    batch = outputs([[10, 10, 30, 50], [70, 30, 90, 60]], [3, 79], [0.9, 0.8])
    batch["box_deltas"][0, 0, 4 * 3 : 4 * 3 + 4] = [1, -0.5, 0, 5 * np.log(0.5)]  # 2 right, 2 up, half the height
    batch["box_deltas"][0, 1, 4 * 79 : 4 * 79 + 4] = [5, 0, 0, 0]  # 10 right
    batch["box_deltas"][0, :, 4 * 80 :] = 9  # deltas of the background are ignored
    detections = decode_detections(batch, SIZE, limit=5)
    assert detections.classes[0, :2].tolist() == [3, 79]
    np.testing.assert_allclose(detections.boxes[0, :2], [[12, 18, 20, 20], [80, 30, 16, 30]], rtol=1e-5)


def test_layers_can_be_serialized() -> None:
    layer = keras.layers.deserialize(keras.layers.serialize(RoIAlign(name="align")))
    assert (layer.name, layer.dtype) == ("align", "float32")
