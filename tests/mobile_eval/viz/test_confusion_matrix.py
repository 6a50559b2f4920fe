"""The confusion matrix as SVG."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from mobile_eval.viz.confusion_matrix import confusion_svg, most_confused
from tests.mobile_eval.conftest import Invoke, TaskModel, one_line

NAMES = ("cat", "dog & co", "horse")
SVG = "{http://www.w3.org/2000/svg}"


def test_cells_show_shares_of_their_row() -> None:
    root = ElementTree.fromstring(confusion_svg(np.array([[6, 2, 0], [1, 999, 0], [0, 0, 0]]), NAMES, "m.tflite", "images"))
    titles = [title.text for title in root.iter(f"{SVG}title")]
    assert titles == [
        "cat predicted as cat: 6 (75.0%)",
        "cat predicted as dog & co: 2 (25.0%)",
        "dog & co predicted as cat: 1 (0.1%)",
        "dog & co predicted as dog & co: 999 (99.9%)",
    ]
    written = [text.text for text in root.iter(f"{SVG}text")]
    assert [text for text in written if text in ("75", "25", "<1", "100")] == ["75", "25", "<1", "100"]
    assert [written.count(name) for name in NAMES] == [2, 2, 2]
    assert "75.0 % of 8" in written
    assert "-" in written  # no sample is a horse
    assert len(list(root.iter(f"{SVG}rect"))) == 9 + 1  # with the background


def test_many_classes_are_reduced_to_those_with_most_mistakes() -> None:
    counts = np.diag(np.full(100, 10))
    counts[[7, 93, 50], [8, 7, 50]] = 3, 5, 900
    assert most_confused(counts, 3) == [7, 8, 93]
    root = ElementTree.fromstring(confusion_svg(counts, [f"class_{i}" for i in range(100)], "m", "images"))
    assert len(list(root.iter(f"{SVG}rect"))) == 40 * 40 + 1
    assert any("the 40 of 100 classes" in (text.text or "") for text in root.iter(f"{SVG}text"))


@pytest.mark.parametrize("task", ["classification", "segmentation"])
def test_command(task: str, task_model: Callable[..., TaskModel], invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    for name in NAMES:
        (tmp_path / "images" / name).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "images" / name / "a.png"), np.random.default_rng(0).integers(0, 256, (70, 70, 3), np.uint8))
        (tmp_path / "masks" / name).mkdir()
        cv2.imwrite(str(tmp_path / "masks" / name / "a.png"), np.zeros((70, 70), np.uint8))
    masks = ("--masks", tmp_path / "masks") if task == "segmentation" else ()
    path, picture = task_model(task, NAMES).path, tmp_path / "confusion.svg"
    assert invoke("evaluate", path, "--images", tmp_path / "images", *masks, "--picture", picture)[0] == 0
    totals = [text.text for text in ElementTree.parse(picture).iter(f"{SVG}text") if " % of " in (text.text or "")]
    sizes = ["of 1"] * 3 if task == "classification" else [f"of {3 * 70 * 70:,}"]
    assert [text.partition("% ")[2] for text in totals if text] == sizes
    code, _, error = invoke("evaluate", path, "--images", tmp_path / "images", *masks, "--picture", tmp_path)
    assert code == 2
    assert "it is a folder; give the name of a file" in one_line(error)
