"""Files compiled for Snapdragon's NPU by Qualcomm's compiler, which the tests install in a folder of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from conversion.cli import targets
from conversion.targets import snapdragon
from conversion.targets.snapdragon import NEEDS_LITERT, NEEDS_QAIRT, compile_for_snapdragon
from mobile_eval.errors import HRNetError
from mobile_eval.model.archive import is_described, read_description

FILES = Path(__file__).parents[3] / "benchmarks" / "results" / "lspet"


@pytest.fixture(scope="module")
def qairt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Qualcomm's libraries. They are 100 MB under a licence of their own, so no environment has them by default."""
    folder = tmp_path_factory.mktemp("qairt")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, "onnxruntime-qnn"]
    if sys.platform != "linux" or subprocess.run(command, check=False).returncode:
        pytest.skip("onnxruntime-qnn cannot be installed here")
    return folder / "onnxruntime_qnn"


@pytest.mark.external
@pytest.mark.slow
@pytest.mark.parametrize("name", ["links-int8", "pruned-float32"])
def test_all_operators_are_on_the_npu(qairt: Path, tmp_path: Path, name: str) -> None:
    result = compile_for_snapdragon(FILES / f"{name}.tflite", tmp_path, "SM8650", qairt)
    assert result.path == tmp_path / f"{name}_SM8650.tflite"
    assert (result.npu_operators, result.partitions, result.cpu_operators) == (result.operators, 1, {})
    assert result.operators > 50
    assert is_described(result.path)
    assert read_description(result.path).category == read_description(FILES / f"{name}.tflite").category
    with pytest.raises(HRNetError, match="already compiled for an NPU"):
        compile_for_snapdragon(result.path, tmp_path, "SM8650", qairt)


@pytest.mark.external
@pytest.mark.slow
def test_every_soc(qairt: Path, tmp_path: Path) -> None:
    command = [str(FILES / "blocks-int8.tflite"), "--all", "--qairt", str(qairt), "--output", str(tmp_path)]
    result = CliRunner().invoke(targets, ["snapdragon", *command, "--json", str(tmp_path / "result.json")])
    assert result.exit_code == 0, result.output
    compiled = json.loads((tmp_path / "result.json").read_text())["compiled"]
    assert [entry["soc"] for entry in compiled] == list(snapdragon.SOCS)
    assert all(Path(entry["path"]).stat().st_size == entry["compiled_bytes"] or is_described(entry["path"]) for entry in compiled)


def test_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = FILES / "blocks-int8.tflite"
    with pytest.raises(HRNetError, match=r"`soc`.*'SM1'"):
        compile_for_snapdragon(model, tmp_path, "SM1")
    with pytest.raises(HRNetError, match=rf"`qairt` {tmp_path}"):
        compile_for_snapdragon(model, tmp_path, qairt=tmp_path)
    (tmp_path / "text.tflite").write_text("no model")
    with pytest.raises(HRNetError, match=r"text\.tflite"):
        compile_for_snapdragon(tmp_path / "text.tflite", tmp_path)
    find_spec = snapdragon.importlib.util.find_spec
    monkeypatch.setattr(snapdragon.importlib.util, "find_spec", lambda name: None if "qnn" in name else find_spec(name))
    with pytest.raises(HRNetError) as error:
        compile_for_snapdragon(model, tmp_path)
    assert str(error.value) in (NEEDS_QAIRT, NEEDS_LITERT)
    monkeypatch.setattr(snapdragon.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(HRNetError) as error:
        compile_for_snapdragon(model, tmp_path)
    assert str(error.value) == NEEDS_LITERT
    assert [path.name for path in tmp_path.iterdir()] == ["text.tflite"]
