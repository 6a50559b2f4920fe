"""The description in a .tflite: reading, writing, and refused files."""

from __future__ import annotations

import dataclasses
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import ai_edge_litert.schema_py_generated as schema
import flatbuffers
import numpy as np
import pytest

from mobile_eval.errors import HRNetError
from mobile_eval.model.archive import check_not_compiled, embed_description, read_description, save_model_file
from mobile_eval.model.description import ModelDescription, TensorFormat
from mobile_eval.runtime.tflite_model import TFLiteModel
from tests.mobile_eval.conftest import SIZE, MicroModels

Describe = Callable[..., ModelDescription]


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_description_round_trip(model_path: Callable[..., Path], describe: Describe, micro: MicroModels, precision: str) -> None:
    path = model_path(precision)
    description = read_description(path)
    assert dataclasses.replace(description, flatbuffer=None) == describe(precision)
    assert path.read_bytes().startswith(micro.flatbuffers[precision])
    assert json.loads(path.with_suffix(".json").read_text()) == description.to_json()
    assert zipfile.ZipFile(path).namelist() == ["model.json", "keypoints.txt"]


def test_contract_of_the_json(describe: Describe) -> None:
    data = describe("int8").to_json()
    assert data["format_version"] == 1
    assert data["input"]["size"] == [64, 48]
    assert {"layout", "mean", "std", "dtype", "scale", "zero_point"} < set(data["input"])
    assert {"kind", "stride", "dtype", "scale", "zero_point"} == set(data["output"])
    assert data["category"]["keypoints"][0] == "nose"
    assert (data["preprocessing"]["region"], data["preprocessing"]["aspect_ratio"]) == ("box", 48 / 64)
    assert (data["preprocessing"]["interpolation"], data["preprocessing"]["border"]) == ("bilinear", [0, 0, 0])
    assert (data["decoding"]["rule"], data["decoding"]["heatmap_pixel"]) == ("quarter", [4.0, 4.0])
    assert ModelDescription.from_json(json.loads(json.dumps(data))) == describe("int8")


def test_embedding_again_replaces(tmp_path: Path, describe: Describe, micro: MicroModels) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(micro.flatbuffers["float32"])
    embed_description(path, describe())
    once = path.read_bytes()
    embed_description(path, describe(name="other"))
    assert read_description(path).name == "other"
    embed_description(path, describe())
    assert path.read_bytes() == once


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize("keep", [0, 6, 1000, 0.5, 0.9])
def test_truncated_is_refused(model_path: Callable[..., Path], keep: float, beside: bool) -> None:
    path = model_path()
    size = read_description(path).flatbuffer.size_bytes  # type: ignore[union-attr]
    path.write_bytes(path.read_bytes()[: int(keep * size) if keep < 1 else int(keep)])
    if not beside:
        path.with_suffix(".json").unlink()
    with pytest.raises(HRNetError, match=re.escape(str(path))):
        read_description(path)


@pytest.mark.parametrize("cut", [1, 300])
def test_description_beside_replaces_a_truncated_one(model_path: Callable[..., Path], cut: int) -> None:
    path = model_path()
    sound = read_description(path)
    path.write_bytes(path.read_bytes()[:-cut])
    assert read_description(path) == sound
    path.with_suffix(".json").unlink()
    with pytest.raises(HRNetError, match=re.escape(str(path))):
        read_description(path)


def test_members_are_not_compressed(model_path: Callable[..., Path]) -> None:
    with zipfile.ZipFile(model_path()) as tail:
        assert {member.filename: member.compress_type for member in tail.infolist()} == {
            "model.json": zipfile.ZIP_STORED,
            "keypoints.txt": zipfile.ZIP_STORED,
        }


def rewritten(data: bytes) -> bytes:
    """A model as rewritten by another tool: the repacked flatbuffer only."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    model.description = b"written by another tool"
    return packed(model)


def compiled(data: bytes, operator: bytes) -> bytes:
    """A model as compiled for an accelerator: one custom operator from inputs to outputs."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    code, single = schema.OperatorCodeT(), schema.OperatorT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode, code.version = operator, 1
    [graph] = model.subgraphs
    single.opcodeIndex, single.inputs, single.outputs = 0, graph.inputs, graph.outputs
    graph.operators, model.operatorCodes = [single], [code]
    return packed(model)


