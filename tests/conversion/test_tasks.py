"""Files of every task: outputs, descriptions and restored runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from conversion.convert import convert_run
from conversion.draft import ConversionResult
from conversion.options import ConvertOptions
from conversion.quantization.samples import dataset_inputs, training_data
from conversion.restore import restore_run
from conversion.targets.edgetpu import check_edgetpu
from hrnet_tf.models.build import build_model
from hrnet_tf.runs.run import Run
from hrnet_tf.runs.weights import load_weights, set_model_weights
from mobile_eval.errors import HRNetError
from mobile_eval.image.preprocess import normalize
from mobile_eval.model.archive import read_description
from mobile_eval.runtime.tflite_model import TFLiteModel
from tests.support.synthetic_tasks import CLASSES, random_run

pytestmark = pytest.mark.slow
KINDS = {"landmarks": ("heatmaps", 4), "segmentation": ("class-maps", 4), "classification": ("class-scores", 0)}
LEAST_SNR_DB = {"float32": 80, "int8": 15}


@pytest.fixture(scope="module", params=CLASSES)
def run(
    request: pytest.FixtureRequest,
    drawn_for: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Run:
    """A run with random weights; `tests/end_to_end/test_every_task.py` converts trained ones."""
    task = request.param
    return random_run(task, drawn_for(task), tmp_path_factory.mktemp(task) / "run")


@pytest.fixture(scope="module")
def converted(run: Run) -> dict[str, ConversionResult]:
    """Files of the run, calibrated on its data."""
    return {name: convert_run(run, ConvertOptions(name), run.path.parent / f"{name}.tflite") for name in LEAST_SNR_DB}


@pytest.mark.parametrize("name", LEAST_SNR_DB)
def test_file_matches_the_keras_model(name: str, run: Run, converted: dict[str, ConversionResult]) -> None:
    task, result = run.spec.task, converted[name]
    assert result.parity.snr_db > LEAST_SNR_DB[name]
    assert result.parity.output == KINDS[task][0]
    description = read_description(result.path)
    assert (description.task, description.output.kind, description.output.stride) == (task, *KINDS[task])
    assert description.label_names == tuple(run.category.get("classes") or run.category["keypoints"])
    data = training_data(run)
    assert data is not None
    outputs = TFLiteModel(result.path).predict(np.stack(list(dataset_inputs(data, run.spec, 2))))
    map_shape = (*run.spec.resolution(0), CLASSES[task])
    assert outputs.shape == ((2, CLASSES[task]) if task == "classification" else (2, *map_shape))


def test_every_operator_maps_to_the_edge_tpu(converted: dict[str, ConversionResult]) -> None:
    result = check_edgetpu(converted["int8"].path)
    on_cpu = [operator for operator in result.operators if operator.verdict == "cpu"]
    assert {operator.kind for operator in on_cpu} == set()


def test_restored_run_has_the_same_outputs(run: Run, converted: dict[str, ConversionResult], tmp_path: Path) -> None:
    data = training_data(run)
    assert data is not None
    restored = Run.load(restore_run(converted["float32"].path, data, tmp_path / "restored").path)
    assert (restored.spec, restored.category["name"]) == (run.spec, run.category["name"])
    images = normalize(np.stack(list(dataset_inputs(data, run.spec, 4))))
    outputs = []
    for source in (run, restored):
        model = build_model(source.spec)
        set_model_weights(model, load_weights(source.weights_path))
        outputs.append(model.predict_on_batch(images))
    np.testing.assert_allclose(outputs[1], outputs[0], atol=1e-3 * np.abs(outputs[0]).max())


def test_only_heatmaps_are_decoded(run: Run, tmp_path: Path) -> None:
    if run.spec.task == "landmarks":
        result = convert_run(run, ConvertOptions("float32", decode=True), tmp_path / "m.tflite")
        assert result.description.output.kind == "keypoints"
    else:
        with pytest.raises(HRNetError, match=f"`decode`.*{run.spec.task}"):
            convert_run(run, ConvertOptions("float32", decode=True), tmp_path / "m.tflite")
