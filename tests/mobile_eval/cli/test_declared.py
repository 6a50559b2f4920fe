"""Command-line options declared by dataclasses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mobile_eval.cli.declared import with_options, with_options_by_task
from mobile_eval.cli.help import Commands
from mobile_eval.errors import HRNetError
from mobile_eval.options import checked_options, option, options_of, parse_values


@dataclass(frozen=True)
class Camera:
    device: str = option("front", "Camera.")
    focal_mm: tuple[float, ...] = option((), "Focal lengths, in millimetres.")
    sizes: tuple[int, ...] = option((1,), "Sizes.")
    mirror: bool = option(False, "Mirror the picture.")
    light: bool = option(True, "Use the lamp.")
    lens: Path | None = option(None, "Lens file.")
    extra: list[str] | None = option(None, "Anything else.", name="add")
    serial: str = "not an option"


@dataclass(frozen=True)
class Depth:
    device: str = option("front", "Camera.")
    levels: int = option(3, "Number of levels.", minimum=1)


def typed(command: Any, *arguments: str) -> Any:
    app = Commands()
    app.command()(command)
    result = CliRunner().invoke(app, arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_a_command_gets_an_instance() -> None:
    calls = []

    def shoot(name: str, camera: Camera, times: int = 1) -> None:
        calls.append((name, camera, times))

    command = with_options(shoot)
    assert typed(command, "a").exit_code == 0
    line = "b --device back --focal-mm 35,50.5 --mirror --no-light --lens l.json --add x=1 --add y=2 --times 3"
    assert typed(command, *line.split()).exit_code == 0
    camera = Camera("back", (35.0, 50.5), (1,), True, False, Path("l.json"), ["x=1", "y=2"])
    assert calls == [("a", Camera(), 1), ("b", camera, 3)]
    assert "--serial" not in typed(command, "--help").output


def test_options_of_several_tasks() -> None:
    calls = []

    @with_options_by_task({"photo": Camera, "depth": Depth})
    def measure(options: dict[str, object], name: str = "") -> None:
        calls.append(options)

    assert typed(measure, "--levels", "4", "--device", "side").exit_code == 0
    assert typed(measure).exit_code == 0
    assert calls == [{"levels": 4, "device": "side"}, {}]
    assert typed(measure, "--levels", "0").exit_code == 2
    common, depth = (typed(measure, *words, "--help").output for words in ((), ("depth",)))
    assert "--device TEXT" in common
    assert "--levels N" not in common
    assert "Options of depth" in depth
    assert "--levels N" in depth
    assert "--focal-mm" not in depth


def test_values_are_checked() -> None:
    assert parse_values("x", "", int) == ()
    assert checked_options(Camera, {"focal_mm": "1, 2", "sizes": (3,)}, "photo") == {"focal_mm": (1.0, 2.0), "sizes": (3,)}
    with pytest.raises(HRNetError, match=r"`levels`.*photo.*`focal_mm`"):
        checked_options(Camera, {"levels": 1}, "photo")
    with pytest.raises(HRNetError, match=r"`sizes`.*'1,a'"):
        checked_options(Camera, {"sizes": "1,a"}, "photo")


def test_declarations_are_read() -> None:
    kinds = {declared.name: (declared.kind, declared.item_kind) for declared in options_of(Camera)}
    assert kinds["lens"] == (Path, None)
    assert kinds["focal_mm"] == (tuple, float)
    assert kinds["extra"] == (list, str)
    assert "serial" not in kinds
