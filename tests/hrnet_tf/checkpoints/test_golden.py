"""Full networks with deterministic weights against float64 outputs of the official PyTorch code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conversion.convert import convert_run
from conversion.options import ConvertOptions
from hrnet_tf.checkpoints.from_torch import import_checkpoint, load_into_network
from hrnet_tf.models.build import build_model
from hrnet_tf.runs.weights import load_weights, set_model_weights
from hrnet_tf.spec.presets import preset
from mobile_eval.runtime.tflite_model import TFLiteModel
from tests.support.golden import GOLDEN

pytestmark = [pytest.mark.slow, pytest.mark.external]

NETWORKS = {
    "pose_w32_256x192": "pose-w32",
    "simple_baseline_r50_256x192": "simple-baseline-r50",
    "cpn50_256x192": "cpn-r50-pytorch",
    "cpn50_deck_256x192": "cpn-r50",
    "resnet38_paper_224": "resnet-38",
    "resnet50_paper_224": "resnet-50",
    "resnet50_torchvision_224": "resnet-50-torchvision",
    "classify_w18_224": "classify-w18",
    "classify_w18_small_v1_224": "classify-small-v1",
    "classify_w44_bottleneck_224": "classify-w44-bottleneck",
    "segment_w18_128x256": "segment-w18",
    "landmarks_w18_256": "landmarks-w18",
}
CONVERTED = {  # networks to compare with: the preset to load into, None where it is inferred
    "resnet38_paper_224": None,
    "resnet50_torchvision_224": None,
    "resnext101_64x4d_torchvision_128": None,
    "cpn50_deck_256x192": "cpn-r50",
    "hourglass8_256x192": None,
}


def check(outputs: Any, expected: Any) -> None:
    """Compare outputs (N, H, W, C) or (N, C) with those of PyTorch."""
    if expected.ndim == 4:
        expected = expected.transpose(0, 2, 3, 1)
    assert outputs.shape == expected.shape
    assert np.abs(outputs - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize(("stem", "name"), NETWORKS.items())
def test_official_weights_give_the_official_output(fill: Any, stem: str, name: str, tmp_path: Path) -> None:
    golden = np.load(GOLDEN / f"{stem}.npz")
    seed, height, width = (int(golden[key]) for key in ("seed", "height", "width"))
    gain = float(golden["bn_gain"]) if "bn_gain" in golden else 1.0
    np.savez(tmp_path / "checkpoint.npz", **fill.state_dict(GOLDEN / f"{stem}.keys.json", seed, gain))
    network = preset(name) if name.startswith("cpn") else None  # whose stride a checkpoint does not tell
    run, report = import_checkpoint(tmp_path / "checkpoint.npz", tmp_path / "run", network, input_size=(height, width))
    assert run.spec.name == name == report.model
    assert (report.missing, report.unexpected) == ((), ())
    keys = json.loads((GOLDEN / f"{stem}.keys.json").read_text())
    assert len(report.loaded) == sum(not key.endswith("num_batches_tracked") for key in keys)
    model = build_model(run.spec)
    set_model_weights(model, load_weights(run.weights_path))
    check(model.predict_on_batch(fill.image(height, width, seed).transpose(0, 2, 3, 1)), golden["expected"])
    assert preset(name).classes == run.spec.classes


@pytest.mark.parametrize("stem", CONVERTED)
def test_float32_files_give_the_official_output(fill: Any, stem: str, tmp_path: Path) -> None:
    golden = np.load(GOLDEN / f"{stem}.npz")
    seed, size = int(golden["seed"]), (int(golden["height"]), int(golden["width"]))
    np.savez(tmp_path / "checkpoint.npz", **fill.state_dict(GOLDEN / f"{stem}.keys.json", seed, float(golden["bn_gain"])))
    network = preset(CONVERTED[stem]) if CONVERTED[stem] else None
    run, _ = import_checkpoint(tmp_path / "checkpoint.npz", tmp_path / "run", network, input_size=size)
    file = convert_run(run, ConvertOptions("float32"), tmp_path / "float32.tflite").path
    check(TFLiteModel(file).predict(fill.image(*size, seed).transpose(0, 2, 3, 1)), golden["expected"])


def all_outputs(fill: Any, stem: str, name: str) -> tuple[list[Any], Any]:
    """All outputs of a network with the weights of a golden file, and the file."""
    golden = np.load(GOLDEN / f"{stem}.npz")
    seed, gain = int(golden["seed"]), float(golden["bn_gain"])
    spec, weights, _ = load_into_network(fill.state_dict(GOLDEN / f"{stem}.keys.json", seed, gain), preset(name))
    model = build_model(spec, auxiliary=True)
    set_model_weights(model, weights)
    return model.predict_on_batch(fill.image(*spec.input_size, seed).transpose(0, 2, 3, 1)), golden


def test_global_heatmaps_of_cpn(fill: Any) -> None:
    outputs, golden = all_outputs(fill, "cpn50_256x192", "cpn-r50-pytorch")
    step = int(golden["step"])
    assert len(outputs) == 5
    for level, heatmaps in enumerate(outputs[1:]):
        check(heatmaps[:, ::step, ::step], golden["expected_global"][:, level])


def test_heatmaps_of_each_hourglass(fill: Any) -> None:
    outputs, golden = all_outputs(fill, "hourglass8_256x192", "hourglass-8")
    assert len(outputs) == 8
    check(outputs[0], golden["expected"])
    check(outputs[1], golden["expected_stack0"])
    check(outputs[4], golden["expected_stack3"])
