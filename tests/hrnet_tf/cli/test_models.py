"""`hrnet models`: the table, the parts of a model, JSON and invalid arguments."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import pytest
from rich.console import Console

from hrnet_tf.spec.complexity import complexity, parts
from hrnet_tf.spec.presets import PRESETS, preset
from hrnet_tf.spec.size_table import WIDE, entries, models_table, parts_table, show
from tests.support.program import Hrnet


@pytest.fixture(autouse=True)
def _columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")


def rows(text: str) -> dict[str, list[str]]:
    """The lines of a table by their first word."""
    return {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.strip()}


def test_table_of_all_models(hrnet: Hrnet) -> None:
    table = rows(hrnet("models").output())
    assert set(PRESETS) <= set(table)
    assert table["pose"] == ["256x192"]
    assert table["pose-w32"] == ["28,536,113", "7.645", "7.120", "53", "28.5", "+0.13", "7.10", "+0.28"]
    assert table["hourglass-8"][4:] == ["25.1", "+1.99c", "14.3", "+37.3c"]
    assert table["pose-small-v1"] == ["1,284,961", "0.571", "0.532", "11", "–", "–", "–", "–"]
    detector = table["detect-w18"][4:]
    assert [cell.rstrip(ascii_lowercase) for cell in detector] == ["26.18", "0.00", "159.06", "+0.02"]
    assert " ".join(table[detector[1][-1]]) == "parameters counted without BatchNorm's, / 2^20"


def test_figures_that_are_not_reproduced_have_a_note(hrnet: Hrnet) -> None:
    table = rows(hrnet("models --task segmentation").output())
    assert table["segment-w40"][4:] == ["45.2", "+1.54a", "493.2", "+1.11a"]
    assert " ".join(table["a"]).startswith("no rule or variant of W40 gives 45.2 and 493.2")
    assert "pose-w32" not in table


def test_published_sizes_of_another_input_size(hrnet: Hrnet) -> None:
    table = rows(hrnet("models --input-size 384x288 --task pose").output())
    assert table["pose"] == ["384x288"]
    assert table["pose-w32"][1:] == ["17.201", "16.020", "53", "28.5", "+0.13", "16.0", "+0.12"]
    assert "hourglass-8" not in table  # 288 is no multiple of 64
    assert table["simple-baseline-r101"][3:] == ["–", "–", "–", "27.9", "-0.18b"]
    assert rows(hrnet("models pose-w32 --input-size 128x96").output())["pose-w32"][4:] == ["–"] * 4


def test_parts_of_a_model(hrnet: Hrnet) -> None:
    table = rows(hrnet("models pose-w32 --parts").output())
    assert set(parts(preset("pose-w32"))) <= set(table)
    assert table["stage1"] == ["286,208", "1.00", "868,220,928", "11.36"]
    assert table["stage4_module0_link0to3"] == ["92,800", "0.33", "12,386,304", "0.16"]
    assert table["26"] == ["branches", "25,401,344", "89.01", "5,888,802,816", "77.03"]
    assert table["53"] == ["links", "2,218,368", "7.77", "383,778,816", "5.02"]
    assert table["everything"] == ["28,536,113", "100.00", "7,645,003,776", "100.00"]


def test_published_figures_of_a_model_have_sources(hrnet: Hrnet) -> None:
    text = hrnet("models segment-w48").output()
    assert "multiply-adds / 2^30: 696.2 in arXiv 1908.07919, 696.18 here, 0.00 %" in text
    assert "multiply-adds / 1e9: 747.3 in arXiv 1904.04514, 747.51 here, +0.03 %" in text


def test_json(hrnet: Hrnet) -> None:
    (model,) = json.loads(hrnet("models simple-baseline-r50 --parts --json").output())["models"]
    cost = complexity(preset("simple-baseline-r50"))
    assert (model["parameters"], model["multiply_adds"], model["links"]) == (cost.parameters, cost.multiply_adds, 0)
    assert model["deconvolution_multiply_adds"] == 1_409_286_144
    assert model["published"][1]["printed"] == 8.90
    assert model["published"][1]["difference_percent"] == pytest.approx(1.02, abs=0.01)
    assert not model["published"][1]["reproduced"]
    assert sum(part["multiply_adds"] for part in model["parts"]) == cost.multiply_adds
    assert sum(part["parameters_share"] for part in model["parts"]) == pytest.approx(1)
    assert [model["name"] for model in json.loads(hrnet("models --json").output())["models"]] == list(PRESETS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("pose-w99", "'pose-w99'"),
        ("--task jumping", "'jumping'"),
        ("pose-w32 --task segmentation", "pose-w32"),
        ("--parts", "--parts"),
        ("--input-size 100x100", "100x100"),
        ("pose-w32 --input-size wide", "'wide'"),
    ],
)
def test_invalid_arguments(arguments: str, message: str, hrnet: Hrnet) -> None:
    captured = hrnet(f"models {arguments}")
    assert captured.code == 2
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("error: ")
    assert message in line


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_no_number_is_truncated(columns: int) -> None:
    networks = entries()
    console = Console(width=columns, file=io.StringIO(), color_system=None)
    wide = columns >= WIDE
    show(console, models_table(networks, wide=wide), parts_table(networks[-1], wide=wide))
    text: Any = console.file
    assert "…" not in text.getvalue()
    lines = text.getvalue().splitlines()
    assert max(map(len, lines)) <= max(columns, 80)
    parameters = "128,059,944" if wide else "128.06"
    assert re.search(rf"classify-w64 +{parameters} ", text.getvalue())


def test_tensorflow_is_not_imported() -> None:
    program = (
        "import sys, hrnet_tf.__main__\n"
        "sys.argv = ['hrnet', 'models', 'detect-w18', '--parts']\n"
        "try:\n    hrnet_tf.__main__.main()\n"
        "except SystemExit as ended:\n    assert not ended.code\n"
        "heavy = {'tensorflow', 'tf_keras', 'keras_cv', 'cv2'} & set(sys.modules)\n"
        "print('heavy:', sorted(heavy))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    completed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert completed.stdout.splitlines()[-1] == "heavy: []"
    assert "everything" in completed.stdout
