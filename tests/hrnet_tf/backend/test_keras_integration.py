"""Training, callbacks, files, copies, precisions and strategies of Keras, with a model of `HRNet` and one with an own head."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.hrnet_tf.backend.keras_features import LEARNING_RATE, MODELS, features
from tests.support.environments import run_on_keras3

pytestmark = pytest.mark.slow
JOB = Path(__file__).with_name("keras_features.py")
BACKENDS = [
    pytest.param("tf_keras", marks=pytest.mark.journey),
    *(pytest.param(backend, marks=pytest.mark.external) for backend in ("tensorflow", "jax")),
]


@pytest.fixture(scope="module", params=BACKENDS)
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The results of `keras_features` on tf_keras, and on Keras 3 with a backend."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "tf_keras":
        return features(folder)
    python = Path(sys.executable) if request.param == "tensorflow" else request.getfixturevalue("jax_python")
    completed = run_on_keras3(python, JOB, folder, backend=request.param, folder=folder)
    assert completed.returncode == 0, completed.stdout[-1000:] + completed.stderr[-4000:]
    facts: dict[str, Any] = json.loads((folder / "features.json").read_text())
    assert facts["backend"] == request.param
    return facts


@pytest.mark.parametrize("name", MODELS)
def test_fit_with_callbacks_of_keras(results: dict[str, Any], name: str) -> None:
    training = results["training"][name]
    assert training["finite"]
    assert training["epochs"] == 3  # patience ends it
    assert training["learning_rate"] == pytest.approx(LEARNING_RATE / 4)
    assert training["checkpoints"] == ["epoch1.keras", "epoch2.keras", "epoch3.keras"]
    assert training["best_epoch"] < 1e-5
    assert training["events"] == (0 if results["backend"] == "jax" else 2)  # of training and validation
    assert training["same_spec"]


@pytest.mark.parametrize("name", MODELS)
def test_loaded_checkpoint_evaluates_as_in_training(results: dict[str, Any], name: str) -> None:
    evaluation = results["training"][name]["evaluation"]
    assert set(evaluation) >= ({"loss", "classes_accuracy"} if name == "two_outputs" else {"loss"})
    for loaded, in_training in evaluation.values():
        assert loaded == pytest.approx(in_training, rel=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_copies_have_the_same_outputs_and_spec(results: dict[str, Any], name: str) -> None:
    copies = results["copies"][name]
    saved_models = {"saved"} if (results["keras"], name) == ("tf_keras", "heatmaps") else set()
    exported = set() if results["backend"] == "jax" else {"exported"}
    assert set(copies) == {"clone", "model.keras", "model.h5", *saved_models, *exported}
    assert {kind: same_spec for kind, (_, same_spec) in copies.items()} == dict.fromkeys(copies, True)
    assert max(difference for difference, _ in copies.values()) < 1e-5


@pytest.mark.parametrize("name", MODELS)
def test_summary_has_the_number_of_parameters(results: dict[str, Any], name: str) -> None:
    assert results["summary"][name]


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(results: dict[str, Any], policy: str) -> None:
    assert results["precision"][policy] == {
        "finite": True,
        "compute": policy.removeprefix("mixed_"),
        "variables": "float32",
        "outputs": dict.fromkeys(("", "maps", "classes"), "float32"),
        "same_spec": True,
    }


def test_strategy_trains_the_same_model(results: dict[str, Any]) -> None:
    """`tests/training/engine/test_strategies.py` trains it on two devices."""
    if results["backend"] == "jax":
        pytest.skip("strategies are TensorFlow's")
    expected, actual = results["strategies"]["none"], results["strategies"]["mirrored"]
    assert len(set(expected["losses"])) == 2
    assert actual["losses"] == pytest.approx(expected["losses"], rel=1e-5)
    assert actual["spec"] == expected["spec"]
