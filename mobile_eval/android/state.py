"""The model of a phone (`PhoneInfo`) and its present state (`Environment`), read over adb; "unavailable" where not reported."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from mobile_eval.android.adb import Phone
from mobile_eval.benchmark.environment import UNAVAILABLE, Environment
from mobile_eval.errors import HRNetError

PROPERTIES = (
    "ro.product.manufacturer", "ro.product.model", "ro.soc.manufacturer", "ro.soc.model", "ro.board.platform",
    "ro.build.version.release", "ro.build.version.sdk", "ro.product.cpu.abi", "ro.product.cpu.abilist",
)  # fmt: skip
READ_PROPERTIES = f'for name in {" ".join(PROPERTIES)}; do echo "$name=$(getprop $name)"; done; echo "machine=$(uname -m)"'
CPU = "/sys/devices/system/cpu"
READ_STATE = """echo "count=$(nproc 2>/dev/null)"
echo "present=$(cat {cpu}/present 2>/dev/null)"
echo "governor=$(cat {cpu}/cpu{core}/cpufreq/scaling_governor 2>/dev/null)"
echo "frequency=$(cat {cpu}/cpu{core}/cpufreq/scaling_cur_freq 2>/dev/null)"
for zone in /sys/class/thermal/thermal_zone*; do
  echo "zone $(cat $zone/type 2>/dev/null)=$(cat $zone/temp 2>/dev/null)"
done"""
# Names of processors among the thermal zones. On Android other zones report voltages of batteries and states of modems.
CPU_ZONES = ("cpu", "big", "mid", "little", "apc", "tsens", "soc-thermal", "soc_thermal", "mtktscpu", "x86_pkg_temp")
PLAUSIBLE_CELSIUS = (-40.0, 150.0)


@dataclass(frozen=True)
class PhoneInfo:
    """A phone: its model, its processor (system on chip), its Android version and API level, and the ABIs that it runs."""

    model: str
    soc: str
    android: str
    sdk: str
    abis: tuple[str, ...]
    machine: str

    def __str__(self) -> str:
        return f"{self.model} ({self.soc}), Android {self.android}, {self.abis[0]}"


def phone_info(phone: Phone) -> PhoneInfo:
    """Read what the phone is; `abis` has the preferred ABI first."""
    properties = _parse_lines(phone.checked(READ_PROPERTIES))
    abis = tuple(filter(None, (properties["ro.product.cpu.abilist"] or properties["ro.product.cpu.abi"]).split(",")))
    if not abis:
        raise HRNetError(f"{phone.serial} reports no ABI (getprop ro.product.cpu.abilist): is it an Android phone?")
    return PhoneInfo(
        model=_joined(properties["ro.product.manufacturer"], properties["ro.product.model"]),
        soc=_joined(properties["ro.soc.manufacturer"], properties["ro.soc.model"] or properties["ro.board.platform"]),
        android=properties["ro.build.version.release"] or UNAVAILABLE,
        sdk=properties["ro.build.version.sdk"] or UNAVAILABLE,
        abis=abis,
        machine=properties["machine"] or UNAVAILABLE,
    )


def phone_environment(phone: Phone, info: PhoneInfo, cores: Sequence[int] = ()) -> Environment:
    """Read the phone's present state.

    Args:
        phone: The phone.
        info: Its `phone_info`.
        cores: Numbers of the cores that are used; none for all. Governor and frequency are those of the first one.
    """
    core = cores[0] if cores else 0
    output = phone.checked(READ_STATE.format(cpu=CPU, core=core))
    values = _parse_lines(output)
    present = parse_cores(values["present"])
    return Environment(
        processor=f"{info.model} ({info.soc})",
        architecture=info.machine,
        cores=len(present) or int(values["count"] or 0),
        system=f"Android {info.android} (API {info.sdk})",
        python=UNAVAILABLE,
        governor=values["governor"] or UNAVAILABLE,
        frequency_mhz=int(values["frequency"]) / 1000 if values["frequency"].isdigit() else UNAVAILABLE,
        temperature_celsius=parse_temperature(output),
        date=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        allowed_cores=tuple(cores) or present,
    )


def parse_cores(text: str) -> tuple[int, ...]:
    """Parse a list of processors as Linux writes it.

    Example:
        >>> parse_cores("0-3,6")
        (0, 1, 2, 3, 6)
    """
    ends = [part.split("-") for part in text.split(",") if part.replace("-", "").isdigit()]
    return tuple(core for end in ends for core in range(int(end[0]), int(end[-1]) + 1))


def parse_temperature(output: str) -> float | str:
    """The temperature of the processor's hottest zone in degrees Celsius, from lines such as `zone cpu-0-0-usr=41200`."""
    low, high = PLAUSIBLE_CELSIUS
    readings = []
    for line in output.splitlines():
        kind, _, value = line.removeprefix("zone ").strip().rpartition("=")
        if line.startswith("zone ") and kind.lower().startswith(CPU_ZONES) and value.lstrip("-").isdigit():
            readings.append(int(value) / 1000)
    plausible = [reading for reading in readings if low < reading < high]
    return max(plausible) if plausible else UNAVAILABLE


def _parse_lines(output: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in output.splitlines())
    return {name: value.strip() for name, _, value in pairs}


def _joined(*words: str) -> str:
    return " ".join(filter(None, words)) or UNAVAILABLE
