"""Documents: links point to files, and commands, options and programs work."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.support.program import COMMANDS, unknown_options

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Options of other programs in the pages.
OTHER_PROGRAMS = {"--ntasks", "--compiled"}
ALL_OPTIONS = set().union(*COMMANDS.values()) | OTHER_PROGRAMS
# Pages whose programs have separate tests.
TESTED_ELSEWHERE = {"keras3-jax.md", "files.md"}
BLOCK = re.compile(r"^ *```([^\n`]*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`((?:[^`\n]|\n(?!\n))+)`")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def code_of(page: Path) -> list[str]:
    """Lines of shell blocks, and code spans in the text."""
    text = page.read_text(encoding="utf-8")
    lines = [line for language, block in BLOCK.findall(text) if language in ("", "sh", "bash") for line in block.splitlines()]
    return [*lines, *(" ".join(span.split()) for span in SPAN.findall(BLOCK.sub("", text)))]


def python_blocks(page: Path) -> list[str]:
    """The Python blocks of a page, without those marked `{.python .skip}`."""
    return [block for language, block in BLOCK.findall(page.read_text(encoding="utf-8")) if language == "python"]


PROGRAMS = [page for page in PAGES if page.name not in TESTED_ELSEWHERE and python_blocks(page)]


def arguments_of(line: str) -> list[str] | None:
    """The arguments of hrnet or mobile_eval in a line of shell, or None for another program."""
    for start in ("hrnet ", "python -m mobile_eval ", ".venv/bin/hrnet "):
        if line.startswith(start):
            return shlex.split(line.removeprefix(start), comments=True)
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_point_to_files(page: Path) -> None:
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    targets = [target for target in LINK.findall(text) if "://" not in target]
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_exist(page: Path) -> None:
    for line in code_of(page):
        arguments = arguments_of(line)
        if arguments is None:
            continue
        assert unknown_options(arguments) == set(), line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_options_exist(page: Path) -> None:
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    spans = [span for span in SPAN.findall(text) if span.startswith("--")]
    assert [span for span in spans if re.split(r"[ =\\]", span)[0] not in ALL_OPTIONS] == []


@pytest.mark.slow
@pytest.mark.journey
@pytest.mark.parametrize("page", PROGRAMS, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of a page share their names, in order, and run in an empty folder; `{.python .skip}` needs files."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": page.stem}
    for block in python_blocks(page):
        exec(compile(block, str(page.relative_to(ROOT)), "exec"), names)


def test_length_of_the_readme() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 200
