"""Results as data frames."""

import sys

import numpy as np
import pytest

from mobile_eval.errors import HRNetError
from mobile_eval.tables import data_frame


def test_rows_become_a_data_frame() -> None:
    frame = data_frame([{"model": "full", "p50_ms": 3.5}, {"model": "pruned"}])
    assert list(frame.columns) == ["model", "p50_ms"]
    assert frame["model"].tolist() == ["full", "pruned"]
    np.testing.assert_array_equal(frame["p50_ms"], [3.5, np.nan])


def test_missing_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(HRNetError, match="`to_pandas` needs pandas: pip install pandas"):
        data_frame([])
