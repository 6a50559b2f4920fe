"""The main job on a micro network, from synthetic people to a report, and resumed trainings."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from conversion.convert import convert_run
from conversion.options import ConvertOptions
from hrnet_tf.__main__ import app
from hrnet_tf.runs.pruning import load_pruning
from hrnet_tf.runs.run import Run
from hrnet_tf.runs.weights import load_weights
from hrnet_tf.spec.architectures import network_from_json
from hrnet_tf.spec.network import HRNetSpec
from hrnet_tf.workflows.demo import DEMOS, Demo, run_demo
from mobile_eval.datasets.coco.keypoints import load_keypoint_dataset
from mobile_eval.errors import HRNetError
from mobile_eval.model.archive import read_description
from mobile_eval.runtime.interpreter import make_interpreter
from training.callbacks.validation import Validation
from training.config import TrainingConfig
from training.train import train

pytestmark = [pytest.mark.slow, pytest.mark.journey]
OnEpochEnd = Callable[..., None]
SMALL = Demo(
    "pose-small-v1 --input-size 64x64 --width 8 --stem-width 8 --stage1-width 4 --modules 1,1 --blocks 1",
    DEMOS["pose"].recipe,
    images=(40, 8),
    pruning=f"{DEMOS['pose'].pruning} --accept-closest",  # the latency of so small a network is noisy
    epochs=2,
    pruned_epochs=1,
    quantized_epochs=1,
)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small finished demo, with a space in its name."""
    import typer

    output = tmp_path_factory.mktemp("demo") / "my demo"
    command = typer.main.get_command(app)
    report = run_demo(output, lambda arguments: command.main(arguments, standalone_mode=False), demo=SMALL)
    assert report == output / "report" / "index.html"
    return output


def test_report_compares_four_models(job: Path) -> None:
    results = json.loads((job / "report" / "results.json").read_text())
    assert [model["label"] for model in results["models"]] == ["full-float32", "pruned-float32", "full-int8", "pruned-int8"]
    page = (job / "report" / "index.html").read_text()
    assert "pruned-int8" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert 'src="http' not in page


def test_pruned_network_is_smaller(job: Path) -> None:
    full, pruned = (read_description(job / f"{name}-int8.tflite") for name in ("full", "pruned"))
    assert pruned.parameters < full.parameters
    assert pruned.multiply_adds < full.multiply_adds
    specs = [Run.load(job / name).hrnet_spec for name in ("full", "pruned")]
    every_unit, remaining = ({*spec.links, *spec.live_blocks} for spec in specs)
    assert remaining < every_unit  # links or blocks: which ones depends on the latencies that the machine measures
    assert (job / "pruned-int8.tflite").stat().st_size < (job / "full-int8.tflite").stat().st_size
    assert set(full.importance or {}) == set(full.network["links"]) == set(pruned.importance or {})
    record = load_pruning(Run.load(job / "pruned"))
    assert record is not None
    plan = record.plan
    assert plan.spec == Run.load(job / "pruned").spec
    assert plan.cost_unit == "ms"
    assert plan.measured_ratio is not None
    assert plan.measured_ratio > 0
    assert [step.ratio for step in plan.steps] == sorted((step.ratio for step in plan.steps), reverse=True)
    assert all(step.score is not None for step in plan.steps)
    assert pruned.source["removal"]["steps"] == [step.to_json() for step in plan.steps]
    assert Run.load(job / "pruned").spec == network_from_json(pruned.network["spec"])


def test_int8_models_are_fully_int8(job: Path) -> None:
    for name in ("full", "pruned"):
        interpreter = make_interpreter(job / f"{name}-int8.tflite")
        assert {details["dtype"] for details in interpreter.get_tensor_details()} <= {np.int8, np.int32}
        operators = {op["op_name"] for op in interpreter._get_ops_details()}
        assert operators <= {"CONV_2D", "ADD", "PAD", "RESIZE_NEAREST_NEIGHBOR", "DELEGATE"}
        description = read_description(job / f"{name}-int8.tflite")
        assert description.input.tensor.dtype == description.output.tensor.dtype == "int8"
        assert description.input.tensor.scale == pytest.approx(interpreter.get_input_details()[0]["quantization"][0])


def test_float32_equals_the_keras_model(job: Path, tmp_path: Path) -> None:
    data = load_keypoint_dataset(job / "people" / "person_keypoints_val.json", job / "people" / "images")
    result = convert_run(Run.load(job / "pruned"), ConvertOptions("float32"), tmp_path / "again.tflite", data)
    assert result.parity.max_error < 1e-4
    assert json.loads((tmp_path / "again.json").read_text())["precision"] == "float32"


