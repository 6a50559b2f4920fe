"""The folder of a page: its files, what site.json holds, and models that the page refuses."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from mobile_eval.datasets.base import DataSource
from mobile_eval.datasets.coco.keypoints import load_keypoint_dataset
from mobile_eval.errors import HRNetError
from mobile_eval.files import sha256
from mobile_eval.image.image_file import read_image
from mobile_eval.keypoints.inference import predict_box
from mobile_eval.model.description import TensorFormat
from mobile_eval.pipeline.detectors import open_detector
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.pose.evaluate import evaluate_pose
from mobile_eval.web.contract import CONVERT, OPTIONS
from mobile_eval.web.site import write_site
from tests.mobile_eval.conftest import Invoke, People, TaskModel, one_line
from tests.mobile_eval.web.conftest import PAGE
from tests.support.ssd_file import write_ssd

ROOT = Path(__file__).parents[3]
HOSTILE = '<img src=x onerror=alert(1)> & "quoted" %2e'


class Elements(HTMLParser):
    """The tags of a page with their attributes, and the text of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inline: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] in ("script", "style") and data.strip():
            self.inline.append(data)


def test_folder_has_all_that_the_page_loads(
    model_path: Callable[..., Path], people: People, litert_folder: Path, tmp_path: Path
) -> None:
    models = [TFLiteModel(model_path()), TFLiteModel(model_path(name=HOSTILE))]
    dataset = load_keypoint_dataset(people.annotations, people.images)
    source = DataSource(images=people.images, annotations=people.annotations)
    site = write_site(models, tmp_path / "site", dataset, source=source, litert_js_folder=litert_folder)
    folder = tmp_path / "site"
    assert json.loads((folder / "site.json").read_text()) == site
    assert site["data"] == {"images": "images", "annotations": "people.json"}
    assert str(tmp_path) not in (folder / "site.json").read_text()
    for entry, model in zip(site["models"], models, strict=True):
        data = (folder / entry["file"]).read_bytes()
        assert (len(data), sha256(data)) == (entry["size_bytes"], entry["sha256"])
        assert entry["score"] == pytest.approx(evaluate_pose(model, dataset).pck.pck)
    assert [entry["label"] for entry in site["models"]] == ["float32", HOSTILE]
    assert [entry["reference"] for entry in site["models"]] == [0, 0]
    assert {path.name for path in PAGE.iterdir()} - {path.name for path in folder.iterdir()} == {"package.json"}
    imports = re.findall(r"from '\./([^']+)'", "".join(path.read_text() for path in folder.glob("*.js")))
    assert [name for name in imports if not (folder / name).is_file()] == []
    assert "img src=x" not in "".join(path.read_text() for path in folder.glob("*.[hjc]*") if path.name != "site.json")


def test_items_are_what_the_evaluator_sees(
    model_path: Callable[..., Path], people: People, litert_folder: Path, tmp_path: Path
) -> None:
    model, dataset = TFLiteModel(model_path()), load_keypoint_dataset(people.annotations, people.images)
    site = write_site([model], tmp_path / "site", dataset, litert_js_folder=litert_folder)
    assert len(site["items"]) == len(dataset)
    for item, instance in zip(site["items"], dataset.items, strict=True):
        image = read_image(tmp_path / "site" / item["image"])
        np.testing.assert_allclose(predict_box(model, image, item["box"]), item["expected"][0], atol=1e-6)
        corner = np.array(instance.box[:2]) - item["box"][:2]
        np.testing.assert_allclose(np.array(item["keypoints"])[:, :2] + corner, instance.keypoints[:, :2])
        assert item["unit"] == max(instance.box[2:])


