"""The names of `import hrnet_tf`."""

from __future__ import annotations

import ast
import inspect
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

import hrnet_tf as hr

ROOT = Path(__file__).parents[2]
HEAVY = {"tensorflow", "keras", "tf_keras", "jax", "numpy", "cv2", "training", "conversion"}
# Names that are no functions and classes of the package with a signature to describe.
PLAIN = {"__version__", "losses"}
RETURN_NOTHING = {"use_keras"}


def public() -> list[str]:
    return [name for name in hr.__all__ if name not in PLAIN]


def in_a_new_process(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT).stdout


def test_import_is_light() -> None:
    begun = time.perf_counter()
    loaded = in_a_new_process("import sys, json, hrnet_tf; dir(hrnet_tf); print(json.dumps(sorted(sys.modules)))")
    assert time.perf_counter() - begun < 3  # with the start of Python on a loaded machine; alone it takes 0.05 s
    assert {name.split(".")[0] for name in json.loads(loaded)} & HEAVY == set()


def test_names_for_devices_need_no_keras() -> None:
    """What evaluates and measures files loads neither Keras nor TensorFlow, and not even looks for them."""
    names = ["TFLiteModel", "benchmark", "evaluate", "compare", "CocoKeypoints", "MaskFolder", "HRNetError", "list_presets"]
    program = (
        "import sys\n"
        "for name in ('tensorflow', 'yaml', 'safetensors'): sys.modules[name] = None\n"
        f"import hrnet_tf as hr\nfor name in {names}: getattr(hr, name)\n"
        "try: hr.evaluate('missing.tflite', None)\n"
        "except hr.HRNetError as error: print(error, {'keras', 'tf_keras'} & set(sys.modules))"
    )
    assert in_a_new_process(program) == "cannot read model missing.tflite: No such file or directory set()\n"


def test_names_are_listed_once() -> None:
    """Editors see the names that are there: those imported under TYPE_CHECKING."""
    tree = ast.parse((ROOT / "hrnet_tf" / "__init__.py").read_text(encoding="utf-8"))
    [typing_only] = [node for node in tree.body if isinstance(node, ast.If)]
    imports = [node for node in typing_only.body if isinstance(node, ast.ImportFrom)]
    seen = {alias.name: node.module for node in imports for alias in node.names}
    assert seen.pop("losses") == "hrnet_tf"
    assert seen == hr._MODULES
    assert sorted(hr.__all__) == sorted({*seen, "losses", "HRNetError", "__version__", "use_keras"})
    assert set(hr.__all__) <= set(dir(hr))
    with pytest.raises(AttributeError, match="'hrnet'"):
        _ = hr.hrnet  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", public())
def test_names_resolve_to_what_they_are_called(name: str) -> None:
    assert getattr(hr, name).__name__ == name


@pytest.mark.parametrize("name", public())
def test_names_are_documented(name: str) -> None:
    """Arguments, results, errors and an example."""
    value = getattr(hr, name)
    text = inspect.getdoc(value) or ""
    assert "Example:\n    >>>" in text
    if inspect.isclass(value):
        made_here = {"__init__", "__new__"} & set(vars(value))
        assert not made_here or re.search(r"^(Args|Attributes):$", text, re.MULTILINE)
        return
    assert name in RETURN_NOTHING or "\nReturns:\n" in text
    assert "\nRaises:\n" in text or name == "normalize"
    for parameter in inspect.signature(value).parameters:
        assert f"\n    {parameter}: " in text


def test_names_are_in_the_reference() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "reference" / "api").glob("*.md"))
    assert set(re.findall(r"^::: hrnet_tf\.(\w+)$", pages, re.MULTILINE)) == set(hr.__all__) - {"__version__"}


def test_presets() -> None:
    assert hr.list_presets("landmarks") == ["landmarks-w18", "landmarks-small-v1", "landmarks-small-v2"]
    detectors = hr.list_presets("detection")
    assert {hr.HRNet.preset(name).task for name in detectors if name.startswith("detect-")} == {"detection"}
    assert {hr.Baseline.preset(name).task for name in detectors if name.startswith("frcnn-")} == {"detection"}
    with pytest.raises(hr.HRNetError, match=r"`task` must be one of pose, .*, got 'poses'"):
        hr.list_presets("poses")
    with pytest.raises(hr.HRNetError, match="simple-baseline-r50 is no HRNet; use Baseline"):
        hr.HRNet.preset("simple-baseline-r50")
    with pytest.raises(hr.HRNetError, match="pose-w32 is an HRNet; use HRNet"):
        hr.Baseline.preset("pose-w32")
    assert hr.Baseline.preset("simple-baseline-r50", input_size=64, outputs=5).input_size == (64, 64)


def test_losses() -> None:
    assert set(hr.losses.__all__) == set(dir(hr.losses))
    for name in hr.losses.__all__:
        assert getattr(hr.losses, name).__name__ == name
    assert hr.losses.HeatmapOHKM(top=3).get_config()["top"] == 3
    with pytest.raises(AttributeError, match="'MSE'"):
        _ = hr.losses.MSE  # type: ignore[attr-defined]
