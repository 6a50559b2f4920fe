"""What a phone is (`PhoneInfo`) and how it is now (`Environment`), asked over adb; "unavailable" where it does not tell."""

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
ASK_PROPERTIES = f'for name in {" ".join(PROPERTIES)}; do echo "$name=$(getprop $name)"; done; echo "machine=$(uname -m)"'
CPU = "/sys/devices/system/cpu"
ASK_STATE = """echo "count=$(nproc 2>/dev/null)"
echo "present=$(cat {cpu}/present 2>/dev/null)"
echo "governor=$(cat {cpu}/cpu{core}/cpufreq/scaling_governor 2>/dev/null)"
echo "frequency=$(cat {cpu}/cpu{core}/cpufreq/scaling_cur_freq 2>/dev/null)"
for zone in /sys/class/thermal/thermal_zone*; do
  echo "zone $(cat $zone/type 2>/dev/null)=$(cat $zone/temp 2>/dev/null)"
done"""
# Android's thermal zones hold batteries' voltages and modems' states too; these are the names processors go by.
CPU_ZONES = ("cpu", "big", "mid", "little", "apc", "tsens", "soc-thermal", "soc_thermal", "mtktscpu", "x86_pkg_temp")
PLAUSIBLE_CELSIUS = (-40.0, 150.0)


@dataclass(frozen=True)
class PhoneInfo:
    """What the phone says of itself."""

    model: str
    soc: str
    android: str
    sdk: str
    abis: tuple[str, ...]
    machine: str

    def __str__(self) -> str:
        return f"{self.model} ({self.soc}), Android {self.android}, {self.abis[0]}"


def phone_info(phone: Phone) -> PhoneInfo:
    """Model, system on chip, Android's version and the ABIs that it runs, the preferred one first."""
    told = _told(phone.checked(ASK_PROPERTIES))
    abis = tuple(filter(None, (told["ro.product.cpu.abilist"] or told["ro.product.cpu.abi"]).split(",")))
    if not abis:
        raise HRNetError(f"{phone.serial} names no ABI that it runs (getprop ro.product.cpu.abilist): is it an Android phone?")
    return PhoneInfo(
        model=_joined(told["ro.product.manufacturer"], told["ro.product.model"]),
        soc=_joined(told["ro.soc.manufacturer"], told["ro.soc.model"] or told["ro.board.platform"]),
        android=told["ro.build.version.release"] or UNAVAILABLE,
        sdk=told["ro.build.version.sdk"] or UNAVAILABLE,
        abis=abis,
        machine=told["machine"] or UNAVAILABLE,
    )


def phone_environment(phone: Phone, info: PhoneInfo, cores: Sequence[int] = ()) -> Environment:
    """The phone as it is now; governor and frequency are of the first of the `cores` that are used, all of them by default."""
    core = cores[0] if cores else 0
    output = phone.checked(ASK_STATE.format(cpu=CPU, core=core))
    told = _told(output)
    present = parse_cores(told["present"])
    return Environment(
        processor=f"{info.model} ({info.soc})",
        architecture=info.machine,
        cores=len(present) or int(told["count"] or 0),
        system=f"Android {info.android} (API {info.sdk})",
        python=UNAVAILABLE,
        governor=told["governor"] or UNAVAILABLE,
        frequency_mhz=int(told["frequency"]) / 1000 if told["frequency"].isdigit() else UNAVAILABLE,
        temperature_celsius=parse_temperature(output),
        date=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        allowed_cores=tuple(cores) or present,
    )


def parse_cores(text: str) -> tuple[int, ...]:
    """Linux's lists of processors, such as 0-3,6."""
    ends = [part.split("-") for part in text.split(",") if part.replace("-", "").isdigit()]
    return tuple(core for end in ends for core in range(int(end[0]), int(end[-1]) + 1))


def parse_temperature(output: str) -> float | str:
    """The hottest of the processor's zones, in degrees Celsius, of lines such as `zone cpu-0-0-usr=41200`."""
    least, most = PLAUSIBLE_CELSIUS
    readings = []
    for line in output.splitlines():
        kind, _, value = line.removeprefix("zone ").strip().rpartition("=")
        if line.startswith("zone ") and kind.lower().startswith(CPU_ZONES) and value.lstrip("-").isdigit():
            readings.append(int(value) / 1000)
    plausible = [reading for reading in readings if least < reading < most]
    return max(plausible) if plausible else UNAVAILABLE


def _told(output: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in output.splitlines())
    return {name: value.strip() for name, _, value in pairs}


def _joined(*words: str) -> str:
    return " ".join(filter(None, words)) or UNAVAILABLE
