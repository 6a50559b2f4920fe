"""Networks that HRNet is compared with, from training to an int8 file."""

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
from hrnet_tf.spec.baselines.base import BaselineSpec
from mobile_eval.errors import HRNetError
from mobile_eval.runtime.interpreter import make_interpreter
from mobile_eval.tasks.pose.predictions import load_keypoints
from tests.support.baselines import cpn, hourglass
from training.config import TrainingConfig
from training.engine.networks import build_for_training
from training.optim.auxiliary import has_auxiliary
from training.quantize import quantize_run
from training.ranking.rank import rank_run
from training.train import train

pytestmark = [pytest.mark.slow, pytest.mark.journey]
COMMON = {"CONV_2D", "QUANTIZE", "MAX_POOL_2D", "ADD", "PAD", "DELEGATE"}
OPERATORS = {
    "hourglass": {*COMMON, "DEPTHWISE_CONV_2D", "RESIZE_NEAREST_NEIGHBOR"},
    "cpn": {*COMMON, "RESIZE_BILINEAR", "CONCATENATION"},
}


@pytest.mark.parametrize(("spec", "loss"), [(hourglass(), "mse"), (cpn(style="caffe"), "ohkm")], ids=["hourglass", "cpn"])
def test_training_with_auxiliary_outputs_to_int8(spec: BaselineSpec, loss: str, config: TrainingConfig, tmp_path: Path) -> None:
    short = config.replace(epochs=1, batch_size=24, loss=loss)
    run = train(spec, short, tmp_path / "run")
    assert np.isfinite(run.history.rows[0]["loss"])
    assert 0 <= run.history.rows[0]["val_pck"] <= 1
    assert set(load_weights(run.weights_path)) == set(model_weights(build_model(run.spec, auxiliary=True)))
    assert Run.load(run.path).model().output_shape == (None, 16, 16, 17)
    assert has_auxiliary(build_for_training(spec, short))
    assert not has_auxiliary(build_for_training(spec, short, folded=True))
    data = load_keypoints(config.data.train).head(4)
    with pytest.raises(HRNetError, match=f"is a {spec.title}: it has no fusion links"):
        rank_run(run, data)
    tuned = quantize_run(run, short, tmp_path / "tuned")
    assert convert_run(run, ConvertOptions("float32"), tmp_path / "float32.tflite").parity.max_error < 1e-4
    for result in (
        convert_run(run, ConvertOptions("int8"), tmp_path / "int8.tflite", data),
        convert_run(tuned, ConvertOptions("int8"), tmp_path / "q.tflite"),
    ):
        check_int8(result.path, OPERATORS[spec.architecture])


def check_int8(path: Path, expected: set[str]) -> None:
    interpreter: Any = make_interpreter(path)
    assert {details["dtype"] for details in interpreter.get_tensor_details()} <= {np.int8, np.int32}
    # QUANTIZE brings int8 values to the scale of a concatenation
    assert {operator["op_name"] for operator in interpreter._get_ops_details()} <= expected


def test_teacher_of_a_network_with_auxiliary_outputs(config: TrainingConfig, tmp_path: Path) -> None:
    short = config.replace(epochs=1, batch_size=24, val=None)
    teacher = train(cpn(), short, tmp_path / "teacher")
    run = train(cpn(), short.replace(distill_weight=0.5), tmp_path / "run", init=teacher, teacher=teacher)
    assert 0 < run.history.rows[0]["distillation_loss"] < np.inf
