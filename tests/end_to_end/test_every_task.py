"""The main job of each task, run by the commands on a micro network and a few synthetic scenes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from hrnet_tf.__main__ import app
from hrnet_tf.runs.run import Run
from hrnet_tf.workflows.demo import DEMOS, Demo, demo_named, run_demo
from hrnet_tf.workflows.pipeline_demo import PipelineDemo, run_pipeline_demo
from mobile_eval.errors import HRNetError
from mobile_eval.model.archive import read_description

pytestmark = [pytest.mark.slow, pytest.mark.journey]
MICRO = "--input-size 64x64 --width 4 --head-width 4 --stem-width 4 --stage1-width 4 --modules 1 --blocks 1"
NETWORKS = {"landmarks": "landmarks-small-v1", "segmentation": "segment-small-v1", "classification": "classify-small-v1"}
METRICS = {"landmarks": "NME", "segmentation": "mIoU", "classification": "top-1"}


@pytest.mark.parametrize("task", NETWORKS)
def test_demo(task: str, tmp_path: Path) -> None:
    network = f"{NETWORKS[task]} {MICRO}"
    micro = Demo(network, "--batch-size 8", (60, 10), 1, 1, 1, "--keep-links 0.5", ranking_items=16)
    command = typer.main.get_command(app)
    report = run_demo(tmp_path / "job", lambda arguments: command.main(arguments, standalone_mode=False), task, micro)
    results = json.loads(report.with_name("results.json").read_text())
    assert (results["task"], results["metric"]["name"]) == (task, METRICS[task])
    assert [model["label"] for model in results["models"]] == ["full-float32", "pruned-float32", "full-int8", "pruned-int8"]
    full = Run.load(tmp_path / "job" / "full")
    assert set(full.ranking.importance()) == {*full.hrnet_spec.links, *full.hrnet_spec.live_blocks}
    pruned = read_description(tmp_path / "job" / "pruned-int8.tflite")
    assert len(pruned.network["links"]) <= 0.5 * len(full.hrnet_spec.links)
    assert pruned.source["removal"]["metric"] == METRICS[task]


def test_pipeline_demo(tmp_path: Path) -> None:
    """A detector, a pose network that is pruned, figures of both chains, and a clip."""
    network = "pose-small-v1 --input-size 64x64 --width 4 --stem-width 4 --stage1-width 4 --modules 1,1 --blocks 1"
    model = Demo(network, "--batch-size 8", (40, 5), 1, 1, 1, "--keep-links 0.5", ranking_items=16)
    finder = "find-small --input-size 64x64 --width 4 --stem-width 4 --stage1-width 4 --modules 1 --blocks 1 --batch-size 8"
    micro = PipelineDemo(model, finder, "--image-size 96x96 --people 2", (40, 5), epochs=1, clip_frames=4)
    command = typer.main.get_command(app)
    report = run_pipeline_demo(tmp_path / "job", lambda arguments: command.main(arguments, standalone_mode=False), micro)
    results = json.loads(report.with_name("results.json").read_text())
    assert [model["label"] for model in results["models"]] == ["full-int8", "pruned-int8"]
    assert "With a detector" in report.read_text()
    assert read_description(tmp_path / "job" / "find.tflite").classes == ("person", "head")
    assert {path.suffix for path in (tmp_path / "job" / "poses").iterdir()} >= {".mp4", ".jsonl"}


def test_demos_of_all_tasks() -> None:
    assert list(DEMOS) == ["pose", "landmarks", "segmentation", "classification", "detection"]
    with pytest.raises(HRNetError, match="got 'depth'"):
        demo_named("depth")
