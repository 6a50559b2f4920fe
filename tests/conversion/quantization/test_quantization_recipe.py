"""Quantization recipes as JSON files."""

from __future__ import annotations

from pathlib import Path

import pytest

from conversion.quantization.quantization_recipe import load_quantization_recipe
from mobile_eval.errors import HRNetError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"floats": []}', "'floats'"),
        ('{"float_layers": "head"}', "float_layers must be a list, got 'head'"),
        ('{"float_layers": [""]}', "float_layers.*''"),
        ('{"activations": "mse"}', "activations.* got 'mse'"),
        ('{"weights": "best"}', "weights.* got 'best'"),
        ('{"percentile": 10}', "percentile.* got 10"),
        ('{"percentile": "high"}', "r.json: percentile must be a number, got 'high'"),
        ('{"weights": []}', r"r.json: weights must be a string, got \[\]"),
        ('{"percentile": NaN}', "r.json: percentile must be a number, got nan"),
        ("[]", r"r.json must be an object, got \[\]"),
        ("", "is empty"),
    ],
)
def test_invalid_quantization_recipes(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(HRNetError, match=message):
        load_quantization_recipe(tmp_path / "r.json")
