"""Recipes: the paper's numbers, the defaults of before, and what is no recipe."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from training.config import TrainingConfig, data_paths, stored_targets, tuning_config, with_defaults
from training.recipe import SETTINGS, default_recipe, load_recipe, parse_drops, recipe_config, recipe_names, show_recipe
from training.targets import HeatmapTargets

PEOPLE = data_paths(Path("train.json"), None, Path("images"), None)


def test_the_paper_s_recipe() -> None:
    paper = {
        "epochs": 210, "batch_size": 32, "learning_rate": 1e-3, "schedule": "step", "drops": (170, 200),
        "targets": "official", "sigma": 2.0, "loss": "mse", "half_body_probability": 0.3, "scale": 0.35, "rotation": 45.0,
        "rotation_probability": 0.6, "flip_probability": 0.5,
    }  # fmt: skip
    assert load_recipe("coco") == paper
    assert load_recipe("coco-384x288") == {**paper, "sigma": 3.0}
    assert recipe_names() == ["coco", "coco-384x288", "small"]


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
    assert default_recipe(model, size) == name


def test_small_is_what_the_defaults_were() -> None:
    assert recipe_config(load_recipe("small"), {}, PEOPLE, seed=0, distill=0.0) == TrainingConfig(**PEOPLE, epochs=210)


def test_every_setting_is_one_of_the_config() -> None:
    names = {field.name for field in dataclasses.fields(TrainingConfig)}
    asked = {"seed", "distill", "sparsity", "freeze", "keep", "patience", "devices"}
    assert names - set(SETTINGS) == {*PEOPLE, *asked}


def test_what_is_given_counts(capsys: pytest.CaptureFixture[str]) -> None:
    given = {"epochs": 12, "drops": parse_drops("8,10"), "sigma": None, "flip_probability": 0.0}
    config = recipe_config(load_recipe("coco"), given, PEOPLE, seed=3, distill=0.0)
    assert (config.epochs, config.drops, config.sigma, config.flip_probability, config.seed) == (12, (8, 10), 2.0, 0.0, 3)
    assert json.loads(json.dumps(config.to_json())) == config.to_json()
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
        ("epochs: 3.5", "epochs must be of kind int, got 3.5"),
        ("epochs: true", "epochs must be of kind int, got True"),
        ("learning_rate: fast", "learning_rate must be of kind float, got 'fast'"),
        ("mixed_precision: 1", "mixed_precision must be of kind bool, got 1"),
        ("drops: 170", "drops must be a list of whole numbers such as"),
        ("drops: [a]", "drops must be a list of whole numbers such as"),
        ("- 3", "must hold lines such as `epochs: 210`"),
        ("a: [", "is not YAML"),
    ],
)
def test_what_is_no_recipe(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"mine\.yaml") as refused:
        load_recipe(str(path))
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_unknown_recipes() -> None:
    with pytest.raises(ValueError, match=r"no recipe named 'big'; there are coco, coco-384x288, small, or give a .yaml file"):
        load_recipe("big")
    with pytest.raises(ValueError, match=r"cannot read recipe none.yaml: No such file"):
        load_recipe("none.yaml")
    with pytest.raises(ValueError, match="--drops are epochs such as 170,200, got 'late'"):
        parse_drops("late")
    with pytest.raises(ValueError, match="give --epochs"):
        recipe_config({}, {}, PEOPLE, seed=0, distill=0.0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epochs": 30}, "cannot drop at 170, 200 of 30 epochs: give rising --drops below --epochs, or --schedule cosine"),
        ({"drops": ()}, "the schedule step needs --drops"),
        ({"schedule": "linear"}, "schedule must be one of cosine, step, got 'linear'"),
        ({"targets": "udp"}, "targets must be one of official, dark, got 'udp'"),
        ({"loss": "l1"}, "loss must be one of mse, ohkm, got 'l1'"),
        ({"half_body_probability": 2}, "half-body-probability must be between 0 and 1, got 2"),
        ({"rotation": -1.0}, "rotation must be at least 0, got -1"),
    ],
)
def test_settings_that_cannot_be(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        recipe_config(load_recipe("coco"), given, PEOPLE, seed=0, distill=0.0)


def test_runs_of_before_have_what_they_had() -> None:
    old = {"sigma": 1.5, "rotation": 20.0, "scale": 0.2, "epochs": 3}
    assert with_defaults(old)["drops"] == []
    assert stored_targets(old) == HeatmapTargets("dark", 1.5)
    tuned = tuning_config(old, PEOPLE, 2, 8, 1e-4, 1)
    assert (tuned.targets, tuned.sigma, tuned.scale, tuned.half_body_probability, tuned.schedule) == (
        "dark",
        1.5,
        0.2,
        0,
        "cosine",
    )
    assert stored_targets({"checkpoint": "model.pth"}) == HeatmapTargets("dark", 2.0)


def test_tuning_keeps_the_parent_s_targets_and_augmentation() -> None:
    parent = recipe_config(load_recipe("coco"), {"loss": "ohkm"}, PEOPLE, seed=0, distill=0.0)
    tuned = tuning_config(parent.to_json(), PEOPLE, 2, 8, 1e-4, 1)
    assert (tuned.targets, tuned.loss, tuned.half_body_probability) == ("official", "ohkm", 0.3)
    assert (tuned.schedule, tuned.learning_rate, tuned.epochs) == ("cosine", 1e-4, 2)
