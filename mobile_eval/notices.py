"""Warnings about data: Python's for those who call functions, one line each for those who type commands."""

from __future__ import annotations

import sys
import warnings
from typing import TextIO


class DataWarning(UserWarning):
    """What a user should know about data that can be read in more than one way."""


def show_in_one_line() -> None:
    """From now on print each DataWarning as one line on stderr, and other warnings as Python does."""
    warnings.showwarning = _show


def _show(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    said = f"warning: {' '.join(str(message).split())}\n"
    if not issubclass(category, DataWarning):
        said = warnings.formatwarning(message, category, filename, lineno, line)
    (file or sys.stderr).write(said)
