"""Training on annotations of other tools, and the category that a run stores."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conversion.quantization.samples import training_data
from hrnet_tf.models.build import build_model
from hrnet_tf.runs.history import read_history
from hrnet_tf.runs.ranking import Ranking, save_ranking
from hrnet_tf.runs.run import Run, save_run
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.datasets.base import DataSource
from mobile_eval.errors import HRNetError
from mobile_eval.tasks.pose.predictions import load_keypoints
from tests.support.program import Hrnet
from training.config import TrainingConfig
from training.data.examples import Batch, examples_for
from training.data.options import TrainingData
from training.data.sources import run_sources, training_sources
from training.engine.inputs import load_data
from training.pruning.budget import Budget
from training.pruning.plan_run import PruneOptions, check_prunable
from training.ranking.gated_network import GatedNetwork
from training.ranking.rank import rank_network
from training.ranking.task_data import TaskRankingData
from training.tasks.pose.settings import PoseSettings
from training.train import train

NAN = math.nan
DOG = {"id": 2, "name": "dog", "keypoints": ["nose", "tail"], "skeleton": [[1, 2]]}


def with_annotations(config: TrainingConfig, path: Path, change: Callable[[dict[str, Any]], Any]) -> TrainingConfig:
    """The config with changed annotations."""
    coco = json.loads(config.data.train.path("annotations").read_text())
    change(coco)
    path.write_text(json.dumps(coco))
    return config.replace(train=dataclasses.replace(config.data.train, annotations=path))


def with_unlabelled(position: list[Any]) -> Callable[[dict[str, Any]], None]:
    """Sets the first keypoint of every person to (x, y, visibility)."""

    def change(coco: dict[str, Any]) -> None:
        for annotation in coco["annotations"]:
            annotation["keypoints"][:3] = position

    return change


def first_batch(config: TrainingConfig, spec: HRNetSpec) -> Batch:
    return examples_for(load_keypoints(config.data.train), spec, config).batch(0, 0)


@pytest.mark.parametrize("position", [[NAN, NAN, 0], [None, None, 0], [None, None, None], [math.inf, 3, 0]])
@pytest.mark.parametrize("targets", ["official", "dark", "udp"])
def test_position_of_unlabelled_keypoints_does_not_matter(
    position: list[Any], targets: str, config: TrainingConfig, spec: HRNetSpec, tmp_path: Path
) -> None:
    config = config.replace(settings=PoseSettings(targets=targets, half_body_probability=0.5))
    batch = first_batch(with_annotations(config, tmp_path / "odd.json", with_unlabelled(position)), spec)
    expected_batch = first_batch(with_annotations(config, tmp_path / "plain.json", with_unlabelled([0, 0, 0])), spec)
    for array, expected in zip(batch, expected_batch, strict=True):
        np.testing.assert_array_equal(array, expected)
        assert np.isfinite(array).all()


def test_keypoint_outside_the_image_has_weight_0(config: TrainingConfig, spec: HRNetSpec, tmp_path: Path) -> None:
    def change(coco: dict[str, Any]) -> None:
        coco["annotations"][0]["keypoints"][:3] = [9999, 5, 2]

    data = load_keypoints(with_annotations(config, tmp_path / "odd.json", change).data.train)
    ranking_data = TaskRankingData.prepare(data.head(2), spec, config.settings)
    assert ranking_data.arrays[2][:, 0, 0, 0].tolist() == [0, 1]  # weights of the first keypoint
    assert not ranking_data.arrays[1][0, ..., 0].any()
    assert "1 of 595 labelled keypoints treated as unlabelled; first: annotation 1 (" in data.skipped_summary


@pytest.mark.slow
def test_training_with_nan_equals_training_with_0(config: TrainingConfig, tiny: HRNetSpec, tmp_path: Path) -> None:
    rows = []
    for name, position in (("nan", [NAN, NAN, 0]), ("zero", [0, 0, 0])):
        changed = with_annotations(config, tmp_path / f"{name}.json", with_unlabelled(position))
        rows.append(read_history(train(tiny, changed, tmp_path / name).path))
    assert len(rows[0]) == 2
    for nan, zero in zip(*rows, strict=True):
        assert nan["loss"] == pytest.approx(zero["loss"], rel=1e-5)


def test_ranking_refuses_nan(config: TrainingConfig, small: HRNetSpec) -> None:
    model = build_model(small)
    model.get_layer("head_heatmaps").bias.assign(np.full(small.classes, NAN))
    ranking_data = TaskRankingData.prepare(load_keypoints(config.data.train).head(2), small, config.settings)
    with pytest.raises(HRNetError, match=r"`data`: the loss is nan"):
        rank_network(GatedNetwork.of(model), ranking_data, ["leave-one-out"])


@pytest.mark.parametrize("value", [NAN, math.inf])
def test_pruning_refuses_nan_and_infinity(value: float, config: TrainingConfig, small: HRNetSpec, tmp_path: Path) -> None:
    category = {"name": "person", "keypoints": [f"joint{index}" for index in range(17)]}
    run = Run(tmp_path / "run", "train", small, category, config.to_json())
    save_run(run)
    links = sorted(small.links)
    save_ranking(run.path, Ranking(small, 2, 0, {"taylor": dict.fromkeys(links, 1.0)}, {"taylor": None}, {}))
    file = run.path / "ranking.json"
    content = json.loads(file.read_text())
    content["methods"]["taylor"]["importance"][str(links[1])] = value
    file.write_text(json.dumps(content))
    with pytest.raises(HRNetError, match=rf"ranking.json .*{links[1]} .*got {value}"):
        check_prunable(run, PruneOptions(Budget(keep_macs=0.5)))


@pytest.fixture
def people_and_dogs(config: TrainingConfig, tmp_path: Path) -> DataSource:
    """Synthetic people whose first two annotations are dogs."""

    def change(coco: dict[str, Any]) -> None:
        coco["categories"].append(DOG)
        for annotation in coco["annotations"][:2]:
            annotation.update(category_id=2, keypoints=[50, 50, 2, 60, 60, 2])

    return with_annotations(config, tmp_path / "both.json", change).data.train


def command_data(source: DataSource, **options: Any) -> TrainingData:
    """The data of a training command."""
    return TrainingData(images=source.images, train_annotations=source.annotations, **options)


def test_category_is_stored_in_the_config(people_and_dogs: DataSource, config: TrainingConfig) -> None:
    with pytest.raises(HRNetError, match="`category`"):
        load_data(config.replace(train=people_and_dogs))
    sources = training_sources("pose", command_data(people_and_dogs, category="dog", val_annotations=people_and_dogs.annotations))
    chosen = config.replace(train=sources[0], val=sources[1], batch_size=2, flip_pairs="none")
    assert [len(data or ()) for data in load_data(chosen)] == [2, 2]
    stored = json.loads(json.dumps(chosen.to_json()))
    assert stored["train"]["category"] == stored["val"]["category"] == "dog"
    restored = TrainingConfig.from_json(stored)
    assert (restored.data.train, restored.data.val) == sources
    with pytest.raises(HRNetError, match="`category`"):
        training_sources("detection", command_data(people_and_dogs, category="dog"))
    assert training_sources("detection", command_data(people_and_dogs, strict=True))[0].strict


def test_category_defaults_to_that_of_the_run(
    people_and_dogs: DataSource, config: TrainingConfig, spec: HRNetSpec, tmp_path: Path
) -> None:
    category = {"name": "dog", "keypoints": DOG["keypoints"]}
    run = Run(tmp_path / "run", "train", spec, category, {"train": people_and_dogs.to_json()})
    train_source, _ = run_sources(run, command_data(people_and_dogs))
    chosen = config.replace(train=train_source, val=None, batch_size=2, flip_pairs="none")
    train_data, _ = load_data(chosen)
    assert train_data.names == ("nose", "tail")
    calibration_data = training_data(run)
    assert calibration_data is not None
    assert calibration_data.names == ("nose", "tail")


@pytest.mark.slow
def test_commands_use_the_category_of_the_run(people_and_dogs: DataSource, tmp_path: Path, hrnet: Hrnet) -> None:
    def output_of(*arguments: object) -> str:
        ended = hrnet(*arguments)
        return ended.output() + ended.err

    size = "--input-size=32x32", "--width=4", "--modules=1,1", "--blocks=1", "--stem-width=4", "--stage1-width=4"
    data, run = ("--train-annotations", people_and_dogs.annotations, "--images", people_and_dogs.images), tmp_path / "run"
    one_epoch = "--epochs", 1, "--batch-size", 8
    output = output_of("train", "pose-small-v1", *size, *data, *one_epoch, "--category", "person", "--output", run)
    assert "training on 33 persons (category 'person' is used, not 'dog' with 2 annotations)" in output
    assert Run.load(run).config["train"]["category"] == "person"
    ranking_data = "--annotations", people_and_dogs.annotations, "--images", people_and_dogs.images
    output = output_of("rank", run, *ranking_data, "--limit", 4, "--method", "random", "--widths")
    assert "both.json: category 'person' is used, not 'dog' with 2 annotations" in output
    ranking = Run.load(run).ranking
    assert ranking.items == 4
    assert {group: len(scores) for group, scores in ranking.channels["random"].items()} == dict(ranking.spec.full_widths)
    output = output_of("prune", run, *data, *one_epoch, "--keep-macs", 0.9, "--output", tmp_path / "pruned")
    assert "both.json: category 'person' is used, not 'dog' with 2 annotations" in output
