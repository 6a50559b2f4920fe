"""Commands of the study and the demo: equal training of all networks, the right options, and quoted paths."""

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
def test_equal_training_of_all_networks(preset: str) -> None:
    size = PRESETS[preset]
    epochs: dict[str, int] = {}
    for step in study_steps(size, DATA, Path("out")):
        words = step.arguments
        if words[0] not in ("train", "prune"):
            continue
        options = dict(itertools.pairwise(words))
        start = options.get("--init") or (words[1] if words[0] == "prune" else None)
        before = epochs[Path(start).name] if start else 0
        epochs[Path(options["--output"]).name] = before + int(options["--epochs"])
        assert options["--train-annotations"] == "d/train.json"
        assert "--resume" in words
    assert {epochs[arm.name] for arm in arms(size)} == {size.epochs + size.fine_tuning_epochs}


def test_options_of_each_network() -> None:
    steps = [" ".join(step.arguments) for step in study_steps(PRESETS["lspet"], DATA, Path("out"), precision="bfloat16")]

    def command_of(name: str) -> str:
        return next(step for step in steps if f"--output out/runs/{name} " in step)

    assert "--keep-latency 0.76" in command_of("links-76")
    assert "prune out/runs/base" in command_of("random-76")
    assert "--method random --accept-closest" in command_of("random-76")
    assert "prune out/runs/dropped-base" in command_of("dropped-76")
    assert "--link-dropout 0.1" in command_of("dropped-base")
    assert "--precision bfloat16" in command_of("base")
    assert "--width-like out/runs/links-66" in command_of("narrow-66")
    assert "--precision bfloat16" not in command_of("narrow-66")
    assert "--width-like out/runs/blocks-47" in command_of("narrow-47")
    assert "--keep-latency 0.47 --blocks" in command_of("blocks-47")
    files = [f"out/{label}.tflite" for arm in arms(PRESETS["lspet"]) for label in arm.labels.values()]
    assert steps[-1].startswith(f"compare {' '.join(files)} ")
    assert len(set(files)) == len(files) == 2 * len(arms(PRESETS["lspet"]))


def test_manifest() -> None:
    arm_list = manifest(PRESETS["small"])["arms"]
    assert isinstance(arm_list, list)
    assert arm_list[0] == {"kind": "full", "budget": None, "labels": ["full-float32", "full-int8"]}


def test_user_data_replaces_synthetic_data(tmp_path: Path) -> None:
    size, data = study_setup("small", tmp_path, None, None, None, epochs=3)
    assert size.synthetic_images is not None
    assert size.epochs == 3
    assert data.images == tmp_path / "people" / "images"
    size, data = study_setup("small", tmp_path, DATA.train, DATA.val, DATA.images)
    assert size.synthetic_images is None
    assert data == DATA


@pytest.mark.parametrize("folder", ["my study", "a  b", "it's", 'say "this"', "[bold]x", "Übung"])
def test_paths_are_single_arguments(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    root = Path(folder)
    size = PRESETS["lspet"]
    study = study_steps(size, StudyData(root / "train.json", root / "val.json", root / "images"), root)
    for task in DEMOS:
        for command in demo_steps(root, task, DEMOS[task]) + study:
            paths = [word for word in command.arguments if word.startswith(f"{folder}/")]
            rest = " ".join(word for word in command.arguments if word not in paths)
            assert folder not in rest
            assert len(paths) >= (1 if command.arguments[0] == "data" else 2)
    executed: list[list[str]] = []
    run_steps(study, executed.append)
    printed = [shlex.split(line)[1:] for line in capsys.readouterr().out.splitlines() if line.startswith("hrnet ")]
    assert printed == executed == [list(command.arguments) for command in study]
