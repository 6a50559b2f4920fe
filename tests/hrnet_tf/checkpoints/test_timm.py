"""Outputs of a network of timm and of its imported checkpoint, with the same random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hrnet_tf.checkpoints.from_torch import import_checkpoint
from hrnet_tf.models.build import build_model
from hrnet_tf.runs.weights import load_weights, set_model_weights

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_outputs_equal_those_of_timm(tmp_path: Path, suffix: str) -> None:
    torch = pytest.importorskip("torch")
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    timm_model = timm.create_model("hrnet_w18").eval()
    for module in timm_model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.3, 0.7)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.normal_(module.running_mean, std=0.1)
    path = tmp_path / f"hrnet{suffix}"
    if suffix == ".pth":
        torch.save(timm_model.state_dict(), path)
    else:
        from safetensors.torch import save_file

        save_file(timm_model.state_dict(), path)
    run, report = import_checkpoint(path, tmp_path / "run")
    assert run.spec.name == "classify-w18"
    assert (report.missing, report.unexpected) == ((), ())
    model = build_model(run.spec)
    set_model_weights(model, load_weights(run.weights_path))
    image = np.random.default_rng(0).standard_normal((1, 224, 224, 3)).astype(np.float32)
    with torch.no_grad():
        expected = timm_model(torch.from_numpy(image.transpose(0, 3, 1, 2).copy())).numpy()
    assert np.abs(model.predict_on_batch(image) - expected).max() < 1e-4 * np.abs(expected).max()
