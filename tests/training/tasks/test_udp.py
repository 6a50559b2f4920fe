"""UDP targets: the same geometry in training examples, calibration and the TFLite file."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from conversion import draft
from conversion.convert import convert_run
from conversion.flatbuffer import to_flatbuffer
from conversion.options import ConvertOptions
from conversion.quantization.samples import Inputs
from conversion.restore import restore_run
from hrnet_tf.models.inference import Inference
from hrnet_tf.runs.run import Run, save_run
from hrnet_tf.runs.weights import load_weights, model_weights, save_weights, set_model_weights
from hrnet_tf.spec.network import HRNetSpec, StageSpec
from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import UDP, box_matrix, heatmap_pixel
from mobile_eval.image.image_file import read_item
from mobile_eval.keypoints.decode import decode_udp, keypoints_in_image
from mobile_eval.model.archive import read_description
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.pose.evaluate import evaluate_pose
from mobile_eval.tasks.pose.predictions import load_keypoints
from training.callbacks.validation import measure
from training.config import TrainingConfig, stored_settings
from training.data.examples import evaluation_inputs
from training.engine.networks import build_for_training, build_teacher
from training.ranking.task_data import TaskRankingData
from training.tasks.pose.settings import PoseSettings
from training.tasks.pose.targets import HeatmapTargets, heatmap_target
from training.tasks.pose.task import PckEvaluator, draw_heatmaps, pose_example_builder
from training.train import train

UNAUGMENTED = PoseSettings("udp", rotation=0, scale=0, flip_probability=0)
SAME = np.array([[1.0, 0, 0], [0, 1, 0]])  # crop pixels equal image pixels


@pytest.fixture(scope="module")
def spec() -> HRNetSpec:
    """Two branches: the geometry does not depend on the network."""
    return HRNetSpec("micro", 4, (64, 64), 17, (StageSpec(1, 1),), stem_width=8, stage1_blocks=1, stage1_width=4).full()


def test_target_by_hand() -> None:
    heatmaps, weights = heatmap_target(np.array([[12.6, 33.0, 2.0]]), SAME, (16, 16), HeatmapTargets("udp", 2.0))
    x, y = 12.6 * 15 / 63, 33.0 * 15 / 63  # 3, 7.857
    assert weights.tolist() == [1]
    assert heatmaps[8, 3, 0] == pytest.approx(np.exp(-((8 - y) ** 2) / 8))
    assert heatmaps[7, 5, 0] == pytest.approx(np.exp(-((5 - x) ** 2 + (7 - y) ** 2) / 8))


def test_targets_decode_to_keypoints() -> None:
    rng = np.random.default_rng(0)
    size, box = (256, 192), (40.0, 30.0, 130.0, 220.0)
    keypoints = np.column_stack([rng.uniform(50, 160, 17), rng.uniform(40, 240, 17), np.full(17, 2.0)])
    matrix = box_matrix(box, size, UDP)
    heatmaps, weights = heatmap_target(keypoints, matrix, (64, 48), HeatmapTargets("udp", 2.0))
    decoded = keypoints_in_image(decode_udp(heatmaps[None]), matrix[None], heatmap_pixel(size, UDP))[0]
    assert weights.all()
    np.testing.assert_allclose(decoded[:, :2], keypoints[:, :2], atol=0.02)


def test_mirrored_examples(spec: HRNetSpec, config: TrainingConfig) -> None:
    people = load_keypoints(config.data.train)
    crops = []
    for flip in (0.0, 1.0):
        example_builder = pose_example_builder(people, spec, dataclasses.replace(UNAUGMENTED, flip_probability=flip))
        out = tuple(np.empty(shape, np.float32) for shape in example_builder.shapes)
        example_builder.augmented(0, read_item(people.instances[0]), np.random.default_rng(0), out)
        crops.append(out)
    (crop, heatmaps, weights), (mirrored_crop, mirrored_heatmaps, mirrored_weights) = crops
    order = people.category.mirrored
    np.testing.assert_allclose(mirrored_heatmaps, heatmaps[:, ::-1][..., order], atol=1e-5)
    np.testing.assert_array_equal(mirrored_weights, weights[..., order])
    assert np.abs(mirrored_crop - crop[:, ::-1]).mean() < 0.01  # interpolation on a mirrored grid differs slightly
    np.testing.assert_array_equal(crop, evaluation_inputs(people.instances[:1], spec, UDP)[0])


@pytest.mark.slow
def test_tflite_file_scores_as_in_training(spec: HRNetSpec, config: TrainingConfig, tmp_path: Path) -> None:
    udp = config.replace(settings=PoseSettings("udp"), epochs=1, learning_rate=5e-3)
    run = train(spec, udp, tmp_path / "run")
    data = load_keypoints(udp.data.val)
    convert_run(run, ConvertOptions("float32"), tmp_path / "m.tflite")
    model = TFLiteModel(tmp_path / "m.tflite")
    assert model.description.input.geometry == UDP
    evaluation = evaluate_pose(model, data)

    trained = build_for_training(run.spec, udp)
    set_model_weights(trained, load_weights(run.weights_path))
    metric_evaluator = PckEvaluator(data, run.spec, UDP)
    metric_evaluator.update(trained.predict_on_batch(evaluation_inputs(data.instances, run.spec, UDP)))
    np.testing.assert_allclose(evaluation.keypoints[..., :2], metric_evaluator.keypoints()[..., :2], atol=0.05)
    validation_pck = measure(Inference(trained, (*run.spec.input_size, 3)), data, run.spec, UDP)
    assert evaluation.pck.pck == metric_evaluator.result() == validation_pck
    last = (run.path / "history.csv").read_text().splitlines()
    assert float(last[-1].split(",")[last[0].split(",").index("val_pck")]) == pytest.approx(evaluation.pck.pck)
    ranking_data = TaskRankingData.prepare(data, run.spec, udp.settings)
    assert ranking_data.measure(trained)[1] == pytest.approx(evaluation.pck.pck)

    with pytest.raises(HRNetError, match="`targets` udp"):
        build_teacher(run, config)
    restored = restore_run(tmp_path / "m.tflite", data, tmp_path / "again")
    assert stored_settings("pose", Run.load(restored.path).config).targets == "udp"


@pytest.mark.slow
def test_int8_is_calibrated_on_udp_crops(
    spec: HRNetSpec, config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    udp = config.replace(settings=PoseSettings("udp"))
    run = Run(tmp_path / "run", "train", spec, load_keypoints(config.data.train).label_schema, udp.to_json())
    save_run(run)
    save_weights(run.weights_path, model_weights(build_for_training(spec, udp)))
    calibration_inputs = []

    def recording_to_flatbuffer(model: object, options: ConvertOptions, inputs: Inputs | None, *rest: int) -> bytes:
        if inputs is not None:
            calibration_inputs.append(np.stack(list(inputs)))
        return to_flatbuffer(model, options, inputs, *rest)

    monkeypatch.setattr(draft, "to_flatbuffer", recording_to_flatbuffer)
    convert_run(run, ConvertOptions("int8", max_error=float("inf")), tmp_path / "m.tflite", samples=4)
    expected = evaluation_inputs(load_keypoints(config.data.train).head(4).items, spec, UDP)
    np.testing.assert_array_equal(calibration_inputs[0], expected)
    assert read_description(tmp_path / "m.tflite").input.geometry == UDP


def test_drawn_skeletons_depend_on_the_geometry(spec: HRNetSpec, config: TrainingConfig) -> None:
    people = load_keypoints(config.data.train)
    example_builder = pose_example_builder(people, spec, UNAUGMENTED)
    out = tuple(np.empty(shape, np.float32) for shape in example_builder.shapes)
    example_builder.plain(0, read_item(people.instances[0]), out)
    crop = np.zeros((1, 64, 64, 3), np.uint8)
    udp, standard = (draw_heatmaps(crop, out[1][None], people.label_schema, geometry) for geometry in (UDP, "standard"))
    assert udp.shape == standard.shape == (1, 64, 64, 3)
    assert np.any(udp != standard)