def packed(model: schema.ModelT) -> bytes:
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_rewritten_file_is_described_by_the_copy_beside(
    model_path: Callable[..., Path], micro: MicroModels, caplog: pytest.LogCaptureFixture
) -> None:
    path = model_path()
    sound, crops = read_description(path), np.zeros((1, *SIZE, 3), np.uint8)
    heatmaps = TFLiteModel(path).heatmaps(crops)
    path.write_bytes(rewritten(micro.flatbuffers["float32"]))
    assert read_description(path) == dataclasses.replace(sound, flatbuffer=None)
    np.testing.assert_array_equal(TFLiteModel(path).heatmaps(crops), heatmaps)
    TFLiteModel(path)
    [record] = caplog.records
    assert (record.levelname, str(path) in record.getMessage()) == ("WARNING", True)


@pytest.mark.parametrize(
    ("end", "operator", "device"), [("_edgetpu", b"edgetpu-custom-op", "the Edge TPU"), ("_vela", b"ethos-u", "an Ethos-U")]
)
def test_compiled_file_is_described_by_the_json_of_its_source(
    model_path: Callable[..., Path], micro: MicroModels, end: str, operator: bytes, device: str
) -> None:
    source = model_path("int8")
    path = source.with_name(f"{source.stem}{end}.tflite")
    path.write_bytes(compiled(micro.flatbuffers["int8"], operator))
    assert read_description(path) == dataclasses.replace(read_description(source), flatbuffer=None)
    with pytest.raises(HRNetError, match=device):
        check_not_compiled(path)
    source.with_suffix(".json").unlink()
    with pytest.raises(HRNetError, match=rf"{device} .* {path.stem}\.json or {source.stem}\.json"):
        read_description(path)


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"shapes": 3}', '{"format_version": 9}', '{"format_version": 1}'])
def test_json_beside_that_is_not_a_description(model_path: Callable[..., Path], micro: MicroModels, content: str) -> None:
    path = model_path()
    path.write_bytes(micro.flatbuffers["float32"])
    path.with_suffix(".json").write_text(content)
    with pytest.raises(HRNetError, match=re.escape(str(path))):
        read_description(path)


def test_foreign_files_are_refused(tmp_path: Path, micro: MicroModels) -> None:
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(micro.flatbuffers["float32"])
    with pytest.raises(HRNetError, match=r"bare\.tflite"):
        read_description(bare)
    text = tmp_path / "text.tflite"
    text.write_text("this is no model at all")
    with pytest.raises(HRNetError, match=r"text\.tflite"):
        read_description(text)
    with pytest.raises(HRNetError, match=r"absent\.tflite"):
        read_description(tmp_path / "absent.tflite")


def test_damage_is_detected(model_path: Callable[..., Path]) -> None:
    path = model_path()
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0x40
    path.write_bytes(data)
    with pytest.raises(HRNetError, match=re.escape(str(path))):
        read_description(path)


def test_damaged_end_is_refused_or_harmless(model_path: Callable[..., Path]) -> None:
    path = model_path()
    path.with_suffix(".json").unlink()
    data, sound = path.read_bytes(), read_description(path)
    assert sound.flatbuffer is not None
    refused = 0
    for place in range(sound.flatbuffer.size_bytes, len(data), 7):
        damaged = bytearray(data)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        try:
            assert read_description(path) == sound
        except HRNetError:
            refused += 1
    assert refused > 20


def test_invalid_descriptions_are_refused(tmp_path: Path, micro: MicroModels, describe: Describe) -> None:
    with pytest.raises(HRNetError, match="9"):
        ModelDescription.from_json({"format_version": 9})
    data = describe().to_json()
    del data["parameters"]
    with pytest.raises(HRNetError, match="parameters"):
        ModelDescription.from_json(data)
    with pytest.raises(HRNetError, match="int4"):
        dataclasses.replace(describe(), precision="int4")
    with pytest.raises(HRNetError, match=r"m\.tflite"):
        save_model_file(tmp_path / "m.tflite", b"nothing", describe())
    with pytest.raises(HRNetError, match="int8"):
        TensorFormat("int8")
