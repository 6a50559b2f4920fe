"""Results as text, and as data frames of pandas, which is optional."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from mobile_eval.errors import HRNetError

DataFrame: TypeAlias = Any  # `pandas.DataFrame`


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """Return rows as aligned text: the first columns to the left, the others to the right.

    Args:
        header: Names of the columns.
        rows: Cells of each row. A cell may have several lines.
        left: Number of columns that are aligned to the left.

    Example:
        >>> print(text_table(["link", "taylor"], [["stage2_module0_link0to1", "0.5"]]))
        link                     taylor
        stage2_module0_link0to1     0.5
    """
    lines: list[tuple[str, ...]] = [tuple(header)]
    for row in rows:
        lines += itertools.zip_longest(*(cell.split("\n") for cell in row), fillvalue="")
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    forms = [f"{'<' if index < left else '>'}{width}" for index, width in enumerate(widths)]
    return "\n".join("  ".join(map(format, line, forms)).rstrip() for line in lines)


def data_frame(rows: Sequence[Mapping[str, object]]) -> DataFrame:
    """Return rows as a data frame of pandas.

    Args:
        rows: The values of each row by the name of the column. A row may lack columns.

    Raises:
        HRNetError: pandas is not installed.

    Example:
        >>> data_frame([{"model": "full", "p50_ms": 3.5}, {"model": "pruned", "p50_ms": 2.5}])  # doctest: +SKIP
            model  p50_ms
        0    full     3.5
        1  pruned     2.5
    """
    try:
        import pandas as pd
    except ImportError:
        raise HRNetError("`to_pandas` needs pandas: pip install pandas") from None
    return pd.DataFrame([dict(row) for row in rows])


def flat(data: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Return the values of nested mappings as one row. Lists are left out.

    Args:
        data: Plain data.
        prefix: What the names of columns begin with.

    Example:
        >>> flat({"model": "full", "oks": {"ap": 0.5}, "confusion": [[1, 0]]})
        {'model': 'full', 'oks.ap': 0.5}
    """
    row: dict[str, object] = {}
    for name, value in data.items():
        if isinstance(value, Mapping):
            row |= flat(value, f"{prefix}{name}.")
        elif not isinstance(value, list | tuple):
            row[f"{prefix}{name}"] = value
    return row
