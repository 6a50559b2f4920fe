#!/usr/bin/env python3
"""Print constraints.txt of environments made by `make venv` with several Pythons, given as the Python of each.

    tools/constraints.py a/.venv/bin/python b/.venv/bin/python > constraints.txt

To renew the versions, make the environments with an empty constraints.txt.
"""

import subprocess
import sys
from collections import defaultdict

HEADER = """\
# What was tested: the environment of `make venv` (extras train and dev) on Python {versions}.
# Written by tools/constraints.py."""
LEFT_OUT = ("pip", "wheel")


def frozen(python: str) -> tuple[str, dict[str, str]]:
    """The version of a Python, such as 3.12, and its packages' versions by name."""
    show = "import sys; print('%d.%d' % sys.version_info[:2])"
    version = subprocess.run([python, "-c", show], capture_output=True, text=True, check=True).stdout.strip()
    command = [python, "-m", "pip", "freeze", "--all", "--exclude-editable"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return version, {name: pin for name, _, pin in (line.partition("==") for line in lines) if pin and name not in LEFT_OUT}


def constraints(environments: dict[str, dict[str, str]]) -> list[str]:
    """The lines: a version for all Pythons, or one for each group of Pythons that have the same."""
    lines = []
    for name in sorted({name for packages in environments.values() for name in packages}, key=str.lower):
        pythons = defaultdict(list)
        for python, packages in environments.items():
            if name in packages:
                pythons[packages[name]].append(python)
        for pin, those in pythons.items():
            marker = " or ".join(f"python_version == '{python}'" for python in those)
            lines.append(f"{name}=={pin}" if len(those) == len(environments) else f"{name}=={pin}; {marker}")
    return lines


if __name__ == "__main__":
    found = dict(sorted(map(frozen, sys.argv[1:]), key=lambda entry: tuple(map(int, entry[0].split(".")))))
    print(HEADER.format(versions=", ".join(found)), *constraints(found), sep="\n")
