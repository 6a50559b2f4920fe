"""The one file of a detector by centers: integers only, mapped to the Edge TPU, equal to the Keras model, and evaluated."""

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
from conversion.draft import ConversionResult
from conversion.options import ConvertOptions
from conversion.restore import restore_run
from conversion.targets.edgetpu import check_edgetpu
from hrnet_tf.backend.keras_module import keras
from hrnet_tf.checkpoints.to_torch import export_run
from hrnet_tf.models.build import build_model
from hrnet_tf.models.rebuild import rebuild
from hrnet_tf.runs.run import Run, save_run
from hrnet_tf.runs.weights import model_weights, save_weights, set_model_weights
from hrnet_tf.spec.architectures import network_to_json
from hrnet_tf.spec.network import HRNetSpec
from hrnet_tf.spec.presets import preset
from hrnet_tf.spec.units import FusionLink
from mobile_eval.datasets.base import DataSource
from mobile_eval.datasets.coco.detection import load_detection_dataset
from mobile_eval.errors import HRNetError
from mobile_eval.image.image_file import read_image
from mobile_eval.image.preprocess import normalize, resize
from mobile_eval.model.archive import read_description, save_model_file
from mobile_eval.model.graph import TFLiteGraph
from mobile_eval.report.comparison import compare_files
from mobile_eval.runtime.interpreter import make_interpreter
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.detection.centers import decode_centers
from mobile_eval.tasks.detection.detector import detector_of
from mobile_eval.tasks.registry import evaluate
from training.pruning.candidate_latency import untrained_tflite
from training.quantize import quantize

