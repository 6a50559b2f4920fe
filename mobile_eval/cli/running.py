"""Run a command-line application: its exit codes, its error messages, and what it logs."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from mobile_eval.errors import PARAMETER, HRNetError
from mobile_eval.messages import show_in_one_line

DEBUG_VARIABLE = "HRNET_DEBUG"
BUG, BAD_INPUT, INTERRUPTED = 1, 2, 130
PACKAGES = ("mobile_eval", "hrnet_tf", "training", "conversion")  # their loggers are named after modules
IS_A_BUG = (
    "error: this is a bug of hrnet_tf, not of your input ({kind}).\n"
    "Please report it with the command and the lines below. The command has stopped; its earlier output is unchanged."
)


def run(application: typer.Typer) -> None:
    """Run an application and exit.

    Bad input and failing disks print one line on stderr and exit with 2. Ctrl-C exits with 130. A bug prints two lines and its
    traceback and exits with 1. HRNET_DEBUG=1 shows the traceback of bad input too, and opencv's messages about damaged images.

    Args:
        application: The application; its arguments are those of the process.
    """
    _escape_unprintable_text()

    def spell(message: str) -> str:
        return with_options(message, application, sys.argv[1:])

    show_in_one_line(spell)
    debug = bool(os.environ.get(DEBUG_VARIABLE))
    if not debug:
        os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # opencv reads it when the command imports it
    try:
        with _logging_to_terminal(spell):
            application()
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        sys.exit(INTERRUPTED)
    except (HRNetError, OSError) as error:
        if debug:
            traceback.print_exc()
        typer.echo(f"error: {spell(' '.join(str(error).split()))}", err=True)
        sys.exit(BAD_INPUT)
    except Exception as error:
        typer.echo(IS_A_BUG.format(kind=type(error).__name__), err=True)
        traceback.print_exc()
        sys.exit(BUG)


def with_options(message: str, application: typer.Typer, arguments: Sequence[str] = ()) -> str:
    """Spell the parameters in a message as options: `keep_macs` becomes --keep-macs.

    Args:
        message: The message, with parameters in backticks. Other names in backticks lose these.
        application: The application that has the options.
        arguments: The command line. If several commands have the parameter, the option is that of the command it calls.

    Returns:
        The message for users of the command line.
    """
    command: object = typer.main.get_command(application)
    root = command
    for argument in arguments:
        command = command.commands.get(argument, command) if isinstance(command, TyperGroup) else command
    return _spelled(message, root, command)


def spelled(message: str, context: typer.Context) -> str:
    """Spell the parameters in a text as options, as `with_options` does, for the output of a command.

    Args:
        message: The text, with parameters in backticks.
        context: The context of the command that runs.
    """
    return _spelled(message, context.find_root().command, context.command)


def is_typed(context: typer.Context, name: str) -> bool:
    """Whether the user gave the parameter `name` of the command that runs, even if its value is the default."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _spelled(message: str, root: object, command: object) -> str:
    options = _options_by_parameter(root) | _options_by_parameter(command)
    return PARAMETER.sub(lambda match: options.get(match[1], match[1]), message)


def _options_by_parameter(command: object) -> dict[str, str]:
    """The options of a command and of its sub-commands, by the names of their parameters."""
    options = {}
    if isinstance(command, TyperGroup):
        for subcommand in command.commands.values():
            options.update(_options_by_parameter(subcommand))
    if isinstance(command, TyperCommand | TyperGroup):
        options.update({option.name or "": option.opts[0] for option in command.params if isinstance(option, TyperOption)})
    return options


def _escape_unprintable_text() -> None:
    """Print characters outside of the terminal's encoding as escapes; names of files may have any bytes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class _WarningFormatter(logging.Formatter):
    """Formats warnings as one line, with parameters spelled as options."""

    def __init__(self, spell: Callable[[str], str]):
        super().__init__()
        self._spell = spell

    def format(self, record: logging.LogRecord) -> str:
        return f"warning: {self._spell(super().format(record))}"


@contextlib.contextmanager
def _logging_to_terminal(spell: Callable[[str], str]) -> Iterator[None]:
    """Print what the packages log: plain lines on stdout, warnings on stderr with their parameters spelled by `spell`."""
    lines, warnings = logging.StreamHandler(sys.stdout), logging.StreamHandler(sys.stderr)
    lines.addFilter(lambda record: record.levelno < logging.WARNING)
    warnings.setLevel(logging.WARNING)
    warnings.setFormatter(_WarningFormatter(spell))
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
