"""The programs in `examples`."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from mobile_eval.model.archive import read_description

EXAMPLES = Path(__file__).parents[1] / "examples"
LINES = 15  # from own data to a measured pruned int8 file, with the import


@pytest.mark.slow
@pytest.mark.journey
def test_quickstart(tmp_path: Path) -> None:
    path = EXAMPLES / "quickstart.py"
    spec = importlib.util.spec_from_file_location("quickstart", path)
    assert spec is not None
    assert spec.loader is not None
    quickstart = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(quickstart)
    result = quickstart.main(tmp_path, count=64, epochs=1)
    assert [model.model for model in result] == ["full-int8.tflite", "pruned-int8.tflite"]
    full, pruned = (read_description(tmp_path / model.model) for model in result)
    assert pruned.multiply_adds <= 0.8 * full.multiply_adds
    assert pruned.category.joints == ("red", "green", "blue")
    first, last = "    x, (y, weights)", "    return hr.benchmark"
    lines = path.read_text(encoding="utf-8").splitlines()
    body = lines[next(i for i, line in enumerate(lines) if line.startswith(first)) :]
    assert next(i for i, line in enumerate(body) if line.startswith(last)) + 2 <= LINES
