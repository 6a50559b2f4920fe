"""Data sources of a run: rank, prune and quantize reuse them unless other data are named."""

from __future__ import annotations

import dataclasses
import shlex
import shutil
from pathlib import Path

import pytest

from hrnet_tf.models.build import build_model
from hrnet_tf.runs.run import Run, save_run
from hrnet_tf.runs.weights import model_weights, save_weights
from hrnet_tf.spec.keypoint_categories import COCO_PERSON
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.datasets.base import DataSource
from mobile_eval.errors import HRNetError
from tests.support.program import Hrnet
from training.config import TrainingConfig
from training.data.options import TrainingData
from training.data.sources import run_source, run_sources

NO_OPTIONS = TrainingData()


@pytest.fixture
def run(small: HRNetSpec, config: TrainingConfig, tmp_path: Path) -> Run:
    run = Run(tmp_path / "a run", "train", small, COCO_PERSON, config.to_json())
    save_run(run)
    return Run.load(run.path)


def test_data_of_the_run(run: Run, config: TrainingConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # stored paths are absolute
    assert run_source(run, DataSource()) == config.data.train
    assert run_sources(run, NO_OPTIONS) == (config.data.train, config.data.val)


def test_relative_paths(
    spec: HRNetSpec, config: TrainingConfig, drawn: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(drawn)
    relative = config.replace(train=DataSource(Path("images"), Path("person_keypoints_train.json")), val=None)
    run = Run(tmp_path / "run", "train", spec, COCO_PERSON, relative.to_json())
    monkeypatch.chdir(tmp_path)
    assert run_sources(run, NO_OPTIONS) == (config.data.train, None)


def test_other_data(run: Run, config: TrainingConfig, drawn: Path, tmp_path: Path) -> None:
    assert config.data.val
    images = tmp_path / "moved"
    shutil.copytree(drawn / "images", images)
    moved, new_annotations = TrainingData(images=images), TrainingData(train_annotations=config.data.val.annotations)
    assert run_source(run, DataSource(images)) == dataclasses.replace(config.data.train, images=images)
    assert run_sources(run, moved) == tuple(
        dataclasses.replace(source, images=images) for source in (config.data.train, config.data.val)
    )
    assert run_sources(run, new_annotations) == (config.data.val, config.data.val)
    val = TrainingData(val_annotations=config.data.train.annotations)
    assert run_sources(run, val) == (config.data.train, config.data.train)


def test_missing_data(run: Run, config: TrainingConfig, caplog: pytest.LogCaptureFixture) -> None:
    missing = {"images": "/nowhere/images", "annotations": "/nowhere/a.json"}
    incomplete = dataclasses.replace(run, config={**run.config, "train": missing})
    with pytest.raises(HRNetError, match="/nowhere/images"):
        run_source(incomplete, DataSource())
    incomplete = dataclasses.replace(run, config={**run.config, "val": missing})
    with pytest.raises(HRNetError, match="`val_images`"):
        run_sources(incomplete, NO_OPTIONS)
    moved = TrainingData(images=config.data.train.images, train_annotations=config.data.train.annotations)
    assert run_sources(incomplete, moved) == (config.data.train, None)
    assert "/nowhere/images" in caplog.text
    imported = dataclasses.replace(run, config={"checkpoint": "w32.pth"})
    with pytest.raises(HRNetError, match="`annotations`"):
        run_source(imported, DataSource())
    with pytest.raises(HRNetError, match="`masks`"):
        run_source(run, DataSource(masks=Path("masks")))


@pytest.mark.slow
def test_suggested_command_works_as_printed(run: Run, hrnet: Hrnet) -> None:
    save_weights(run.weights_path, model_weights(build_model(run.spec)))
    with pytest.raises(HRNetError, match="`hrnet rank") as raised:
        _ = run.ranking
    for command in (str(raised.value).split("`")[1], f"{run.rank_command()} --no-blocks"):
        program, *words = shlex.split(command)
        assert program == "hrnet"
        assert hrnet(words, "--limit 4").code == 0
        ranked = run.ranking.importance()
        assert len(ranked) == len(run.hrnet_spec.links) + ("--no-blocks" not in command) * len(run.hrnet_spec.live_blocks)
