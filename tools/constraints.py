#!/usr/bin/env python3
"""Print constraints.txt for environments that `make venv` made with several Pythons.

    tools/constraints.py a/.venv/bin/python b/.venv/bin/python > constraints.txt

The arguments are the Python of each environment. To update the versions, make the environments with an empty constraints.txt.
"""

import subprocess
import sys
from collections import defaultdict

HEADER = """\
# The tested versions: the environment of `make venv` (extras train and dev) on Python {versions}.
# Written by tools/constraints.py."""
EXCLUDED = ("pip", "wheel")


def installed_packages(python: str) -> tuple[str, dict[str, str]]:
    """Return the version of a Python, such as 3.12, and the versions of its packages by name."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    version = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    command = [python, "-m", "pip", "freeze", "--all", "--exclude-editable"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    pins = (line.partition("==") for line in lines)
    return version, {name: pin for name, _, pin in pins if pin and name not in EXCLUDED}


def constraints(environments: dict[str, dict[str, str]]) -> list[str]:
    """Return the lines of constraints.txt: one per package, or one for each of its versions, with the Pythons that have it."""
    lines = []
    for name in sorted({name for packages in environments.values() for name in packages}, key=str.lower):
        pythons = defaultdict(list)
        for python, packages in environments.items():
            if name in packages:
                pythons[packages[name]].append(python)
        for pin, versions in pythons.items():
            marker = " or ".join(f"python_version == '{python}'" for python in versions)
            lines.append(f"{name}=={pin}" if len(versions) == len(environments) else f"{name}=={pin}; {marker}")
    return lines


if __name__ == "__main__":
    environments = dict(sorted(map(installed_packages, sys.argv[1:]), key=lambda entry: tuple(map(int, entry[0].split(".")))))
    print(HEADER.format(versions=", ".join(environments)), *constraints(environments), sep="\n")
