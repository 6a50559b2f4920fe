"""The table of targets: each row against the module that knows the target, and rows of targets that fail."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from conversion import cli
from conversion.targets.attempts import ETHOSU, SOCS, TargetTrials
from conversion.targets.compiler import MissingToolError
from conversion.targets.edgetpu import check_edgetpu
from conversion.targets.ethosu import compile_for_ethosu
from conversion.targets.openvino import run_openvino
from conversion.targets.table import COMPILED, NOT_TRIED, RAN, RULES, TargetRow, TargetTable
from mobile_eval.errors import HRNetError
from mobile_eval.files import read_bytes, sha256
from mobile_eval.model.graph import TFLiteGraph

FILES = Path(__file__).parents[3] / "benchmarks" / "results" / "lspet"
HERE = f"XNNPACK, {platform.machine()}"


def missing(*_: object, **__: object) -> object:
    raise MissingToolError("install `nothing`")


@pytest.fixture
def few_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out the slow compilers, as if they were not installed."""
    for name in ("compile_for_ethosu", "compile_for_snapdragon", "run_micro", "run_openvino"):
        monkeypatch.setattr(f"conversion.targets.attempts.{name}", missing)


@pytest.mark.usefixtures("few_targets")
def test_rows_of_an_int8_file(int8_file: Path) -> None:
    table = TargetTrials(int8_file).table()
    operators = len(TFLiteGraph(int8_file).operators)
    assert table.sha256 == sha256(read_bytes(int8_file, "model"))
    here, edgetpu, browser = (table[name] for name in (HERE, "Edge TPU", "browser"))
    assert (here.known_by, here.verdict, here.operators, here.size_bytes) == (RAN, "all", operators, int8_file.stat().st_size)
    assert here.latency_ms is not None
    assert 0 < here.latency_ms < 1000
    assert (edgetpu.known_by, edgetpu.taken) == (RULES, len(check_edgetpu(int8_file).mapped))
    assert edgetpu.latency_ms is None
    assert (browser.known_by, browser.taken) == (RULES, 0)
    assert "int8" in browser.note
    for name in (*ETHOSU, *(f"Snapdragon {soc}" for soc in SOCS), "TFLite Micro", "OpenVINO"):
        assert (table[name].known_by, table[name].verdict, table[name].note) == (NOT_TRIED, NOT_TRIED, "install `nothing`")
    assert str(table).count("install `nothing`") == 1


@pytest.mark.slow
@pytest.mark.usefixtures("few_targets")
def test_rows_of_a_float32_file(float32_file: Path) -> None:
    table = TargetTrials(float32_file).table()
    assert (table["Edge TPU"].verdict, table["browser"].verdict, table[HERE].verdict) == ("none", "all", "all")
    assert "float32" in table["Edge TPU"].note


@pytest.mark.slow
def test_ethosu_and_other_pythons(int8_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conversion.targets.attempts.compile_for_snapdragon", missing)
    broken = tmp_path / "no-python"
    table = TargetTrials(int8_file, pythons=[sys.executable, broken]).table()
    compiled = compile_for_ethosu(int8_file, tmp_path, "ethos-u65-256")
    row = table["ethos-u65-256"]
    assert (row.known_by, row.taken, row.operators) == (COMPILED, table[HERE].operators, table[HERE].operators)
    assert (row.latency_ms, row.size_bytes) == (compiled.inference_ms, compiled.path.stat().st_size)
    [other] = [row for row in table.rows if row.target.startswith("ai-edge-litert")]
    assert other.target.endswith(platform.machine())
    assert other.latency_ms is not None
    assert (table[str(broken)].verdict, table[str(broken)].known_by) == ("none", RAN)


@pytest.mark.usefixtures("few_targets")
@pytest.mark.slow
def test_failing_targets_do_not_end_the_table(int8_file: Path, tmp_path: Path) -> None:
    compiled = compile_for_ethosu(int8_file, tmp_path).path
    outputs = {"--json": tmp_path / "table.json", "--html": tmp_path / "table.html"}
    result = CliRunner().invoke(cli.app, ["targets", str(compiled), *(str(word) for pair in outputs.items() for word in pair)])
    assert result.exit_code == 0, result.output
    page = outputs["--html"].read_text()
    assert all(
        f'<th scope="row" role="rowheader">{row["target"]}</th>' in page
        for row in json.loads(outputs["--json"].read_text())["targets"]
    )
    written = json.loads((tmp_path / "table.json").read_text())
    verdicts = {row["target"]: row["takes_it"] for row in written["targets"]}
    assert written["model"] == compiled.name
    assert (verdicts[HERE], verdicts["Edge TPU"]) == ("none", "none")
    assert str(tmp_path) not in json.dumps({**written, "targets": []})


@pytest.mark.external
@pytest.mark.slow
def test_openvino(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path_factory.mktemp("openvino")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, "openvino"]
    if subprocess.run(command, check=False).returncode:
        pytest.skip("openvino cannot be installed here")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH")))))
    result = run_openvino(FILES / "links-int8.tflite", runs=3)
    assert 0 < result.p50_ms < 1000
    assert result.largest_difference <= 16  # of 256 steps
    float32 = run_openvino(FILES / "links-float32.tflite", runs=3)
    assert float32.largest_difference < 0.1  # of heatmaps whose peak is 1
    assert float32.version[:2] == "20"


def test_verdicts_and_cells() -> None:
    some = TargetRow("NPU", COMPILED, 10, 7, 2_000_000, 1.5, 3_000, "estimated")
    assert some.verdict == "some"
    assert some.cells == ("NPU", "7 of 10", COMPILED, "2.000 MB", "1.50 ms, 3 kB memory (estimated)")
    assert TargetRow("GPU", note="no driver").cells == ("GPU", "-", NOT_TRIED, "-", "-")
    assert TargetRow("CPU", RAN, 10, 0, note="failed").verdict == "none"
    assert TargetTable(Path("a/m.tflite"), "0", (some,)).to_json()["model"] == "m.tflite"


def test_page() -> None:
    """Names and notes are escaped; only targets that were tried are counted; a note is spelled as the caller asks."""
    rows = (
        TargetRow("CPU", RAN, 10, 10),
        TargetRow("NPU", COMPILED, 10, 7, note="a < `b`"),
        TargetRow("GPU", note="no <i>driver</i>"),
    )
    page = TargetTable(Path("a/<b>.tflite"), "0f", rows).to_html(lambda note: note.replace("`b`", "--b"))
    assert "<title>&lt;b&gt;.tflite: 1 of 2 targets take every operator</title>" in page
    assert "<dt>NPU</dt><dd>a &lt; --b</dd>" in page
    assert "<i>" not in page
    assert '<td role="cell" data-label="Takes it" class="full">7 of 10</td>' in page


def test_bad_input(tmp_path: Path) -> None:
    (tmp_path / "text.tflite").write_text("no model")
    with pytest.raises(HRNetError, match=r"text\.tflite"):
        TargetTrials(tmp_path / "text.tflite")
    with pytest.raises(HRNetError, match=r"absent\.tflite"):
        TargetTrials(tmp_path / "absent.tflite")
