"""Recipes: the paper's numbers, the defaults of before, and what is no recipe."""

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
from training.config import TrainingConfig, fine_tuning_config, stored_settings
from training.recipe import COMMON, load_recipe, parse_list, recipe_config, recipe_names, show_recipe
from training.tasks.pose.settings import PoseSettings
from training.tasks.registry import training_task

PEOPLE = DataSource(Path("images"), Path("train.json")), None


def configured(recipe: dict[str, object], given: dict[str, object] | None = None, seed: int = 0) -> TrainingConfig:
    return recipe_config("pose", recipe, given or {}, PEOPLE, seed=seed, distill_weight=0.0)


def test_the_paper_s_recipe() -> None:
    paper = {
        "epochs": 210, "batch_size": 32, "learning_rate": 1e-3, "schedule": "step", "lr_milestones": (170, 200),
        "targets": "official", "sigma": 2.0, "loss": "mse", "half_body_probability": 0.3, "scale": 0.35, "rotation": 45.0,
        "rotation_probability": 0.6, "flip_probability": 0.5,
    }  # fmt: skip
    assert load_recipe("pose", "coco") == paper
    assert load_recipe("pose", "coco-384x288") == {**paper, "sigma": 3.0}
    assert recipe_names("pose") == ["coco", "coco-384x288", "small"]


@pytest.mark.parametrize(
    ("model", "size", "name"),
    [
        ("pose-w32", (256, 192), "coco"),
        ("pose-w48", (384, 288), "coco-384x288"),
        ("pose-small-v1", (256, 192), "small"),
        ("simple-baseline-r50", (256, 192), "small"),
    ],
)
def test_the_paper_s_networks_are_trained_as_in_the_paper(model: str, size: tuple[int, int], name: str) -> None:
    assert training_task("pose").recipe(customized(preset(model), input_size=size)) == name


def test_small_is_what_the_defaults_were() -> None:
    assert configured(load_recipe("pose", "small")) == TrainingConfig(*PEOPLE, PoseSettings(), epochs=210)


def test_every_setting_is_one_of_the_config() -> None:
    names = {field.name for field in dataclasses.fields(TrainingConfig)}
    asked = {"seed", "distill_weight", "sparsity", "freeze", "keep", "patience", "devices"}
    assert names - set(COMMON) == {"train", "val", "task", "settings", *asked}


def test_what_is_given_counts(capsys: pytest.CaptureFixture[str]) -> None:
    given = {"epochs": 12, "lr_milestones": parse_list("lr_milestones", "8,10"), "sigma": None, "flip_probability": 0.0}
    config = configured(load_recipe("pose", "coco"), given, seed=3)
    assert (config.epochs, config.lr_milestones, config.seed) == (12, (8, 10), 3)
    assert (config.settings.sigma, config.settings.flip_probability) == (2.0, 0.0)
    stored = dataclasses.replace(config, train=config.train.absolute())  # found from any working directory
    assert TrainingConfig.from_json(json.loads(json.dumps(config.to_json()))) == stored
    show_recipe("coco", config)
    lines = {line.split()[0]: line.split(None, 1)[1].strip() for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert lines["epochs"].split(None, 1) == ["12", "instead of 210"]
    assert lines["targets"] == "official"
    assert lines["link_dropout"] == "0.0"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch: 3", "no setting named 'epoch'; there are epochs, batch_size"),
        ("seed: 3", "no setting named 'seed'"),
        ("epochs: 3.5", "`epochs` must be of kind int, got 3.5"),
        ("epochs: true", "`epochs` must be of kind int, got True"),
        ("learning_rate: fast", "learning_rate must be of kind float, got 'fast'"),
        ("lr_milestones: 170", "lr_milestones must be a list of kind int such as"),
        ("lr_milestones: [a]", "lr_milestones must be a list of kind int such as"),
        ("- 3", "must hold lines such as `epochs: 210`"),
        ("a: [", "is not YAML"),
        ("epochs: 3\nema: !!bool x", "line 2: the value is not of the kind that its form or tag says"),
        ("epochs: !!timestamp x", "line 1: the value is not"),
        ("epochs: 2001-99-99", "line 1: the value is not"),
        ("learning_rate: !!float x", "line 1: the value is not"),
        ("learning_rate: .nan", "learning_rate must be of kind float, got nan"),
        ("learning_rate: -.inf", "learning_rate must be of kind float, got -inf"),
        (f"learning_rate: {'1' * 400}", "learning_rate must be of kind float, got 111111"),
        ("epochs: !!python/object/apply:os.getcwd []", "is not YAML"),
        ("? [1]\n: 2", "is not YAML"),
        ("&a epochs: &b [*b]", "`epochs` must be of kind int, got [[[...]]]"),
        ("[" * 20_000, "is nested too deeply"),
        ("epochs: \ud800", "is not YAML"),
    ],
    ids=lambda text: text[:40],
)
def test_what_is_no_recipe(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(HRNetError, match=r"mine\.yaml") as refused:
        load_recipe("pose", str(path))
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_unknown_recipes() -> None:
    with pytest.raises(HRNetError, match=r"no recipe for pose named 'big'; there are coco, coco-384x288, small, or give"):
        load_recipe("pose", "big")
    with pytest.raises(HRNetError, match=r"cannot read recipe none.yaml: No such file"):
        load_recipe("pose", "none.yaml")
    with pytest.raises(HRNetError, match="`lr_milestones` takes int with commas between, such as 170,200; got 'late'"):
        parse_list("lr_milestones", "late")
    with pytest.raises(HRNetError, match="give `epochs`"):
        configured({})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"epochs": 30},
            "170, 200 of 30 epochs",
        ),
        ({"lr_milestones": ()}, "the schedule step needs `lr_milestones`"),
        ({"schedule": "linear"}, "`schedule` must be one of cosine, step, poly, got 'linear'"),
        ({"targets": "sharp"}, "`targets` must be one of official, dark, udp, got 'sharp'"),
        ({"loss": "l1"}, "`loss` must be one of mse, ohkm, got 'l1'"),
        ({"half_body_probability": 2}, "`half_body_probability` must be between 0 and 1, got 2"),
        ({"rotation": -1.0}, "`rotation` must be at least 0, got -1"),
    ],
)
def test_settings_that_cannot_be(given: dict[str, object], message: str) -> None:
    with pytest.raises(HRNetError, match=message):
        configured(load_recipe("pose", "coco"), given)


def trained_by(config: dict[str, Any]) -> Run:
    return Run(Path("run"), "train", preset("pose-w32"), {"name": "person", "keypoints": []}, config)


def test_settings_that_a_run_lacks_have_their_defaults() -> None:
    known = {"sigma": 1.5, "rotation": 20.0, "scale": 0.2, "epochs": 3}
    tuned = fine_tuning_config(trained_by(known), PEOPLE, 2, 8, 1e-4, 1)
    assert tuned.settings == PoseSettings("dark", 1.5, "mse", 0.0, 0.2, 20.0)
    assert tuned.schedule == "cosine"
    assert stored_settings("pose", {"checkpoint": "model.pth"}) == PoseSettings("dark", 2.0)


def test_tuning_keeps_the_parent_s_targets_and_augmentation() -> None:
    parent = configured(load_recipe("pose", "coco"), {"loss": "ohkm"})
    tuned = fine_tuning_config(trained_by(parent.to_json()), PEOPLE, 2, 8, 1e-4, 1)
    assert tuned.settings == parent.settings
    assert (tuned.schedule, tuned.learning_rate, tuned.epochs) == ("cosine", 1e-4, 2)
