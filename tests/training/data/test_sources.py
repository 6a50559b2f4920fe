"""A run knows its data: rank, prune and quantize take them from it, and what is given takes their place."""

from __future__ import annotations

import dataclasses
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

import hrnet_tf.__main__
from hrnet_tf.models.build import build_model
from hrnet_tf.runs.ranking import load_ranking, rank_command
from hrnet_tf.runs.run import Run, load_run, save_run
from hrnet_tf.runs.weights import model_weights, save_weights
from hrnet_tf.spec.keypoint_categories import COCO_PERSON
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.datasets.base import DataSource
from mobile_eval.errors import HRNetError
from training.config import TrainingConfig
from training.data.sources import RANK, TRAIN, VAL, run_source, run_sources

NOTHING: dict[str, Any] = dict.fromkeys((*RANK.values(), *TRAIN.values(), *VAL.values()))


@pytest.fixture
def run(spec: HRNetSpec, config: TrainingConfig, tmp_path: Path) -> Run:
    made = Run(tmp_path / "a run", "train", spec, COCO_PERSON, config.to_json())
    save_run(made)
    return load_run(made.path)


def test_the_data_of_the_run_are_taken(run: Run, config: TrainingConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # paths do not depend on where one is
    assert run_source(run, NOTHING) == config.train
    assert run_sources(run, NOTHING) == (config.train, config.val)


def test_relative_paths_are_found_from_anywhere(
    spec: HRNetSpec, config: TrainingConfig, drawn: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(drawn)
    relative = dataclasses.replace(config, train=DataSource(Path("images"), Path("person_keypoints_train.json")), val=None)
    run = Run(tmp_path / "run", "train", spec, COCO_PERSON, relative.to_json())
    monkeypatch.chdir(tmp_path)
    assert run_sources(run, NOTHING) == (config.train, None)


def test_what_is_given_takes_its_place(run: Run, config: TrainingConfig, drawn: Path, tmp_path: Path) -> None:
    assert config.val
    images = tmp_path / "moved"
    shutil.copytree(drawn / "images", images)
    moved, other = {**NOTHING, "images": images}, {**NOTHING, "train_annotations": config.val.annotations}
    assert run_source(run, moved) == dataclasses.replace(config.train, images=images)
    assert run_sources(run, moved) == tuple(dataclasses.replace(one, images=images) for one in (config.train, config.val))
    assert run_sources(run, other) == (config.val, config.val)
    val = {**NOTHING, "val_annotations": config.train.annotations}
    assert run_sources(run, val) == (config.train, config.train)


def test_data_that_are_not_there(run: Run, config: TrainingConfig, caplog: pytest.LogCaptureFixture) -> None:
    gone = {"images": "/nowhere/images", "annotations": "/nowhere/a.json"}
    lost = dataclasses.replace(run, config={**run.config, "train": gone})
    with pytest.raises(HRNetError, match=r"was trained on are not at /nowhere/images: give `images`"):
        run_source(lost, NOTHING)
    lost = dataclasses.replace(run, config={**run.config, "val": gone})
    with pytest.raises(HRNetError, match=r"validation data of .* are not at /nowhere/images: give `val_images`"):
        run_sources(lost, NOTHING)
    given = {**NOTHING, "images": config.train.images, "train_annotations": config.train.annotations}
    assert run_sources(lost, given) == (config.train, None)
    assert "no validation: /nowhere/images is not there" in caplog.text
    imported = dataclasses.replace(run, config={"checkpoint": "w32.pth"})
    with pytest.raises(
        ValueError, match=r"does not say what it was trained on: give `annotations` and `images`; `annotations` is missing"
    ):
        run_source(imported, NOTHING)
    with pytest.raises(HRNetError, match="`masks` is not for pose"):
        run_source(run, {**NOTHING, "masks": Path("masks")})


@pytest.mark.slow
def test_the_advised_command_works_as_it_is_printed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    save_weights(run.weights_path, model_weights(build_model(run.spec)))
    with pytest.raises(HRNetError, match="rank its links first with `hrnet rank") as refused:
        load_ranking(run)
    for command in (str(refused.value).split("`")[1], rank_command(run, include_blocks=True)):
        monkeypatch.setattr(sys, "argv", [*shlex.split(command), "--limit", "4"])
        with pytest.raises(SystemExit) as ended:
            hrnet_tf.__main__.main()
        assert not ended.value.code
        ranked = load_ranking(run).importance()
        assert len(ranked) == len(run.hrnet_spec.links) + ("--blocks" in command) * len(run.hrnet_spec.live_blocks)
