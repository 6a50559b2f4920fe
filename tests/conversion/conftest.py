"""TFLite files of the micro network with random weights."""

from __future__ import annotations

from pathlib import Path

import pytest

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
