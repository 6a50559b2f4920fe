"""Pictures in the documentation match the stored results, and have a background and the colors of both schemes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from mobile_eval.viz.svg import PAPER, dark_style

ROOT = Path(__file__).parents[1]


def test_pictures_match_the_stored_results(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "pictures.py"), str(tmp_path)]
    subprocess.run(command, check=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT)})
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == sorted(path.name for path in (ROOT / "docs" / "images").glob("*.svg"))
    for name in names:
        assert (tmp_path / name).read_text() == (ROOT / "docs" / "images" / name).read_text(), f"run {' '.join(command[:2])}"
        root = ElementTree.parse(ROOT / "docs" / "images" / name).getroot()
        background = root[0]
        assert background.get("fill") == PAPER
        assert root[1].text == dark_style()
        assert [background.get(side) for side in ("x", "y", "width", "height")] == root.get("viewBox", "").split()
