"""Write docs/reference/cli.md from the commands themselves: `python tools/cli_reference.py`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "cli.md"
HEAD = """# Command line

This page is generated from the commands (`python tools/cli_reference.py`). Every command shows the same with `--help` or `-h`.

"""
MARKUP = re.compile(r"\[/?(?:bold|dim|italic|green|cyan|yellow|red)\]")
ARGUMENTS, OPTIONS = "Arguments", "Options"


def reference() -> str:
    """Return the text of the page."""
    import typer

    sys.path.insert(0, str(ROOT))
    from hrnet_tf.__main__ import app

    commands = list(_commands(("hrnet",), typer.main.get_command(app)))
    panels: dict[str, list[str]] = {}
    for words, command in commands:
        panels.setdefault(command.panel, []).append(f"[`{' '.join(words[1:])}`](#{'-'.join(words)})")
    lists = [f"| {panel} | {', '.join(names)} |" for panel, names in panels.items()]
    sections = [_section(words, command.command) for words, command in commands]
    return HEAD + "\n".join(["| group | commands |", "|---|---|", *lists]) + "\n\n" + "\n\n".join(sections) + "\n"


class _Entry:
    """A command, and the panel of `hrnet --help` that shows it or its group."""

    def __init__(self, command: Any, panel: str) -> None:
        self.command, self.panel = command, panel


def _commands(words: tuple[str, ...], group: Any, panel: str | None = None) -> Iterator[tuple[tuple[str, ...], _Entry]]:
    for name, command in group.commands.items():
        if command.hidden:
            continue
        its_panel = panel or command.rich_help_panel or "Commands"
        if hasattr(command, "commands"):
            yield from _commands((*words, name), command, its_panel)
        else:
            yield (*words, name), _Entry(command, its_panel)


def _section(words: tuple[str, ...], command: Any) -> str:
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    usage = " ".join([*words, *map(_usage, arguments), "[OPTIONS]"])
    parts = [f"## {' '.join(words)}", _paragraphs(command.help or ""), f"```\n{usage}\n```"]
    tables: dict[str, list[str]] = {}
    for parameter in command.params:
        if getattr(parameter, "hidden", False) or parameter.name == "help":
            continue
        kind = ARGUMENTS if parameter in arguments else OPTIONS
        tables.setdefault(getattr(parameter, "rich_help_panel", None) or kind, []).append(_row(parameter, kind))
    for panel, rows in sorted(tables.items(), key=lambda item: item[0] != ARGUMENTS):
        head = f"| {'argument' if panel == ARGUMENTS else 'option'} | default | meaning |\n|---|---|---|"
        parts.append("\n".join([f"**{panel}**\n", head, *rows]))
    return "\n\n".join(parts)


def _usage(argument: Any) -> str:
    name = argument.name.upper() + ("..." if argument.nargs != 1 else "")
    return name if argument.required else f"[{name}]"


def _row(parameter: Any, kind: str) -> str:
    names = [parameter.name.upper()] if kind == ARGUMENTS else [*parameter.opts, *parameter.secondary_opts]
    return f"| {', '.join(f'`{name}`' for name in names)} | {_default(parameter)} | {_text(parameter.help or '')} |"


def _default(parameter: Any) -> str:
    default = parameter.default
    if parameter.required:
        return "required"
    if default is None or isinstance(default, bool) or default == "" or not parameter.show_default or callable(default):
        return ""
    return f"`{default.value if isinstance(default, Enum) else default}`"


def _paragraphs(text: str) -> str:
    lines = (_text(part) for part in MARKUP.sub("`", text).split("\n\n"))
    return "\n\n".join(line for line in lines if line)


def _text(text: str) -> str:
    return " ".join(MARKUP.sub("`", text).split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
