"""Profiles of the micro model: parts and times of operators, and results of extracted operators."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner

from mobile_eval.benchmark.environment import current_environment
from mobile_eval.benchmark.profile import OperatorTime, ProfileResult, group_of, grouped_ms, load_profile, part_of, profile
from mobile_eval.cli.app import app
from mobile_eval.errors import HRNetError
from mobile_eval.model.graph import TFLiteGraph
from mobile_eval.runtime.interpreter import make_interpreter
from mobile_eval.viz.profile_chart import profile_svg

ModelPath = Callable[..., Path]


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_operators_match_the_runtime(model_path: ModelPath, precision: str) -> None:
    path = model_path(precision)
    operators = TFLiteGraph(path).operators
    expected = [op["op_name"] for op in make_interpreter(path)._get_ops_details() if op["op_name"] != "DELEGATE"]
    assert [operator.kind for operator in operators] == expected
    assert all(operator.layer for operator in operators)
    assert operators[-1].layer == "head_heatmaps"


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_copies_of_an_extracted_operator_agree(model_path: ModelPath, tmp_path: Path, precision: str) -> None:
    graph = TFLiteGraph(model_path(precision))
    for kind in ("CONV_2D", "ADD", "PAD", "RESIZE_NEAREST_NEIGHBOR"):
        index = next(operator.index for operator in graph.operators if operator.kind == kind)
        path = tmp_path / f"{kind}.tflite"
        path.write_bytes(graph.extract(index, copies=3))
        interpreter = make_interpreter(path)
        random = np.random.default_rng(0)
        for details in interpreter.get_input_details():
            values = random.integers(-50, 50, details["shape"])
            interpreter.set_tensor(details["index"], values.astype(details["dtype"]))
        interpreter.invoke()
        outputs = [interpreter.get_tensor(details["index"]) for details in interpreter.get_output_details()]
        assert len(outputs) == 3
        assert np.abs(outputs[0].astype(float)).max() > 0
        for copy in outputs[1:]:
            np.testing.assert_array_equal(copy, outputs[0])


def test_kernels_match_keras(model_path: ModelPath, micro) -> None:  # type: ignore[no-untyped-def]
    graph = TFLiteGraph(model_path("float32"))
    operator = next(operator for operator in graph.operators if operator.layer == "stem_conv2")
    kernel, bias = graph.constant(operator.index, 1), graph.constant(operator.index, 2)
    expected = micro.keras.get_layer("stem_conv2").get_weights()
    np.testing.assert_allclose(kernel.transpose(1, 2, 3, 0), expected[0], atol=1e-7)
    np.testing.assert_allclose(bias, expected[1], atol=1e-7)
    assert graph.constant(operator.index, 0) is None
    assert graph.constant(operator.index, 9) is None


def test_profile_sums_parts_and_kinds(model_path: ModelPath) -> None:
    result = profile(model_path("int8"), rounds=20)
    assert len(result.operators) == len(TFLiteGraph(model_path("int8")).operators)
    assert result.sum_ms == pytest.approx(sum(result.parts_ms().values())) == pytest.approx(sum(result.kinds_ms().values()))
    assert result.measured_ms > 0
    assert {"stem", "stage1", "transition1_branch1", "stage2_module0_link1to0", "stage3_module0_fuse0", "head"} <= set(
        result.parts_ms()
    )
    times = {operator.layer: operator.ms for operator in result.operators}
    assert times["stage2_module0_branch1_block0_conv1"] == times["stage3_module0_branch1_block0_conv1"]  # timed once
    assert result.network is not None
    assert f"{result.measured_ms:.3f} ms" in str(result)
    assert ProfileResult.from_json(json.loads(json.dumps(result.to_json()))) == result


@pytest.mark.parametrize(
    ("layer", "part", "group"),
    [
        ("stem_conv1", "stem", "stem"),
        ("stage1_block0_conv1", "stage1", "stage1"),
        ("transition2_branch2_pad1", "transition2_branch2", "transitions"),
        ("stage4_module2_link0to3_conv2", "stage4_module2_link0to3", "stage4 links"),
        ("stage4_module2_branch0_block3_add1", "stage4_module2_branch0_block3", "stage4 branch0"),
        ("stage3_module1_fuse2_add1", "stage3_module1_fuse2", "stage3 fusion sums"),
        ("head_heatmaps", "head", "head"),
        ("something_else", "other", "other"),
        (None, "other", "other"),
    ],
)
def test_parts_and_groups_of_layers(layer: str | None, part: str, group: str) -> None:
    assert part_of(layer) == part
    assert group_of(part) == group


def test_command_writes_a_profile(model_path: ModelPath, tmp_path: Path) -> None:
    path, picture = tmp_path / "profile.json", tmp_path / "profile.svg"
    options = ["--rounds", "5", "--json", str(path), "--picture", str(picture)]
    result = CliRunner().invoke(app, ["profile", str(model_path("float32")), *options])
    assert result.exit_code == 0, result.output
    result = load_profile(path)
    assert result.model == "float32.tflite"
    assert picture.read_text() == profile_svg(result)
    path.write_text('{"format_version": 1}')
    with pytest.raises(HRNetError, match=r"profile\.json"):
        load_profile(path)


@pytest.mark.parametrize(
    ("place", "value", "named"),
    [
        (["operators"], [], "operators"),
        (["operators"], "x", "operators .*'x'"),
        (["operators", 2, "ms"], "x", r"operators\[2\]: ms .*'x'"),
        (["operators", 2, "ms"], float("nan"), r"operators\[2\]: ms .*nan"),
        (["operators", 2, "ms"], -1, "operators"),
        (["operators", 1], None, r"operators\[1\] .*None"),
        (["network"], "x", "network .*'x'"),
        (["measured_ms"], 0, "full model"),
        (["threads"], 10**30, "threads"),
        (["environment", "allowed_cores"], "0", "environment: allowed_cores .*'0'"),
        (["environment"], [], r"environment .*\[\]"),
        (["format_version"], 2, "not a profile"),
    ],
)
def test_damaged_profiles_name_the_entry(place: list[Any], value: object, named: str, tmp_path: Path) -> None:
    operators = [OperatorTime(index, "ADD", None, "other", 0.5) for index in range(3)]
    result = ProfileResult("m", "0", "litert", 1, None, tuple(operators), 2.0, current_environment())
    data: Any = json.loads(json.dumps(result.to_json()))
    assert ProfileResult.from_json(data) == result
    inner = data
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(data))
    with pytest.raises(HRNetError, match=rf"profile\.json: .*{named}"):
        load_profile(path)


def test_chart_has_bars_of_parts_and_operators_and_cells_of_branches(model_path: ModelPath) -> None:
    result = profile(model_path("int8"), rounds=3)
    drawn = ElementTree.fromstring(profile_svg(result))
    titles = [title.text or "" for title in drawn.iter("{http://www.w3.org/2000/svg}title")]
    bars = {title.split(":")[0]: title for title in titles if not title.startswith("stage ")}
    assert list(bars) == [*grouped_ms(result), *result.kinds_ms()]
    assert f"{result.kinds_ms()['ADD']:.4f} ms" in bars["ADD"]
    cells = {
        title.split(":")[0]: float(title.split(":")[1].removesuffix(" ms")) for title in titles if title.startswith("stage ")
    }
    branch = sum(ms for part, ms in result.parts_ms().items() if part.startswith("stage3_module0_branch1_"))
    assert cells["stage 3, module 0, branch 1"] == pytest.approx(branch, abs=1e-4)
    exchanged = sum(
        ms for part, ms in result.parts_ms().items() if part.startswith(("stage3_module0_link", "stage3_module0_fuse"))
    )
    assert cells["stage 3, module 0, links and sums"] == pytest.approx(exchanged, abs=1e-4)


def test_a_graph_without_operators_is_refused(tmp_path: Path, model_path: ModelPath) -> None:
    (tmp_path / "not.tflite").write_bytes(b"nothing")
    with pytest.raises(HRNetError, match=r"not\.tflite"):
        TFLiteGraph(tmp_path / "not.tflite")
