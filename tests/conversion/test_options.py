"""Conversion options."""

from __future__ import annotations

import pytest

from conversion.options import ConvertOptions
from mobile_eval.errors import HRNetError


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (("int4",), "`format` .*'int4'"),
        (("int8", "float16"), "`input_type` .*'float16'"),
        (("int8", None, "uint8-rgb"), "`output_type` .*'uint8-rgb'"),
        (("float32", "int8"), "`input_type` int8 .*float32"),
        (("float16", None, "uint8"), "`output_type` uint8 .*float16"),
        (("int16x8", "uint8-rgb"), "uint8-rgb .*int16x8"),
        (("int16x8", None, None, None, True), "`decode` .*int16x8"),
        (("int8", None, None, 0.0), "`max_error` .*0.0"),
    ],
)
def test_invalid_options(values: tuple[object, ...], message: str) -> None:
    with pytest.raises(HRNetError, match=message):
        ConvertOptions(*values)  # type: ignore[arg-type]
