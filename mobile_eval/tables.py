"""Results as data frames of pandas, which is optional."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
