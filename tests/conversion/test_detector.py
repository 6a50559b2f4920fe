"""The two files of a detector, compared with the Keras model."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from conversion.checks.verify import check_fully_int8
from conversion.convert import convert, convert_run
from conversion.detector import boxes_path
from conversion.draft import ConversionResult
from conversion.models import as_detector, load_folded_model
from conversion.options import ConvertOptions
from conversion.targets.edgetpu import check_edgetpu
from hrnet_tf.backend.keras_module import keras
from hrnet_tf.models.build import build_model
from hrnet_tf.models.detection.faster_rcnn import decode_detections
from hrnet_tf.models.folding import fold_batch_norm
from hrnet_tf.models.trunk import is_quantized
from hrnet_tf.runs.run import Run, save_run
from hrnet_tf.runs.weights import load_weights, model_weights, save_weights, set_model_weights
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.datasets.base import DataSource
from mobile_eval.datasets.coco.detection import DetectionImage, load_detection_dataset
from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import STANDARD
from mobile_eval.image.image_file import read_image
from mobile_eval.image.preprocess import normalize, resize
from mobile_eval.model.archive import files_of, read_description
from mobile_eval.report.comparison import compare_files
from mobile_eval.runtime.interpreter import make_interpreter
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.detection.boxes import Objects
from mobile_eval.tasks.detection.detector import detector_of
from mobile_eval.tasks.detection.report import f1_score
from mobile_eval.tasks.registry import evaluate
from tests.support.program import Hrnet
from training.quantize import quantize
from training.tasks.detection.task import Ap50Evaluator

pytestmark = pytest.mark.usefixtures("models_are_loaded_once")
Converted = Callable[[str], ConversionResult]


@pytest.fixture(scope="module")
def run(detector_spec: HRNetSpec, shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of a network with random weights that predicts boxes."""
    keras.utils.set_random_seed(0)
    model = build_model(detector_spec)
    weights = model_weights(model)
    rng = np.random.default_rng(0)
    for name in ("box_head_logits/kernel", "box_head_deltas/kernel", "rpn_objectness/kernel", "rpn_deltas/kernel"):
        weights[name] = (0.3 * rng.standard_normal(weights[name].shape)).astype(np.float32)
    config = {"train": {"images": str(shapes / "images"), "annotations": str(shapes / "train.json")}}
    category = {"name": "detection", "classes": ["square", "disc"]}
    run = Run(tmp_path_factory.mktemp("detector") / "run", "train", detector_spec, category, config)
    save_run(run)
    save_weights(run.weights_path, weights)
    return run


