"""The documents: their links lead somewhere, and their commands and options are those of the program."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.support.program import COMMANDS, unknown_options

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Options of other programs that the pages name.
OTHER_PROGRAMS = {"--ntasks", "--compiled"}
ALL_OPTIONS = set().union(*COMMANDS.values()) | OTHER_PROGRAMS
# Pages whose programs have a test of their own.
OWN_TESTS = {"keras3-jax.md", "files.md"}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`((?:[^`\n]|\n(?!\n))+)`")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def code_of(page: Path) -> list[str]:
    """Lines of shell blocks, and spans in the text that begin with the program's name."""
    text = page.read_text(encoding="utf-8")
    lines = [line for language, block in BLOCK.findall(text) if language in ("", "sh", "bash") for line in block.splitlines()]
    return [*lines, *(" ".join(span.split()) for span in SPAN.findall(BLOCK.sub("", text)))]


def called(line: str) -> list[str] | None:
    """The arguments of the program in a line of shell; None where the line calls another."""
    for start in ("hrnet ", "python -m mobile_eval ", ".venv/bin/hrnet "):
        if line.startswith(start):
            return shlex.split(line.removeprefix(start), comments=True)
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    targets = [target for target in LINK.findall(text) if "://" not in target]
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_are_those_of_the_program(page: Path) -> None:
    for line in code_of(page):
        arguments = called(line)
        if arguments is None:
            continue
        assert unknown_options(arguments) == set(), line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_options_are_those_of_the_program(page: Path) -> None:
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    spans = [span for span in SPAN.findall(text) if span.startswith("--")]
    assert [span for span in spans if re.split(r"[ =\\]", span)[0] not in ALL_OPTIONS] == []


@pytest.mark.slow
def test_python_blocks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = [
        (page, block)
        for page in PAGES
        for language, block in BLOCK.findall(page.read_text(encoding="utf-8"))
        if language == "python"
    ]
    assert len(blocks) >= 3
    for page, block in blocks:
        if page.name not in OWN_TESTS:
            exec(compile(block, str(page), "exec"), {})


def test_the_readme_is_a_front_page() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 200
