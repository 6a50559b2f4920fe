"""The choice of Keras, and objects of the other Keras."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hrnet_tf import use_keras
from hrnet_tf.backend import choice as keras_choice
from hrnet_tf.backend.choice import check_same_keras, check_tf_keras, chosen_keras
from hrnet_tf.backend.keras_module import keras
from hrnet_tf.models.build import build_model
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.errors import HRNetError
from training.config import TrainingConfig
from training.execution import Execution
from training.tasks.pose.losses import HeatmapMSE
from training.train import train


@pytest.fixture
def not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The state of a process that has not imported Keras."""
    monkeypatch.setattr(keras_choice, "_keras_module", lambda: None)
    for name in ("HRNET_KERAS", "KERAS_BACKEND"):
        monkeypatch.setenv(name, "")


def test_tf_keras_is_the_default(not_imported: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen_keras() == "tf_keras"
    use_keras("keras", backend="jax")
    assert chosen_keras() == "keras"
    with pytest.raises(HRNetError, match=r"conversion .* Keras 3 \(jax\)"):
        check_tf_keras("conversion")
    monkeypatch.setenv("HRNET_KERAS", "keras2")
    with pytest.raises(HRNetError, match="'keras2'"):
        chosen_keras()


@pytest.mark.parametrize(("name", "backend"), [("tf_keras", "jax"), ("keras", "torch")])
def test_unsupported_backends(not_imported: None, name: str, backend: str) -> None:
    with pytest.raises(HRNetError, match=f"got '{backend}' for '{name}'"):
        use_keras(name, backend)


def test_imported_keras_cannot_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HRNET_KERAS", "tf_keras")
    use_keras("tf_keras")
    with pytest.raises(HRNetError, match="Keras 3, tf_keras"):
        use_keras("keras")


@pytest.mark.slow
def test_objects_of_keras_3_are_refused(spec: HRNetSpec, config: TrainingConfig, tmp_path: Path) -> None:
    import keras as keras_3

    class Keras3Callback(keras_3.callbacks.Callback):  # type: ignore[misc]
        pass

    model = build_model(spec)
    with pytest.raises(HRNetError, match=r"Adam .*\(keras\.src\.optimizers\.adam\)"):
        model.compile(keras_3.optimizers.Adam(), HeatmapMSE())
    with pytest.raises(HRNetError, match="MeanSquaredError"):
        model.compile("adam", loss=keras_3.losses.MeanSquaredError())
    with pytest.raises(HRNetError, match="MeanSquaredError"):
        model.compile("adam", HeatmapMSE(), metrics=[keras_3.metrics.MeanSquaredError()])
    model.compile(keras.optimizers.Adam(), HeatmapMSE())
    with pytest.raises(HRNetError, match="Keras3Callback"):
        model.fit([], callbacks=[Keras3Callback()])
    with pytest.raises(HRNetError, match="Keras3Callback"):
        train(spec, config, tmp_path / "run", execution=Execution(callbacks=(Keras3Callback(),)))
    assert not (tmp_path / "run").exists()
    check_same_keras(keras.callbacks.TerminateOnNaN(), keras.optimizers.Adam(), None, "adam")
    assert "tf_keras" in sys.modules


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first_import", "keras_of_tensorflow"),
    [("import hrnet_tf", "tf_keras"), ("import tensorflow", "tf_keras"), ("import tensorflow as tf; tf.keras.layers", "keras")],
)
def test_order_of_imports(first_import: str, keras_of_tensorflow: str) -> None:
    """`tf.keras` is tf_keras unless it was loaded before the package. keras-cv works in any order of imports."""
    code = f"""{first_import}
from hrnet_tf.backend.keras_module import keras
import tensorflow as tf
from training.tasks.detection.assignment import overlaps
boxes = tf.constant([[[0.0, 0.0, 2.0, 2.0]]])
overlap = float(overlaps(boxes, boxes + 1, tf.zeros((1, 1)))[0, 0, 0])
print(keras.__name__, tf.keras.layers.Layer.__module__.split(".")[0], overlap)
"""
    environment = {name: value for name, value in os.environ.items() if name not in ("HRNET_KERAS", "TF_USE_LEGACY_KERAS")}
    completed = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr[-2000:]
    package_keras, tensorflow_keras, overlap = completed.stdout.split()
    assert (package_keras, tensorflow_keras) == ("tf_keras", keras_of_tensorflow)
    assert float(overlap) == pytest.approx(1 / 7)


def test_missing_keras_cv(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("keras_cv", "training.tasks.detection.assignment"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "keras_cv", None)  # as if it were not installed
    with pytest.raises(HRNetError, match=r"needs keras-cv .*pip install 'hrnet-tf\[detection\]'"):
        importlib.import_module("training.tasks.detection.assignment")
