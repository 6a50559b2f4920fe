"""Training curves as a PNG."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from hrnet_tf.runs.history import read_history, write_history
from hrnet_tf.runs.run import Run
from mobile_eval.errors import HRNetError
from training.plotting import panels, plot_runs


def run(folder: Path, rows: list[dict[str, float]]) -> Run:
    folder.mkdir()
    write_history(folder, rows)
    return Run(folder, "train", None, {}, {})  # type: ignore[arg-type]


@pytest.mark.slow
def test_each_metric_has_a_panel(tmp_path: Path) -> None:
    full = run(tmp_path / "full", [{"epoch": e, "loss": 1 / e, "val_pck": 0.1 * e} for e in range(1, 6)])
    loss_only = run(tmp_path / "loss", [{"epoch": e, "loss": 2 / e} for e in range(1, 4)])
    assert [row["epoch"] for row in read_history(full.path)] == [1, 2, 3, 4, 5]
    paths = (plot_runs(runs, tmp_path / name) for runs, name in (([loss_only], "one.png"), ([full, loss_only], "two.png")))
    small, large = (cv2.imread(str(path)) for path in paths)
    assert large.shape[1] == pytest.approx(2 * small.shape[1], abs=4)  # two panels side by side
    assert len(np.unique(large.reshape(-1, 3), axis=0)) > 20  # curves in two colors


def test_each_column_is_a_panel_with_the_runs_that_have_it() -> None:
    plain = [{"epoch": 1, "loss": 0.5, "val_pck": 0.25}, {"epoch": 2, "loss": 0.25, "val_pck": float("nan")}]
    distilled = [{"epoch": 1, "loss": 0.375, "distillation_loss": 0.125, "val_pck": 0.5, "learning_rate": 0.01}]
    assert panels({"full": plain, "pruned": distilled}) == {
        "loss": {"full": [(1, 0.5), (2, 0.25)], "pruned": [(1, 0.375)]},
        "val_pck": {"full": [(1, 0.25)], "pruned": [(1, 0.5)]},
        "distillation_loss": {"pruned": [(1, 0.125)]},
        "learning_rate": {"pruned": [(1, 0.01)]},
    }


def test_run_given_twice(tmp_path: Path) -> None:
    full = run(tmp_path / "full", [{"epoch": 1, "loss": 0.5}])
    with pytest.raises(HRNetError, match="full"):
        plot_runs([full, full], tmp_path / "curves.png")


def test_run_without_history(tmp_path: Path) -> None:
    with pytest.raises(HRNetError, match=tmp_path.name):
        plot_runs([Run(tmp_path, "train", None, {}, {})], tmp_path / "curves.png")  # type: ignore[arg-type]
    assert not (tmp_path / "curves.png").exists()
