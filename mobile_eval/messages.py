"""Messages for users: warnings about data, and nouns that agree with their number."""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable
from typing import TextIO

SINGULAR = {"people": "person", "boxes": "box", "classes": "class", "identities": "identity"}


def number_of(count: int, plural: str) -> str:
    """Return a number with its noun: "2 images", "1 image"."""
    return f"{count:,} {plural if count != 1 else SINGULAR.get(plural, plural.removesuffix('s'))}"


class DataWarning(UserWarning):
    """Something about data that a user should know, such as that they can be read in more than one way."""


def show_in_one_line(spelled: Callable[[str], str]) -> None:
    """Print each `DataWarning` as one line on stderr from now on, instead of as Python prints warnings.

    Args:
        spelled: Rewrites the message for its readers.
    """
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
    text = f"warning: {spelled(' '.join(str(message).split()))}\n"
    if not issubclass(category, DataWarning):
        text = warnings.formatwarning(message, category, filename, lineno, line)
    (file or sys.stderr).write(text)
