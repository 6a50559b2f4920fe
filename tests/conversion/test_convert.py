"""Files of every format, from trained and from quantization-aware runs of a micro network, against the Keras model."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from conversion.checks.layer_errors import jumps, layer_errors, write_layer_errors
from conversion.checks.verify import check_fully_int8, check_versions
from conversion.convert import convert_run
from conversion.draft import ConversionResult
from conversion.models import load_folded_model
from conversion.options import FORMATS, ConvertOptions
from conversion.quantization.quantization_recipe import QuantizationRecipe
from conversion.quantization.samples import PARITY_SAMPLES, RANDOM_IMAGES_NOTE, dataset_inputs
from hrnet_tf.backend.keras_module import keras
from hrnet_tf.runs.run import Run
from hrnet_tf.runs.weights import load_weights, save_weights
from hrnet_tf.spec.network import HRNetSpec, StageSpec
from mobile_eval.benchmark.profile import profile
from mobile_eval.datasets.coco.keypoints import KeypointDataset, load_keypoint_dataset
from mobile_eval.errors import HRNetError
from mobile_eval.image.preprocess import normalize
from mobile_eval.model.archive import read_description
from mobile_eval.model.graph import TFLiteGraph
from mobile_eval.runtime.interpreter import make_interpreter
from mobile_eval.runtime.tflite_model import TFLiteModel
from training.config import TrainingConfig
from training.quantize import quantize_run
from training.train import train

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("models_are_loaded_once")]
ConvertCached = Callable[..., ConversionResult]
LEAST_SNR_DB = {"float32": 80, "float16": 50, "dynamic": 15, "int8": 15, "int16x8": 20}


def snr_db(expected: np.ndarray, actual: np.ndarray) -> float:
    """Signal-to-noise ratio of complete arrays, in dB."""
    signal, noise = (np.linalg.norm(values.astype(np.float64)) for values in (expected, expected - actual))
    return float(20 * np.log10(signal / noise))


@pytest.fixture(scope="module")
def people(drawn: Path) -> KeypointDataset:
    return load_keypoint_dataset(drawn / "person_keypoints_val.json", drawn / "images")


@pytest.fixture(scope="module")
def spec() -> HRNetSpec:
    """Two branches: every kind of layer, and few layers for a short conversion."""
    sizes = {"stem_width": 8, "stage1_blocks": 1, "stage1_width": 4}
    return HRNetSpec("micro", 4, (64, 64), 17, (StageSpec(1, 1),), **sizes).full()


@pytest.fixture(scope="module")
def trained(spec: HRNetSpec, config: TrainingConfig, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(spec, config.replace(val=None), tmp_path_factory.mktemp("convert") / "trained")


@pytest.fixture(scope="module")
def quantized_run(trained: Run, config: TrainingConfig) -> Run:
    return quantize_run(trained, config.replace(epochs=1, learning_rate=1e-4, val=None), trained.path.parent / "quantized_run")


@pytest.fixture(scope="module")
def converted(
    trained: Run, quantized_run: Run, people: KeypointDataset, tmp_path_factory: pytest.TempPathFactory
) -> ConvertCached:
    """Convert a run to a format, with a quantization recipe or without, once."""
    runs, folder = {"trained": trained, "quantized_run": quantized_run}, tmp_path_factory.mktemp("converted")

    @functools.cache
    def convert(source: str, name: str, recipe: QuantizationRecipe | None = None) -> ConversionResult:
        path = folder / f"{source}-{name}-{recipe is not None}.tflite"
        return convert_run(runs[source], ConvertOptions(name), path, people, quantization_recipe=recipe)

    return convert


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("source", ["trained", "quantized_run"])
def test_every_format_matches_the_keras_model(name: str, source: str, converted: ConvertCached, people: KeypointDataset) -> None:
    result = converted(source, name)
    assert result.parity.snr_db > LEAST_SNR_DB[name]
    assert result.parity.images == len(people)
    assert result.parity.mean_error <= result.parity.max_error
    assert read_description(result.path).precision == name
    graph = TFLiteGraph(result.path)
    assert graph.inputs[0].dtype == graph.outputs[0].dtype == ("int8" if name == "int8" else "float32")
    assert all(tensor.static for operator in graph.operators for tensor in (*operator.inputs, *operator.outputs))
    assert result.compressed_bytes < result.size_bytes


def test_smaller_formats_are_smaller(converted: ConvertCached) -> None:
    sizes = {name: converted("trained", name).size_bytes for name in FORMATS}
    assert sizes["int8"] < sizes["float16"] < sizes["float32"]


@pytest.mark.parametrize(
    ("run_name", "source", "target"),
    [("trained", "float32", "float32"), ("quantized_run", "uint8", "uint8"), ("trained", "int8", "float32")],
)
def test_types_of_input_and_output(
    run_name: str,
    source: str,
    target: str,
    request: pytest.FixtureRequest,
    converted: ConvertCached,
    people: KeypointDataset,
    tmp_path: Path,
) -> None:
    run = request.getfixturevalue(run_name)
    convert_run(run, ConvertOptions("int8", source, target), tmp_path / "m.tflite", people)
    int8_path = converted(run_name, "int8").path
    graph = TFLiteGraph(tmp_path / "m.tflite")
    assert (graph.inputs[0].dtype, graph.outputs[0].dtype) == (source, target)
    crops = np.stack(list(dataset_inputs(people, run.spec)))
    expected, actual = (TFLiteModel(path).heatmaps(crops) for path in (int8_path, tmp_path / "m.tflite"))
    step = read_description(int8_path).output.tensor.scale
    assert np.abs(expected - actual).max() <= step * 1.001


@pytest.mark.parametrize(
    ("source", "name"), [("trained", "float32"), ("trained", "float16"), ("trained", "int8"), ("quantized_run", "int8")]
)
def test_camera_bytes_are_normalized_in_the_model(
    name: str, source: str, request: pytest.FixtureRequest, converted: ConvertCached, people: KeypointDataset, tmp_path: Path
) -> None:
    run = request.getfixturevalue(source)
    result = convert_run(run, ConvertOptions(name, "uint8-rgb"), tmp_path / "m.tflite", people)
    crops = np.stack(list(dataset_inputs(people, run.spec)))
    interpreter = make_interpreter(tmp_path / "m.tflite")
    [details] = interpreter.get_input_details()
    interpreter.set_tensor(details["index"], crops[:1])  # bytes, without normalization
    interpreter.invoke()
    [output] = interpreter.get_output_details()
    scale, zero_point = output["quantization"]
    actual = interpreter.get_tensor(output["index"]).astype(np.float32)
    actual = (actual - zero_point) * scale if scale else actual
    expected = load_folded_model(run, fake_quantized=source == "quantized_run" and name == "int8").predict_on_batch(
        normalize(crops[:1])
    )
    assert snr_db(expected, actual) > LEAST_SNR_DB[name]
    assert result.parity.snr_db > LEAST_SNR_DB[name]
    if name == "int8":
        assert {t["dtype"] for t in interpreter.get_tensor_details()} <= {np.int8, np.uint8, np.int32}
        assert result.parity.snr_db > converted(source, "int8").parity.snr_db - 3


@pytest.mark.parametrize(
    ("source", "name"), [("trained", "float32"), ("trained", "int8"), ("quantized_run", "dynamic"), ("quantized_run", "int8")]
)
def test_keypoints_are_decoded_in_the_graph(
    name: str, source: str, request: pytest.FixtureRequest, converted: ConvertCached, people: KeypointDataset, tmp_path: Path
) -> None:
    run = request.getfixturevalue(source)
    result = convert_run(run, ConvertOptions(name, decode=True), tmp_path / "m.tflite", people)
    heatmap_path = converted(source, name).path
    crops = np.stack(list(dataset_inputs(people, run.spec)))
    parity_crops = crops[:PARITY_SAMPLES]
    expected = load_folded_model(run, fake_quantized=run.quantized and name == "int8").predict_on_batch(normalize(parity_crops))
    same_kernels = TFLiteModel(heatmap_path, keep_tensors=True)  # XNNPACK kernels round int8 differently
    assert result.parity.snr_db == pytest.approx(snr_db(expected, same_kernels.heatmaps(parity_crops)), abs=0.01)
    model = TFLiteModel(tmp_path / "m.tflite")
    np.testing.assert_allclose(model.keypoints(crops), TFLiteModel(heatmap_path).keypoints(crops), atol=1e-5)
    shapes = {tuple(d["shape"]): np.dtype(d["dtype"]).name for d in make_interpreter(model.path).get_output_details()}
    assert shapes == {(1, 17, 2): "int32", (1, 17): "int8" if name == "int8" else "float32"}
    outputs = [(tensor.name, tensor.shape, tensor.dtype) for tensor in result.description.outputs]
    scores_type = "int8" if name == "int8" else "float32"
    assert outputs == [("scores", (1, 17), scores_type), ("locations", (1, 17, 2), "int32")]  # as the docs list them
    signature = make_interpreter(model.path).get_signature_runner()(image=model.to_input(crops[:1]))
    order = [details["index"] for details in make_interpreter(model.path).get_output_details()]
    runner = make_interpreter(model.path).get_signature_runner().get_output_details()
    assert [runner[tensor.name]["index"] for tensor in result.description.outputs] == order
    locations, scores = model.run(model.to_input(crops[:1]))
    np.testing.assert_array_equal(signature["locations"], locations)
    np.testing.assert_array_equal(signature["scores"], scores)
    with pytest.raises(HRNetError, match="keypoints"):
        model.heatmaps(crops)
    if name == "int8":
        check_fully_int8(make_interpreter(model.path))
        assert "ARG_MAX" in profile(model.path, rounds=1).kinds_ms()


def test_files_over_the_limit_are_rejected(trained: Run, people: KeypointDataset, tmp_path: Path) -> None:
    with pytest.raises(HRNetError, match=r"1e-06.*m\.tflite\.rejected"):
        convert_run(trained, ConvertOptions("int8", max_error=1e-6), tmp_path / "m.tflite", people)
    assert [path.name for path in tmp_path.iterdir()] == ["m.tflite.rejected"]
    assert TFLiteGraph(tmp_path / "m.tflite.rejected").operators


@pytest.fixture(scope="module")
def on_training_data(trained: Run) -> ConversionResult:
    """An int8 file that is calibrated on the first images of the training data."""
    return convert_run(trained, ConvertOptions("int8"), trained.path.parent / "on_training_data.tflite", samples=12)


def test_calibration_uses_the_training_data_by_default(
    trained: Run, converted: ConvertCached, on_training_data: ConversionResult, people: KeypointDataset, tmp_path: Path
) -> None:
    few = convert_run(trained, ConvertOptions("int8"), tmp_path / "few.tflite", people, samples=1)
    shuffled = convert_run(trained, ConvertOptions("int8"), tmp_path / "shuffled.tflite", samples=8, seed=3)
    results = (on_training_data, converted("trained", "int8"), few, shuffled)
    assert len({result.description.output.tensor.scale for result in results}) == 4


def test_weights_must_be_finite(trained: Run, people: KeypointDataset, tmp_path: Path) -> None:
    broken = dataclasses.replace(trained, path=tmp_path / "broken")
    broken.path.mkdir()
    weights = load_weights(trained.weights_path)
    weights["stem_conv1/kernel"][0, 0, 0, 0] = np.nan
    save_weights(broken.weights_path, weights)
    with pytest.raises(HRNetError, match="stem_conv1/kernel"):
        convert_run(broken, ConvertOptions("int8"), tmp_path / "m.tflite", people)


def test_operators_are_supported_by_tflite_runtime(trained: Run, converted: ConvertCached, tmp_path: Path) -> None:
    result = convert_run(trained, ConvertOptions("int8"), tmp_path / "m.tflite", runtime="tflite-runtime")
    older = {"PAD": 4, "CONV_2D": 1}
    for path in (result.path, converted("quantized_run", "int8").path):
        check_versions(path, "tflite-runtime")
        check_versions(path, "auto", older)
        with pytest.raises(HRNetError, match=r"stem_conv1 is CONV_2D version 3.* up to version 1"):
            check_versions(path, "tflite-runtime", older)


def test_errors_of_layers(converted: ConvertCached, tmp_path: Path) -> None:
    result = converted("quantized_run", "int8")
    graph = TFLiteGraph(result.path)
    assert [error.index for error in result.layers] == [operator.index for operator in graph.operators]
    assert result.layers[0].loss_db is None
    assert all(10 < error.snr_db < 80 for error in result.layers)
    inner = [error for error in result.layers if error.loss_db is not None]
    padded, resized = (next(e for e in inner if e.kind == kind) for kind in ("PAD", "RESIZE_NEAREST_NEIGHBOR"))
    assert abs(padded.loss_db or 0) < 0.1  # copying values adds no noise
    assert abs(resized.loss_db or 0) < 0.1
    table, plot = write_layer_errors(result.layers, tmp_path / "m.tflite")
    assert table.read_text().splitlines()[0] == "index,layer,kind,snr_db,loss_db"
    assert len(table.read_text().splitlines()) == len(result.layers) + 1
    assert plot.read_text().count("<circle") == len(result.layers) + 3


def test_errors_of_layers_match_an_interpreter_that_keeps_all_tensors(
    quantized_run: Run, converted: ConvertCached, people: KeypointDataset
) -> None:
    path = converted("quantized_run", "int8").path
    float_model, crops = load_folded_model(quantized_run, fake_quantized=False), dataset_inputs(people, quantized_run.spec, 3)
    stacked = np.stack(list(crops))
    operators = [
        operator for operator in TFLiteGraph(path).operators if operator.layer in {layer.name for layer in float_model.layers}
    ]
    outputs = keras.Model(float_model.input, [float_model.get_layer(operator.layer).output for operator in operators])
    expected = outputs.predict_on_batch(normalize(stacked))
    actual = TFLiteModel(path, keep_tensors=True).tensors(stacked, [operator.outputs[0].index for operator in operators])
    errors = layer_errors(float_model, path, crops)
    assert [error.layer for error in errors] == [operator.layer for operator in operators]
    for error, values, stored in zip(errors, expected, actual, strict=True):
        assert error.snr_db == pytest.approx(snr_db(values, stored), abs=1e-3), error.layer


def test_memory_budget_does_not_change_the_file(trained: Run, on_training_data: ConversionResult, tmp_path: Path) -> None:
    large, path = on_training_data, tmp_path / on_training_data.path.name
    small = convert_run(trained, ConvertOptions("int8"), path, samples=12, memory_budget=60_000)
    assert small.path.read_bytes() == large.path.read_bytes()
    assert small.parity.snr_db == pytest.approx(large.parity.snr_db, abs=1e-3)
    assert small.layers == large.layers


def test_layers_that_lose_accuracy_are_named(quantized_run: Run, people: KeypointDataset, tmp_path: Path) -> None:
    broken = dataclasses.replace(quantized_run, path=tmp_path / "broken")
    broken.path.mkdir()
    weights = load_weights(quantized_run.weights_path)
    for bound in ("min", "max"):
        weights[f"quant_stage2_module0_branch0_block0_conv1/post_activation_{bound}"] *= 1e-3  # too narrow
    save_weights(broken.weights_path, weights)
    result = convert_run(broken, ConvertOptions("int8"), tmp_path / "m.tflite", people)
    assert "stage2_module0_branch0_block0_conv1" in [error.layer for error in jumps(result.layers)]
    assert "stage2_module0_branch0_block0_conv1" in str(result)


def test_float_layers_of_a_quantization_recipe(
    trained: Run, converted: ConvertCached, people: KeypointDataset, tmp_path: Path
) -> None:
    default = converted("trained", "int8", QuantizationRecipe())
    mixed = convert_run(
        trained, ConvertOptions("int8"), tmp_path / "m.tflite", people, quantization_recipe=QuantizationRecipe(("stem", "head"))
    )
    floats = {
        o.layer for o in TFLiteGraph(tmp_path / "m.tflite").operators if o.kind == "CONV_2D" and o.outputs[0].dtype == "float32"
    }
    assert floats == {"stem_conv1", "stem_conv2", "head_heatmaps"}
    assert mixed.parity.snr_db > default.parity.snr_db
    check_fully_int8(make_interpreter(default.path))


@pytest.mark.parametrize(
    "recipe",
    [
        QuantizationRecipe(activations="percentile", percentile=99.0),
        QuantizationRecipe(weights="mse"),
        QuantizationRecipe(weights="octav"),
    ],
)
def test_ranges_of_a_quantization_recipe(
    recipe: QuantizationRecipe, trained: Run, converted: ConvertCached, people: KeypointDataset, tmp_path: Path
) -> None:
    default = converted("trained", "int8", QuantizationRecipe())
    result = convert_run(trained, ConvertOptions("int8"), tmp_path / "m.tflite", people, quantization_recipe=recipe)
    assert result.parity.snr_db > 5
    assert result.parity != default.parity
    if recipe.activations == "percentile":
        assert (result.description.output.tensor.scale or 0) < (default.description.output.tensor.scale or 0)


def test_invalid_uses_of_quantization_recipes(trained: Run, quantized_run: Run, people: KeypointDataset, tmp_path: Path) -> None:
    with pytest.raises(HRNetError, match="'neck'"):
        convert_run(
            trained, ConvertOptions("int8"), tmp_path / "m.tflite", people, quantization_recipe=QuantizationRecipe(("neck",))
        )
    with pytest.raises(HRNetError, match="quantization-aware"):
        convert_run(
            quantized_run, ConvertOptions("int8"), tmp_path / "m.tflite", people, quantization_recipe=QuantizationRecipe()
        )
    assert not any(tmp_path.iterdir())


def test_comparison_on_random_images_is_reported(trained: Run, converted: ConvertCached, tmp_path: Path) -> None:
    without_data = dataclasses.replace(trained, config={"train": {"images": str(tmp_path / "none")}})
    result = convert_run(without_data, ConvertOptions("float32"), tmp_path / "m.tflite")
    assert "on 4 random images" in str(result)
    assert RANDOM_IMAGES_NOTE in str(result)
    assert read_description(tmp_path / "m.tflite").source["checked_on"] == {"count": 4, "inputs": "random images"}
    with_data = converted("trained", "float32")
    assert "random" not in str(with_data)
    assert with_data.description.source["checked_on"] == {"count": with_data.parity.images, "inputs": "images"}


def test_min_max_ranges_of_a_quantization_recipe(trained: Run, converted: ConvertCached, people: KeypointDataset) -> None:
    """The scale of the heatmaps is their range over all calibration images divided by 255, not an average of ranges."""
    heatmaps = load_folded_model(trained).predict_on_batch(normalize(np.stack(list(dataset_inputs(people, trained.spec)))))
    tensor = converted("trained", "int8", QuantizationRecipe()).description.output.tensor
    assert tensor.scale == pytest.approx((max(heatmaps.max(), 0) - min(heatmaps.min(), 0)) / 255, rel=0.02)
