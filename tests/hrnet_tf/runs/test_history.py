"""history.csv of a run: written, read, and errors of damaged files."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from hrnet_tf.runs.history import read_history, write_history
from hrnet_tf.runs.run import Run, save_run
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.errors import HRNetError
from tests.support.program import Hrnet

ROWS = [{"epoch": 1, "loss": 0.5, "val_pck": 0.25}, {"epoch": 2, "loss": 0.25, "val_pck": float("nan")}]


def test_rows_round_trip(tmp_path: Path) -> None:
    assert read_history(tmp_path) == []
    write_history(tmp_path, ROWS)
    assert str(read_history(tmp_path)) == str(ROWS)  # as text, because NaN is not equal to itself


def test_rows_of_an_older_version_lack_columns(tmp_path: Path) -> None:
    write_history(tmp_path, [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25, "learning_rate": 0.01}])
    first, second = read_history(tmp_path)
    assert math.isnan(first["learning_rate"])
    assert second == {"epoch": 2, "loss": 0.25, "learning_rate": 0.01}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch,loss,val_pck\n1,0.5\n", "line 2 has 2 values, expected 3"),
        ("epoch,loss\n1,0.5,0.25\n", "line 2 has 3 values, expected 2"),
        ("epoch,loss\n1,0.5\n2,x\n", "line 3: loss is 'x', expected a number"),
        ("epoch,loss\n1.5,0.5\n", "line 2: epoch is 1.5, expected an integer"),
        ("epoch,loss\ninf,0.5\n", "line 2: epoch is inf, expected an integer"),
        ("loss\n0.5\n", "line 1 names the columns ['loss']"),
        ("epoch,epoch\n1,1\n", "line 1 names the columns ['epoch', 'epoch']"),
        (f"epoch,loss\n1,{'5' * 200_000}\n", "line 2, is not CSV: field larger than field limit"),
        ("\x00\xff", "line 1"),
    ],
)
def test_damaged_history(
    text: str,
    message: str,
    small: HRNetSpec,
    tmp_path: Path,
    hrnet: Hrnet,
) -> None:
    save_run(Run(tmp_path / "run", "train", small, {"name": "person", "keypoints": ["nose"]}, {}))
    path = tmp_path / "run" / "history.csv"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(HRNetError, match=str(path)) as raised:
        read_history(path.parent)
    assert message in str(raised.value)
    ended = hrnet("plot", path.parent, "--output", tmp_path / "c.png")
    assert ended.code == 2
    assert ended.err.strip() == f"error: {raised.value}"
