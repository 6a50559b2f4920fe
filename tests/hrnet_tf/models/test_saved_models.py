"""Saved models of tf_keras and Keras 3 are loaded in a new process after `import hrnet_tf`."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hrnet_tf.backend.registration import CLASSES

ROOT = Path(__file__).parents[3]
IMPORT = {"tf_keras": "import tf_keras as keras", "keras": "import keras"}
SAVE = """
import sys
import hrnet_tf
hrnet_tf.use_keras(sys.argv[1])
from hrnet_tf.backend.keras_module import keras
from hrnet_tf.models.gates import UnitGate, on_units
from hrnet_tf.models.build import build_model
from hrnet_tf.spec.presets import customized, preset
from training.tasks.classification.losses import ClassCrossEntropy
from training.tasks.pose.losses import HeatmapOHKM
from training.tasks.segmentation.losses import PixelCrossEntropy
import numpy as np
losses = {"pose": HeatmapOHKM(5), "segmentation": PixelCrossEntropy(ohem_threshold=0.5), "classification": ClassCrossEntropy(0.1)}
image = np.random.default_rng(0).random((1, 64, 64, 3), "float32")
outputs = {}
for task, name in (("pose", "pose-small-v1"), ("segmentation", "segment-small-v1"), ("classification", "classify-small-v1")):
    spec = customized(preset(name), input_size=(64, 64), width=8, modules="1", blocks=1)
    model = build_model(spec, gate=on_units(spec.links, lambda name, unit: UnitGate(name)) if task == "pose" else None)
    outputs[task] = np.asarray(model(image))
    model.compile(keras.optimizers.Adam(1e-3), losses[task])
    for ending in ("keras", "h5"):
        model.save(f"{task}.{ending}")
np.savez("outputs.npz", image=image, **outputs)
"""
LOAD = """
import json, sys
{imports}
import numpy as np
expected, results = np.load("outputs.npz"), {{}}
for task in ("pose", "segmentation", "classification"):
    for ending in ("keras", "h5"):
        model = keras.models.load_model(f"{{task}}.{{ending}}")
        difference = float(np.abs(np.asarray(model(expected["image"])) - expected[task]).max())
        results[f"{{task}}.{{ending}}"] = (type(model).__name__, model.loss.get_config(), difference)
print(json.dumps(results))
"""


def run(code: str, *arguments: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs a program in a new process, in which only `variables` select the Keras."""
    environment = {name: value for name, value in os.environ.items() if name not in ("HRNET_KERAS", "TF_USE_LEGACY_KERAS")}
    environment |= {"PYTHONPATH": str(ROOT), "KERAS_BACKEND": "tensorflow", **variables}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module", params=list(IMPORT))
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The name of a Keras and the folder of models that it saved."""
    folder = tmp_path_factory.mktemp("saved")
    completed = run(SAVE, request.param, folder=folder)
    assert completed.returncode == 0, completed.stderr[-3000:]
    return request.param, folder


@pytest.mark.slow
def test_models_are_loaded_after_import_hrnet_tf(saved: tuple[str, Path]) -> None:
    name, folder = saved
    completed = run(LOAD.format(imports=f"import hrnet_tf\n{IMPORT[name]}"), folder=folder)
    assert completed.returncode == 0, completed.stderr[-3000:]
    results = json.loads(completed.stdout.splitlines()[-1])
    assert len(results) == 6
    for class_name, _, difference in results.values():
        assert class_name == "HRNetModel"
        assert difference < 1e-5
    assert results["pose.keras"][1]["top"] == 5
    assert results["segmentation.h5"][1]["ohem_threshold"] == 0.5
    assert results["classification.keras"][1]["label_smoothing"] == 0.1


@pytest.mark.slow
def test_hrnet_tf_may_be_imported_last(saved: tuple[str, Path]) -> None:
    name, folder = saved
    code = f"import tensorflow\n{IMPORT[name]}\nimport hrnet_tf\nprint(keras.models.load_model('pose.h5').loss.top)"
    completed = run(code, folder=folder)
    assert completed.stdout.endswith("5\n"), completed.stderr[-3000:]


@pytest.mark.slow
def test_models_of_the_other_keras(saved: tuple[str, Path]) -> None:
    name, folder = saved
    other_keras = next(keras_name for keras_name in IMPORT if keras_name != name)
    code = f"import hrnet_tf\n{IMPORT[name]}\nkeras.models.load_model('pose.keras')"
    completed = run(code, folder=folder, HRNET_KERAS=other_keras)
    assert completed.returncode == 1
    assert f"or set HRNET_KERAS={name}" in completed.stderr


def test_importing_the_package_imports_no_keras() -> None:
    code = "import sys, hrnet_tf; print(sorted({'tensorflow', 'tf_keras', 'keras', 'numpy', 'cv2', 'typer'} & set(sys.modules)))"
    assert run(code, folder=ROOT).stdout == "[]\n"


@pytest.mark.slow
def test_every_registered_class_has_a_proxy() -> None:
    registered = {}
    for package in ("hrnet_tf", "training", "conversion"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef) and any("register_keras" in ast.unparse(d) for d in node.decorator_list):
                    registered[node.name] = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    assert registered == CLASSES
