"""Networks for segmentation that HRNet is compared with, trained with their auxiliary heads, to an evaluated int8 file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conversion.convert import convert_run
from conversion.options import ConvertOptions
from hrnet_tf.models.build import build_model
from hrnet_tf.runs.run import Run
from hrnet_tf.runs.weights import load_weights, model_weights
from hrnet_tf.spec.baselines.segmentation.base import SegmentationSpec
from mobile_eval.datasets.base import DataSource
from mobile_eval.errors import HRNetError
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.registry import TASKS, evaluate
from tests.support.baselines import deeplabv3, deeplabv3plus, unetplusplus
from training.config import DataConfig, ScheduleConfig, TrainingConfig
from training.data.synthetic.dataset import write_synthetic_people
from training.quantize import quantize_run
from training.ranking.rank import rank_run
from training.recipe import default_recipe, load_recipe
from training.tasks.segmentation.settings import SegmentationSettings
from training.train import train

SPECS = (deeplabv3(), deeplabv3plus(), unetplusplus())
pytestmark = [pytest.mark.slow, pytest.mark.journey]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people") / "data"
    write_synthetic_people(folder, 16, 4, seed=0, task="segmentation")
    return folder


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.architecture)
def test_training_to_an_evaluated_int8_file(spec: SegmentationSpec, data: Path, tmp_path: Path) -> None:
    train_source, val = (DataSource(data / split / "images", masks=data / split / "masks") for split in ("train", "val"))
    sources = DataConfig(train_source, val, batch_size=8)
    config = TrainingConfig("segmentation", SegmentationSettings(), sources, ScheduleConfig(epochs=1))
    run = train(spec, config, tmp_path / "run")
    assert np.isfinite(run.history.rows[0]["loss"])
    assert 0 <= run.history.rows[0]["val_miou"] <= 1
    assert set(load_weights(run.weights_path)) == set(model_weights(build_model(run.spec, auxiliary=True)))
    images = TASKS["segmentation"].load(val)
    with pytest.raises(HRNetError, match="no fusion links"):
        rank_run(Run.load(run.path), images)
    tuned = quantize_run(run, config, tmp_path / "tuned")
    file = convert_run(tuned, ConvertOptions("int8"), tmp_path / "int8.tflite")
    result: Any = evaluate(TFLiteModel(file.path), val)
    assert result.images == 4
    assert 0 <= result.miou <= 1


def test_default_recipes_are_those_of_the_sources() -> None:
    rates = {spec.architecture: load_recipe("segmentation", str(default_recipe(spec))) for spec in SPECS}
    assert {name: recipe["learning_rate"] for name, recipe in rates.items()} == {
        "deeplabv3": 0.02,
        "deeplabv3plus": 0.01,
        "unetplusplus": 3e-4,
    }
    assert {recipe["lr_schedule"] for recipe in rates.values()} == {"poly"}