def test_page_has_no_inline_script_and_asks_no_other_host() -> None:
    text = (PAGE / "index.html").read_text()
    page = Elements(text)
    [policy] = [tag["content"] or "" for _, tag in page.tags if tag.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == "'self' 'wasm-unsafe-eval'"
    assert rules["connect-src"] == "'self'"
    assert page.inline == []
    assert [name for _, tag in page.tags for name in tag if name.startswith("on") or name == "style"] == []
    sources = "".join(path.read_text() for path in PAGE.iterdir())
    assert re.findall(r"https?://", sources) == []
    assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", sources) == []


def test_page_names_its_controls() -> None:
    page = Elements((PAGE / "index.html").read_text())
    labelled = {tag.get("for") for name, tag in page.tags if name == "label"}
    inputs = [tag for name, tag in page.tags if name == "input"]
    assert len(inputs) == 7
    wrapped = [index for index, (name, _) in enumerate(page.tags) if name == "label"]
    inside = {page.tags[index + 1][1].get("id") for index in wrapped if page.tags[index + 1][0] == "input"}
    assert [tag["id"] for tag in inputs if tag["id"] not in labelled | inside] == []
    assert [tag for name, tag in page.tags if name == "progress" and not tag.get("aria-label")] == []
    assert ("html", {"lang": "en"}) in page.tags
    ids = [tag["id"] for _, tag in page.tags if "id" in tag]
    assert len(ids) == len(set(ids))


@pytest.mark.slow
def test_detector(
    model_path: Callable[..., Path], finder: Path, litert_folder: Path, tmp_path: Path, task_model: Callable[..., TaskModel]
) -> None:
    model = TFLiteModel(model_path())
    site = write_site([model], tmp_path / "site", detector=open_detector(finder), litert_js_folder=litert_folder)
    entry = site["detector"]
    assert (tmp_path / "site" / entry["file"]).read_bytes() == finder.read_bytes()
    assert [tensor["name"] for tensor in entry["contract"]["outputs"]] == ["centers", "sizes", "offsets"]
    assert (entry["contract"]["decoding"]["label"], entry["contract"]["decoding"]["max_boxes"]) == (1, 20)
    assert [tensor["shape"] for tensor in entry["contract"]["outputs"]] == [[1, 16, 24, count] for count in (2, 2, 2)]
    classifier = TFLiteModel(task_model("classification", ["a", "b"]).path)
    with pytest.raises(HRNetError, match=r"`detector` goes with models of keypoints.*classification"):
        write_site([classifier], tmp_path / "other", detector=open_detector(finder), litert_js_folder=litert_folder)
    ssd = open_detector(write_ssd(tmp_path / "ssd.tflite"))
    with pytest.raises(HRNetError, match=r"`detector` ssd\.tflite"):
        write_site([model], tmp_path / "other", detector=ssd, litert_js_folder=litert_folder)
    int8 = open_detector(ROOT / "benchmarks" / "results" / "bccd" / "find-int8.tflite")
    with pytest.raises(HRNetError, match="has no class"):
        write_site([model], tmp_path / "other", detector=int8, litert_js_folder=litert_folder)
    assert not (tmp_path / "other").exists()


def test_int8_inputs_are_refused(model_path: Callable[..., Path], tmp_path: Path, invoke: Invoke) -> None:
    code, _, error = invoke("web", model_path("int8"), "--output", tmp_path / "site")
    line = one_line(error)
    assert code == 2
    assert "int8.tflite has int8 input and int8 output" in line
    assert CONVERT in line
    assert OPTIONS in line
    assert not (tmp_path / "site").exists()


def test_bad_input(model_path: Callable[..., Path], litert_folder: Path, tmp_path: Path, invoke: Invoke) -> None:
    model = TFLiteModel(model_path())
    with pytest.raises(HRNetError, match="`models`"):
        write_site([], tmp_path / "site")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(HRNetError, match="full exists already"):
        write_site([model], tmp_path / "full", litert_js_folder=litert_folder)
    category = dataclasses.replace(model.description.category, joints=("a", *model.description.category.joints[1:]))
    foreign = TFLiteModel(model_path(name="foreign", category=category))
    with pytest.raises(HRNetError, match=r"foreign.tflite and float32.tflite differ in their labels"):
        write_site([model, foreign], tmp_path / "site", litert_js_folder=litert_folder)
    assert model.description.input.tensor == TensorFormat("float32")
    code, _, error = invoke("web", "--output", tmp_path / "site")
    assert (code, "`models`" in one_line(error) or "models" in one_line(error)) == (2, True)
    assert not (tmp_path / "site").exists()
