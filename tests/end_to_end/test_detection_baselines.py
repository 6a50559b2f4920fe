"""Faster R-CNN on a ResNet, trained to two int8 files that detect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conversion.checks.verify import check_fully_int8
from conversion.convert import convert_run
from conversion.options import ConvertOptions
from hrnet_tf.runs.run import Run
from mobile_eval.datasets.base import DataSource
from mobile_eval.runtime.interpreter import make_interpreter
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.registry import evaluate
from tests.support.baselines import faster_rcnn
from training.config import DataConfig, ScheduleConfig, TrainingConfig
from training.quantize import quantize_run
from training.tasks.detection.settings import DetectionSettings
from training.train import train

pytestmark = [pytest.mark.slow, pytest.mark.journey]


def test_training_to_files_that_detect(shapes: Path, tmp_path: Path) -> None:
    train_source, val = (DataSource(shapes / "images", shapes / f"{split}.json") for split in ("train", "val"))
    settings = DetectionSettings(rpn_samples=32, train_proposals=50, box_samples=16)
    schedule = ScheduleConfig(epochs=2, learning_rate=5e-3)
    config = TrainingConfig("detection", settings, DataConfig(train_source, val, batch_size=8), schedule)
    run = train(faster_rcnn(), config, tmp_path / "run")
    assert np.isfinite([row["loss"] for row in run.history.rows]).all()
    assert Run.load(run.path).spec.input_size == (96, 64)
    tuned = quantize_run(run, config.replace(epochs=1), tmp_path / "tuned")
    result = convert_run(tuned, ConvertOptions("int8"), tmp_path / "int8.tflite")
    for path in result.paths[:2]:
        check_fully_int8(make_interpreter(path))
    evaluation: Any = evaluate(TFLiteModel(result.path), val)
    assert evaluation.images == 6
    assert 0 <= (evaluation.figures.ap50 or 0) <= 1