pytestmark = pytest.mark.usefixtures("models_are_loaded_once")
Converted = Callable[[str], ConversionResult]
IMAGES = np.random.default_rng(5).standard_normal((2, 64, 96, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def run(center_spec: HRNetSpec, shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of a network with random weights that predicts boxes."""
    keras.utils.set_random_seed(0)
    weights = model_weights(build_model(center_spec))
    rng = np.random.default_rng(0)
    for name in ("centers", "sizes", "offsets"):
        kernel = weights[f"head_{name}/kernel"]
        weights[f"head_{name}/kernel"] = (0.5 * rng.standard_normal(kernel.shape)).astype(np.float32)
    config = {"train": {"images": str(shapes / "images"), "annotations": str(shapes / "train.json")}}
    category = {"name": "detection", "classes": ["square", "disc"]}
    run = Run(tmp_path_factory.mktemp("centers") / "run", "train", center_spec, category, config)
    save_run(run)
    save_weights(run.weights_path, weights)
    return run


@pytest.fixture(scope="module")
def converted(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Converted:
    """Convert the run to a format, once."""
    results: dict[str, ConversionResult] = {}

    def convert_once(precision: str) -> ConversionResult:
        if precision not in results:
            path = tmp_path_factory.mktemp(precision) / "find.tflite"
            results[precision] = convert_run(run, ConvertOptions(precision), path, samples=8)
        return results[precision]

    return convert_once


@pytest.mark.slow
def test_float32_objects_match_keras(run: Run, converted: Converted, shapes: Path) -> None:
    detector, network, count = detector_of(TFLiteModel(converted("float32").path)), run.model(), 0
    for number in (1, 2, 3):
        image = read_image(shapes / "images" / f"val{number}.png")
        outputs = network(normalize(resize(image, (64, 96)))[None], training=False)
        maps = (outputs[name].numpy()[0] for name in ("centers", "sizes", "offsets"))
        expected, objects = decode_centers(*maps, (64, 96), (96, 128)), detector.detect(image)
        assert objects.labels.tolist() == expected.labels.tolist()
        np.testing.assert_allclose(objects.boxes, expected.boxes, atol=1e-2)
        count += len(objects)
    assert count > 10


@pytest.mark.slow
def test_int8_is_one_file_of_integers_that_the_edge_tpu_maps(converted: Converted) -> None:
    result = converted("int8")
    assert len(result.paths) == 1
    check_fully_int8(make_interpreter(result.path))
    check = check_edgetpu(result.path)
    assert check.break_at is None
    assert {operator.verdict for operator in check.operators} == {"maps"}
    assert check.multiply_adds_share == 1.0
    assert {parity.output for parity in result.parities} == {"centers", "sizes", "offsets"}
    assert min(parity.snr_db for parity in result.parities) > 15
    description = read_description(result.path)
    assert (description.task, description.output.kind, description.output.stride) == ("detection", "object-centers", 4)
    assert (description.classes, description.boxes) == (("square", "disc"), None)
    shapes = {tensor.name: tensor.shape for tensor in description.outputs}
    assert shapes == dict.fromkeys(("centers", "sizes", "offsets"), (1, 16, 24, 2))


@pytest.mark.slow
def test_preset_maps_to_the_edge_tpu(tmp_path: Path) -> None:
    spec = dataclasses.replace(preset("find-small"), input_size=(64, 64))
    path = tmp_path / "find.tflite"
    path.write_bytes(untrained_tflite(spec))
    assert {operator.verdict for operator in check_edgetpu(path).operators} == {"maps"}
    assert all(tensor.dtype in ("int8", "int32") for op in TFLiteGraph(path).operators for tensor in (*op.inputs, *op.outputs))


@pytest.mark.slow
def test_quantization_aware_model_without_a_run(run: Run, shapes: Path, tmp_path: Path) -> None:
    images = np.stack([resize(read_image(shapes / "images" / f"train{number}.png"), (64, 96)) for number in range(1, 5)])
    quantized = quantize(run.model(), normalize(images))
    file = convert(quantized, tmp_path / "m.tflite", representative_data=images, input_type="uint8-rgb")
    assert (file.description.classes, file.description.input.tensor.dtype) == (("class_0", "class_1"), "uint8")
    check_fully_int8(make_interpreter(file.path))
    assert file.predict(images)["sizes"].shape == (4, 16, 24, 2)
    assert len(detector_of(TFLiteModel(file.path)).detect(images[0])) > 0


@pytest.mark.slow
def test_evaluated_and_compared(converted: Converted, shapes: Path, tmp_path: Path) -> None:
    source = DataSource(shapes / "images", shapes / "val.json")
    paths = [tmp_path / f"{precision}.tflite" for precision in ("float32", "int8")]
    for path in paths:
        shutil.copy(converted(path.stem).path, path)
    result = compare_files(paths, source, tmp_path / "report", rounds=2)
    for model, path in zip(result.models, paths, strict=True):
        expected = evaluate(TFLiteModel(path), source).to_json()["box_map"]
        assert (model.measurement.score, model.measurement.secondary_score) == (expected["ap50"], expected["ap"])
        assert set(model.measurement.per_class) == {"square", "disc"}


@pytest.mark.slow
def test_removed_links_are_links_of_zeros(run: Run) -> None:
    model, spec = run.model(), run.hrnet_spec
    removed = (FusionLink(2, 1, 0, 1), FusionLink(2, 0, 1, 0))
    zeros, weights = build_model(spec), model_weights(model)
    for name, array in weights.items():
        if name.startswith(tuple(link.name for link in removed)) and name.endswith(("gamma", "beta", "moving_mean")):
            weights[name] = np.zeros_like(array)
    set_model_weights(zeros, weights)
    smaller = rebuild(model, spec.without(removed))
    assert smaller.count_params() < model.count_params()
    for name, expected in zeros(IMAGES, training=False).items():
        np.testing.assert_allclose(smaller(IMAGES, training=False)[name], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_restored_from_float32(converted: Converted, run: Run, shapes: Path, tmp_path: Path) -> None:
    restored = restore_run(
        converted("float32").path, load_detection_dataset(shapes / "val.json", shapes / "images"), tmp_path / "r"
    )
    assert (restored.spec, restored.category["classes"]) == (run.spec, ["square", "disc"])
    for name, expected in run.model()(IMAGES, training=False).items():
        np.testing.assert_allclose(restored.model()(IMAGES, training=False)[name], expected, rtol=1e-2, atol=1e-2)


@pytest.mark.slow
def test_other_classes_and_options_are_refused(converted: Converted, run: Run, shapes: Path, tmp_path: Path) -> None:
    content = json.loads((shapes / "val.json").read_text())
    content["categories"][1]["name"] = "ring"
    (tmp_path / "rings.json").write_text(json.dumps(content))
    with pytest.raises(HRNetError, match=r"square, disc.*square, ring"):
        evaluate(TFLiteModel(converted("int8").path), DataSource(shapes / "images", tmp_path / "rings.json"))
    with pytest.raises(HRNetError, match=r"`decode`.*detection"):
        convert_run(run, ConvertOptions("float32", decode=True), tmp_path / "find.tflite")
    with pytest.raises(HRNetError, match="no official repository has"):
        export_run(run, tmp_path / "find.npz")
    assert not list(tmp_path.glob("find*"))


@pytest.mark.slow
def test_description_with_other_outputs_is_refused(converted: Converted, tmp_path: Path) -> None:
    description = read_description(converted("int8").path)
    renamed = tuple(dataclasses.replace(tensor, name=f"my_{tensor.name}") for tensor in description.outputs)
    assert description.flatbuffer is not None
    path, flatbuffer = tmp_path / "renamed.tflite", converted("int8").path.read_bytes()[: description.flatbuffer.size_bytes]
    save_model_file(path, flatbuffer, dataclasses.replace(description, outputs=renamed))
    with pytest.raises(HRNetError, match="my_centers"):
        detector_of(TFLiteModel(path))
    with pytest.raises(HRNetError, match="needs the list of its outputs"):
        dataclasses.replace(description, outputs=())


def test_spec_is_read_back(center_spec: HRNetSpec) -> None:
    data = network_to_json(center_spec)
    assert (data["head"], data["task"]) == ("centers", "detection")
    assert center_spec.outputs == (0, 1)
