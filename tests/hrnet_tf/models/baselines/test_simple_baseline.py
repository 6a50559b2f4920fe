"""SimpleBaseline: costs, layers, training and conversion."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conversion.convert import convert_run
from conversion.options import ConvertOptions
from conversion.restore import restore_run
from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import Weights
from hrnet_tf.models.build import build_model
from hrnet_tf.models.folding import fold_batch_norm
from hrnet_tf.models.layers import deconv_unit
from hrnet_tf.runs.run import Run, save_run
from hrnet_tf.runs.weights import model_weights, save_weights, set_model_weights
from hrnet_tf.spec.architectures import Network, network_from_json, network_to_json
from hrnet_tf.spec.baselines.resnet_trunk import ResNetTrunk
from hrnet_tf.spec.baselines.simple_baseline import SimpleBaselineSpec
from hrnet_tf.spec.complexity import complexity, parts
from hrnet_tf.spec.cost import Cost
from hrnet_tf.spec.network import HRNetSpec
from hrnet_tf.spec.presets import customized, preset
from mobile_eval.errors import HRNetError
from mobile_eval.report.comparison import compare
from mobile_eval.runtime.interpreter import make_interpreter
from mobile_eval.tasks.pose.predictions import load_keypoints
from training.config import TrainingConfig
from training.engine.networks import load_matching_weights
from training.pruning.budget import Budget
from training.pruning.plan_run import PruneOptions
from training.pruning.prune_run import prune_run
from training.quantize import quantize_run
from training.ranking.rank import rank_run
from training.train import train

CountedParts = Callable[[Network], dict[str, Cost]]
RandomWeights = Callable[[Any], Weights]


@pytest.mark.parametrize(
    ("depth", "size", "parameters", "multiply_adds", "at_output_size"),
    [
        (50, (256, 192), 33_999_697, 5_426_380_800, 9_654_239_232),
        (101, (256, 192), 52_991_825, 9_062_842_368, 13_290_700_800),
        (152, (256, 192), 68_635_473, 12_699_303_936, 16_927_162_368),
        (152, (384, 288), 68_635_473, 28_573_433_856, 38_086_115_328),
    ],
)
def test_official_counts(depth: int, size: tuple[int, int], parameters: int, multiply_adds: int, at_output_size: int) -> None:
    cost = complexity(customized(preset(f"simple-baseline-r{depth}"), input_size=size))
    assert (cost.parameters, cost.multiply_adds) == (parameters, multiply_adds)
    assert cost.multiply_adds + 3 * cost.deconvolution_multiply_adds == at_output_size


def test_every_part_equals_the_built_model(small_baseline: SimpleBaselineSpec, counted_parts: CountedParts) -> None:
    assert counted_parts(small_baseline) == parts(small_baseline)


@pytest.mark.slow
def test_resnet_50_equals_the_built_model(counted_parts: CountedParts) -> None:
    spec = preset("simple-baseline-r50")
    built = counted_parts(spec)
    assert built == parts(spec)
    assert sum(part.parameters for part in built.values()) == 33_999_697


def test_output_is_one_heatmap_per_keypoint_at_stride_4(small_baseline: SimpleBaselineSpec) -> None:
    assert build_model(dataclasses.replace(small_baseline, input_size=(64, 96))).output_shape == (None, 16, 24, 17)


def test_stride_is_in_the_3x3_convolution_and_the_shortcut(small_baseline: SimpleBaselineSpec) -> None:
    model = build_model(small_baseline)
    strides = {layer.name: layer.strides[0] for layer in model.layers if isinstance(layer, keras.layers.Conv2D)}
    strided = {name for name, stride in strides.items() if stride == 2 and not name.startswith("deconvolution")}
    blocks = {f"stage{stage}_block0_{conv}" for stage in (2, 3, 4) for conv in ("conv2", "shortcut_conv1")}
    assert strided == {"stem_conv1", *blocks}


def test_folding_batch_norm_preserves_the_outputs(small_baseline: SimpleBaselineSpec, random_weights: RandomWeights) -> None:
    model, folded = build_model(small_baseline), build_model(small_baseline, folded=True)
    set_model_weights(model, random_weights(model))
    set_model_weights(folded, fold_batch_norm(model_weights(model)))
    images = np.random.default_rng(1).standard_normal((2, 64, 64, 3)).astype(np.float32)
    expected = model(images, training=False).numpy()
    assert expected.std() > 0.1
    np.testing.assert_allclose(folded(images, training=False).numpy(), expected, atol=1e-4 * np.abs(expected).max())


def test_deconvolution_pads_as_in_pytorch() -> None:
    # ConvTranspose2d(kernel 4, stride 2, padding 1) puts x[i] * w[k] at 2 i + k - 1, along both axes: [1, 5] with
    # [1, 2, 3, 4] becomes [2 * 1, 3 * 1 + 1 * 5, 4 * 1 + 2 * 5, 3 * 5]
    image = keras.Input((2, 2, 1))
    model = keras.Model(image, deconv_unit(image, 1, 4, name="deconvolution1", folded=True))
    kernel, source, expected = np.array([1, 2, 3, 4]), np.array([1, 5]), np.array([2, 8, 14, 15])
    model.set_weights([np.outer(kernel, kernel)[:, :, None, None], np.array([0.5])])
    result = model(np.outer(source, source)[None, :, :, None].astype(np.float32), training=False).numpy()
    np.testing.assert_array_equal(result[0, :, :, 0], np.outer(expected, expected) + 0.5)
    with pytest.raises(HRNetError, match="got 3 - 2"):
        deconv_unit(image, 1, 3, name="deconvolution1")


def test_json_round_trip() -> None:
    spec = preset("simple-baseline-r101")
    stored = json.loads(json.dumps(network_to_json(spec)))
    assert stored["architecture"] == "simple-baseline"
    assert network_from_json(stored) == spec
    with pytest.raises(HRNetError, match="name is missing"):
        network_from_json({"architecture": "simple-baseline"})


@pytest.mark.parametrize(
    ("change", "offending"),
    [
        ({"deconvolution_width": 0}, "deconvolution_width.*got 0"),
        ({"trunk": ResNetTrunk.of_depth(50, output_stride=16)}, "output_stride.*got 16"),
        ({"classes": 0}, "classes.*got 0"),
        ({"input_size": (100, 64)}, "got 100x64"),
    ],
)
def test_invalid_specs(change: dict[str, Any], offending: str) -> None:
    with pytest.raises(HRNetError, match=offending):
        dataclasses.replace(preset("simple-baseline-r50"), **change)


def test_only_the_input_size_can_be_customized() -> None:
    spec = preset("simple-baseline-r50")
    assert customized(spec, input_size=(384, 288)).input_size == (384, 288)
    with pytest.raises(HRNetError, match="`width`, `modules`"):
        customized(spec, width=32, modules="1,1,1")
    with pytest.raises(HRNetError, match="`stage1_width`"):
        customized(spec, stage1_width=8)


NOSE_CATEGORY = {"name": "person", "keypoints": ["nose"]}


def save_new_run(path: Path, spec: Network, config: TrainingConfig, category: dict[str, Any] = NOSE_CATEGORY) -> Run:
    run = Run(path, "train", spec, category, config.to_json())
    save_run(run)
    return run


def test_ranking_and_pruning_need_fusion_links(config: TrainingConfig, tmp_path: Path) -> None:
    run = Run.load(save_new_run(tmp_path / "run", preset("simple-baseline-r50"), config).path)
    assert run.spec == preset("simple-baseline-r50")
    assert run.spec.links == frozenset()
    data = load_keypoints(config.data.train)
    with pytest.raises(HRNetError, match="SimpleBaseline"):
        rank_run(run, data)
    with pytest.raises(HRNetError, match="SimpleBaseline"):
        prune_run(run, PruneOptions(Budget(keep_links=0.5)), config, tmp_path / "pruned")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.slow
def test_hrnet_cannot_be_initialized_from_a_baseline(
    small_baseline: SimpleBaselineSpec, spec: HRNetSpec, config: TrainingConfig, tmp_path: Path
) -> None:
    run = save_new_run(tmp_path / "run", small_baseline, config)
    save_weights(run.weights_path, model_weights(build_model(small_baseline)))
    with pytest.raises(HRNetError, match="run"):
        load_matching_weights(build_model(spec), run)


@pytest.mark.slow
@pytest.mark.journey
def test_training_quantization_conversion_and_comparison(
    small_baseline: SimpleBaselineSpec, spec: HRNetSpec, config: TrainingConfig, tmp_path: Path
) -> None:
    short = config.replace(epochs=1, batch_size=24, val=None)
    run = train(small_baseline, short, tmp_path / "run")
    assert Run.load(train(small_baseline, short, tmp_path / "run", resume=True).path) == run
    tuned = quantize_run(run, short, tmp_path / "tuned")
    data = load_keypoints(config.data.train).head(4)
    float32 = convert_run(run, ConvertOptions("float32"), tmp_path / "float32.tflite")
    assert float32.parity.max_error < 1e-4
    assert float32.description.network.pop("spec") == network_to_json(run.spec)
    assert float32.description.network["architecture"] == "simple-baseline"
    assert float32.description.network["trunk"]["width"] == 8
    assert float32.description.importance is None
    for result in (
        convert_run(run, ConvertOptions("int8"), tmp_path / "int8.tflite", data),
        convert_run(tuned, ConvertOptions("int8"), tmp_path / "q.tflite"),
    ):
        interpreter = make_interpreter(result.path)
        assert {details["dtype"] for details in interpreter.get_tensor_details()} <= {np.int8, np.int32}
        operators = {op["op_name"] for op in interpreter._get_ops_details()}  # no operator that computes a shape
        assert operators <= {"CONV_2D", "TRANSPOSE_CONV", "RELU", "MAX_POOL_2D", "ADD", "PAD", "DELEGATE"}
        assert result.size_bytes < 0.5 * float32.size_bytes
    with pytest.raises(HRNetError, match=r"float32\.tflite"):
        restore_run(float32.path, data, tmp_path / "restored")
    hrnet = save_new_run(tmp_path / "hrnet", dataclasses.replace(spec, input_size=(96, 64)), config, run.category)
    save_weights(hrnet.weights_path, model_weights(build_model(hrnet.spec)))
    convert_run(hrnet, ConvertOptions("float32"), tmp_path / "hrnet.tflite")
    names = ["float32", "int8", "q", "hrnet"]
    comparison = compare([tmp_path / f"{name}.tflite" for name in names], data, tmp_path / "report", rounds=2)
    assert [model.reference for model in comparison.models] == [0, 1, 1, 0]
    assert [bool(model.links_possible) for model in comparison.models] == [False, False, False, True]
    scores = [model.measurement.score for model in comparison.models]
    assert scores[1] == pytest.approx(scores[0], abs=0.1)
    page = (tmp_path / "report" / "index.html").read_text()
    assert page.count("<td>64×64</td>") == 3
    assert page.count("<td>96×64</td>") == 1
    assert "Accuracy and cost against input size" in page
    for line in ("small, float32", "small, int8", "small (2), int8", "micro, float32"):
        assert f">{line}</text>" in page


@pytest.mark.slow
def test_initial_quantized_network_approximates_the_folded_one(
    small_baseline: SimpleBaselineSpec, random_weights: RandomWeights
) -> None:
    from hrnet_tf.models.quantization import activation_ranges, build_quantized_model, initialize_ranges

    weights = fold_batch_norm(random_weights(build_model(small_baseline)))
    folded = build_model(small_baseline, folded=True)
    set_model_weights(folded, weights)
    images = np.random.default_rng(1).standard_normal((2, 64, 64, 3)).astype(np.float32)
    quantized = build_quantized_model(small_baseline, weights)
    initialize_ranges(quantized, activation_ranges(folded, [[images]]))
    expected = folded(images, training=False).numpy()
    assert np.abs(quantized(images, training=False).numpy() - expected).mean() < 0.03 * np.ptp(expected)
    largest = np.abs(weights["deconvolution1_conv1/kernel"]).max()
    assert model_weights(quantized)["quant_deconvolution1_conv1/kernel_max"] == pytest.approx(largest)
