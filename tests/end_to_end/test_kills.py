"""Commands that are killed: given again they finish, what comes out is the same, and nothing unfinished is left.

Kills are exact, before each file gets its name; and real ones, by SIGKILL. `benchmarks/kills.py` kills at random moments.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from conversion.convert import convert_run
from conversion.options import ConvertOptions
from hrnet_tf.runs.ranking import Ranking, save_ranking
from hrnet_tf.runs.run import Run, create_run
from hrnet_tf.runs.weights import load_weights
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.model.archive import read_description
from tests.support.killing import KilledError, kill_before_rename
from training.config import TrainingConfig
from training.engine.starting import CHECKPOINT
from training.pruning.budget import Budget
from training.pruning.plan import PruneOptions
from training.pruning.prune import prune
from training.quantize import quantize
from training.train import train

TOLERANCE = 1e-5
Command = Callable[[Path, bool], object]


@pytest.fixture(scope="module")
def start(small: HRNetSpec, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A ranked run with initial weights."""
    run = create_run(small, tmp_path_factory.mktemp("start") / "run")
    scores = {link: float(number) for number, link in enumerate(sorted(small.links))}
    save_ranking(run, Ranking(8, 0, {"random": scores}, {"random": None}, {}))
    return run


def same(run: Path, expected: Path) -> None:
    found, wanted = load_weights(run / "weights.safetensors"), load_weights(expected / "weights.safetensors")
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name], array, rtol=0, atol=TOLERANCE, err_msg=name)


KILLS = {  # before which of its files a command is killed
    "train": ("spec.json", "run.json", "weights.safetensors", "history.csv", "checkpoint.safetensors"),
    "prune": ("links.svg", "run.json", "history.csv"),
    "quantize": ("ranking.json", "checkpoint.safetensors"),
}


@pytest.mark.slow
@pytest.mark.parametrize("step", KILLS)
def test_a_training_killed_before_any_of_its_files(step: str, start: Run, config: TrainingConfig, tmp_path: Path) -> None:
    once = config.replace(epochs=1, val=None, batch_size=16)
    commands: dict[str, Command] = {
        "train": lambda output, resume: train(start.hrnet_spec, once, output, resume=resume),
        "prune": lambda output, resume: prune(start, PruneOptions(Budget(keep_links=0.5)), once, output, resume=resume),
        "quantize": lambda output, resume: quantize(start, once, output, resume=resume),
    }
    command, whole = commands[step], tmp_path / "whole" / "run"
    command(whole, False)
    for file in KILLS[step]:
        output = tmp_path / file / "run"
        with pytest.MonkeyPatch.context() as patch:
            kill_before_rename(patch, file)
            with pytest.raises(KilledError):
                command(output, False)
        command(output, True)
        same(output, whole)
        files = [{path.name for path in folder.iterdir()} for folder in (output, whole)]
        assert files[0] <= files[1]  # nothing unfinished is left
        assert files[1] - files[0] <= {CHECKPOINT}  # of a run that was done when it was killed, there is nothing to go on with


@pytest.mark.slow
@pytest.mark.parametrize("task", ["pose", "detection"])
def test_a_conversion_is_complete_where_its_first_file_is(
    task: str, small: HRNetSpec, detector_spec: HRNetSpec, tmp_path: Path
) -> None:
    """What `hrnet demo` and `hrnet study` go by: killed before the last of its files, it is not there."""
    run = create_run(detector_spec if task == "detection" else small, tmp_path / "run")
    names = ["m.json", "m.tflite", *(["m.boxes.json", "m.boxes.tflite"] if task == "detection" else [])]
    output = tmp_path / "files" / "m.tflite"
    with pytest.MonkeyPatch.context() as patch:
        kill_before_rename(patch, 2 * len(names))  # the drafts that are checked are written first
        with pytest.raises(KilledError):
            convert_run(run, ConvertOptions("float32"), output)
    left = {path.name for path in output.parent.iterdir() if not path.name.endswith(".part")}
    assert left == set(names) - {"m.tflite"}
    convert_run(run, ConvertOptions("float32"), output)
    assert {path.name for path in output.parent.iterdir()} == set(names)
    for name in names[1::2]:
        path = output.with_name(name)
        assert json.loads(path.with_suffix(".json").read_text()) == read_description(path).to_json()


NETWORK = "--input-size 64x64 --width 4 --stem-width 4 --stage1-width 4 --modules 1,1 --blocks 1"


@pytest.mark.slow
def test_a_training_that_the_system_kills_goes_on(drawn: Path, tmp_path: Path) -> None:
    data = f"--train-annotations {drawn}/person_keypoints_train.json --images {drawn}/images --batch-size 8 --epochs 3"
    command = [sys.executable, "-m", "hrnet_tf", "train", "pose-small-v1", *NETWORK.split(), *data.split(), "--output"]

    def finish(output: Path, *more: str) -> None:
        subprocess.run([*command, str(output), *more], capture_output=True, timeout=600, check=True)

    finish(tmp_path / "whole")
    output = tmp_path / "killed"
    for file in ("run.json", "checkpoint.safetensors"):  # before the first epoch is kept, and after
        more = ["--resume"] if output.exists() else []
        with subprocess.Popen(
            [*command, str(output), *more], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        ) as child:
            begun = time.monotonic()
            while not (output / file).exists():
                assert child.poll() is None
                assert time.monotonic() - begun < 300
                time.sleep(0.01)
            os.killpg(child.pid, signal.SIGKILL)
    finish(output, "--resume")
    same(output, tmp_path / "whole")
    assert {path.name for path in output.iterdir()} == {path.name for path in (tmp_path / "whole").iterdir()}
