"""Latencies of a device in the form that the project publishes: `docs/devices/NAME.json`.

A file has what compares devices, and nothing that tells whose device it is: no paths, no host or user names, no serial numbers or
addresses. Every text is checked when the file is written and when it is read.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mobile_eval.benchmark.latency import LatencyResult
from mobile_eval.errors import HRNetError
from mobile_eval.files import read_json, write_json
from mobile_eval.model.archive import is_described, read_description
from mobile_eval.typed import JsonObject, checked

FORMAT_VERSION = 1
DEVICES = Path("docs", "devices")
LEAST_RUNS = 50
MAX_TEXT = 80  # characters
PRIVATE = (  # what a text must not contain
    ("a path", re.compile(r"[/\\]|~")),
    ("an address", re.compile(r"\S@\S|(?:\b[0-9a-f]{2}[:-]){5}[0-9a-f]{2}\b|\b\d{1,3}(?:\.\d{1,3}){3}\b", re.IGNORECASE)),
    ("a serial number", re.compile(r"(?<![0-9a-z])(?=(?:[a-z]*\d){4})[0-9a-z]{10,}", re.IGNORECASE)),
)
SYSTEM = re.compile(r"[A-Za-z]+(?: \d+(?:\.\d+)*)?")  # without what a distribution or a user has added to the version


def check_public(text: str, what: str) -> None:
    """Refuse a text that may identify a device or its owner.

    Args:
        text: The text.
        what: What it is, for the message.

    Raises:
        HRNetError: It is empty or too long, or has control characters, a path, an address or a serial number.

    Example:
        >>> check_public("Raspberry Pi 5 Model B Rev 1.0", "name")
    """
    if not text.strip() or len(text) > MAX_TEXT or not text.isprintable():
        raise HRNetError(f"{what} must have 1 to {MAX_TEXT} printable characters, got {text[: MAX_TEXT + 1]!r}")
    for name, pattern in PRIVATE:
        if match := pattern.search(text):
            raise HRNetError(f"{what} must not contain {name}, got {match[0]!r} in {text!r}")


def file_name(name: str) -> str:
    """The name of a device's file.

    Raises:
        HRNetError: The name has no letters or digits.

    Example:
        >>> file_name("Raspberry Pi 5, 8 GB")
        'raspberry-pi-5-8-gb.json'
    """
    words = re.findall(r"[a-z0-9]+", name.lower())
    if not words:
        raise HRNetError(f"`publish` must be the name of the device, such as 'Raspberry Pi 5', got {name!r}")
    return f"{'-'.join(words)}.json"


@dataclass(frozen=True)
class PublishedLatency:
    """The latency of a model on a device.

    Attributes:
        model: File name.
        sha256: Checksum of the file, which tells whether two devices ran the same.
        size_bytes: Size of the file.
        network: Name of the network in the file; "" for a file of another package.
        precision: Such as "int8"; "" where it is not known.
        multiply_adds: Multiply-adds of an inference; 0 where they are not known.
        runtime: Runtime and its version.
        delegate: XNNPACK, the file name of a delegate, or an accelerator.
        threads: Number of CPU threads.
        operators: Number of operators; None where the runtime does not report it.
        delegated: Number of those that ran on the delegate.
        runs: Number of timed runs.
        p50_ms: Median latency, in milliseconds.
        p90_ms: 90th percentile.
        p99_ms: 99th percentile.
        drift: Median of the last third of the runs relative to the first, minus 1.
        peak_memory_bytes: Peak memory of the process; None where it was not measured.
        measured: Day of the measurement.
    """

    model: str
    sha256: str
    size_bytes: int
    network: str
    precision: str
    multiply_adds: int
    runtime: str
    delegate: str
    threads: int
    operators: int | None
    delegated: int | None
    runs: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    drift: float
    peak_memory_bytes: int | None
    measured: str

    def __post_init__(self) -> None:
        for what in ("model", "runtime", "delegate"):
            check_public(getattr(self, what), what)
        for what in ("network", "precision"):
            if value := getattr(self, what):
                check_public(value, what)
        if not re.fullmatch(r"[0-9a-f]{64}", self.sha256) or not re.fullmatch(r"\d{4}-\d\d-\d\d", self.measured):
            raise HRNetError(f"{self.model}: expected a SHA-256 and a day, got {self.sha256:.70} and {self.measured:.20}")
        if not 0 < self.p50_ms <= self.p90_ms <= self.p99_ms:
            raise HRNetError(f"{self.model}: expected 0 < p50 <= p90 <= p99, got {self.p50_ms}, {self.p90_ms}, {self.p99_ms} ms")
        if self.runs < LEAST_RUNS or min(self.threads, self.size_bytes) < 1:
            raise HRNetError(f"{self.model}: expected {LEAST_RUNS} runs or more, 1 thread and 1 byte, got {self.runs} runs")


@dataclass(frozen=True)
class PublishedDevice:
    """A device and the latencies of models on it.

    Attributes:
        name: Its name, as people know it.
        processor: What the system calls its processor or board.
        architecture: Instruction set.
        cores: Number of cores.
        system: Operating system and version.
        python: Version of Python.
        governor: Frequency governor of the processor.
        latencies: The latencies.
        format_version: FORMAT_VERSION.
    """

    name: str
    processor: str
    architecture: str
    cores: int
    system: str
    python: str
    governor: str
    latencies: tuple[PublishedLatency, ...]
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        for what in ("name", "processor", "architecture", "system", "python", "governor"):
            check_public(getattr(self, what), what)
        if self.format_version != FORMAT_VERSION or not self.latencies:
            raise HRNetError(f"{self.name}: expected latencies in format version {FORMAT_VERSION}, got {self.format_version}")

    def to_json(self) -> JsonObject:
        """Convert to plain data."""
        return {"format_version": FORMAT_VERSION, **dataclasses.asdict(self)}


def published_device(name: str, results: Iterable[tuple[Path, LatencyResult]]) -> PublishedDevice:
    """Take from latencies what is published.

    Args:
        name: Name of the device.
        results: Models and their latencies on it.

    Raises:
        HRNetError: A text may identify the device or its owner, or there are too few runs.
    """
    measured = list(results)
    machine = measured[0][1].after
    system = SYSTEM.match(machine.system)
    return PublishedDevice(
        name=name,
        processor=machine.processor.replace("/", " "),
        architecture=machine.architecture,
        cores=machine.cores,
        system=system[0] if system else "unknown",
        python=machine.python,
        governor=machine.governor,
        latencies=tuple(_published(path, result) for path, result in measured),
    )


def _published(path: Path, result: LatencyResult) -> PublishedLatency:
    description = read_description(path) if is_described(path) else None
    delegate = result.placement.delegate.split(" (")[0].replace("\\", "/").rsplit("/", 1)[-1]
    return PublishedLatency(
        model=Path(result.model).name,
        sha256=result.sha256,
        size_bytes=result.size_bytes,
        network=description.name if description else "",
        precision=description.precision if description else "",
        multiply_adds=description.multiply_adds if description else 0,
        runtime=result.runtime,
        delegate=delegate,
        threads=result.threads,
        operators=result.placement.operators,
        delegated=result.placement.delegated,
        runs=len(result.samples_ms),
        p50_ms=round(result.p50_ms, 4),
        p90_ms=round(result.p90_ms, 4),
        p99_ms=round(result.p99_ms, 4),
        drift=round(result.drift, 4),
        peak_memory_bytes=result.memory.peak_bytes if result.memory else None,
        measured=result.after.date[:10],
    )


def publication_path(name: str, runs: int) -> Path:
    """The file for a device: in `docs/devices` of a checkout, else in the current folder.

    Args:
        name: Name of the device.
        runs: Number of runs that are to be timed.

    Raises:
        HRNetError: The name is not fit for publication, the file exists, or there are too few runs.
    """
    check_public(name, "`publish`")
    path = (DEVICES if DEVICES.is_dir() else Path()) / file_name(name)
    if path.exists():
        raise HRNetError(f"`publish`: {path} exists; remove it, or choose another name than {name!r}")
    if runs < LEAST_RUNS:
        raise HRNetError(f"`publish` needs {LEAST_RUNS} timed runs or more, got {runs}")
    return path


def save_device(device: PublishedDevice, path: Path) -> None:
    """Write a device's file."""
    write_json(path, device.to_json())


def read_device(path: Path) -> PublishedDevice:
    """Read a device's file.

    Raises:
        HRNetError: The file is not valid, or has another name than its device; the message names the entry.
    """
    device: PublishedDevice = checked(read_json(path, "device"), PublishedDevice, str(path))
    if path.name != file_name(device.name):
        raise HRNetError(f"{path} is of {device.name!r}: expected the file name {file_name(device.name)}")
    return device
