"""TFLite files of the micro network with random weights, and Keras models that are loaded once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from conversion.models import load_folded_model
from hrnet_tf.backend.types import KerasModel
from hrnet_tf.runs.run import Run
from hrnet_tf.spec.network import HRNetSpec
from training.pruning.candidate_latency import untrained_tflite


@pytest.fixture(scope="session")
def int8_file(spec: HRNetSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "int8.tflite"
    path.write_bytes(untrained_tflite(spec))
    return path


@pytest.fixture(scope="session")
def float32_file(spec: HRNetSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "float32.tflite"
    path.write_bytes(untrained_tflite(spec, "float32"))
    return path


@pytest.fixture(scope="module")
def models_are_loaded_once() -> Iterator[None]:
    """Loads the Keras models of a run once: conversion does not change them, and to build quantized ones takes seconds."""

    models: dict[tuple[Path, bool | None], KerasModel] = {}

    def load_once(run: Run, *, fake_quantized: bool | None = None) -> KerasModel:
        key = run.path, fake_quantized
        if key not in models:
            models[key] = load_folded_model(run, fake_quantized=fake_quantized)
        return models[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("conversion.convert.load_folded_model", load_once)
        yield
