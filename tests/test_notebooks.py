"""The notebooks of examples/ run from the first cell to the last, and measure what they say."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "examples").glob("*.ipynb"))
SECONDS = 900  # of a cell, on a busy machine


def run(path: Path, folder: Path) -> list[nbformat.NotebookNode]:
    """Run a notebook in a folder; return its code cells with their outputs."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=SECONDS, resources={"metadata": {"path": str(folder)}}).execute()
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(cell: nbformat.NotebookNode) -> str:
    return "".join(output.get("text", "") for output in cell.outputs if output.get("name") == "stdout")


@pytest.mark.slow
@pytest.mark.journey
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path: Path, tmp_path: Path) -> None:
    cells = run(path, tmp_path)
    files = {file.name for file in tmp_path.glob("*-int8.tflite")}
    assert len(files) == 2
    assert "full-int8.tflite" in files
    [benchmark] = [printed(cell) for cell in cells if "hr.benchmark" in cell.source]
    assert all(Path(name).stem in benchmark for name in files)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_stored_without_outputs(path: Path) -> None:
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert [cell for cell in cells if cell.outputs or cell.execution_count] == []


def test_both_notebooks_are_there() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["own_keypoints", "published_weights"]
