"""Which processors a program is for, read from its ELF header, so that a wrong one is refused before it is copied."""

from __future__ import annotations

import struct
from pathlib import Path

from mobile_eval.errors import HRNetError
from mobile_eval.files import read_bytes

MAGIC = b"\x7fELF"
# e_machine of the ELF header, by Android's names (https://developer.android.com/ndk/guides/abis).
MACHINES = {183: ("arm64-v8a",), 40: ("armeabi-v7a", "armeabi"), 62: ("x86_64",), 3: ("x86",), 243: ("riscv64",)}


def check_program(path: Path | str, abis: tuple[str, ...]) -> None:
    """Refuse a file that a phone of these ABIs cannot run."""
    data = read_bytes(path, "benchmark binary")[:20]
    if len(data) < 20 or data[:4] != MAGIC:
        raise HRNetError(f"{path} is no program for Android (no ELF header): give TFLite's benchmark_model for {abis[0]}")
    order = ">" if data[5] == 2 else "<"  # EI_DATA
    (machine,) = struct.unpack_from(f"{order}H", data, 18)
    names = MACHINES.get(machine, (f"machine {machine}",))
    if not set(names) & set(abis):
        raise HRNetError(f"{path} is for {names[0]}, but the phone runs {', '.join(abis)}: give the build for {abis[0]}")
