"""The machine that a measurement was made on, as far as Linux reports it."""

from __future__ import annotations

import datetime
import os
import platform
from dataclasses import dataclass
from pathlib import Path

UNAVAILABLE = "unavailable"
CPU_INFO = Path("/proc/cpuinfo")
CPU_FREQUENCY = Path("/sys/devices/system/cpu/cpu0/cpufreq")
THERMAL = Path("/sys/class/thermal")


@dataclass(frozen=True)
class Environment:
    """The state of a machine; "unavailable" where it is not reported.

    Attributes:
        processor: Name of the processor or, on ARM, of the board.
        architecture: Instruction set, such as "aarch64".
        cores: Number of cores.
        system: Operating system and its version.
        python: Version of Python.
        governor: Frequency governor of the first core.
        frequency_mhz: Frequency of the first core.
        temperature_celsius: Temperature of the hottest sensor.
        date: Time in ISO format, UTC.
        allowed_cores: Numbers of the cores that this process may run on; fewer than `cores` where it is pinned.
    """

    processor: str
    architecture: str
    cores: int
    system: str
    python: str
    governor: str
    frequency_mhz: float | str
    temperature_celsius: float | str
    date: str
    allowed_cores: tuple[int, ...] = ()


def current_environment() -> Environment:
    """Read the present state of this machine."""
    frequency = _read(CPU_FREQUENCY / "scaling_cur_freq")  # kHz
    return Environment(
        processor=processor_name(),
        architecture=platform.machine(),
        cores=os.cpu_count() or 1,
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        governor=_read(CPU_FREQUENCY / "scaling_governor") or UNAVAILABLE,
        frequency_mhz=int(frequency) / 1000 if frequency and frequency.isdigit() else UNAVAILABLE,
        temperature_celsius=temperature_celsius(),
        date=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        allowed_cores=tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else (),
    )


def state_line(before: Environment, after: Environment) -> str:
    """Format the cores and governor, and the frequency and temperature before and after a measurement, where available."""
    cores = ",".join(map(str, after.allowed_cores))
    parts = [f"cores {cores}"] if cores else []
    if after.governor != UNAVAILABLE:
        parts.append(f"governor {after.governor}")
    frequencies = (before.frequency_mhz, after.frequency_mhz)
    temperatures = (before.temperature_celsius, after.temperature_celsius)
    for values, unit in ((frequencies, "MHz"), (temperatures, "degrees Celsius")):
        if values != (UNAVAILABLE, UNAVAILABLE):
            parts.append(f"before, after: {values[0]}, {values[1]} {unit}")
    return "   ".join(parts)


def processor_name() -> str:
    """The name of the processor or, on ARM, of the board."""
    lines = (_read(CPU_INFO) or "").splitlines()
    entries = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    for key in ("model name", "Model", "Hardware", "cpu model"):
        if entries.get(key):
            return entries[key]
    return platform.processor() or UNAVAILABLE


def temperature_celsius() -> float | str:
    """The temperature of the hottest sensor."""
    readings = [_read(zone / "temp") for zone in THERMAL.glob("thermal_zone*")]
    values = [int(reading) / 1000 for reading in readings if reading and reading.lstrip("-").isdigit()]
    return max(values) if values else UNAVAILABLE


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
