"""Files of every task: outputs, descriptions and restored runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from conversion.convert import convert_run
from conversion.options import ConvertOptions
from conversion.quantization.samples import dataset_inputs, training_data
from conversion.restore import restore_run
from conversion.targets.edgetpu import check_edgetpu
from hrnet_tf.models.build import build_model
from hrnet_tf.runs.run import Run, load_run
from hrnet_tf.runs.weights import load_weights, set_model_weights
from mobile_eval.errors import HRNetError
from mobile_eval.image.preprocess import normalize
from mobile_eval.model.archive import read_description
from mobile_eval.runtime.tflite_model import TFLiteModel
from tests.support.synthetic_tasks import CLASSES, micro_config, micro_spec
from training.train import train

pytestmark = pytest.mark.slow
KINDS = {"landmarks": ("heatmaps", 4), "segmentation": ("class-maps", 4), "classification": ("class-scores", 0)}
LEAST_SNR_DB = {"float32": 80, "int8": 15}


@pytest.fixture(scope="module", params=CLASSES)
def trained(
    request: pytest.FixtureRequest,
    drawn_for: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Run:
    task = request.param
    return train(micro_spec(task), micro_config(task, drawn_for(task)), tmp_path_factory.mktemp(task) / "trained")


@pytest.mark.parametrize("name", ["float32", "int8"])
def test_file_matches_the_keras_model(name: str, trained: Run, tmp_path: Path) -> None:
    task = trained.spec.task
    result = convert_run(trained, ConvertOptions(name), tmp_path / "m.tflite")  # calibrated on the data of the run
    assert result.parity.snr_db > LEAST_SNR_DB[name]
    assert result.parity.output == KINDS[task][0]
    description = read_description(tmp_path / "m.tflite")
    assert (description.task, description.output.kind, description.output.stride) == (task, *KINDS[task])
    assert description.label_names == tuple(trained.category.get("classes") or trained.category["keypoints"])
    data = training_data(trained)
    assert data is not None
    outputs = TFLiteModel(tmp_path / "m.tflite").predict(np.stack(list(dataset_inputs(data, trained.spec, 2))))
    map_shape = (*trained.spec.resolution(0), CLASSES[task])
    assert outputs.shape == ((2, CLASSES[task]) if task == "classification" else (2, *map_shape))


def test_every_operator_maps_to_the_edge_tpu(trained: Run, tmp_path: Path) -> None:
    convert_run(trained, ConvertOptions("int8"), tmp_path / "m.tflite")
    result = check_edgetpu(tmp_path / "m.tflite")
    on_cpu = [operator for operator in result.operators if operator.verdict == "cpu"]
    assert {operator.kind for operator in on_cpu} == set()


def test_restored_run_has_the_same_outputs(trained: Run, tmp_path: Path) -> None:
    convert_run(trained, ConvertOptions("float32"), tmp_path / "m.tflite")
    data = training_data(trained)
    assert data is not None
    restored = load_run(restore_run(tmp_path / "m.tflite", data, tmp_path / "restored").path)
    assert (restored.spec, restored.category["name"]) == (trained.spec, trained.category["name"])
    images = normalize(np.stack(list(dataset_inputs(data, trained.spec, 4))))
    outputs = []
    for run in (trained, restored):
        model = build_model(run.spec)
        set_model_weights(model, load_weights(run.weights_path))
        outputs.append(model.predict_on_batch(images))
    np.testing.assert_allclose(outputs[1], outputs[0], atol=1e-3 * np.abs(outputs[0]).max())


def test_only_heatmaps_are_decoded(trained: Run, tmp_path: Path) -> None:
    if trained.spec.task == "landmarks":
        result = convert_run(trained, ConvertOptions("float32", decode=True), tmp_path / "m.tflite")
        assert result.description.output.kind == "keypoints"
    else:
        with pytest.raises(HRNetError, match=f"`decode`.*{trained.spec.task}"):
            convert_run(trained, ConvertOptions("float32", decode=True), tmp_path / "m.tflite")
