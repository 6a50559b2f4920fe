"""From a Keras model with a head of a user's own and own key points to a file that evaluation, comparison and prediction take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conversion.convert import ConvertedModel, convert
from conversion.restore import restore_run
from hrnet_tf.backend.keras_module import tf
from hrnet_tf.backend.types import KerasModel
from hrnet_tf.models.quantization import without_fake_quantization
from hrnet_tf.models.trunk import spec_of
from hrnet_tf.runs.weights import model_weights
from mobile_eval.benchmark.latency import bench_interleaved
from mobile_eval.benchmark.profile import profile
from mobile_eval.datasets.base import DataSource
from mobile_eval.datasets.coco.keypoints import KeypointDataset, load_keypoint_dataset
from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import box_matrix, invert, transform_points
from mobile_eval.image.image_file import read_image
from mobile_eval.image.preprocess import instance_crops, normalize, warp_crop
from mobile_eval.keypoints.decode import decode_heatmaps
from mobile_eval.keypoints.inference import predict_box
from mobile_eval.model.graph import TFLiteGraph
from mobile_eval.pipeline.pictures import predict_pictures
from mobile_eval.pipeline.pipeline import People
from mobile_eval.pipeline.predictors import KeypointPredictor
from mobile_eval.report.comparison import compare_files
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.registry import evaluate
from tests.support.own_heads import SIZE, keypoint_model, two_headed
from training.quantize import quantize

pytestmark = [pytest.mark.slow, pytest.mark.journey]
NAMES = ("inlet", "left_bolt", "right_bolt", "left_foot", "right_foot")
OF_PERSON = (0, 5, 6, 15, 16)  # the joints of the drawn people that are called so here
STRIDE = 2
PIXELS = np.random.default_rng(0).integers(0, 256, (8, SIZE, SIZE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def source(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> DataSource:
    """The drawn people with five key points."""
    content = json.loads((drawn / "person_keypoints_val.json").read_text())
    content["categories"] = [{"id": 1, "name": "gearbox", "keypoints": NAMES, "skeleton": [[1, 2], [1, 3]]}]
    for annotation in content["annotations"]:
        points = np.array(annotation["keypoints"]).reshape(-1, 3)[list(OF_PERSON)]
        annotation |= {"keypoints": points.ravel().tolist(), "num_keypoints": int((points[:, 2] > 0).sum())}
    path = tmp_path_factory.mktemp("gearboxes") / "val.json"
    path.write_text(json.dumps(content))
    return DataSource(drawn / "images", path)


@pytest.fixture(scope="module")
def gearboxes(source: DataSource) -> KeypointDataset:
    return load_keypoint_dataset(source.path("annotations"), source.path("images"))


@pytest.fixture(scope="module")
def data(gearboxes: KeypointDataset) -> Any:
    """A data set of a user's own: normalized crops, and heatmaps at stride 2."""
    crops, matrices = instance_crops(gearboxes.instances, (SIZE, SIZE))
    side = SIZE // STRIDE
    rows, columns = np.mgrid[:side, :side]
    heatmaps = np.zeros((len(crops), side, side, len(NAMES)), np.float32)
    for heatmap, instance, matrix in zip(heatmaps, gearboxes.instances, matrices, strict=True):
        places = transform_points(instance.keypoints[:, :2], matrix) / STRIDE
        distances = np.square(columns[..., None] - places[:, 0]) + np.square(rows[..., None] - places[:, 1])
        heatmap[:] = np.exp(-distances / 8)
    return tf.data.Dataset.from_tensor_slices((normalize(crops), heatmaps)).batch(4)


@pytest.fixture(scope="module")
def file(data: Any, tmp_path_factory: pytest.TempPathFactory) -> ConvertedModel:
    """The int8 file of a quantization-aware model with a head of a user's own."""
    quantized = quantize(keypoint_model(len(NAMES)), calibration=data)
    quantized.compile("adam", "mse")
    quantized.fit(data, epochs=2, verbose=0)
    path = tmp_path_factory.mktemp("own") / "gearbox.tflite"
    return convert(
        quantized, path, representative_data=data, task="pose", labels=NAMES, skeleton=[("inlet", "left_bolt"), (0, 2)]
    )


def test_file_is_int8_near_the_model_and_described(file: ConvertedModel) -> None:
    assert {tensor.dtype for operator in TFLiteGraph(file).operators for tensor in operator.outputs} == {"int8"}
    assert file.conversion.parity.snr_db > 15
    assert any(error.layer.startswith("stage3") for error in file.conversion.layers)
    description = file.description
    assert description.category.joints == NAMES
    assert description.category.skeleton == ((0, 1), (0, 2))
    assert description.category.flip_pairs == ((1, 2), (3, 4))
    assert (description.task, description.output.kind, description.output.stride) == ("pose", "heatmaps", STRIDE)
    assert description.network["outputs"] == [0]
    assert (file.path.parent / "gearbox.json").is_file()
    assert "heatmaps: error at most" in str(file)


