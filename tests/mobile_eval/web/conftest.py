"""A stand-in for LiteRT.js, and calls of the page's modules by node."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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
