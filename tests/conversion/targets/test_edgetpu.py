"""The Edge TPU check on files and single operators, and a fake compiler with its log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import conversion.targets.edgetpu
from conversion.cli import targets
from conversion.targets.edgetpu import check_edgetpu, compile_for_edgetpu, parse_log
from conversion.targets.edgetpu_rules import CPU, MAPS, MAPS_IF, is_well_formed, judge
from hrnet_tf.spec.complexity import complexity
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.errors import HRNetError
from mobile_eval.model.graph import Operator, Tensor

LOG = """Edge TPU Compiler version 16.0.384591198

Model compiled successfully in 557 ms.

Input model: {name}.tflite
Output model: {name}_edgetpu.tflite
On-chip memory used for caching model parameters: 4.31MiB
On-chip memory remaining for caching model parameters: 3.41MiB
Off-chip memory used for streaming uncached model parameters: 1.25MiB
Number of Edge TPU subgraphs: 1
Total number of operations: 31
Operation log: {name}_edgetpu.log

Operator                       Count      Status

CONV_2D                        27         Mapped to Edge TPU
ADD                            3          Mapped to Edge TPU
RESIZE_NEAREST_NEIGHBOR        1          Operation version not supported
"""


def operator(kind: str, *shapes: tuple[int, ...], version: int = 1, dtype: str = "int8", **options: object) -> Operator:
    """An operator. `shapes` are those of the inputs that are not constant, then that of the output."""
    tensors = [Tensor(i, str(i), shape, dtype, constant=False, static=True) for i, shape in enumerate(shapes)]
    return Operator(0, kind, version, None, tuple(tensors[:-1]), tuple(tensors[-1:]), options)


def with_kernel(kind: str, kernel: tuple[int, ...], **options: object) -> Operator:
    template = operator(kind, (1, 8, 8, 4), (1, 8, 8, 4), **options)
    inputs = (*template.inputs, Tensor(9, "kernel", kernel, "int8", constant=True, static=True))
    return Operator(0, kind, int(options.get("version", 1)), None, inputs, template.outputs, template.options)  # type: ignore[call-overload]


@pytest.mark.slow
def test_every_operator_of_an_int8_hrnet_maps(int8_file: Path, spec: HRNetSpec) -> None:
    result = check_edgetpu(int8_file)
    assert result.break_at is None
    assert result.mapped == result.operators
    assert result.multiply_adds_share == 1
    assert sum(row.multiply_adds for row in result.operators) == complexity(spec).multiply_adds
    assert result.conditions() == []
    assert not result.streamed
    assert result.largest.activation_bytes == max(row.activation_bytes for row in result.operators)


@pytest.mark.slow
def test_no_operator_of_a_float_network_maps(float32_file: Path) -> None:
    result = check_edgetpu(float32_file)
    assert result.break_at == 0
    assert result.multiply_adds_share == 0
    assert (result.operators[0].layer, result.operators[0].verdict) == ("stem_pad1", "cpu")
    assert "float32" in result.operators[0].reason


@pytest.mark.slow
def test_parameters_that_do_not_fit_are_streamed(int8_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion.targets.edgetpu, "ON_CHIP_BYTES", 4000)
    result = check_edgetpu(int8_file)
    cached = result.parameter_bytes - sum(result.streamed.values())
    assert 0 < cached <= 4000
    assert "stage4_module0_branch3" in result.streamed


@pytest.mark.parametrize(
    ("operator", "placement", "reason"),
    [
        (operator("ADD", (1, 4, 4, 2), (1, 4, 4, 2), (1, 4, 4, 2)), MAPS, ""),
        (operator("ADD", (2, 4, 4, 2), (2, 4, 4, 2)), CPU, "3 dimensions above 1"),
        (operator("ADD", (1, 4, 4, 2), (1, 4, 4, 2), dtype="int16"), CPU, "int16, not 8-bit"),
        (operator("ARG_MAX", (1, 4, 4, 2), (1, 4, 4, 1)), CPU, "ARG_MAX is not supported"),
        (operator("RESIZE_NEAREST_NEIGHBOR", (1, 4, 4, 2), (1, 8, 8, 2), version=2), MAPS, ""),
        (operator("RESIZE_NEAREST_NEIGHBOR", (1, 4, 4, 2), (1, 8, 8, 2), version=3), MAPS_IF, "half_pixel_centers"),
        (operator("RESIZE_BILINEAR", (1, 4, 4, 2), (1, 8, 8, 2), halfPixelCenters=True), MAPS_IF, "half_pixel_centers"),
        (with_kernel("CONV_2D", (4, 3, 3, 4)), MAPS, ""),
        (with_kernel("CONV_2D", (4, 3, 3, 2)), CPU, "grouped"),
        (with_kernel("CONV_2D", (4, 3, 3, 4), dilationWFactor=2, dilationHFactor=1), CPU, "dilation differs"),
        (with_kernel("CONV_2D", (4, 3, 3, 4), version=6), MAPS_IF, "version 6"),
        (operator("CONV_2D", (1, 8, 8, 4), (1, 3, 3, 4), (1, 8, 8, 1)), CPU, "not constant"),
        (operator("CONCATENATION", (1, 4, 4, 2), (1, 4, 4, 2), (1, 4, 4, 4), fusedActivationFunction=1), CPU, "fused"),
        (operator("MEAN", (1, 4, 4, 6), (1, 1, 1, 6)), MAPS, ""),
        (operator("MEAN", (1, 4, 4, 6), (1, 4, 4, 1)), CPU, "multiple of 4"),
        (operator("SOFTMAX", (1, 16_001), (1, 16_001)), CPU, "at most 16000"),
        (operator("SOFTMAX", (1, 1000), (1, 1000)), MAPS, ""),
        (operator("TRANSPOSE_CONV", (1, 4, 4, 2), (1, 8, 8, 2)), MAPS_IF, "not documented"),
        (operator("RESHAPE", (1, 4, 4, 2), (1, 32)), MAPS_IF, "not too large"),
        (operator("STRIDED_SLICE", (1, 4, 4, 2), (1, 2, 4, 2), ellipsisMask=1), CPU, "ellipsis"),
        (operator("SPLIT", (1, 4, 4, 2), (1, 4, 4, 1)), MAPS, ""),
        (with_kernel("FULLY_CONNECTED", (4, 4), weightsFormat=1), CPU, "shuffled"),
    ],
)
def test_rules(operator: Operator, placement: str, reason: str) -> None:
    verdict = judge(operator)
    assert verdict.placement == placement
    assert reason in verdict.reason


@pytest.mark.parametrize(
    "damaged",
    [
        operator("CONV_2D", (1, 8, 8, 4), (1, 8, 8, 4)),
        operator("MEAN", (1, 4, 4, 6), ()),
        operator("SOFTMAX", (), (1, 4)),
        operator("PAD"),
    ],
    ids=lambda operator: operator.kind,
)
def test_operators_without_inputs_or_dimensions(damaged: Operator) -> None:
    assert is_well_formed(with_kernel("CONV_2D", (4, 3, 3, 4)))
    assert not is_well_formed(damaged)


def fake_compiler(folder: Path, script: str) -> str:
    path = folder / "edgetpu_compiler"
    path.write_text(f"#!/bin/sh\n{script}")
    path.chmod(0o755)
    return str(path)


def test_parsed_log() -> None:
    result = parse_log(LOG.format(name="m"))
    assert (result.version, result.on_chip, result.off_chip, result.subgraphs) == ("16.0.384591198", "4.31MiB", "1.25MiB", 1)
    assert [(row.kind, row.count) for row in result.operators] == [
        ("CONV_2D", 27),
        ("ADD", 3),
        ("RESIZE_NEAREST_NEIGHBOR", 1),
    ]
    assert "30 of 31 operators mapped" in str(result)
    assert "1 RESIZE_NEAREST_NEIGHBOR: Operation version not supported" in str(result)


def test_compiled_files_are_moved_to_the_output_folder(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(b"\0\0\0\0TFL3")
    log = LOG.format(name="m")
    script = f'echo "$@" > {tmp_path}/arguments\nprintf compiled > "$3/m_edgetpu.tflite"\ncat <<"EOF"\n{log}\nEOF\n'
    result = compile_for_edgetpu(tmp_path / "m.tflite", tmp_path / "out", fake_compiler(tmp_path, script), segments=2)
    assert result.paths == (tmp_path / "out" / "m_edgetpu.tflite",)
    assert result.paths[0].read_bytes() == b"compiled"
    assert "--num_segments 2" in (tmp_path / "arguments").read_text()


def test_compiler_error_leaves_no_files(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(b"\0\0\0\0TFL3")
    script = 'echo "Edge TPU Compiler version 16.0"\necho "ERROR: :61 op_context.input->type unsupported" >&2\nexit 1\n'
    with pytest.raises(HRNetError, match="ERROR: :61 op_context"):
        compile_for_edgetpu(tmp_path / "m.tflite", tmp_path / "out", fake_compiler(tmp_path, script))
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_command(int8_file: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(targets, ["edgetpu", str(int8_file), "--json", str(tmp_path / "check.json")])
    assert result.exit_code == 0
    assert "100.0% of the multiply-adds" in result.output
    assert json.loads((tmp_path / "check.json").read_text())["break_at"] is None
    missing = CliRunner().invoke(targets, ["edgetpu", str(int8_file), "--compiler", str(tmp_path / "none")])
    assert isinstance(missing.exception, HRNetError)
    assert str(tmp_path / "none") in str(missing.exception)
    without_compiler = CliRunner().invoke(targets, ["edgetpu", str(int8_file), "--segments", "2"])
    assert isinstance(without_compiler.exception, HRNetError)
    assert without_compiler.exception.parameters == ("segments", "compiler")


@pytest.mark.slow
@pytest.mark.parametrize("command", ["edgetpu", "ethosu"])
def test_truncated_files(command: str, int8_file: Path, tmp_path: Path) -> None:
    data, path = int8_file.read_bytes(), tmp_path / "cut.tflite"
    for share in (0.1, 0.5, 0.9, 0.999):
        path.write_bytes(data[: int(share * len(data))])
        result = CliRunner().invoke(targets, [command, str(path)])
        assert isinstance(result.exception, HRNetError)
        assert str(result.exception).startswith(f"{path} ")