@pytest.fixture(scope="module")
def converted(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Converted:
    """Convert the run to a format, once."""
    results: dict[str, ConversionResult] = {}

    def convert(precision: str) -> ConversionResult:
        if precision not in results:
            folder = tmp_path_factory.mktemp(precision)
            results[precision] = convert_run(run, ConvertOptions(precision), folder / "detector.tflite", samples=8)
        return results[precision]

    return convert


@pytest.mark.slow
def test_float32_detections_match_keras(run: Run, converted: Converted, shapes: Path) -> None:
    result = converted("float32")
    detector, network = detector_of(TFLiteModel(result.path)), build_model(run.spec, folded=True)
    set_model_weights(network, fold_batch_norm(load_weights(run.weights_path)))
    detections = 0
    for number in (1, 2, 3):
        image = read_image(shapes / "images" / f"val{number}.png")
        expected = decode_detections(network.predict_on_batch(normalize(resize(image, (64, 96)))[None]), (64, 96))
        objects, count = detector.detect(image), int(expected.counts[0])
        assert len(objects) == count
        scale = np.array([128 / 96, 96 / 64] * 2)
        np.testing.assert_allclose(objects.boxes, expected.boxes[0, :count] * scale, atol=5e-3)
        np.testing.assert_allclose(objects.scores, expected.scores[0, :count], atol=1e-4)
        detections += count
    assert detections > 30
    assert max(parity.max_error / max(parity.largest, 1) for parity in result.parities) < 1e-4


@pytest.mark.slow
def test_int8_has_no_float_tensors_and_small_errors(converted: Converted) -> None:
    result = converted("int8")
    for path in (result.path, result.paths[1]):
        check_fully_int8(make_interpreter(path))
    assert [parity.output for parity in result.parities] == ["maps", "objectness", "anchor deltas", "class logits", "box deltas"]
    assert min(parity.snr_db for parity in result.parities) > 15
    assert result.size_bytes < converted("float32").size_bytes


@pytest.mark.slow
def test_camera_input(run: Run, shapes: Path, tmp_path: Path) -> None:
    result = convert_run(run, ConvertOptions("int8", "uint8-rgb"), tmp_path / "detector.tflite", samples=4)
    first, second = TFLiteModel(result.path), TFLiteModel(result.paths[1])
    assert (first.description.input.tensor.dtype, second.description.input.tensor.dtype) == ("uint8", "int8")
    assert min(parity.snr_db for parity in result.parities) > 15
    image = read_image(shapes / "images" / "val1.png")
    np.testing.assert_array_equal(detector_of(first).to_input(image)[0], resize(image, (64, 96)))


@pytest.mark.slow
def test_keras_detector_without_a_run(run: Run, converted: Converted, shapes: Path, tmp_path: Path) -> None:
    images = np.stack([resize(read_image(shapes / "images" / f"train{number}.png"), (64, 96)) for number in range(1, 5)])
    quantized = quantize(run.model(), normalize(images))
    assert is_quantized(quantized)
    file = convert(quantized, tmp_path / "m.tflite", format="float32", representative_data=images, labels=["square", "disc"])
    assert (file.description.classes, len(file.conversion.paths)) == (("square", "disc"), 2)
    outputs, expected = file.predict(images[:1]), TFLiteModel(converted("float32").path).predict(images[:1])
    assert outputs.keys() == expected.keys() == {tensor.name for tensor in file.description.outputs}
    for name in outputs:
        np.testing.assert_allclose(outputs[name], expected[name], atol=1e-4)


@pytest.mark.slow
def test_descriptions_of_both_files(converted: Converted) -> None:
    result = converted("int8")
    first, second = read_description(result.path), read_description(result.paths[1])
    assert (first.task, first.classes, first.output.kind) == ("detection", ("square", "disc"), "detector-maps")
    assert first.boxes == second.boxes
    assert first.boxes is not None
    assert (second.output.kind, second.input.size, second.input.layout) == ("box-outputs", (700, 7), "NHWC")
    floats = read_description(converted("float32").paths[1]).input
    assert (floats.size, floats.layout) == ((7, 7), "100 boxes, NHWC")
    assert second.flatbuffer is not None
    assert (first.boxes.name, first.boxes.sha256) == ("detector.boxes.tflite", second.flatbuffer.sha256)
    assert (first.boxes.width, first.boxes.candidates, first.boxes.proposals) == (8, 400, 100)
    assert first.network["spec"]["head_width"] == 8
    assert "detector.boxes.tflite" in str(result)


@pytest.mark.slow
@pytest.mark.parametrize(("damage", "message"), [("missing", r"detector\.boxes\.tflite"), ("replaced", "another conversion")])
def test_second_file_missing_or_of_another_conversion(damage: str, message: str, converted: Converted, tmp_path: Path) -> None:
    shutil.copy(converted("int8").path, tmp_path)
    if damage == "replaced":
        shutil.copy(converted("float32").paths[1], tmp_path)
    with pytest.raises(HRNetError, match=message) as raised:
        detector_of(TFLiteModel(tmp_path / "detector.tflite"))
    assert "\n" not in str(raised.value)


@pytest.mark.slow
def test_second_file_alone(converted: Converted) -> None:
    with pytest.raises(HRNetError, match=r"detector\.boxes\.tflite"):
        detector_of(TFLiteModel(converted("int8").paths[1]))


@pytest.mark.slow
def test_ap_of_the_file_matches_ap_in_training(
    run: Run,
    converted: Converted,
    shapes: Path,
    tmp_path: Path,
    hrnet: Hrnet,
) -> None:
    data = load_detection_dataset(shapes / "val.json", shapes / "images")
    network = as_detector(load_folded_model(run, fake_quantized=False))
    metric_evaluator = Ap50Evaluator(data, run.spec, STANDARD)
    images = np.stack([resize(read_image(item.image_path), (64, 96)) for item in data.items])
    metric_evaluator.update({name: np.asarray(values) for name, values in network(normalize(images)).items()})
    options = f"--annotations {shapes / 'val.json'} --images {shapes / 'images'} --json {tmp_path / 'figures.json'}"
    options += f" --predictions {tmp_path / 'predictions.json'} --overlays {tmp_path / 'pictures'}"
    ended = hrnet("evaluate", converted("float32").path, options)
    assert ended.code == 0
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["box_map"]["ap50"] == pytest.approx(metric_evaluator.result(), abs=1e-3)
    assert (figures["task"], figures["images"]) == ("detection", 6)
    assert len(json.loads((tmp_path / "predictions.json").read_text())) == figures["boxes_found"] > 0
    assert read_image(tmp_path / "pictures" / "0000_val1.jpg").shape == (96, 128, 3)
    assert "AP50" in ended.out


def test_edge_tpu_check_of_both_files(converted: Converted) -> None:
    result = converted("int8")
    files = files_of(result.path)
    assert files == [result.path, result.paths[1]]
    assert files_of(result.paths[1]) == [result.paths[1]]
    maps, boxes = map(check_edgetpu, files)
    assert {"CONV_2D", "RESIZE_NEAREST_NEIGHBOR"} <= {row.kind for row in maps.operators}
    assert len(boxes.mapped) == len(boxes.operators) == 4


@pytest.mark.slow
def test_invalid_options(run: Run, tmp_path: Path) -> None:
    with pytest.raises(HRNetError, match=r"`decode`.*detection"):
        convert_run(run, ConvertOptions("float32", decode=True), tmp_path / "detector.tflite")
    with pytest.raises(HRNetError, match=r"`softmax`.*detection"):
        convert_run(run, ConvertOptions("float32", softmax=True), tmp_path / "detector.tflite")
    without_data = dataclasses.replace(run, config={})
    with pytest.raises(HRNetError, match=r"int8.*`images` and `annotations`"):
        convert_run(without_data, ConvertOptions("int8"), tmp_path / "detector.tflite")
    with pytest.raises(HRNetError, match=r"1e-12.*rejected"):
        convert_run(run, ConvertOptions("float32", max_error=1e-12), tmp_path / "detector.tflite", samples=4)
    assert not (tmp_path / "detector.tflite").exists()
    assert boxes_path(tmp_path / "detector.tflite").name == "detector.boxes.tflite"


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_outputs_are_named_in_the_order_of_the_file(precision: str, converted: Converted) -> None:
    result = converted(precision)
    maps, anchors = (2, 3, 4, 5), (2, 3, 4, 5, 6)
    levels = [f"P{level}" for level in maps] + [f"P{level}_{kind}" for kind in ("objectness", "deltas") for level in anchors]
    for path, names in ((result.path, levels), (result.paths[1], ["class_logits", "box_deltas"])):
        tensors, interpreter = read_description(path).outputs, make_interpreter(path)
        signature = interpreter.get_signature_runner().get_output_details()
        assert {tensor.name for tensor in tensors} == set(names) == set(signature)
        for tensor, details in zip(tensors, interpreter.get_output_details(), strict=True):
            assert signature[tensor.name]["index"] == details["index"]
            assert tensor.shape == tuple(details["shape"])
            assert (tensor.scale or 0, tensor.zero_point or 0) == pytest.approx(details["quantization"])


@pytest.mark.slow
def test_comparison_on_random_images_is_reported(run: Run, tmp_path: Path) -> None:
    without_data = dataclasses.replace(run, config={})
    result = convert_run(without_data, ConvertOptions("float32"), tmp_path / "detector.tflite")
    assert "on 4 random images" in str(result)
    for path in (result.path, result.paths[1]):
        assert read_description(path).source["checked_on"] == {"count": 4, "inputs": "random images"}


def test_report_on_two_precisions(converted: Converted, shapes: Path, tmp_path: Path) -> None:
    source = DataSource(shapes / "images", shapes / "val.json")
    paths = [tmp_path / name / "detector.tflite" for name in ("float32", "int8")]
    for path in paths:
        shutil.copytree(converted(path.parent.name).path.parent, path.parent)
    result = compare_files(paths, source, tmp_path / "report", rounds=2)
    for model, path in zip(result.models, paths, strict=True):
        expected = evaluate(TFLiteModel(path), source).to_json()["box_map"]
        assert (model.measurement.score, model.measurement.secondary_score) == (expected["ap50"], expected["ap"])
        assert model.latency.size_bytes == sum(file.stat().st_size for file in files_of(path))
        assert set(model.measurement.per_class) == {"square", "disc"}
        assert model.score_interval is None
    page = (tmp_path / "report" / "index.html").read_text()
    assert "2 detection models on 6 images" in page
    assert "AP50 by class" in page


def test_f1_of_an_image() -> None:
    truth = np.array([[0, 0, 10, 10], [20, 0, 10, 10], [40, 0, 10, 10]], float)
    image = DetectionImage(1, Path("x.png"), (60, 60), truth, np.array([0, 0, 1]))
    boxes = np.array([[0, 0, 10, 9], [1, 0, 10, 10], [40, 0, 10, 10], [20, 0, 10, 10]], np.float32)
    predictions = Objects(boxes, np.array([0.9, 0.8, 0.7, 0.1], np.float32), np.array([0, 0, 0, 0]))
    # one correct, one duplicate, one of another class, one with a low score
    assert f1_score(image, predictions) == pytest.approx(2 * 1 / (3 + 3))
    empty = DetectionImage(1, Path("x.png"), (60, 60), np.zeros((0, 4)), np.zeros(0, int))
    assert f1_score(empty, Objects(boxes[:0], np.zeros(0, np.float32), np.zeros(0, int))) == 1
