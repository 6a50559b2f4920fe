"""Saved models of tf_keras and Keras 3 are loaded in a new process after `import hrnet_tf`."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from hrnet_tf.spec.network import HRNetSpec, StageSpec
from training.tasks.classification.losses import ClassCrossEntropy
from training.tasks.pose.losses import HeatmapOHKM
from training.tasks.segmentation.losses import PixelCrossEntropy
import numpy as np
losses = {"pose": HeatmapOHKM(5), "segmentation": PixelCrossEntropy(ohem_threshold=0.5), "classification": ClassCrossEntropy(0.1)}
image = np.random.default_rng(0).random((1, 32, 32, 3), "float32")
outputs = {}
for task in ("pose", "segmentation", "classification"):
    sizes = {"stem_width": 4, "stage1_blocks": 1, "stage1_width": 4, "interpolation": "bilinear"}
    spec = HRNetSpec("tiny", 4, (32, 32), 17, (StageSpec(1, 1),), task=task, **sizes).full()
    model = build_model(spec, gate=on_units(spec.links, lambda name, unit: UnitGate(name)) if task == "pose" else None)
    outputs[task] = np.asarray(model(image))
    model.compile(keras.optimizers.Adam(1e-3), losses[task])
    for ending in ("keras", "h5"):
        model.save(f"{task}.{ending}")
np.savez("outputs.npz", image=image, **outputs)
"""
LOAD = """
import json, os, sys
{imports}
import numpy as np
try:
    keras.models.load_model("pose.keras")
except Exception as raised:
    error = (type(raised).__name__, str(raised))
del os.environ["HRNET_KERAS"]
expected, models = np.load("outputs.npz"), {{}}
for task in ("pose", "segmentation", "classification"):
    for ending in ("keras", "h5"):
        model = keras.models.load_model(f"{{task}}.{{ending}}")
        difference = float(np.abs(np.asarray(model(expected["image"])) - expected[task]).max())
        models[f"{{task}}.{{ending}}"] = (type(model).__name__, model.loss.get_config(), difference)
print(json.dumps({{"models": models, "error": error}}))
"""
IMPORTED_LAST = """
import os, sys
import tensorflow
{imports}
child = os.fork()
if not child:
    exec(sys.argv[2])
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
import hrnet_tf
print(keras.models.load_model("pose.h5").loss.top)
"""


def run(code: str, *arguments: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs a program in a new process, in which only `variables` select the Keras."""
    environment = {name: value for name, value in os.environ.items() if name not in ("HRNET_KERAS", "TF_USE_LEGACY_KERAS")}
    environment |= {"PYTHONPATH": str(ROOT), "KERAS_BACKEND": "tensorflow", **variables}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@dataclass(frozen=True)
class Saved:
    """A folder of models, the name of the Keras that saved them, and of the other one.

    `imported_last` is the program that imported Keras, saved them in a copy of the process, and loaded one after
    `import hrnet_tf`.
    """

    folder: Path
    name: str
    other: str
    imported_last: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module", params=list(IMPORT))
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Saved:
    folder, name = tmp_path_factory.mktemp("saved"), request.param
    completed = run(IMPORTED_LAST.format(imports=IMPORT[name]), name, SAVE, folder=folder)
    return Saved(folder, name, next(other for other in IMPORT if other != name), completed)


@pytest.fixture(scope="module")
def loaded(saved: Saved) -> dict[str, Any]:
    """What a process loads after `import hrnet_tf`, and the error while the other Keras is chosen."""
    code = LOAD.format(imports=f"import hrnet_tf\n{IMPORT[saved.name]}")
    completed = run(code, folder=saved.folder, HRNET_KERAS=saved.other)
    assert completed.returncode == 0, completed.stderr[-3000:]
    results: dict[str, Any] = json.loads(completed.stdout.splitlines()[-1])
    return results


@pytest.mark.slow
def test_hrnet_tf_may_be_imported_last(saved: Saved) -> None:
    assert saved.imported_last.stdout.endswith("5\n"), saved.imported_last.stderr[-3000:]


@pytest.mark.slow
def test_models_are_loaded_after_import_hrnet_tf(loaded: dict[str, Any]) -> None:
    models = loaded["models"]
    assert len(models) == 6
    for class_name, _, difference in models.values():
        assert class_name == "HRNetModel"
        assert difference < 1e-5
    assert models["pose.keras"][1]["top"] == 5
    assert models["segmentation.h5"][1]["ohem_threshold"] == 0.5
    assert models["classification.keras"][1]["label_smoothing"] == 0.1


@pytest.mark.slow
def test_models_of_the_other_keras(saved: Saved, loaded: dict[str, Any]) -> None:
    kind, message = loaded["error"]
    assert kind == "HRNetError"
    assert f"or set HRNET_KERAS={saved.name}" in message


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
