"""Names from files are escaped in HTML, and reach no file outside the named folder."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from mobile_eval.datasets.coco.keypoints import load_keypoint_dataset
from mobile_eval.errors import HRNetError
from mobile_eval.model.archive import files_of
from mobile_eval.model.description import BoxesFile, ModelDescription
from mobile_eval.report.comparison import compare
from mobile_eval.report.devices import compare_devices
from mobile_eval.report.links import compare_links
from tests.mobile_eval.conftest import JOINTS, People

SCRIPT = "<script>alert(1)</script>"


def test_pages_escape_names(
    people: People, model_path: Callable[..., Path], describe: Callable[..., ModelDescription], tmp_path: Path
) -> None:
    joints = [SCRIPT, *JOINTS[1:]]
    people.coco["categories"][0] |= {"keypoints": joints, "name": SCRIPT}
    people.rewrite()
    category = describe().category
    named = {"category": type(category)(SCRIPT, tuple(joints), category.skeleton), "license": SCRIPT, "source": {"run": SCRIPT}}
    models = [model_path(name=f"m{number}", **named, versions={SCRIPT: SCRIPT}) for number in range(2)]
    dataset = load_keypoint_dataset(people.annotations, people.images)
    compare(models, dataset, tmp_path / "report", rounds=1, command=f"hrnet compare {SCRIPT}")
    compare_links(models, tmp_path / "links")
    results = json.loads((tmp_path / "report" / "results.json").read_text())
    results["environment"] |= {"processor": SCRIPT, "architecture": SCRIPT, "date": SCRIPT}
    results |= {"runtime": SCRIPT, "metric": {"name": SCRIPT}}
    for model in results["models"]:
        model["label"] = model["reference"] = f"{model['label']}{SCRIPT}"
    (tmp_path / "results.json").write_text(json.dumps(results))
    compare_devices([tmp_path / "results.json"], tmp_path / "devices")
    for folder in ("report", "links", "devices"):
        page = (tmp_path / folder / "index.html").read_text()
        assert SCRIPT not in page
        assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


@pytest.mark.parametrize("name", ["../second.tflite", "/etc/passwd", "folder/second.tflite", "..", ""])
def test_names_of_the_second_detector_file(
    name: str, model_path: Callable[..., Path], describe: Callable[..., ModelDescription]
) -> None:
    boxes = BoxesFile("second.tflite", "0" * 64, 4, 10, 10)
    data = describe(boxes=boxes).to_json()
    data["boxes"]["name"] = name
    with pytest.raises(HRNetError, match=re.escape(f"got {name!r}")):
        ModelDescription.from_json(data)
    path = model_path(boxes=boxes)
    with pytest.raises(HRNetError, match=f"{path.parent}/second.tflite"):
        files_of(path)
