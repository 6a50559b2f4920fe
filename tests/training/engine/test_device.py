"""The device of a training, and the reason why there is no GPU."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hrnet_tf.backend.keras_module import tf
from training.engine.device import device_line, reason_in, why_no_gpu
from training.engine.strategies import Devices

# TensorFlow 2.21 and 2.17 with a driver and without cuDNN.
NO_CUDNN = """
2025-03-01 10:00:00.123456: I tensorflow/core/platform/cpu_feature_guard.cc:210] This TensorFlow binary is optimized
W0000 00:00:1740823200.123456  1234 gpu_device.cc:2341] Cannot dlopen some GPU libraries. Please make sure the missing libraries \
mentioned above are installed properly if you would like to use GPU. Follow the guide at https://www.tensorflow.org/install/gpu
Skipping registering GPU devices...
"""
NAMED = """
2023-03-01 10:00:00.1: W tensorflow/stream_executor/platform/default/dso_loader.cc:64] Could not load dynamic library \
'libcudnn.so.8'; dlerror: libcudnn.so.8: cannot open shared object file: No such file or directory
2023-03-01 10:00:00.2: W tensorflow/core/common_runtime/gpu/gpu_device.cc:1850] Cannot dlopen some GPU libraries. Please make sure
"""
NO_DRIVER = """
I0000 00:00:1795888144.178358    8530 cudart_stub.cc:31] Could not find cuda drivers on your machine, GPU will not be used.
"""


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (NO_CUDNN, "Cannot dlopen some GPU libraries: pip install 'tensorflow[and-cuda]'"),
        (NAMED, "it cannot load libcudnn.so.8: pip install 'tensorflow[and-cuda]'"),
        (NO_DRIVER, "Could not find cuda drivers on your machine, GPU will not be used"),
        ("", "its log gives no reason"),
    ],
)
def test_reason_from_the_log_of_tensorflow(log: str, reason: str) -> None:
    assert reason_in(log) == reason


@pytest.fixture
def with_nvidia(tmp_path: Path) -> Path:
    """The root folder of a system with an NVIDIA device."""
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "nvidia0").touch()
    return tmp_path


def test_machine_without_a_gpu(tmp_path: Path) -> None:
    assert why_no_gpu(tmp_path) == "no GPU found"


@pytest.mark.parametrize("value", ["", "-1"])
def test_hidden_gpu(value: str, with_nvidia: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert why_no_gpu(with_nvidia) == f"CUDA_VISIBLE_DEVICES={value} hides the GPU"


@pytest.mark.slow
def test_reason_from_a_subprocess(with_nvidia: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("TensorFlow has a GPU here")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    reason = why_no_gpu(with_nvidia)
    expected = "TensorFlow cannot use the GPU: " if tf.test.is_built_with_cuda() else "this TensorFlow has no CUDA: "
    assert reason.startswith(expected)
    assert "\n" not in reason
    assert "gives no reason" not in reason


def test_device_line() -> None:
    line = device_line(Devices())
    if tf.config.list_physical_devices("GPU"):
        assert line.startswith("device: ")
        assert "CPU" not in line
    else:
        assert line.startswith(f"device: CPU, {len(os.sched_getaffinity(0))} core")