def test_post_training_int8_is_close_to_the_keras_model(job: Path, tmp_path: Path) -> None:
    data = load_keypoint_dataset(job / "people" / "person_keypoints_val.json", job / "people" / "images")
    without_data = dataclasses.replace(Run.load(job / "pruned"), config={})
    with pytest.raises(HRNetError, match=r"int8 .*calibration.*`annotations`"):
        convert_run(without_data, ConvertOptions("int8"), tmp_path / "model.tflite")
    result = convert_run(Run.load(job / "pruned"), ConvertOptions("int8"), tmp_path / "model.tflite", data)
    assert 0 < result.parity.max_error < 0.1


def test_ranking_contains_all_links_and_blocks_and_plots(job: Path) -> None:
    full = Run.load(job / "full")
    assert set(full.ranking.importance()) == {*full.hrnet_spec.links, *full.hrnet_spec.live_blocks}
    for plot in ("full/ranking.svg", "full/ranking_by_kind.svg", "pruned/links.svg", "pruned/removal.svg"):
        assert (job / plot).read_text().startswith("<svg")


def test_finished_demo_is_not_repeated(job: Path) -> None:
    commands = []
    run_demo(job, lambda arguments: commands.append(arguments[0]), demo=SMALL)
    assert commands == ["data", "train", "prune", "quantize", "quantize", "compare"]  # these skip finished work themselves


def test_resumed_training_equals_an_uninterrupted_one(tiny: HRNetSpec, config: TrainingConfig, tmp_path: Path) -> None:
    uninterrupted = train(tiny, config, tmp_path / "uninterrupted")
    output = tmp_path / "resumed"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Validation, "on_epoch_end", _interrupt_second_epoch(Validation.on_epoch_end))
        with pytest.raises(KeyboardInterrupt):
            train(tiny, config, output)
    resumed = train(tiny, config, output, resume=True)
    first, second = load_weights(uninterrupted.weights_path), load_weights(resumed.weights_path)
    for name, array in first.items():
        np.testing.assert_allclose(second[name], array, rtol=1e-3, atol=1e-5, err_msg=name)
    rows = [list(csv.DictReader((path / "history.csv").open())) for path in (uninterrupted.path, output)]
    assert [row["epoch"] for row in rows[1]] == ["1", "2"] == [row["epoch"] for row in rows[0]]


def test_mixed_precision_trains_the_same_weights_in_float32(tiny: HRNetSpec, config: TrainingConfig, tmp_path: Path) -> None:
    from hrnet_tf.backend.keras_module import keras
    from training.engine.networks import build_for_training

    mixed = config.replace(epochs=1, precision="bfloat16")
    assert build_for_training(tiny, mixed).get_layer("stem_conv2").compute_dtype == "bfloat16"
    assert keras.mixed_precision.global_policy().name == "float32"
    weights = load_weights(train(tiny, mixed, tmp_path / "run").weights_path)
    assert {array.dtype for array in weights.values()} == {np.dtype("float32")}
    plain = load_weights(train(tiny, dataclasses.replace(mixed, precision="float32"), tmp_path / "plain").weights_path)
    difference = weights["stage1_block0_conv2/kernel"] - plain["stage1_block0_conv2/kernel"]
    assert 0 < np.abs(difference).max() < 0.05


def _interrupt_second_epoch(original: OnEpochEnd) -> OnEpochEnd:
    def on_epoch_end(self: Validation, epoch: int, logs: dict[str, float] | None = None) -> None:
        if epoch == 1:
            raise KeyboardInterrupt
        original(self, epoch, logs)

    return on_epoch_end


def test_training_is_initialized_from_another_run(job: Path, spec: HRNetSpec, config: TrainingConfig, tmp_path: Path) -> None:
    full = Run.load(job / "full")
    frozen_config = config.replace(epochs=1, learning_rate=1e-9)
    initialized = train(full.spec, frozen_config, tmp_path / "initialized", init=full)
    first, second = load_weights(full.weights_path), load_weights(initialized.weights_path)
    np.testing.assert_allclose(second["stem_conv1/kernel"], first["stem_conv1/kernel"], atol=1e-5)
    assert Run.load(initialized.path).parent == full
    with pytest.raises(HRNetError, match="stem"):
        train(dataclasses.replace(spec, stem_width=5), frozen_config, tmp_path / "other", init=full)
    assert not (tmp_path / "other").exists()


def test_resuming_with_other_models_and_settings(job: Path, spec: HRNetSpec, config: TrainingConfig, tmp_path: Path) -> None:
    shutil.copytree(job / "full", tmp_path / "full")
    with pytest.raises(HRNetError, match="`resume`"):
        train(spec, config, tmp_path / "full")
    with pytest.raises(HRNetError, match="other settings: "):
        train(spec, config, tmp_path / "full", resume=True)
    same_spec = Run.load(job / "full").spec
    with pytest.raises(HRNetError, match=r"`seed` was 0, is now 9"):
        train(same_spec, config.replace(seed=9), tmp_path / "full", resume=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("x")
    with pytest.raises(HRNetError, match="other"):
        train(spec, config, tmp_path / "other")
