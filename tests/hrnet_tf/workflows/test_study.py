"""The study's plan: every arm is made from the right start, for the same number of epochs, and all are measured together."""

from __future__ import annotations

import itertools
import shlex
from pathlib import Path

import pytest

from hrnet_tf.workflows.demo import DEMOS, demo_steps
from hrnet_tf.workflows.steps import run_steps
from hrnet_tf.workflows.study import PRESETS, StudyData, arms, manifest, study_setup, study_steps

DATA = StudyData(Path("d/train.json"), Path("d/val.json"), Path("d/images"))


@pytest.mark.parametrize("preset", PRESETS)
def test_all_arms_see_the_same_epochs(preset: str) -> None:
    size = PRESETS[preset]
    seen: dict[str, int] = {}
    for step in study_steps(size, DATA, Path("out")):
        words = step.arguments
        if words[0] not in ("train", "prune"):
            continue
        options = dict(itertools.pairwise(words))
        start = options.get("--init") or (words[1] if words[0] == "prune" else None)
        before = seen[Path(start).name] if start else 0
        seen[Path(options["--output"]).name] = before + int(options["--epochs"])
        assert options["--train-annotations"] == "d/train.json"
        assert "--resume" in words
    assert {seen[arm.name] for arm in arms(size)} == {size.epochs + size.tuning_epochs}


def test_each_arm_is_what_its_name_says() -> None:
    steps = [" ".join(step.arguments) for step in study_steps(PRESETS["lspet"], DATA, Path("out"), mixed_precision=True)]

    def made(name: str) -> str:
        return next(step for step in steps if f"--output out/runs/{name} " in step)

    assert "--keep-latency 0.76" in made("links-76")
    assert "prune out/runs/base" in made("random-76")
    assert "--method random --accept-closest" in made("random-76")
    assert "prune out/runs/dropped-base" in made("dropped-76")
    assert "--link-dropout 0.1" in made("dropped-base")
    assert "--mixed-precision" in made("base")
    assert "--width-like out/runs/links-66" in made("narrow-66")
    assert "--mixed-precision" not in made("narrow-66")
    assert "--width-like out/runs/blocks-47" in made("narrow-47")
    assert "--keep-latency 0.47 --blocks" in made("blocks-47")
    files = [f"out/{label}.tflite" for arm in arms(PRESETS["lspet"]) for label in arm.labels.values()]
    assert steps[-1].startswith(f"compare {' '.join(files)} ")
    assert len(set(files)) == len(files) == 2 * len(arms(PRESETS["lspet"]))


def test_the_manifest_names_every_file() -> None:
    listed = manifest(PRESETS["small"])["arms"]
    assert isinstance(listed, list)
    assert listed[0] == {"kind": "full", "budget": None, "labels": ["full-float32", "full-int8"]}


def test_own_people_take_the_drawn_ones_place(tmp_path: Path) -> None:
    size, data = study_setup("small", tmp_path, None, None, None, epochs=3)
    assert size.people is not None
    assert size.epochs == 3
    assert data.images == tmp_path / "people" / "images"
    size, data = study_setup("small", tmp_path, DATA.train, DATA.val, DATA.images)
    assert size.people is None
    assert data == DATA


@pytest.mark.parametrize("folder", ["my study", "a  b", "it's", 'say "this"', "[bold]x", "Übung"])
def test_a_path_of_any_characters_is_one_argument(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    at = Path(folder)
    size = PRESETS["lspet"]
    study = study_steps(size, StudyData(at / "train.json", at / "val.json", at / "images"), at)
    for task in DEMOS:
        for one in demo_steps(at, task, DEMOS[task]) + study:
            paths = [word for word in one.arguments if word.startswith(f"{folder}/")]
            rest = " ".join(word for word in one.arguments if word not in paths)
            assert folder not in rest
            assert len(paths) >= (1 if one.arguments[0] == "people" else 2)
    ran: list[list[str]] = []
    run_steps(study, ran.append)
    printed = [shlex.split(line)[1:] for line in capsys.readouterr().out.splitlines() if line.startswith("hrnet ")]
    assert printed == ran == [list(one.arguments) for one in study]
