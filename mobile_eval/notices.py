"""Warnings about data, for users of the functions by Python's warnings, and for those of the command line in one line each."""

from __future__ import annotations

import sys
import warnings
from typing import TextIO


class DataWarning(UserWarning):
    """What a user should know about data that can be read in more than one way."""


def show_in_one_line() -> None:
    """From now on print each DataWarning as one line on stderr, and other warnings as before."""
    before = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, DataWarning):
            print(f"warning: {' '.join(str(message).split())}", file=file or sys.stderr)
        else:
            before(message, category, filename, lineno, file, line)

    warnings.showwarning = show
