"""Recipes: values of the paper, defaults, and errors of bad recipe files."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from hrnet_tf.runs.run import Run
from hrnet_tf.spec.presets import customized, preset
from mobile_eval.datasets.base import DataSource
from mobile_eval.errors import HRNetError
from training.config import DataConfig, ScheduleConfig, TrainingConfig, fine_tuning_config, stored_settings, value_types
from training.recipe import COMMON, load_recipe, recipe_config, recipe_names, show_recipe
from training.tasks.pose.settings import PoseSettings
from training.tasks.registry import training_task

PEOPLE = DataSource(Path("images"), Path("train.json"))


def configured(recipe: dict[str, object], changes: dict[str, object] | None = None) -> TrainingConfig:
    return recipe_config("pose", recipe, PEOPLE, None, changes or {})


def test_recipe_of_the_paper() -> None:
    paper = {
        "epochs": 210, "batch_size": 32, "learning_rate": 1e-3, "lr_schedule": "step", "lr_milestones": (170, 200),
        "targets": "official", "sigma": 2.0, "loss": "mse", "half_body_probability": 0.3, "scale": 0.35, "rotation": 45.0,
        "rotation_probability": 0.6, "flip_probability": 0.5,
    }  # fmt: skip
    assert load_recipe("pose", "coco") == paper
    assert load_recipe("pose", "coco-384x288") == {**paper, "sigma": 3.0}
    assert recipe_names("pose") == ["coco", "coco-384x288", "cpn", "hourglass", "small"]


@pytest.mark.parametrize(
    ("model", "size", "name"),
    [
        ("pose-w32", (256, 192), "coco"),
        ("pose-w48", (384, 288), "coco-384x288"),
        ("pose-small-v1", (256, 192), "small"),
        ("simple-baseline-r50", (256, 192), "small"),
    ],
)
def test_default_recipe_of_a_network(model: str, size: tuple[int, int], name: str) -> None:
    assert training_task("pose").recipe(customized(preset(model), input_size=size)) == name


def test_small_recipe_equals_the_defaults() -> None:
    assert configured(load_recipe("pose", "small")) == TrainingConfig(
        "pose", PoseSettings(), DataConfig(PEOPLE), ScheduleConfig(210)
    )


def test_config_values_cover_all_settings() -> None:
    general = {"seed", "distill_weight", "sparsity", "freeze", "keep", "patience", "devices", "train", "val"}
    settings = {field.name for field in dataclasses.fields(PoseSettings)}
    assert set(value_types("pose")) == {*COMMON, *general, *settings}


def test_options_override_the_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    changes = {"epochs": 12, "lr_milestones": (8, 10), "flip_probability": 0.0, "seed": 3}
    config = configured(load_recipe("pose", "coco"), changes)
    assert (config.schedule.epochs, config.schedule.lr_milestones, config.seed) == (12, (8, 10), 3)
    assert (config.values()["sigma"], config.values()["flip_probability"]) == (2.0, 0.0)
    stored = config.replace(train=config.data.train.absolute())  # absolute paths
    assert TrainingConfig.from_json(json.loads(json.dumps(config.to_json()))) == stored
    show_recipe("coco", config)
    lines = {line.split()[0]: line.split(None, 1)[1].strip() for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert lines["epochs"].split(None, 1) == ["12", "instead of 210"]
    assert lines["targets"] == "official"
    assert lines["link_dropout"] == "0.0"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch: 3", "'epoch'"),
        ("seed: 3", "'seed'"),
        ("epochs: 3.5", "got 3.5"),
        ("epochs: true", "got True"),
        ("learning_rate: fast", "got 'fast'"),
        ("lr_milestones: 170", "got 170"),
        ("lr_milestones: [a]", "got 'a'"),
        ("- 3", "`epochs: 210`"),
        ("a: [", "is not YAML"),
        ("epochs: 3\nema: !!bool x", "line 2"),
        ("epochs: !!timestamp x", "line 1"),
        ("epochs: 2001-99-99", "line 1"),
        ("learning_rate: !!float x", "line 1"),
        ("learning_rate: .nan", "got nan"),
        ("learning_rate: -.inf", "got -inf"),
        (f"learning_rate: {'1' * 400}", "got 111111"),
        ("epochs: !!python/object/apply:os.getcwd []", "is not YAML"),
        ("? [1]\n: 2", "is not YAML"),
        ("&a epochs: &b [*b]", "got [[[...]]]"),
        ("[" * 20_000, "is nested too deeply"),
        ("epochs: \ud800", "is not YAML"),
    ],
    ids=lambda text: text[:40],
)
def test_bad_recipe_files(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(HRNetError, match=r"mine\.yaml") as raised:
        load_recipe("pose", str(path))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_unknown_recipes() -> None:
    with pytest.raises(HRNetError, match="'big'"):
        load_recipe("pose", "big")
    with pytest.raises(HRNetError, match=r"none\.yaml"):
        load_recipe("pose", "none.yaml")
    with pytest.raises(HRNetError, match="`epochs`"):
        configured({})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"epochs": 30},
            "170, 200 for 30 epochs",
        ),
        ({"lr_milestones": ()}, "`lr_milestones`"),
        ({"lr_schedule": "linear"}, "'linear'"),
        ({"targets": "sharp"}, "'sharp'"),
        ({"loss": "l1"}, "'l1'"),
        ({"half_body_probability": 2}, "got 2"),
        ({"rotation": -1.0}, "got -1"),
    ],
)
def test_bad_settings(changes: dict[str, object], message: str) -> None:
    with pytest.raises(HRNetError, match=message):
        configured(load_recipe("pose", "coco"), changes)


def run_with(config: dict[str, Any]) -> Run:
    return Run(Path("run"), "train", preset("pose-w32"), {"name": "person", "keypoints": []}, config)


def test_missing_settings_of_a_run_have_defaults() -> None:
    stored = {"sigma": 1.5, "rotation": 20.0, "scale": 0.2, "epochs": 3}
    tuned = fine_tuning_config(run_with(stored), PEOPLE, None, {"epochs": 2})
    assert tuned.settings == PoseSettings(sigma=1.5, scale=0.2, rotation=20.0)
    assert tuned.schedule == ScheduleConfig(2)
    assert stored_settings("pose", {"checkpoint": "model.pth"}) == PoseSettings()


def test_fine_tuning_inherits_targets_and_augmentation() -> None:
    parent = configured(load_recipe("pose", "coco"), {"loss": "ohkm"})
    tuned = fine_tuning_config(run_with(parent.to_json()), PEOPLE, None, {"epochs": 2, "learning_rate": 1e-4})
    assert tuned.settings == parent.settings
    assert tuned.schedule == ScheduleConfig(2, 1e-4)
