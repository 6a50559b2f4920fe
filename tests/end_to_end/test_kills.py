"""Killed commands: repeated, they finish with the same results and leave no partial files.

Most kills are simulated exactly before a file is renamed; others are a real SIGKILL. `benchmarks/kills.py` kills at random times.
"""

from __future__ import annotations

import dataclasses
import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from conversion.convert import convert_run
from conversion.options import ConvertOptions
from hrnet_tf.runs.history import read_history
from hrnet_tf.runs.ranking import Ranking, save_ranking
from hrnet_tf.runs.run import Run, create_run
from hrnet_tf.runs.weights import load_weights
from hrnet_tf.spec.network import HRNetSpec, StageSpec
from mobile_eval.model.archive import read_description
from tests.support.jobs import Job, hrnet_commands
from tests.support.killing import KilledError, kill_before_rename
from training.config import TrainingConfig
from training.engine.starting import CHECKPOINT
from training.pruning.budget import Budget
from training.pruning.plan_run import PruneOptions
from training.pruning.prune_run import prune_run
from training.quantize import quantize_run
from training.train import train

TOLERANCE = 1e-5
Command = Callable[[Path, bool], object]


def ranked_run(spec: HRNetSpec, path: Path) -> Run:
    """A ranked run with initial weights."""
    run = create_run(spec, path)
    scores = {link: float(number) for number, link in enumerate(sorted(spec.links))}
    save_ranking(run.path, Ranking(spec, 8, 0, {"random": scores}, {"random": None}, {}))
    return run


def assert_same_weights(run: Path, expected: Path, *, relative: float = 0.0, absolute: float = TOLERANCE) -> None:
    actual_weights, expected_weights = (load_weights(path / "weights.safetensors") for path in (run, expected))
    assert actual_weights.keys() == expected_weights.keys()
    for name, array in expected_weights.items():
        np.testing.assert_allclose(actual_weights[name], array, rtol=relative, atol=absolute, err_msg=name)


KILLS = {  # the files before which each command is killed, one after another; those that all write are tested once
    "train": ("weights.safetensors", "history.csv", "checkpoint.safetensors"),
    "prune": ("links.svg", "run.json"),
    "quantize": ("ranking.json",),
}


@pytest.mark.slow
@pytest.mark.journey
@pytest.mark.parametrize("step", KILLS)
def test_training_killed_before_each_file(step: str, tiny: HRNetSpec, config: TrainingConfig, tmp_path: Path) -> None:
    """The command is resumed after each kill, and killed before the next file, until it may end."""
    three_links = dataclasses.replace(tiny, stages=(StageSpec(2, 1),), links=frozenset()).full()
    start = ranked_run(three_links if step == "prune" else tiny, tmp_path / "start")
    one_epoch = config.replace(epochs=1, val=None, batch_size=16)
    commands: dict[str, Command] = {
        "train": lambda output, resume: train(tiny, one_epoch, output, resume=resume),
        "prune": lambda output, resume: prune_run(start, PruneOptions(Budget(keep_links=0.5)), one_epoch, output, resume=resume),
        "quantize": lambda output, resume: quantize_run(start, one_epoch, output, resume=resume),
    }
    command, uninterrupted, output = commands[step], tmp_path / "uninterrupted" / "run", tmp_path / "killed" / "run"
    command(uninterrupted, False)
    for number, file in enumerate(KILLS[step]):
        with pytest.MonkeyPatch.context() as patch:
            kill_before_rename(patch, file)
            with pytest.raises(KilledError, match=file):
                command(output, number > 0)
    command(output, True)
    assert_same_weights(output, uninterrupted)
    files = [{path.name for path in folder.iterdir()} for folder in (output, uninterrupted)]
    assert files[0] <= files[1]  # no partial files
    assert files[1] - files[0] <= {CHECKPOINT}  # a run that was complete when killed has no checkpoint


@pytest.mark.slow
@pytest.mark.journey
@pytest.mark.parametrize("task", ["pose", "detection"])
def test_first_file_of_a_conversion_is_written_last(task: str, tiny: HRNetSpec, detector_spec: HRNetSpec, tmp_path: Path) -> None:
    """`hrnet demo` and `hrnet study` take its existence as a sign that the conversion is complete."""
    run = create_run(detector_spec if task == "detection" else tiny, tmp_path / "run")
    names = ["m.json", "m.tflite", *(["m.boxes.json", "m.boxes.tflite"] if task == "detection" else [])]
    output = tmp_path / "files" / "m.tflite"
    with pytest.MonkeyPatch.context() as patch:
        kill_before_rename(patch, 2 * len(names))  # drafts for the checks are written first
        with pytest.raises(KilledError):
            convert_run(run, ConvertOptions("float32"), output)
    files = {path.name for path in output.parent.iterdir() if not path.name.endswith(".part")}
    assert files == set(names) - {"m.tflite"}
    if task == "pose":  # a detector's conversion takes long
        convert_run(run, ConvertOptions("float32"), output)
        files = {path.name for path in output.parent.iterdir()}
        assert files == set(names)
    for name in files:
        path = output.with_name(name)
        if path.suffix == ".tflite":
            assert json.loads(path.with_suffix(".json").read_text()) == read_description(path).to_json()


NETWORK = "--input-size 32x32 --width 4 --stem-width 4 --stage1-width 4 --modules 1 --blocks 1"


@pytest.mark.slow
@pytest.mark.journey
def test_training_resumes_after_sigkill(drawn: Path, tmp_path: Path) -> None:
    splits = (f"--{split}-annotations {drawn}/person_keypoints_{split}.json" for split in ("train", "val"))
    data = f"{' '.join(splits)} --images {drawn}/images --batch-size 8 --epochs 3"
    options = ["train", "pose-small-v1", *NETWORK.split(), *data.split(), "--output"]
    threads = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}  # the same order of sums
    output, uninterrupted = tmp_path / "killed", tmp_path / "uninterrupted"
    killed = Job.start(hrnet_commands, [*options, str(output)], output=tmp_path / "killed.log", **threads)
    start_time = time.monotonic()
    while not (output / CHECKPOINT).exists():  # kills before the first checkpoint are simulated above
        assert killed.process.is_alive()
        assert time.monotonic() - start_time < 300
        time.sleep(0.01)
    killed.process.kill()
    assert killed.end()[0] == -signal.SIGKILL
    assert 1 <= len(read_history(output)) < 3
    commands = [*options, str(uninterrupted)], [*options, str(output), "--resume"]
    code, printed = Job.start(hrnet_commands, *commands, output=tmp_path / "both.log", **threads).end()
    assert code == 0, printed[-3000:]
    assert_same_weights(output, uninterrupted, relative=1e-6, absolute=1e-7)
    for expected, resumed in zip(read_history(uninterrupted), read_history(output), strict=True):
        assert set(resumed) >= {"loss", "val_pck"}
        assert resumed == pytest.approx(expected, rel=1e-6)
    assert {path.name for path in output.iterdir()} == {path.name for path in uninterrupted.iterdir()}
