"""Networks on Keras 3, with the backends TensorFlow and JAX, against tf_keras."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import Weights
from hrnet_tf.models.build import build_model
from hrnet_tf.models.layers import Upsampling
from hrnet_tf.runs.run import Run
from hrnet_tf.runs.weights import load_weights, model_weights, save_weights, set_model_weights
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.tasks.pose.predictions import load_keypoints
from tests.support.environments import run_on_keras3
from training.config import TrainingConfig
from training.data.examples import Examples
from training.data.tf_pipeline import training_dataset
from training.ranking.rank import rank_run
from training.tasks.pose.losses import HeatmapMSE
from training.tasks.pose.settings import PoseSettings
from training.tasks.pose.task import pose_example_builder

pytestmark = [pytest.mark.slow, pytest.mark.external]

ROOT = Path(__file__).parents[3]
JOB = Path(__file__).with_name("keras3_job.py")


@dataclasses.dataclass(frozen=True)
class BackendResults:
    """The results of a backend: arrays, facts, weights after one step, the folder of its runs and its Python."""

    arrays: dict[str, Any]
    facts: dict[str, Any]
    stepped: Weights
    folder: Path
    python: Path


@pytest.fixture(scope="module")
def inputs(spec: HRNetSpec, config: TrainingConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a batch, initial weights, the spec and the config of the training."""
    folder, rng, model = tmp_path_factory.mktemp("inputs"), np.random.default_rng(0), build_model(spec)
    weights = model_weights(model)
    for name, array in weights.items():
        if name.endswith("kernel"):
            scale = np.sqrt(2 / np.prod(array.shape[:-1])) * (0.005 if name.startswith("head") else 1)
            weights[name] = (scale * rng.standard_normal(array.shape)).astype(np.float32)
        elif not name.endswith(("gamma", "moving_variance")):
            weights[name] = rng.uniform(-0.2, 0.2, array.shape).astype(np.float32)
    save_weights(folder / "initial.safetensors", weights)
    images = rng.standard_normal((8, *spec.input_size, 3), np.float32)
    heatmaps = rng.random((8, *spec.resolution(0), spec.classes), np.float32)
    joints = (rng.random((8, 1, 1, spec.classes)) > 0.3).astype(np.float32)
    np.savez(folder / "inputs.npz", images=images, heatmaps=heatmaps, weights=joints)
    (folder / "spec.json").write_text(json.dumps(spec.to_json()))
    (folder / "config.json").write_text(json.dumps(config.to_json()))
    return folder


@pytest.fixture(scope="module", params=["tensorflow", "jax"])
def results(request: pytest.FixtureRequest, inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> BackendResults:
    """The results of the job on Keras 3 with that backend."""
    python = Path(sys.executable) if request.param == "tensorflow" else request.getfixturevalue("jax_python")
    folder = tmp_path_factory.mktemp(request.param)
    shutil.copytree(inputs, folder, dirs_exist_ok=True)
    completed = run_on_keras3(python, JOB, folder, backend=request.param, folder=folder)
    assert completed.returncode == 0, completed.stdout[-1000:] + completed.stderr[-4000:]
    facts = json.loads((folder / "facts.json").read_text())
    assert facts["backend"] == request.param
    with np.load(folder / "results.npz") as arrays:
        return BackendResults(dict(arrays), facts, load_weights(folder / "stepped.safetensors"), folder, python)


@pytest.fixture(scope="module")
def model(inputs: Path, spec: HRNetSpec) -> Any:
    """The network on tf_keras with the initial weights."""
    model = build_model(spec)
    set_model_weights(model, load_weights(inputs / "initial.safetensors"))
    return model


def test_jax_does_not_import_tensorflow(results: BackendResults) -> None:
    assert results.facts["tensorflow"] == (results.facts["backend"] == "tensorflow")


def test_forward_equals_tf_keras_to_1e_5(results: BackendResults, model: Any, inputs: Path) -> None:
    expected = model.predict_on_batch(np.load(inputs / "inputs.npz")["images"])
    assert 0.1 < np.abs(expected).max() < 10
    np.testing.assert_allclose(results.arrays["heatmaps"], expected, rtol=0, atol=1e-5)


def test_one_step_of_adam_equals_tf_keras_to_1e_4(results: BackendResults, inputs: Path, spec: HRNetSpec) -> None:
    batch, model, before = np.load(inputs / "inputs.npz"), build_model(spec), load_weights(inputs / "initial.safetensors")
    set_model_weights(model, before)
    model.compile(keras.optimizers.Adam(1e-3, epsilon=1e-8), HeatmapMSE())
    loss = model.train_on_batch(batch["images"], batch["heatmaps"], sample_weight=batch["weights"])
    after = model_weights(model)
    assert results.arrays["loss"] == pytest.approx(loss, rel=1e-5)
    assert set(results.stepped) == set(after)
    for name, array in after.items():
        np.testing.assert_allclose(results.stepped[name], array, rtol=0, atol=1e-4, err_msg=name)
    moved = np.mean([np.abs(after[name] - before[name]).mean() for name in after if name.endswith("kernel")])
    assert moved > 5e-4  # the first step of Adam is 1e-3


@pytest.mark.parametrize("task", ["segmentation", "landmarks", "classification", "detection"])
def test_other_tasks_have_the_same_variables(results: BackendResults, spec: HRNetSpec, task: str) -> None:
    if task in results.facts["errors"]:
        assert results.facts["backend"] == "jax"
        assert "Keras 3 (jax)" in results.facts["errors"][task]
        return
    task_spec = dataclasses.replace(spec, task=task, links=frozenset()).full()
    assert results.facts["names"][task] == sorted(model_weights(build_model(task_spec)))


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "aligned"])
def test_upsampling_equals_tf_keras(results: BackendResults, interpolation: str) -> None:
    maps = np.random.default_rng(0).standard_normal((2, 3, 5, 4)).astype(np.float32)
    expected = Upsampling(4, interpolation)(maps).numpy()
    np.testing.assert_allclose(results.arrays[interpolation], expected, rtol=0, atol=0 if interpolation == "nearest" else 1e-6)


