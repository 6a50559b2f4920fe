"""The real adb, an emulated phone, and a program that replays recorded outputs of benchmark_model."""

from __future__ import annotations

import json
import os
import platform
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

import mobile_eval.__main__  # noqa: F401 (mounts `android`)
from mobile_eval.android import adb as adb_module

from ..conftest import Invoke
from .emulated_phone import Adb, EmulatedPhone, running_adb

OUTPUTS = Path(__file__).with_name("outputs")
ABI = "x86_64"
PROPERTIES = {
    "ro.product.manufacturer": "Example",
    "ro.product.model": "Phone 3",
    "ro.soc.manufacturer": "Maker",
    "ro.soc.model": "SM1234",
    "ro.build.version.release": "14",
    "ro.build.version.sdk": "34",
    "ro.product.cpu.abi": ABI,
    "ro.product.cpu.abilist": f"{ABI},x86",
}

# The ELF file's only instructions: execve(PATH, argv, envp), and exit(127) should that fail.
START = bytes.fromhex("488d742408 488b0424 488d54c608 488d3d13000000 b83b000000 0f05 bf7f000000 b83c000000 0f05".replace(" ", ""))
# A player of recorded outputs. Like benchmark_model it needs a model, and writes the profile to the requested file.
PLAYER = """#!{python}
import pathlib, sys, time
flags = dict(argument.lstrip("-").partition("=")[::2] for argument in sys.argv[1:])
graph = pathlib.Path(flags["graph"])
if graph.read_bytes()[4:8] != b"TFL3":
    sys.exit("ERROR: Failed to load model " + flags["graph"])
outputs, plays = pathlib.Path({outputs!r}), {plays!r}
if "report_peak_memory_footprint" in flags:
    print((outputs / plays["latency"]).read_text() + (outputs / plays["memory"]).read_text())
elif "enable_op_profiling" in flags:
    print((outputs / plays["latency"]).read_text())
    pathlib.Path(flags["profiling_output_csv_file"]).write_text((outputs / plays["profile"]).read_text())
else:
    sys.stderr.write((outputs / plays["latency"]).read_text())
    sys.stderr.flush()
    time.sleep(plays["seconds"])
sys.exit(plays["status"])
"""


def elf(path: Path) -> bytes:
    """A minimal x86-64 Linux program that executes the program at `path`."""
    code = START + str(path).encode() + b"\0"
    base, size = 0x400000, 64 + 56 + len(code)
    header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, base + 120, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    return header + struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 0x1000) + code


@pytest.fixture(scope="session")
def adb_program(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The adb on the PATH, or else Debian's, downloaded and unpacked."""
    installed = shutil.which("adb")
    if installed:
        return installed
    reason = "needs adb on the PATH, or apt-get, dpkg-deb and the packages' source to fetch it"
    if not all(map(shutil.which, ("apt-get", "apt-cache", "dpkg-deb"))):
        pytest.skip(reason)
    try:
        return unpacked_adb(tmp_path_factory.mktemp("adb"))
    except (subprocess.CalledProcessError, StopIteration) as error:
        lines = (getattr(error, "stderr", "") or "").strip().splitlines()
        pytest.skip(f"{reason}: {lines[-1] if lines else error}")


def unpacked_adb(folder: Path) -> str:
    """Download Debian's adb and its libraries to `folder`, without installing them."""
    (folder / "state" / "lists" / "partial").mkdir(parents=True)
    (folder / "cache" / "archives" / "partial").mkdir(parents=True)
    options = ["-qq", f"-oDir::State={folder}/state", f"-oDir::Cache={folder}/cache", "-oAPT::Sandbox::User=root"]
    options += ["-oDir::State::status=/var/lib/dpkg/status"]

    def run(*command: str | Path) -> str:
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout

    run("apt-get", *options, "update")
    only = [f"--no-{kind}" for kind in ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")]
    needed = run("apt-cache", *options, "depends", "--recurse", *only, "adb").splitlines()
    installed = ("libc6", "libgcc", "gcc-", "libstdc++", "libcrypt", "<")  # installed, as Python needs them
    run("apt-get", *options, "download", *[name for name in needed if name[:1].strip() and not name.startswith(installed)])
    for package in folder.glob("*.deb"):
        run("dpkg-deb", "-x", package, folder)
    paths = ":".join(sorted({str(path.parent) for path in folder.rglob("*.so*")}))
    program = next(path for path in folder.rglob("platform-tools/adb") if path.is_file())
    (folder / "bin").mkdir(exist_ok=True)
    wrapper = folder / "bin" / "adb"
    wrapper.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH="{paths}" exec "{program}" "$@"\n')
    wrapper.chmod(0o755)
    run(wrapper, "version")
    return str(wrapper)


@pytest.fixture
def adb(adb_program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Adb]:
    """An adb with a server that sees the phones of this test only."""
    home = tmp_path / "home"
    home.mkdir()
    with running_adb(adb_program, home) as running:
        if running("devices").partition("attached")[2].strip():
            pytest.skip("a phone is attached to this machine; these tests would use it")
        for name, value in {**running.variables, "PATH": f"{Path(adb_program).parent}:{os.environ['PATH']}"}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("ANDROID_SERIAL", raising=False)
        monkeypatch.setattr(adb_module, "RECONNECT_S", 1.0)
        yield running


@pytest.fixture
def make_phone(adb: Adb, tmp_path: Path) -> Iterator[Callable[..., EmulatedPhone]]:
    phones: list[EmulatedPhone] = []

    def make(*, shell_v2: bool = True, **properties: str) -> EmulatedPhone:
        phone = EmulatedPhone(tmp_path / f"phone{len(phones)}", {**PROPERTIES, **properties}, shell_v2=shell_v2)
        phones.append(phone)
        adb.connect(phone)
        return phone

    yield make
    for phone in phones:
        phone.reconnects = False
        phone.disconnect()


@pytest.fixture
def phone(make_phone: Callable[..., EmulatedPhone]) -> EmulatedPhone:
    """The only phone that adb knows."""
    return make_phone()


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., Path]:
    """A benchmark_model for the phone: an ELF file that replays recorded outputs."""
    if platform.machine() != "x86_64":
        pytest.skip("the program that plays benchmark_model is for x86-64")

    def make(latency: str = "cpu.txt", status: int = 0, seconds: float = 0.0) -> Path:
        plays = {"latency": latency, "memory": "memory.txt", "profile": "profile.csv", "status": status, "seconds": seconds}
        player = tmp_path / "player"
        player.write_text(PLAYER.format(python=sys.executable, outputs=str(OUTPUTS), plays=plays))
        player.chmod(0o755)
        path = tmp_path / "benchmark_model"
        path.write_bytes(elf(player))
        return path

    return make


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A stub .tflite for tests that only copy it."""
    path = tmp_path / "a model.tflite"
    path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(1000))
    return path


@pytest.fixture
def invoke(invoke: Invoke) -> Invoke:
    """Runs `hrnet target android ...` in this process; returns exit code, stdout and stderr."""
    return partial(invoke, "target", "android")


def read(path: Path) -> dict[str, object]:
    return dict(json.loads(path.read_text()))
