"""Full networks with deterministic weights against float64 outputs of the official PyTorch code."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hrnet_tf.checkpoints.from_torch import import_checkpoint
from hrnet_tf.models.build import build_model
from hrnet_tf.runs.weights import load_weights, set_model_weights
from hrnet_tf.spec.presets import preset

pytestmark = [pytest.mark.slow, pytest.mark.external]
GOLDEN = Path(os.environ.get("HRNET_GOLDEN", Path(__file__).parents[4] / "shared" / "reference" / "golden"))
NETWORKS = {
    "pose_w32_256x192": "pose-w32",
    "simple_baseline_r50_256x192": "simple-baseline-r50",
    "resnet38_paper_224": "resnet-38",
    "resnet50_paper_224": "resnet-50",
    "resnet50_torchvision_224": "resnet-50-torchvision",
    "classify_w18_224": "classify-w18",
    "classify_w18_small_v1_224": "classify-small-v1",
    "classify_w44_bottleneck_224": "classify-w44-bottleneck",
    "segment_w18_128x256": "segment-w18",
    "landmarks_w18_256": "landmarks-w18",
}


@pytest.fixture(scope="module")
def fill() -> Any:
    """The module that computes weights from the names of the entries."""
    if not (GOLDEN / "fill.py").is_file():
        pytest.skip(f"no golden outputs in {GOLDEN} (set HRNET_GOLDEN to their folder)")
    module_spec = importlib.util.spec_from_file_location("fill", GOLDEN / "fill.py")
    assert module_spec is not None
    assert module_spec.loader is not None
    module = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("stem", "name"), NETWORKS.items())
def test_official_weights_give_the_official_output(fill: Any, stem: str, name: str, tmp_path: Path) -> None:
    golden = np.load(GOLDEN / f"{stem}.npz")
    seed, height, width = (int(golden[key]) for key in ("seed", "height", "width"))
    gain = float(golden["bn_gain"]) if "bn_gain" in golden else 1.0
    np.savez(tmp_path / "checkpoint.npz", **fill.state_dict(GOLDEN / f"{stem}.keys.json", seed, gain))
    run, report = import_checkpoint(tmp_path / "checkpoint.npz", tmp_path / "run", input_size=(height, width))
    assert run.spec.name == name == report.model
    assert (report.missing, report.unexpected) == ((), ())
    keys = json.loads((GOLDEN / f"{stem}.keys.json").read_text())
    assert len(report.loaded) == sum(not key.endswith("num_batches_tracked") for key in keys)
    model = build_model(run.spec)
    set_model_weights(model, load_weights(run.weights_path))
    image = fill.image(height, width, seed).transpose(0, 2, 3, 1)
    outputs = model.predict_on_batch(image)
    expected = golden["expected"]
    if expected.ndim == 4:
        expected = expected.transpose(0, 2, 3, 1)
    assert np.abs(outputs - expected).max() < 1e-4 * np.abs(expected).max()
    assert preset(name).classes == run.spec.classes
