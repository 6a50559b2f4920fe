"""A new task is registered for evaluation and for training, and then runs from training to a report."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from conversion.convert import convert_run
from conversion.options import ConvertOptions
from hrnet_tf.spec.network import HRNetSpec, StageSpec
from mobile_eval.errors import HRNetError
from mobile_eval.report.comparison import compare_files
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks import registry
from tests.support import new_task
from training.config import DataConfig, ScheduleConfig, TrainingConfig
from training.tasks import registry as training_registry
from training.train import train


@pytest.fixture
def _depth() -> Iterator[None]:
    registry.register(new_task.TASK)
    training_registry.register("depth", new_task.ENTRY)
    yield
    del registry.TASKS["depth"], training_registry.TRAINING_TASKS["depth"]


@pytest.mark.slow
@pytest.mark.journey
@pytest.mark.usefixtures("_depth")
def test_depth_from_training_to_a_report(tmp_path: Path) -> None:
    sources = [
        new_task.draw_planes(tmp_path / split, count, seed) for seed, (split, count) in enumerate({"a": 48, "b": 12}.items())
    ]
    stages = (StageSpec(1, 1), StageSpec(1, 1))
    spec = HRNetSpec("micro", 4, (64, 64), 1, stages, stem_width=8, stage1_blocks=1, stage1_width=4, task="depth", head="dense")
    data, schedule = DataConfig(*sources, batch_size=8), ScheduleConfig(6, learning_rate=0.01)
    config = TrainingConfig("depth", new_task.DepthSettings(), data, schedule)
    run = train(spec.full(), config, tmp_path / "run")
    files = [convert_run(run, ConvertOptions(name), tmp_path / f"{name}.tflite").path for name in ("float32", "int8")]
    with (tmp_path / "run" / "history.csv").open() as file:
        *_, last_epoch = csv.DictReader(file)
    results = [registry.evaluate(TFLiteModel(path), sources[1]) for path in files]
    float32, int8 = (result.to_json()["rmse"] for result in results)
    assert float32 == pytest.approx(float(last_epoch["val_rmse"]), rel=1e-3)
    assert int8 == pytest.approx(float32, rel=0.1)
    constant_rmse = np.std([item.depth(16, 16) for item in new_task.load(sources[1]).items])
    assert float32 < 0.7 * constant_rmse  # RMSE of the best constant prediction
    comparison = compare_files(files, sources[1], tmp_path / "report", rounds=2, options={"max_depth": 10.0})
    assert [model.result.to_json() for model in comparison.models] == [result.to_json() for result in results]
    report = json.loads((tmp_path / "report" / "results.json").read_text())
    assert (report["task"], report["metric"]["name"]) == ("depth", "RMSE")
    assert "2 depth models on 12 images" in (tmp_path / "report" / "index.html").read_text()


@pytest.mark.usefixtures("_depth")
def test_name_is_registered_once() -> None:
    assert registry.get_task("depth") is new_task.TASK
    with pytest.raises(HRNetError, match="'depth'"):
        registry.register(new_task.TASK)
