"""Micro networks and small synthetic data sets, on which every step of the main job runs in seconds."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from hrnet_tf.spec.network import HRNetSpec, StageSpec
from mobile_eval.datasets.base import DataSource
from mobile_eval.image.image_size import max_pixels, set_max_pixels
from tests.support.program import Completed, Hrnet
from training.config import DataConfig, ScheduleConfig, TrainingConfig
from training.tasks.pose.settings import PoseSettings


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the files with most slow tests first, so that no worker is left with one of them at the end."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(autouse=True)
def restored_max_pixels() -> Iterator[None]:
    """Restores the limit of pixels, which the option --max-pixels sets for the process."""
    before = max_pixels()
    yield
    set_max_pixels(before)


@pytest.fixture(scope="module", autouse=True)
def converted_files_run_in_this_process(request: pytest.FixtureRequest) -> Iterator[None]:
    """Runs files that a test of these rooms has just converted without starting processes that run them first.

    `tests/mobile_eval` and `tests/end_to_end` run files as users do (`mobile_eval.runtime.isolated`).
    """
    room = request.path.relative_to(Path(__file__).parent).parts[0]
    with pytest.MonkeyPatch.context() as patch:
        if room in ("conversion", "training", "hrnet_tf"):
            patch.setattr("mobile_eval.runtime.interpreter.check_runs", lambda paths, backend: None)
        yield


@pytest.fixture
def hrnet(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Hrnet:
    """A function that runs a command of `hrnet` in this process. It splits strings into words, but no lists and paths."""
    import hrnet_tf.__main__

    def run(*arguments: object) -> Completed:
        words = [argument.split() if isinstance(argument, str) else argument for argument in arguments]
        lists = [word if isinstance(word, list) else [word] for word in words]
        monkeypatch.setattr(sys, "argv", ["hrnet", *map(str, itertools.chain(*lists))])
        with pytest.raises(SystemExit) as ended:
            hrnet_tf.__main__.main()
        return Completed(int(ended.value.code or 0), *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def spec() -> HRNetSpec:
    """Four branches, two modules in stage 3 and 17 keypoints."""
    stages = (StageSpec(1, 1), StageSpec(2, 1), StageSpec(1, 1))
    return HRNetSpec("micro", 4, (64, 64), 17, stages, stem_width=8, stage1_blocks=1, stage1_width=4).full()


@pytest.fixture(scope="session")
def tiny() -> HRNetSpec:
    """Every kind of layer, as few as possible: each takes time to trace."""
    sizes = {"stem_width": 4, "stage1_blocks": 1, "stage1_width": 4}
    return HRNetSpec("tiny", 4, (32, 32), 17, (StageSpec(1, 1),), **sizes).full()


@pytest.fixture(scope="session")
def small() -> HRNetSpec:
    """Several links to choose from, and few layers."""
    stages = StageSpec(1, 1), StageSpec(1, 1)
    return HRNetSpec("small", 4, (32, 32), 17, stages, stem_width=4, stage1_blocks=1, stage1_width=4).full()


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of synthetic people: 24 training and 6 validation images."""
    from training.data.synthetic import write_synthetic_people

    folder = tmp_path_factory.mktemp("drawn") / "people"
    write_synthetic_people(folder, 24, 6, seed=5)
    return folder


@pytest.fixture(scope="session")
def drawn_for(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A folder of synthetic data of a task: 24 training and 10 validation scenes."""
    from training.data.synthetic import write_synthetic_people

    @functools.cache
    def draw(task: str) -> Path:
        folder = tmp_path_factory.mktemp("drawn") / task
        write_synthetic_people(folder, 24, 10, seed=5, task=task)
        return folder

    return draw


@pytest.fixture(scope="session")
def detector_spec() -> HRNetSpec:
    """A micro detector of two classes for 64x96 images, with two branches and two modules."""
    sizes = {"stem_width": 8, "stage1_blocks": 1, "stage1_width": 4, "head_width": 8}
    return HRNetSpec("micro-detector", 4, (64, 96), 2, (StageSpec(2, 1),), task="detection", **sizes).full()


@pytest.fixture(scope="session")
def center_spec(detector_spec: HRNetSpec) -> HRNetSpec:
    """A micro detector by centers of two classes for 64x96 images, with two branches and two modules."""
    return dataclasses.replace(detector_spec, name="micro-centers", head="centers")


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of red squares and blue discs on gray, as COCO instances: 16 in train.json and 6 in val.json."""
    folder = tmp_path_factory.mktemp("shapes")
    (folder / "images").mkdir()
    rng = np.random.default_rng(7)
    for split, count in (("train", 16), ("val", 6)):
        images, annotations = [], []
        for number in range(1, count + 1):
            name = f"{split}{number}.png"
            image = np.full((96, 128, 3), 128, np.uint8) + rng.integers(0, 20, (96, 128, 3), dtype=np.uint8)
            for column in range(int(rng.integers(1, 4))):
                side, label = int(rng.integers(24, 36)), int(rng.integers(0, 2))
                x, y = 4 + 42 * column, int(rng.integers(2, 96 - side - 2))
                if label:
                    cv2.circle(image, (x + side // 2, y + side // 2), side // 2, (220, 40, 30), -1)
                else:
                    cv2.rectangle(image, (x, y), (x + side, y + side), (30, 40, 220), -1)
                entry = {"id": len(annotations) + 1, "image_id": number, "category_id": 3 + 4 * label, "iscrowd": 0}
                annotations.append({**entry, "bbox": [x, y, side, side], "area": side * side})
            cv2.imwrite(str(folder / "images" / name), image)
            images.append({"id": number, "file_name": name, "width": 128, "height": 96})
        categories = [{"id": 3, "name": "square"}, {"id": 7, "name": "disc"}]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (folder / f"{split}.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="session")
def config(drawn: Path) -> TrainingConfig:
    """Two epochs on the synthetic people."""
    train, val = (DataSource(drawn / "images", drawn / f"person_keypoints_{split}.json") for split in ("train", "val"))
    return TrainingConfig("pose", PoseSettings(), DataConfig(train, val, batch_size=8), ScheduleConfig(epochs=2))