def test_evaluation_comparison_and_prediction_take_the_file(
    file: ConvertedModel, source: DataSource, gearboxes: KeypointDataset, tmp_path: Path
) -> None:
    result: Any = evaluate(TFLiteModel(file), source)
    assert (result.joints, result.instances) == (NAMES, len(gearboxes))
    report = compare_files([file.path], source, tmp_path / "report", rounds=2)
    assert report.models[0].result.to_json()["pck"] == result.to_json()["pck"]
    image = sorted(source.path("images").iterdir())[0]
    [result_of_image] = predict_pictures(KeypointPredictor(file), [image], tmp_path / "poses")
    assert isinstance(result_of_image.prediction, People)
    assert result_of_image.prediction.keypoints.shape == (1, len(NAMES), 3)
    assert result_of_image.picture.is_file()


def test_keypoints_are_at_the_maxima_at_stride_2(file: ConvertedModel, source: DataSource) -> None:
    image, box = read_image(sorted(source.path("images").iterdir())[0]), (10.0, 20.0, 60.0, 80.0)
    matrix = box_matrix(box, (SIZE, SIZE))
    [decoded] = decode_heatmaps(file.predict(warp_crop(image, matrix, (SIZE, SIZE))[None]))
    expected = transform_points(decoded[:, :2] * STRIDE, invert(matrix))
    np.testing.assert_allclose(predict_box(file, image, box)[:, :2], expected, atol=1e-6)


def test_run_cannot_be_restored_from_a_head_of_its_own(gearboxes: KeypointDataset, tmp_path: Path) -> None:
    float32 = convert(keypoint_model(), tmp_path / "m.tflite", format="float32", task="pose")
    assert float32.conversion.parity.snr_db > 80
    assert float32.description.label_names == ("0", "1", "2", "3", "4")
    with pytest.raises(HRNetError, match=r"m\.tflite has a head of its own"):
        restore_run(float32.path, gearboxes, tmp_path / "run")


@pytest.fixture(scope="module")
def two_outputs() -> KerasModel:
    return two_headed()


@pytest.fixture(scope="module")
def quantized_two_outputs(two_outputs: KerasModel) -> KerasModel:
    """It takes values in 0..255."""
    return quantize(two_outputs, tf.data.Dataset.from_tensor_slices((PIXELS, np.zeros(8))).batch(3).repeat())


def snr_db(expected: np.ndarray, actual: np.ndarray) -> float:
    return float(10 * np.log10(np.sum(np.square(expected)) / np.sum(np.square(expected - actual))))


def test_quantized_outputs_keep_their_structure_and_values(two_outputs: KerasModel, quantized_two_outputs: KerasModel) -> None:
    assert spec_of(quantized_two_outputs) == spec_of(two_outputs)
    inputs = PIXELS.astype(np.float32)
    models = (two_outputs, quantized_two_outputs, without_fake_quantization(quantized_two_outputs))
    expected, outputs, plain = (model.predict_on_batch(inputs) for model in models)
    assert outputs.keys() == expected.keys() == plain.keys() == {"maps", "classes"}
    for name in outputs:
        assert outputs[name].shape == expected[name].shape
        assert snr_db(expected[name], outputs[name]) > 15, name
        np.testing.assert_allclose(plain[name], expected[name], rtol=0, atol=1e-4 * np.abs(expected[name]).max())


def test_every_kernel_is_rounded(quantized_two_outputs: KerasModel) -> None:
    names = set(model_weights(quantized_two_outputs))
    kernels = {name for name in names if name.endswith("kernel")}
    assert len(kernels) > 20
    assert {name for name in kernels if not {f"{name}_min", f"quant_{name}_min"} & names} == set()


def test_several_outputs(two_outputs: KerasModel, quantized_two_outputs: KerasModel, tmp_path: Path) -> None:
    raw = {"mean": (0.0, 0.0, 0.0), "std": (1 / 255,) * 3}  # the model takes values in 0..255
    quantized_two_outputs.compile("sgd", {"maps": "mse", "classes": "categorical_crossentropy"})
    targets = two_outputs.predict_on_batch(PIXELS.astype(np.float32))
    quantized_two_outputs.fit(PIXELS, targets, verbose=0)
    with pytest.raises(HRNetError, match="`labels` must be none"):
        convert(quantized_two_outputs, tmp_path / "m.tflite", representative_data=PIXELS, labels=["a"], **raw)
    file = convert(quantized_two_outputs, tmp_path / "m.tflite", representative_data=PIXELS, **raw)
    assert {tensor.dtype for operator in TFLiteGraph(file).operators for tensor in operator.outputs} <= {"int8", "int32"}
    assert {parity.output for parity in file.conversion.parities} == {"maps", "classes"}
    assert min(parity.snr_db for parity in file.conversion.parities) > 10
    outputs = file.predict(PIXELS[:2])
    for name in ("maps", "classes"):
        assert outputs[name].shape == targets[name][:2].shape
        assert np.corrcoef(outputs[name].ravel(), targets[name][:2].ravel())[0, 1] > 0.9
    assert (file.description.task, file.description.network["outputs"]) == ("custom", list(spec_of(two_outputs).outputs))
    with pytest.raises(HRNetError, match=r"cannot be evaluated.*maps"):
        evaluate(file, DataSource(tmp_path, tmp_path))
    [latency] = bench_interleaved([file], rounds=2)
    assert latency.p50_ms > 0
    assert profile(file.path, rounds=1).sum_ms > 0
