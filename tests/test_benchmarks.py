"""The scripts in benchmarks/ and tools/ call the program with commands, options and values that it has.

mypy checks the names that the Python scripts import.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.program import parse, unknown_options

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
RECORDER = """#!{python}
import json, sys
with open({log!r}, "a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
"""
SHELL_SCRIPTS = [
    ("find_bccd.sh", ["data", "output"]),
    ("find_coco.sh", ["data", "output"]),
    ("input_sizes.sh", ["output"]),
    ("lspet.sh", ["data", "output"]),
    ("lspet_256.sh", ["data", "output"]),
    ("lspet_small_v2.sh", ["data", "output"]),
    ("lspet_study.sh", ["data", "output"]),
    ("pipeline.sh", ["output"]),
    *(("systems_trained.sh", [task, "data", "output"]) for task in ("classification", "pose", "segmentation")),
    ("w32.sh", ["data", "output"]),
    *(("tasks.sh", [task, "data", "output"]) for task in ("segmentation", "landmarks", "classification", "detection")),
]
TOOLS = [*sorted((ROOT / "tools").glob("*.sh")), BENCHMARKS / "peers" / "run.sh"]
SPAN = re.compile(r"`hrnet ([^`]+)`")
CALL = re.compile(r'(?:-m mobile_eval|/hrnet"?) ([a-z][^\n|&;]*)')


def record_calls(script: Path, arguments: list[str], folder: Path) -> list[list[str]]:
    """Run a shell script with a program `hrnet` that only records its arguments; return those of each call."""
    log, program = folder / "calls", folder / "bin" / "hrnet"
    program.parent.mkdir()
    program.write_text(RECORDER.format(python=sys.executable, log=str(log)))
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(["bash", str(script), *arguments], check=True, cwd=folder, env=environment)
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_every_shell_script_is_checked() -> None:
    assert {name for name, _ in SHELL_SCRIPTS} == {path.name for path in BENCHMARKS.glob("*.sh")}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "arguments"), SHELL_SCRIPTS, ids=lambda value: value[0] if isinstance(value, list) else value)
def test_shell_scripts_call_the_program_correctly(name: str, arguments: list[str], tmp_path: Path) -> None:
    for folder in ("data", "output"):
        (tmp_path / folder).mkdir()
    for part in ("train", "val"):  # of which find_coco.sh reads the boxes
        (tmp_path / "data" / f"person_keypoints_{part}.json").write_text('{"annotations": [], "categories": []}')
    calls = record_calls(BENCHMARKS / name, arguments, tmp_path)
    assert calls[0][0] in ("train", "data", "rank")
    for call in calls:
        parse(call)


def test_the_killed_commands_are_those_of_the_program(tmp_path: Path) -> None:
    commands = runpy.run_path(str(BENCHMARKS / "kills.py"), run_name="kills")["commands"](tmp_path)
    assert len(commands) == 7
    for command in commands.values():
        parse([*command.line(tmp_path / "output"), *command.resume.split()])


@pytest.mark.parametrize("path", sorted(BENCHMARKS.glob("*.py")), ids=lambda path: path.name)
def test_python_scripts_name_commands_of_the_program(path: Path) -> None:
    for span in SPAN.findall(" ".join(path.read_text(encoding="utf-8").split())):
        assert unknown_options(span.split()) == set(), span


@pytest.mark.parametrize(
    "path", [*sorted((ROOT / "tools").glob("*.sh")), BENCHMARKS / "peers" / "run.sh"], ids=lambda path: path.name
)
def test_tools_name_commands_of_the_program(path: Path) -> None:
    for call in CALL.findall(path.read_text(encoding="utf-8")):
        assert unknown_options(shlex.split(call, comments=True)) == set(), call