def test_float16_keeps_its_scale(results: BackendResults) -> None:
    weights = load_weights(results.folder / "half" / "weights.safetensors")
    assert {array.dtype for array in weights.values()} == {np.dtype("float32")}
    assert all(np.isfinite(array).all() for array in weights.values())
    saved = load_weights(results.folder / "half" / "checkpoint.safetensors")
    scales = {2.0**power for power in range(5, 16)}
    assert scales & {float(array) for array in saved.values() if array.shape == ()}


def test_nan_loss_ends_training_without_weights(results: BackendResults) -> None:
    assert re.search(r"(nan|inf) .*/diverged/nan-batch\.npz", results.facts["errors"]["nan"])
    assert sorted(path.name for path in (results.folder / "diverged").iterdir()) == ["nan-batch.npz"]


def test_hard_concrete_gates_are_sampled(results: BackendResults) -> None:
    samples = results.arrays["gate_samples"]
    assert 0.75 < (samples > 0).mean() < 0.95  # 0.83 by equation 12 at log alpha 0
    assert samples.min() == 0
    assert samples.max() == 1


def test_batches_equal_those_of_tf_data(results: BackendResults, config: TrainingConfig, spec: HRNetSpec) -> None:
    people = load_keypoints(config.data.train)
    dataset = training_dataset(Examples(people, pose_example_builder(people, spec, PoseSettings()), 8, 3), range(2))
    batches = [name for name in results.arrays if name.startswith("batch")]
    assert len(batches) == 3 * (len(people) // 8 + 1)
    for index, batch in zip(range(len(batches) // 3), dataset, strict=False):
        for part, tensor in enumerate(batch):
            np.testing.assert_array_equal(results.arrays[f"batch{index}_{part}"], tensor.numpy())


def test_resumed_training_equals_an_uninterrupted_one(results: BackendResults) -> None:
    uninterrupted, resumed = (
        load_weights(results.folder / name / "weights.safetensors") for name in ("uninterrupted", "resumed")
    )
    for name, array in uninterrupted.items():
        np.testing.assert_allclose(resumed[name], array, rtol=1e-3, atol=1e-5, err_msg=name)
    rows = [
        list(csv.DictReader((results.folder / name / "history.csv").open())) for name in ("uninterrupted", "resumed", "distilled")
    ]
    assert [[row["epoch"] for row in part] for part in rows] == [["1", "2"], ["1", "2"], ["1"]]
    assert set(rows[0][0]) == {"epoch", "loss", "val_pck", "learning_rate"}
    assert set(rows[2][0]) == {*rows[0][0], "distillation_loss"}
    assert float(rows[1][1]["learning_rate"]) == pytest.approx(float(rows[0][1]["learning_rate"]), rel=1e-6)
    assert float(rows[1][1]["loss"]) == pytest.approx(float(rows[0][1]["loss"]), rel=1e-4)


def test_tf_keras_loads_the_run(results: BackendResults, inputs: Path) -> None:
    run = Run.load(results.folder / "uninterrupted")
    model = build_model(run.spec)
    set_model_weights(model, load_weights(run.weights_path))
    images = np.load(inputs / "inputs.npz")["images"][:, :32, :32]
    np.testing.assert_allclose(model.predict_on_batch(images), results.arrays["trained"], rtol=0, atol=1e-5)


def test_ranking_equals_that_of_tf_keras(results: BackendResults, config: TrainingConfig) -> None:
    run, is_tensorflow = Run.load(results.folder / "uninterrupted"), results.facts["backend"] == "tensorflow"
    assert run.ranking.methods == ("taylor" if is_tensorflow else "leave-one-out",)
    assert bool(run.ranking.channels) == is_tensorflow
    scores = rank_run(run, load_keypoints(config.data.train).head(8), run.ranking.methods).importance()
    ranked = json.loads((results.folder / "scores.json").read_text())
    assert ranked == pytest.approx({str(unit): score for unit, score in scores.items()}, rel=1e-2, abs=1e-7)
    assert len(set(ranked.values())) > 1


def test_objects_of_tf_keras_are_refused(results: BackendResults) -> None:
    if results.facts["backend"] == "jax":
        pytest.skip("tf_keras needs TensorFlow")
    for kind in ("optimizer", "callback"):
        assert re.match(r"(Adam|Callback) .*\(tf_keras\.src\..*Keras 3 \(tensorflow\)", results.facts["errors"][kind])


def test_missing_keras(jax_python: Path, tmp_path: Path) -> None:
    if jax_python == Path(sys.executable):
        pytest.skip("TensorFlow is installed")
    import_layers = "import hrnet_tf.models.layers"
    for choice, message in (
        ("", r"cannot import tf_keras .*'hrnet-tf\[train\]'.*"),
        ("import hrnet_tf; hrnet_tf.use_keras('keras', 'tensorflow'); ", r"cannot import Keras 3 with the backend tensorflow .*"),
    ):
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "HRNET", "KERAS"))}
        command = [jax_python, "-c", choice + import_layers]
        completed = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert re.fullmatch(f".*HRNetError: {message}", completed.stderr.splitlines()[-1])


