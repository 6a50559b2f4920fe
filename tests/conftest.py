"""A micro network and a few drawn people, on which every step of the main job runs in seconds."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest

from hrnet_tf.spec import HRNetSpec, StageSpec
from mobile_eval.tasks.asked import Source
from training.config import TrainingConfig
from training.tasks.pose.settings import Settings


@pytest.fixture(scope="session")
def spec() -> HRNetSpec:
    """Two modules in stage 3, so that there are branches to free; 17 joints."""
    stages = (StageSpec(1, 1), StageSpec(2, 1), StageSpec(1, 1))
    return HRNetSpec("micro", 4, (64, 64), 17, stages, stem_width=8, stage1_blocks=1, stage1_width=4).full()


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of drawn people: 24 images to learn from, 6 to measure on."""
    from training.synthetic import write_synthetic_people

    folder = tmp_path_factory.mktemp("drawn") / "people"
    write_synthetic_people(folder, 24, 6, seed=5)
    return folder


@pytest.fixture(scope="session")
def drawn_for(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A folder of drawn data of a task: 24 scenes to learn from, 10 to measure on."""
    from training.synthetic import write_synthetic_people

    @functools.cache
    def draw(task: str) -> Path:
        folder = tmp_path_factory.mktemp("drawn") / task
        write_synthetic_people(folder, 24, 10, seed=5, task=task)
        return folder

    return draw


@pytest.fixture(scope="session")
def config(drawn: Path) -> TrainingConfig:
    """Two epochs on the drawn people."""
    train, val = (Source(drawn / "images", drawn / f"person_keypoints_{split}.json") for split in ("train", "val"))
    return TrainingConfig(train, val, Settings(), epochs=2, batch_size=8)
