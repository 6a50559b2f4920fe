"""Warnings about data: Python's for those who call functions, one line each for those who type commands."""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable
from typing import TextIO


class DataWarning(UserWarning):
    """What a user should know about data that can be read in more than one way."""


def show_in_one_line(spelled: Callable[[str], str]) -> None:
    """From now on print each DataWarning as one line on stderr, `spelled` for its readers; other warnings as Python does."""
    warnings.showwarning = functools.partial(_show, spelled)


def _show(
    spelled: Callable[[str], str],
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    said = f"warning: {spelled(' '.join(str(message).split()))}\n"
    if not issubclass(category, DataWarning):
        said = warnings.formatwarning(message, category, filename, lineno, line)
    (file or sys.stderr).write(said)