@pytest.mark.parametrize("command", ["quantize", "convert"])
def test_commands_that_need_tf_keras_are_refused(results: BackendResults, command: str) -> None:
    data = ["--train-annotations", "train.json", "--images", "images"] if command == "quantize" else []
    arguments = ("-m", "hrnet_tf", command, "uninterrupted", *data, "--output", "none")
    completed = run_on_keras3(results.python, *arguments, backend=results.facts["backend"], folder=results.folder)
    assert completed.returncode == 2
    assert re.fullmatch(r"error: .*Keras 3.*HRNET_KERAS\n", completed.stderr)
    assert not (results.folder / "none").exists()


def test_documented_script(results: BackendResults) -> None:
    script = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "guides" / "keras3-jax.md").read_text(), re.DOTALL)[0]
    (results.folder / "script.py").write_text(script)
    completed = run_on_keras3(results.python, "script.py", backend=results.facts["backend"], folder=results.folder)
    assert completed.returncode == 0, completed.stderr[-4000:]
    assert re.fullmatch(r"epoch 1: loss 0\.\d+\nepoch 2: loss 0\.\d+\n", completed.stdout)
    if results.facts["backend"] == "tensorflow":
        tf_keras_script = script.replace('use_keras("keras")', 'use_keras("tf_keras")').replace(
            "import keras ", "import tf_keras as keras "
        )
        (results.folder / "script.py").write_text(tf_keras_script)
        with_tf_keras = run_on_keras3(results.python, "script.py", backend="tensorflow", folder=results.folder)
        assert with_tf_keras.returncode == 0, with_tf_keras.stderr[-4000:]
        assert re.fullmatch(r"epoch 1: loss 0\.\d+\nepoch 2: loss 0\.\d+\n", with_tf_keras.stdout)
    weights = load_weights(results.folder / "weights.safetensors")
    assert weights["head_heatmaps/kernel"].shape == (1, 1, 8, 17)
