"""What a measurement was made on: what Linux says of the processor, or "unavailable"."""

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
    """The machine at one moment. What it does not tell is "unavailable".

    `allowed_cores` are the numbers of those that this process may run on: fewer than `cores` where it is pinned.
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
    """The machine as it is now."""
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
    """Cores, governor, and frequency and temperature before and after a measurement; without what is unavailable."""
    cores = ",".join(map(str, after.allowed_cores))
    parts = [f"cores {cores}"] if cores else []
    if after.governor != UNAVAILABLE:
        parts.append(f"governor {after.governor}")
    for unit in ("frequency_mhz", "temperature_celsius"):
        values = [str(getattr(moment, unit)) for moment in (before, after)]
        if values != [UNAVAILABLE, UNAVAILABLE]:
            name = {"frequency_mhz": "MHz", "temperature_celsius": "degrees Celsius"}[unit]
            parts.append(f"before, after: {', '.join(values)} {name}")
    return "   ".join(parts)


def processor_name() -> str:
    """The processor's name on x86, the board's on ARM."""
    lines = (_read(CPU_INFO) or "").splitlines()
    entries = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    for key in ("model name", "Model", "Hardware", "cpu model"):
        if entries.get(key):
            return entries[key]
    return platform.processor() or UNAVAILABLE


def temperature_celsius() -> float | str:
    """The hottest sensor."""
    readings = [_read(zone / "temp") for zone in THERMAL.glob("thermal_zone*")]
    values = [int(reading) / 1000 for reading in readings if reading and reading.lstrip("-").isdigit()]
    return max(values) if values else UNAVAILABLE


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
