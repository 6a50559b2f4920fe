"""All commands of the main job for a detector on synthetic shapes: train, rank, prune, quantize, convert and evaluate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from conversion.checks.verify import check_fully_int8
from hrnet_tf.__main__ import app
from hrnet_tf.runs.history import read_history
from hrnet_tf.runs.run import Run
from mobile_eval.model.archive import read_description
from mobile_eval.runtime.interpreter import make_interpreter

pytestmark = [pytest.mark.slow, pytest.mark.journey]
NETWORK = "detect-small-v1 --input-size 64x96 --width 4 --stem-width 8 --stage1-width 4 --modules 1,1,1 --blocks 1"
TRAIN_OPTIONS = "--rpn-samples 32 --train-proposals 50 --box-samples 16 --batch-size 8 --learning-rate 5e-3"


@pytest.fixture(scope="module")
def job(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all runs and files."""
    folder = tmp_path_factory.mktemp("job")
    command = typer.main.get_command(app)
    images, val = f"--images {shapes / 'images'}", f"--annotations {shapes / 'val.json'}"
    data = f"{images} --train-annotations {shapes / 'train.json'} --val-annotations {shapes / 'val.json'}"
    for line in (
        f"train {NETWORK} {data} {TRAIN_OPTIONS} --epochs 3 --output {folder}/full",
        f"rank {folder}/full {images} {val} --no-blocks --no-widths --limit 4",
        f"prune {folder}/full {data} --keep-macs 0.99 --accept-closest --epochs 1 --batch-size 8 --output {folder}/pruned",
        f"quantize {folder}/pruned {data} --epochs 1 --batch-size 8 --output {folder}/tuned",
        f"convert {folder}/full --format float32 --output {folder}/full.tflite",
        f"convert {folder}/tuned --format int8 --output {folder}/tuned.tflite",
        f"evaluate {folder}/full.tflite {images} {val} --json {folder}/full-figures.json",
        f"evaluate {folder}/tuned.tflite {images} {val} --json {folder}/tuned-figures.json",
    ):
        command.main(line.split(), standalone_mode=False)
    return folder


def test_training_records_ap50(job: Path) -> None:
    rows = read_history(job / "full")
    assert [set(row) for row in rows] == [{"epoch", "loss", "val_ap50", "learning_rate"}] * 3
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert Run.load(job / "full").category == {"name": "detection", "classes": ["square", "disc"]}


def test_all_links_are_ranked_and_some_removed(job: Path) -> None:
    ranking = Run.load(job / "full").ranking
    assert len(ranking.importance()) == 20
    assert len(set(ranking.importance().values())) > 10
    full, pruned = (Run.load(job / name).hrnet_spec for name in ("full", "pruned"))
    assert pruned.links < full.links
    plan = json.loads((job / "pruned" / "pruning.json").read_text())
    assert plan["plan"]["metric"] == "AP50"


def test_quantized_detector_is_int8_and_pruned(job: Path) -> None:
    for name in ("tuned.tflite", "tuned.boxes.tflite"):
        check_fully_int8(make_interpreter(job / name))
    full, tuned = (read_description(job / f"{name}.tflite") for name in ("full", "tuned"))
    assert set(tuned.network["links"]) < set(full.network["links"])
    assert tuned.multiply_adds < full.multiply_adds
    assert (tuned.source["step"], tuned.source["removal"]["metric"]) == ("quantize", "AP50")


def test_ap50_of_the_file_matches_training(job: Path) -> None:
    figures = json.loads((job / "full-figures.json").read_text())
    assert figures["box_map"]["ap50"] == pytest.approx(read_history(job / "full")[-1]["val_ap50"], abs=5e-3)
    tuned = json.loads((job / "tuned-figures.json").read_text())
    assert 0 <= tuned["box_map"]["ap50"] <= 1
    assert tuned["images"] == 6
