"""A stand-in for LiteRT.js, and calls of the page's modules by node."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conversion.convert import convert
from hrnet_tf.backend.keras_module import keras
from hrnet_tf.models.build import build_model
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.web import litert_js

PAGE = Path(litert_js.__file__).parent / "page"
CALL = Path(__file__).with_name("call.mjs")
JavaScript = Callable[..., Any]


@pytest.fixture
def litert_folder(tmp_path: Path) -> Path:
    """A folder where npm installed packages with the names of LiteRT.js, and almost nothing inside."""
    for package in litert_js.PACKAGES:
        for path in package.files.values():
            file = tmp_path / "npm" / "node_modules" / package.name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"export {};\n")
    core = tmp_path / "npm" / "node_modules" / litert_js.CORE.name
    (core / "dist" / "index.js").write_bytes(b"import { createWasmLib } " + litert_js.IMPORT + b";\n")
    (core / "package.json").write_text(json.dumps({"version": litert_js.VERSION}))
    return tmp_path / "npm"


@pytest.fixture(scope="session")
def finder(center_spec: HRNetSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector by centers with random weights, which finds people and dogs in noise; float32."""
    keras.utils.set_random_seed(0)
    model = build_model(center_spec)
    rng = np.random.default_rng(0)
    for name in ("centers", "sizes", "offsets"):
        kernel, bias = model.get_layer(f"head_{name}").get_weights()
        random = 0.5 * rng.standard_normal(kernel.shape).astype(np.float32)
        model.get_layer(f"head_{name}").set_weights([random, np.ones_like(bias)])
    return convert(model, tmp_path_factory.mktemp("finder") / "find.tflite", format="float32", labels=["dog", "person"]).path


@pytest.fixture(scope="session")
def javascript() -> JavaScript:
    """Calls a function of a module of the page, with arguments and a result that JSON can hold."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")

    def call(module: str, function: str, *arguments: object) -> Any:
        calls = json.dumps([[module, function, arguments]])
        done = subprocess.run([node, str(CALL), str(PAGE)], input=calls, capture_output=True, text=True, check=False)
        assert not done.returncode, done.stderr
        [result] = json.loads(done.stdout)
        return result

    return call
