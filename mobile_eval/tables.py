"""Results as tables of text, and as data frames of pandas, which is optional."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeAlias

from mobile_eval.errors import HRNetError

DataFrame: TypeAlias = Any  # `pandas.DataFrame`


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


def text_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Collection[str] = ()) -> str:
    """Return rows as a table of aligned text.

    Args:
        columns: Names of the columns.
        rows: The cells of each row. A cell may have several lines.
        right: Names of the columns that are aligned to the right, such as those of numbers.

    Example:
        >>> print(text_table(["model", "ms"], [["full", "12.5"], ["pruned", "9.8"]], right=["ms"]))
        model     ms
        full    12.5
        pruned   9.8
    """
    lines = [list(columns)]
    for row in rows:
        cells = [cell.split("\n") for cell in row]
        lines += [list(line) for line in itertools.zip_longest(*cells, fillvalue="")]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    aligned = [f"{'>' if name in right else '<'}{width}" for name, width in zip(columns, widths, strict=True)]
    return "\n".join("  ".join(f"{cell:{form}}" for cell, form in zip(line, aligned, strict=True)).rstrip() for line in lines)
