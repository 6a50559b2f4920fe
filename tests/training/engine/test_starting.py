"""Starting and resuming a training: an error leaves no files, and a resumed run must have the same settings and data."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from hrnet_tf.models.build import build_model
from hrnet_tf.runs.ranking import Ranking, save_ranking
from hrnet_tf.runs.run import Run, save_run
from hrnet_tf.runs.weights import model_weights, save_weights
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.datasets.base import DataSource
from mobile_eval.errors import HRNetError
from mobile_eval.tasks.pose.predictions import load_keypoints
from tests.support.killing import KilledError, kill_before_rename
from training.config import TrainingConfig
from training.engine.inputs import data_identity, inputs_of
from training.engine.starting import check_same, check_startable, discard, started
from training.quantize import quantize_run
from training.train import train


@pytest.fixture
def run(tiny: HRNetSpec, config: TrainingConfig, tmp_path: Path) -> Run:
    """A run that is not yet on disk."""
    data = [load_keypoints(source) for source in (config.data.train, config.data.val) if source]
    return Run(tmp_path / "run", "train", tiny, data[0].label_schema, config.to_json(), None, inputs_of(config, *data))


def with_config(run: Run, **changes: Any) -> Run:
    return dataclasses.replace(run, config={**run.config, **changes})


def test_run_killed_before_its_first_files_can_be_started_again(run: Run) -> None:
    for number in (1, 2):  # spec.json and run.json
        with pytest.MonkeyPatch.context() as patch:
            kill_before_rename(patch, number)
            with pytest.raises(KilledError):
                save_run(run)
        for resume in (False, True):
            check_startable(run.path, "train", resume=resume)
        check_same(run)
    with started(run):
        pass
    assert Run.load(run.path).config == run.config
    assert {path.name for path in run.path.iterdir()} == {"spec.json", "run.json"}  # files of the killed run are gone


def test_folder_that_is_not_a_run(run: Run) -> None:
    run.path.mkdir()
    (run.path / "notes.txt").write_text("mine")
    with pytest.raises(HRNetError, match=re.escape(str(run.path))):
        check_startable(run.path, "train", resume=True)
    (run.path / "notes.txt").unlink()
    save_run(run)
    with pytest.raises(HRNetError, match="`resume`"):
        check_startable(run.path, "train", resume=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 16}, "`batch_size` was 8, is now 16"),
        ({"epochs": 3, "learning_rate": 0.5}, "`epochs` was 2, is now 3; `learning_rate` was 0.001, is now 0.5"),
        ({"targets": "udp"}, "`targets` was dark, is now udp"),
    ],
)
def test_changed_settings_are_named_with_both_values(change: dict[str, Any], message: str, run: Run) -> None:
    save_run(run)
    check_same(run)
    with pytest.raises(HRNetError, match=message):
        check_same(with_config(run, **change))


def test_changed_network_step_or_keypoints(run: Run) -> None:
    save_run(run)
    wider = dataclasses.replace(run, spec=dataclasses.replace(run.hrnet_spec, width=8))
    with pytest.raises(HRNetError, match="`width` was 4, is now 8"):
        check_same(wider)
    for resume in (False, True):
        with pytest.raises(HRNetError, match="was made by `hrnet train`, not by `hrnet quantize`"):
            check_startable(run.path, "quantize", resume=resume)
    with pytest.raises(HRNetError, match="joints"):
        check_same(dataclasses.replace(run, category={**run.category, "keypoints": ["nose"] * 17}))


def test_moved_data_can_be_resumed(run: Run, drawn: Path, config: TrainingConfig, tmp_path: Path) -> None:
    save_run(run)
    shutil.copytree(drawn, tmp_path / "moved")
    sources = [
        DataSource(tmp_path / "moved" / "images", tmp_path / "moved" / f"person_keypoints_{split}.json")
        for split in ("train", "val")
    ]
    moved = config.replace(train=sources[0], val=sources[1])
    resumed = dataclasses.replace(run, config=moved.to_json(), inputs=inputs_of(moved, *map(load_keypoints, sources)))
    assert resumed.inputs == run.inputs
    check_same(resumed)
    with started(resumed):
        pass
    assert Run.load(run.path).config["train"]["images"] == str(tmp_path / "moved" / "images")


def test_changed_annotations(run: Run, drawn: Path, config: TrainingConfig, tmp_path: Path) -> None:
    save_run(run)
    path = tmp_path / "train.json"
    coco = json.loads((drawn / "person_keypoints_train.json").read_text())
    count = len(coco["annotations"])
    coco["annotations"][0]["keypoints"][0] += 1
    path.write_text(json.dumps(coco))
    source = DataSource(drawn / "images", path)

    def with_changed_data() -> Run:
        identity = data_identity(source, load_keypoints(source))
        return dataclasses.replace(run, inputs={**run.inputs, "train": identity})

    with pytest.raises(HRNetError, match="training data"):
        check_same(with_changed_data())
    coco["annotations"].pop()
    path.write_text(json.dumps(coco))
    with pytest.raises(HRNetError, match=f"training data had {count} items, have now {count - 1}"):
        check_same(with_changed_data())
    without_val = {name: inputs for name, inputs in run.inputs.items() if name != "val"}
    with pytest.raises(HRNetError, match="validation data"):
        check_same(dataclasses.replace(run, inputs=without_val))


def test_identity_depends_on_the_size_of_masks(tmp_path: Path) -> None:
    from mobile_eval.datasets.classification import load_classification_dataset

    for name in ("a", "b"):
        (tmp_path / "images" / name).mkdir(parents=True)
        (tmp_path / "images" / name / "1.png").write_bytes(b"x")
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "1.png").write_bytes(b"12")
    data, source = load_classification_dataset(tmp_path / "images"), DataSource(tmp_path / "images", masks=tmp_path / "masks")
    before = data_identity(source, data)
    assert before["items"] == 2
    assert data_identity(source, data) == before
    (tmp_path / "masks" / "1.png").write_bytes(b"123")
    assert data_identity(source, data) != before


def test_failure_before_the_first_epoch_leaves_no_run(run: Run) -> None:
    def companions() -> None:
        save_ranking(run.path, Ranking(run.hrnet_spec, 2, 0, {"random": {}}, {"random": None}, {}))

    def fail() -> None:
        with started(run, companions=companions):
            assert (run.path / "run.json").is_file()
            assert (run.path / "ranking.json").is_file()
            raise HRNetError("refused")

    with pytest.raises(HRNetError, match="refused"):
        fail()
    assert not run.path.exists()
    save_run(run)
    companions()
    with pytest.raises(HRNetError, match="refused"):
        fail()
    assert (run.path / "run.json").is_file()  # a run that existed before is not removed
    (run.path / "notes.txt").write_text("mine")
    discard(run.path)
    assert [path.name for path in run.path.iterdir()] == ["notes.txt"]


@pytest.mark.slow
@pytest.mark.parametrize("damaged", ["ranking.json", "pruning.json", "weights.safetensors", "run.json", "spec.json"])
def test_failed_quantization_leaves_no_folder(damaged: str, run: Run, config: TrainingConfig, tmp_path: Path) -> None:
    save_run(run)
    save_weights(run.weights_path, model_weights(build_model(run.spec)))
    (run.path / damaged).write_text("x")
    with pytest.raises(HRNetError, match=damaged.replace(".", r"\.")):
        quantize_run(Run.load(run.path), config, tmp_path / "tuned")
    assert not (tmp_path / "tuned").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 10**20}, "`epochs`"),
        ({"batch_size": 10**20}, "fill no batch|batch"),
        ({"accumulate": 10**6}, "`accumulate` is 1000000"),
        ({"freeze": ("stage9",)}, "no part 'stage9'"),
        ({"seed": -1}, "`seed`.* -1"),
        ({"learning_rate": float("inf")}, "`learning_rate`.* inf"),
    ],
)
def test_bad_settings_leave_no_folder(
    change: dict[str, Any], message: str, tiny: HRNetSpec, config: TrainingConfig, tmp_path: Path
) -> None:
    with pytest.raises(HRNetError, match=message):
        train(tiny, config.replace(**change), tmp_path / "run")
    assert not (tmp_path / "run").exists()
