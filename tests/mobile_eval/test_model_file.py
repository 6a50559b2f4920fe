"""The description inside a .tflite, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mobile_eval.model_file import ModelDescription, TensorFormat, embed_description, read_description, save_model_file

from .conftest import MicroModels

Describe = Callable[..., ModelDescription]


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_description_survives(model_path: Callable[..., Path], describe: Describe, micro: MicroModels, precision: str) -> None:
    path = model_path(precision)
    found = read_description(path)
    assert dataclasses.replace(found, flatbuffer=None) == describe(precision)
    assert path.read_bytes().startswith(micro.flatbuffers[precision])
    assert json.loads(path.with_suffix(".json").read_text()) == found.to_json()
    assert zipfile.ZipFile(path).namelist() == ["model.json", "keypoints.txt"]


def test_contract_of_the_json(describe: Describe) -> None:
    data = describe("int8").to_json()
    assert data["format_version"] == 1
    assert data["input"]["size"] == [64, 48]
    assert {"layout", "mean", "std", "dtype", "scale", "zero_point"} < set(data["input"])
    assert {"kind", "stride", "dtype", "scale", "zero_point"} == set(data["output"])
    assert data["category"]["keypoints"][0] == "nose"
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


@pytest.mark.parametrize("keep", [0, 6, 1000, -1, -300])
def test_truncated_is_refused(model_path: Callable[..., Path], keep: int) -> None:
    path = model_path()
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"is empty|is not a TFLite model|truncated") as error:
        read_description(path)
    assert str(path) in str(error.value)


def test_foreign_files_are_refused(tmp_path: Path, micro: MicroModels) -> None:
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(micro.flatbuffers["float32"])
    with pytest.raises(ValueError, match="not of this package"):
        read_description(bare)
    text = tmp_path / "text.tflite"
    text.write_text("this is no model at all")
    with pytest.raises(ValueError, match="is not a TFLite model"):
        read_description(text)
    with pytest.raises(ValueError, match=r"cannot read model .*No such file"):
        read_description(tmp_path / "absent.tflite")


def test_damage_is_noticed(model_path: Callable[..., Path]) -> None:
    path = model_path()
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0x40
    path.write_bytes(data)
    with pytest.raises(ValueError, match="is damaged"):
        read_description(path)


def test_damaged_end_is_refused_or_harmless(model_path: Callable[..., Path]) -> None:
    path = model_path()
    whole, sound = path.read_bytes(), read_description(path)
    assert sound.flatbuffer is not None
    refused = 0
    for place in range(sound.flatbuffer.size_bytes, len(whole), 7):
        data = bytearray(whole)
        data[place] ^= 0x10
        path.write_bytes(data)
        try:
            assert read_description(path) == sound
        except ValueError:
            refused += 1
    assert refused > 20


def test_other_descriptions_are_refused(tmp_path: Path, micro: MicroModels, describe: Describe) -> None:
    with pytest.raises(ValueError, match="format version 9"):
        ModelDescription.from_json({"format_version": 9})
    data = describe().to_json()
    del data["parameters"]
    with pytest.raises(ValueError, match="parameters is missing"):
        ModelDescription.from_json(data)
    with pytest.raises(ValueError, match="precision must be one of"):
        dataclasses.replace(describe(), precision="int4")
    with pytest.raises(ValueError, match="not a TFLite flatbuffer"):
        save_model_file(tmp_path / "m.tflite", b"nothing", describe())
    with pytest.raises(ValueError, match="needs a scale"):
        TensorFormat("int8")
