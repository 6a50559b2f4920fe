"""Help pages fit two screens and show the options of a task on request; errors and the shell name what exists."""

from __future__ import annotations

import shlex
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from hrnet_tf.__main__ import app
from tests.support.program import COMMANDS, PROGRAM
from training.ranking.rank import METHODS
from training.tasks.registry import TRAINING_TASKS, settings_class

SCREENS, WIDTH = 100, 100  # lines of two screens, and characters
FLIP = "--flip-probability"  # an option of all tasks


def page(*words: str, width: int = WIDTH) -> list[str]:
    result = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": str(width)})
    assert result.exit_code == 0, result.output
    return [line.rstrip() for line in result.output.splitlines()]


def options_in(lines: list[str]) -> set[str]:
    """The options that have a description of their own: they begin a row."""
    words = [line.split()[0] for line in lines if line.startswith("  -")]
    return {word.rstrip(",") for word in words if not word.startswith("--no-")}


@pytest.mark.slow
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_fits_two_screens(words: tuple[str, ...]) -> None:
    lines = page(*words)
    assert len(lines) <= SCREENS
    assert max(map(len, lines)) <= WIDTH
    command = PROGRAM
    for word in words:
        command = command.commands[word]
    assert lines[2]  # a description
    if not hasattr(command, "commands"):
        assert any(line.startswith(f"Example: hrnet {' '.join(words)} ") for line in lines)


@pytest.mark.parametrize("task", TRAINING_TASKS)
def test_help_of_a_task(task: str) -> None:
    common, lines = page("train"), page("train", task)
    assert len(lines) <= SCREENS
    settings = {f"--{name.replace('_', '-')}" for name in settings_class(task).__dataclass_fields__}
    assert options_in(lines) - options_in(common) == settings - {FLIP}
    assert options_in(common) < options_in(lines)
    summary = " ".join(" ".join(common).split(f" {task} ")[-1].split())
    assert all(name in summary for name in settings - {FLIP})


def test_help_of_the_task_of_a_model() -> None:
    assert page("train", "segment-small-v1") == page("train", "segmentation")
    assert "--ohem-threshold" not in options_in(page("train", "pose-w32"))
    assert "--unit" in options_in(page("evaluate", "landmarks"))


def test_options_begin_with_the_common_ones_and_have_headings() -> None:
    lines = page("prune")
    headings = [line for line in lines[lines.index("Arguments") :] if line and not line.startswith(" ")]
    assert headings[:5] == ["Arguments", "Options", "Budget", "Selection", "Data"]
    assert set(headings[5:]) == {"Schedule", "Checkpoints", "Augmentation", "Execution", "Regularization"}


def test_defaults_are_shown_as_they_are_typed() -> None:
    text = " ".join(" ".join(page("convert")).split())
    assert "--format TEXT float32, float16, dynamic, int8 or int16x8. (default: int8)" in text
    assert "(default: --memory)" in " ".join(page("benchmark"))
    assert "None" not in text


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("train pose-w32 --output x --epoks 3", "--epochs"),
        ("train pose-w32 --output x --sigmma 3", "--sigma"),
        ("benhmark x", "'benchmark'"),
        ("edgetpu x", "'target edgetpu'"),
        ("import x", "'data import' or 'checkpoint import'"),
    ],
)
def test_errors_name_what_is_similar(words: str, named: str) -> None:
    result = CliRunner().invoke(app, words.split(), env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert named in result.stderr


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("train pose-s", ["pose-small-v1", "pose-small-v2"]),
        ("train pose-small-v1 --recipe coco-3", ["coco-384x288"]),
        ("train segment-w48 --recipe c", ["cityscapes"]),
        ("rank run --method ", [*METHODS, "all"]),
        ("prune run --method r", ["random"]),
        ("convert run --format int", ["int8", "int16x8"]),
        ("data synthetic --task de", ["detection"]),
        ("train m --optimizer ", ["adam", "sgd", "rmsprop"]),
        ("checkpoint ", ["import", "export"]),
        ("benchmark m.tflite --mode r", ["rapid"]),
    ],
)
def test_shell_completion(line: str, names: list[str]) -> None:
    words = line.split(" ")
    variables = {"_HRNET_COMPLETE": "complete_bash", "COMP_WORDS": f"hrnet {line}", "COMP_CWORD": str(len(words))}
    result = CliRunner().invoke(app, [], prog_name="hrnet", env=variables)
    assert result.output.split() == names


def test_completion_can_be_installed() -> None:
    assert {"--install-completion", "--show-completion"} <= options_in(page())
    code = "from hrnet_tf.__main__ import app; app(prog_name='hrnet')"
    line = f"{shlex.join([sys.executable, '-c', code, '--show-completion'])}; true"  # a last command would replace bash
    completion = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True).stdout
    assert "_HRNET_COMPLETE=complete_bash" in completion
