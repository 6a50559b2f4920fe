"""Run a command-line application: what is bad input, what is a bug, and how each ends."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import traceback
from collections.abc import Iterator, Sequence

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from mobile_eval.errors import PARAMETER, HRNetError
from mobile_eval.notices import show_in_one_line

DEBUG_VARIABLE = "HRNET_DEBUG"
BUG, BAD_INPUT, INTERRUPTED = 1, 2, 130
PACKAGES = ("mobile_eval", "hrnet_tf", "training", "conversion")  # whose loggers have their modules' names
IS_A_BUG = (
    "error: this is a bug of hrnet_tf, not of your input ({kind}).\n"
    "Please report it with the command and the lines below; the command has stopped, and its earlier output is as it was."
)


def run(application: typer.Typer) -> None:
    """Run an application and exit.

    Bad input and failing disks end in one line on stderr and exit code 2, Ctrl-C in 130, and a bug in two lines, its traceback
    and exit code 1. HRNET_DEBUG=1 shows the traceback of bad input too, and opencv's own lines on damaged images.
    """
    _print_any_text()
    show_in_one_line(lambda text: with_options(text, application, sys.argv[1:]))
    debug = bool(os.environ.get(DEBUG_VARIABLE))
    if not debug:
        os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # read when opencv is imported, by the command
    try:
        with _shown_logs():
            application()
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        sys.exit(INTERRUPTED)
    except (HRNetError, OSError) as error:
        if debug:
            traceback.print_exc()
        typer.echo(f"error: {with_options(' '.join(str(error).split()), application, sys.argv[1:])}", err=True)
        sys.exit(BAD_INPUT)
    except Exception as error:
        typer.echo(IS_A_BUG.format(kind=type(error).__name__), err=True)
        traceback.print_exc()
        sys.exit(BUG)


def with_options(message: str, application: typer.Typer, arguments: Sequence[str] = ()) -> str:
    """The message of an error with its parameters as the command line spells them: `keep_macs` becomes --keep-macs.

    Args:
        message: The message, with parameters in backticks.
        application: The application whose options they are.
        arguments: Of the command line; of options of one name those of the command that they call are taken.
    """
    command: object = typer.main.get_command(application)
    spelled = _options(command)
    for argument in arguments:
        command = command.commands.get(argument, command) if isinstance(command, TyperGroup) else command
    spelled.update(_options(command))
    return PARAMETER.sub(lambda match: spelled.get(match[1], match[1]), message)


def _options(command: object) -> dict[str, str]:
    """How each option of a command and of its sub-commands is typed, by its parameter's name."""
    spelled = {}
    if isinstance(command, TyperGroup):
        for part in command.commands.values():
            spelled.update(_options(part))
    if isinstance(command, TyperCommand | TyperGroup):
        spelled.update({option.name or "": option.opts[0] for option in command.params if isinstance(option, TyperOption)})
    return spelled


def _print_any_text() -> None:
    """Print what the terminal's encoding has no place for as escapes: a name of a file need not be text."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextlib.contextmanager
def _shown_logs() -> Iterator[None]:
    """Print what the packages log: plain lines on stdout, warnings and errors on stderr."""
    lines, warnings = logging.StreamHandler(sys.stdout), logging.StreamHandler(sys.stderr)
    lines.addFilter(lambda record: record.levelno < logging.WARNING)
    warnings.setLevel(logging.WARNING)
    warnings.setFormatter(logging.Formatter("warning: %(message)s"))
    loggers = [logging.getLogger(package) for package in PACKAGES]
    earlier = [(logger.handlers, logger.propagate, logger.level) for logger in loggers]
    for logger in loggers:
        logger.handlers, logger.propagate = [lines, warnings], False
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, (handlers, propagate, level) in zip(loggers, earlier, strict=True):
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(level)
