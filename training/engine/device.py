"""A line on the device that trains, and why it is no GPU where the machine has one."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

from hrnet_tf.backend.keras_module import BACKEND, tf
from training.engine.strategies import Devices

LOOK_FOR_GPUS = "import tensorflow; tensorflow.config.list_physical_devices('GPU')"
TIMEOUT_S = 180
LIBRARY = re.compile(r"(?:[Cc]ould not load|[Cc]annot load|dlopen)[^']*'(lib[^']+)'")
FAILURES = ("Cannot dlopen", "failed call to cuInit", "Could not find cuda drivers", "no supported devices", "driver version")
# Time, severity and source, with which the lines of TensorFlow's log begin.
LOG_PREFIX = re.compile(r"^(?:[\d-]+ [\d:.]+: )?[IWEF]\S*(?: +[\d:.]+ +\d+)? \S+\] ?")


def device_line(devices: Devices) -> str:
    """Return a line such as "device: NVIDIA H100 80GB HBM3", or "device: CPU, 8 cores (no GPU found)"."""
    names = _jax_names() if BACKEND == "jax" else _tensorflow_names()
    if not names:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return f"device: CPU, {cores} core{'s' if cores > 1 else ''} ({why_no_gpu()})"
    if devices.count == 1:
        hint = f" (of {len(names)}; --strategy mirrored uses all)" if len(names) > 1 and BACKEND == "tensorflow" else ""
        return f"device: {names[0]}{hint}"
    workers = f" of {devices.workers} machines" if devices.workers > 1 else ""
    return f"devices: {devices.count}{workers}, {names[0]}"


def why_no_gpu(root: Path = Path("/")) -> str:
    """Return the reason why no GPU is used: there is no NVIDIA device below `root`, or TensorFlow or JAX cannot use it."""
    if not _has_nvidia(root):
        return "no GPU found"
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None and hidden.strip() in ("", "-1"):
        return f"CUDA_VISIBLE_DEVICES={hidden} hides the GPU"
    if BACKEND == "jax":
        platforms = os.environ.get("JAX_PLATFORMS")
        return f"JAX_PLATFORMS={platforms}" if platforms else "JAX has no CUDA here: pip install 'jax[cuda12]'"
    if not tf.test.is_built_with_cuda():
        return "this TensorFlow has no CUDA: pip install 'tensorflow[and-cuda]'"
    return f"TensorFlow cannot use the GPU: {reason_in(_tensorflow_log())}"


def reason_in(log: str) -> str:
    """Return the reason in TensorFlow's log why it uses no GPU: the libraries that it cannot load, or its own message."""
    missing = list(dict.fromkeys(LIBRARY.findall(log)))
    if missing:
        return f"it cannot load {', '.join(missing)}: pip install 'tensorflow[and-cuda]'"
    lines = [LOG_PREFIX.sub("", line).strip() for line in log.splitlines()]
    message = next((line for failure in FAILURES for line in lines if failure in line), None)
    if message is None:
        return "its log gives no reason"
    sentence = message.split(". ")[0].rstrip(".")
    return f"{sentence}: pip install 'tensorflow[and-cuda]'" if "dlopen" in message else sentence


def _tensorflow_log() -> str:
    """Return what TensorFlow logs while it looks for GPUs, from another process, because the log of this one is off."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "0", "TF_CPP_MAX_VLOG_LEVEL": "0"}
    try:
        process = subprocess.run(
            [sys.executable, "-c", LOOK_FOR_GPUS], capture_output=True, check=False, env=environment, timeout=TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return process.stderr.decode(errors="replace")


def _has_nvidia(root: Path) -> bool:
    """Whether the system has an NVIDIA GPU, by the files of its driver, also under Windows Subsystem for Linux."""
    files = (root / "proc" / "driver" / "nvidia" / "version", root / "dev" / "dxg")
    return any(file.exists() for file in files) or any((root / "dev").glob("nvidia[0-9]*"))


def _tensorflow_names() -> list[str]:
    names: list[str] = []
    for device in tf.config.list_physical_devices():
        if device.device_type == "GPU":
            details = tf.config.experimental.get_device_details(device)
            names.append(str(details.get("device_name") or device.name))
        elif device.device_type == "TPU":
            names.append("TPU")
    return names


def _jax_names() -> list[str]:
    jax = importlib.import_module("jax")
    return [str(device.device_kind) for device in jax.devices() if device.platform != "cpu"]
