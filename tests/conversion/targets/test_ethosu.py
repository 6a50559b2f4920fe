"""Files compiled by Vela, and its estimates."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import ai_edge_litert.schema_py_generated as schema
import flatbuffers
import pytest
from typer.testing import CliRunner

from conversion.cli import targets
from conversion.targets.ethosu import NEEDS_VELA, compile_for_ethosu
from hrnet_tf.spec.complexity import complexity
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.errors import HRNetError
from training.pruning.candidate_latency import untrained_tflite

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("accelerator", ["ethos-u55-128", "ethos-u65-256", "ethos-u85-256"])
def test_int8_hrnet_runs_on_the_npu(int8_file: Path, spec: HRNetSpec, tmp_path: Path, accelerator: str) -> None:
    result = compile_for_ethosu(int8_file, tmp_path, accelerator)
    assert result.path == tmp_path / "int8_vela.tflite"
    assert result.path.read_bytes()[4:8] == b"TFL3"
    assert result.npu_share == 1
    assert result.npu_operators > 50
    assert result.multiply_adds == pytest.approx(complexity(spec).multiply_adds, rel=0.02)
    assert result.cycles > 0
    assert result.inference_ms > 0
    assert result.sram_kib > 0


def test_operators_on_the_cpu_are_counted(float32_file: Path, tmp_path: Path) -> None:
    result = compile_for_ethosu(float32_file, tmp_path)
    assert result.npu_share == 0
    assert result.cpu_operators["Conv2D"] > 30


def test_pruned_against_full(int8_file: Path, spec: HRNetSpec, tmp_path: Path) -> None:
    pruned = tmp_path / "pruned.tflite"
    pruned.write_bytes(untrained_tflite(spec.without({link for link in spec.links if link.source == 3})))
    command = ["ethosu", str(pruned), "--against", str(int8_file), "--output", str(tmp_path), "--json", str(tmp_path / "e.json")]
    result = CliRunner().invoke(targets, command)
    assert result.exit_code == 0, result.output
    ratio = float(result.output.split("pruned.tflite / int8.tflite: ")[1].split()[0])
    assert 0.3 < ratio < 1


def test_files_that_cannot_be_compiled(int8_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HRNetError, match="'ethos-u99'"):
        compile_for_ethosu(int8_file, tmp_path, "ethos-u99")
    (tmp_path / "text.tflite").write_text("no model")
    with pytest.raises(HRNetError, match=r"text\.tflite"):
        compile_for_ethosu(tmp_path / "text.tflite", tmp_path)
    (tmp_path / "cut.tflite").write_bytes(int8_file.read_bytes()[:900])
    with pytest.raises(HRNetError, match=r"cut\.tflite"):
        compile_for_ethosu(tmp_path / "cut.tflite", tmp_path)
    (tmp_path / "kernel.tflite").write_bytes(_without_kernel(int8_file.read_bytes()))
    with pytest.raises(HRNetError, match=r"kernel\.tflite"):
        compile_for_ethosu(tmp_path / "kernel.tflite", tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(HRNetError, match="pip install") as raised:
        compile_for_ethosu(int8_file, tmp_path)
    assert str(raised.value) == NEEDS_VELA
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.tflite", "kernel.tflite", "text.tflite"]


def _without_kernel(flatbuffer: bytes) -> bytes:
    """The model with a convolution that lacks its kernel and bias: a valid flatbuffer with an invalid graph."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(flatbuffer, 0))
    convolution = next(operator for operator in model.subgraphs[0].operators if len(operator.inputs) == 3)  # image, kernel, bias
    convolution.inputs = convolution.inputs[:1]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
