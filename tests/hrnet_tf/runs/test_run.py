"""Runs on disk: round trips, damage, and complete files only."""

from __future__ import annotations

import dataclasses
import errno
import json
from pathlib import Path

import numpy as np
import pytest

from hrnet_tf.runs.history import write_history
from hrnet_tf.runs.ranking import Ranking, save_ranking
from hrnet_tf.runs.run import Run, save_run
from hrnet_tf.runs.weights import load_weights, save_weights
from hrnet_tf.spec.network import HRNetSpec
from hrnet_tf.spec.units import FusionLink, ResidualBlock
from mobile_eval.errors import HRNetError
from mobile_eval.files import write_atomically


@pytest.fixture
def run(tmp_path: Path, spec: HRNetSpec) -> Run:
    smaller = spec.without({FusionLink(4, 0, 3, 0)})
    run = Run(tmp_path / "run", "prune", smaller, {"name": "person", "keypoints": ["nose"]}, {"epochs": 3}, "runs/full")
    save_run(run)
    return run


def test_run_round_trip(run: Run) -> None:
    assert Run.load(run.path) == run


def test_parent_and_history(run: Run, tmp_path: Path) -> None:
    assert Run.load(str(run.path)) == run
    assert (run.history.rows, str(run.history)) == ((), "no epoch is finished")
    write_history(run.path, [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25, "val_pck": 0.75}])
    assert (len(run.history), run.history[1]["val_pck"], run.history.columns) == (2, 0.75, ["epoch", "loss", "val_pck"])
    np.testing.assert_array_equal(run.history.column("val_pck"), [np.nan, 0.75])
    assert run.history.to_pandas()["loss"].tolist() == [0.5, 0.25]
    with pytest.raises(HRNetError, match="'pck': there are epoch, loss, val_pck"):
        run.history.column("pck")
    assert repr(run) == f"Run('{run.path}', step='prune', spec='micro')"
    assert str(run).splitlines() == [
        f"{run.path}: micro for pose, 64x64, 17 outputs, 16 of 17 links",
        "  made by prune from runs/full",
        "  after epoch 2: loss 0.25  val_pck 0.75",
    ]
    with pytest.raises(HRNetError, match="runs/full is not a run folder"):
        _ = run.parent
    larger = dataclasses.replace(run, path=tmp_path / "full", parent_path=None)
    save_run(larger)
    assert dataclasses.replace(run, parent_path=str(larger.path)).parent == larger
    assert larger.parent is None


def test_architecture_in_spec_json(run: Run) -> None:
    path = run.path / "spec.json"
    stored = json.loads(path.read_text())
    assert stored["architecture"] == "hrnet"
    assert Run.load(run.path).hrnet_spec == run.spec
    path.write_text(json.dumps({**stored, "architecture": "vgg"}))
    with pytest.raises(HRNetError, match=r"spec\.json.*simple-baseline"):
        Run.load(run.path)


def test_ranking_round_trip(run: Run) -> None:
    scores = {FusionLink(2, 0, 0, 1): 0.25, FusionLink(2, 0, 1, 0): 0.5, ResidualBlock(2, 0, 1, 0): 0.1}
    reverse = {unit: 1 - score for unit, score in scores.items()}
    stability: dict[str, float | None] = {"taylor": 0.9, "random": None}
    agreement: dict[tuple[str, str], float | None] = {("taylor", "random"): -1.0}
    larger = run.hrnet_spec.full()
    channels = {"taylor": {"stem_conv1": (0.1,) * 8}, "random": {"stem_conv1": (0.2,) * 8}}
    ranking = Ranking(larger, 7, 3, {"taylor": scores, "random": reverse}, stability, agreement, "runs/full", channels)
    save_ranking(run.path, ranking)
    assert run.ranking == ranking
    assert ranking.importance() == ranking.importance("taylor") == scores
    assert ranking.importance("random") == reverse
    with pytest.raises(HRNetError, match="'l0'"):
        ranking.importance("l0")
    stored = json.loads((run.path / "ranking.json").read_text())["methods"]["taylor"]
    assert stored["channels"] == {"stem_conv1": [0.1] * 8}
    assert list(stored["importance"]) == ["stage2_module0_link1to0", "stage2_module0_link0to1", "stage2_module0_branch1_block0"]


def test_ranking_without_spec_is_of_the_network_of_the_run(run: Run) -> None:
    save_ranking(run.path, Ranking(run.hrnet_spec.full(), 2, 0, {"taylor": {FusionLink(2, 0, 0, 1): 0.5}}, {"taylor": None}, {}))
    path = run.path / "ranking.json"
    path.write_text(json.dumps({name: value for name, value in json.loads(path.read_text()).items() if name != "spec"}))
    assert run.ranking.spec == run.hrnet_spec


def test_ranking_of_another_version(run: Run) -> None:
    (run.path / "ranking.json").write_text('{"importance": {}}')
    with pytest.raises(HRNetError, match=r"ranking\.json.*'importance'"):
        _ = run.ranking


def test_arrays_and_scalars_round_trip(tmp_path: Path) -> None:
    arrays = {"a/kernel": np.arange(6.0).reshape(2, 3).T, "quantize_layer_min": np.float32(-1.5), "step": np.array(3, np.int32)}
    save_weights(tmp_path / "w.safetensors", arrays)
    loaded = load_weights(tmp_path / "w.safetensors")
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name], array)
        assert loaded[name].shape == np.shape(array)


def test_weights_of_a_type_unknown_to_numpy(tmp_path: Path) -> None:
    header = json.dumps({"kernel": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}).encode()
    path = tmp_path / "w.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(HRNetError, match=r"w\.safetensors.*float8"):
        load_weights(path)


def test_truncated_weights(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, {"kernel": np.zeros((8, 8))})
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(HRNetError, match=r"w\.safetensors"):
        load_weights(path)
    path.unlink()
    with pytest.raises(HRNetError, match=r"w\.safetensors"):
        load_weights(path)


def test_folder_without_a_run(run: Run, tmp_path: Path) -> None:
    with pytest.raises(HRNetError, match=r"run\.json"):
        Run.load(tmp_path)
    (run.path / "run.json").write_text('{"step": "bake"}')
    with pytest.raises(HRNetError, match="build, train, prune, quantize"):
        Run.load(run.path)
    (run.path / "run.json").write_text('{"step": ')
    with pytest.raises(HRNetError, match=r"run\.json"):
        Run.load(run.path)


def test_unranked_run(run: Run) -> None:
    with pytest.raises(HRNetError, match="`hrnet rank"):
        _ = run.ranking


def test_full_disk(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text("before")

    def fail(draft: Path) -> None:
        draft.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(HRNetError, match=r"file\.json.*No space left"):
        write_atomically(path, fail)
    assert [p.name for p in tmp_path.iterdir()] == ["file.json"]
    assert path.read_text() == "before"
