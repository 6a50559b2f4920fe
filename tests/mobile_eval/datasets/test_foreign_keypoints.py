"""COCO keypoint files of other tools: scores equal pycocotools, or the file is refused in one line before inference."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mobile_eval.datasets.coco.keypoints import KeypointDataset, load_keypoint_dataset
from mobile_eval.errors import HRNetError
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.pose.evaluate import measure_pose
from tests.mobile_eval.conftest import Invoke, People, one_line
from tests.mobile_eval.hostile_coco import REFUSED, Scene, as_other_tools_write, draw_scene
from tests.mobile_eval.pycocotools_scores import assert_same_scores, pycocotools_scores

FILES = 500
REFUSED_EVERY = 5


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of empty image files; their content is never read."""
    folder = tmp_path_factory.mktemp("images")
    for number in range(5):
        (folder / f"{number}.png").touch()
    return folder


def load(coco: dict[str, Any], images: Path, **options: Any) -> KeypointDataset:
    path = images / "annotations.json"
    path.write_text(json.dumps(coco))
    return load_keypoint_dataset(path, images, **options)


def scene_scores(scene: Scene) -> list[float | None]:
    """The ten COCO scores of the predictions on the clean file, by pycocotools."""
    people = [entry for entry in scene.clean["annotations"] if entry["num_keypoints"]]
    results = []
    for person, keypoints in zip(people, scene.predicted, strict=True):
        confident = keypoints[keypoints[:, 2] > 0.2, 2]
        result = {"image_id": person["image_id"], "category_id": 1, "keypoints": keypoints.reshape(-1).tolist()}
        results.append({**result, "score": float(confident.mean()) if len(confident) else 0.0})
    return pycocotools_scores(scene.clean, results, scene.sigmas)


def share_of_correct_joints(scene: Scene) -> float:
    """PCK: share of labelled joints within a tenth of the longer side of the box."""
    correct = []
    people = [entry for entry in scene.clean["annotations"] if entry["num_keypoints"]]
    for person, predicted in zip(people, scene.predicted, strict=True):
        true = np.reshape(person["keypoints"], (-1, 3))
        distance = np.hypot(*(predicted[:, :2] - true[:, :2]).T) / max(person["bbox"][2:])
        correct += (distance <= 0.1)[true[:, 2] > 0].tolist()
    return float(np.mean(correct))


@pytest.mark.slow
def test_scores_equal_pycocotools_or_file_is_refused(images: Path) -> None:
    aps, kinds = [], Counter[str]()
    for seed in range(FILES):
        random = np.random.default_rng(seed)
        scene = draw_scene(random)
        if seed % REFUSED_EVERY == 0:
            name = list(REFUSED)[seed // REFUSED_EVERY % len(REFUSED)]
            spoil, message = REFUSED[name]
            coco = copy.deepcopy(scene.clean)
            spoil(coco)
            with pytest.raises(HRNetError) as caught:
                load(coco, images)
            assert message in str(caught.value), (seed, name)
            assert "\n" not in str(caught.value)
            assert len(str(caught.value)) < 600
            kinds["refused"] += 1
            continue
        coco = as_other_tools_write(scene, random)
        data = load(coco, images, category="person")
        result = measure_pose("x", data, scene.predicted, scene.sigmas)
        assert result.oks is not None
        assert_same_scores(dataclasses.astuple(result.oks), scene_scores(scene), str(seed))
        np.testing.assert_allclose(result.pck.pck, share_of_correct_joints(scene), rtol=0, atol=1e-9, err_msg=str(seed))
        json.dumps(result.results, allow_nan=False)
        listed = {repr(image["id"]) for image in json.loads((images / "annotations.json").read_text())["images"]}
        assert {repr(entry["image_id"]) for entry in result.results} <= listed | {repr(int(float(i))) for i in listed if "." in i}
        aps.append(result.oks.ap)
        kinds["measured"] += 1
    assert kinds == {"refused": FILES // REFUSED_EVERY, "measured": FILES - FILES // REFUSED_EVERY}
    assert len(REFUSED) <= FILES // REFUSED_EVERY  # every kind is tried
    assert 0.2 < np.mean(aps) < 0.9  # neither trivial nor hopeless
    assert np.std(aps) > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("name", list(REFUSED))
def test_evaluate_refuses_files_before_inference(
    name: str,
    people: People,
    model_path: Callable[..., Path],
    invoke: Invoke,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(self: TFLiteModel, stored: Any) -> Any:
        raise AssertionError("inference began")

    monkeypatch.setattr(TFLiteModel, "run", run)
    spoil, message = REFUSED[name]
    for image in people.coco["images"]:
        image.update(width=320, height=240)
    spoil(people.coco)
    people.rewrite()
    code, _, error = invoke("evaluate", model_path(), "--annotations", people.annotations, "--images", people.images)
    assert code == 2
    if name != "images of one id":
        assert message in one_line(error)
    assert "have the id 1" in one_line(error) or name != "images of one id"
