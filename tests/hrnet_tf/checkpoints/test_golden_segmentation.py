"""Networks for segmentation to compare with, with deterministic weights, against float64 outputs of their PyTorch code."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conversion.convert import convert
from hrnet_tf.checkpoints.from_torch import load_into_network
from hrnet_tf.models.build import build_model
from hrnet_tf.models.heads import full_size
from hrnet_tf.runs.weights import set_model_weights
from hrnet_tf.spec.baselines.segmentation.xception import XceptionTrunk
from tests.support.golden import GOLDEN

pytestmark = [pytest.mark.slow, pytest.mark.external]

FILES = {  # golden file: whether its logits have the size of the image
    "deeplabv3_r101_deck_320x352": False,
    "deeplabv3_r101_torchvision_320x352": True,
    "pspnet_r101_semseg_161x209": True,
    "pspnet_r101_mmseg_160x208": False,
    "deeplabv3plus_xception71_os16_320x352": True,
    "deeplabv3plus_xception71_os8_320x352": True,
    "unetplusplus_r101_deck_128x160": False,
    "unetplusplus_r101_smp_64x96": False,
}
AUXILIARY = {  # golden file: its entry with the outputs that only training needs
    "pspnet_r101_mmseg_160x208": "expected_aux",
    "unetplusplus_r101_deck_128x160": "expected_heads",
}


def assert_equal(outputs: Any, expected: Any) -> None:
    """Assert that outputs differ by at most 1e-4 of the largest value."""
    assert outputs.shape == expected.shape
    assert np.abs(outputs - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("stem", FILES)
def test_official_weights_give_the_official_output(fill: Any, stem: str, tmp_path: Path) -> None:
    golden = np.load(GOLDEN / f"{stem}.npz")
    seed, height, width = (int(golden[key]) for key in ("seed", "height", "width"))
    spec, weights, report = load_into_network(fill.state_dict(GOLDEN / f"{stem}.keys.json", seed, float(golden["bn_gain"])))
    assert (report.missing, report.unexpected) == ((), ())
    network = dataclasses.replace(spec, input_size=(height, width))
    if "os8" in stem:  # the files of both output strides are alike
        network = dataclasses.replace(network, trunk=XceptionTrunk(output_stride=8))
    model = build_model(network)
    set_model_weights(model, weights)
    image = fill.image(height, width, seed).transpose(0, 2, 3, 1).astype(np.float32)
    step = int(golden["step"]) if "step" in golden else 1
    expected = golden["expected"].transpose(0, 2, 3, 1)
    outputs = (full_size(model) if FILES[stem] else model).predict_on_batch(image)
    assert_equal(outputs[:, ::step, ::step], expected)
    if stem in AUXILIARY:
        trained = build_model(network, auxiliary=True)
        set_model_weights(trained, weights)
        maps = np.concatenate(trained.predict_on_batch(image)[1:])
        classes_last = np.moveaxis(golden[AUXILIARY[stem]].reshape(-1, spec.classes, *expected.shape[1:3]), 1, -1)
        assert_equal(maps, classes_last)
    file = convert(model, tmp_path / "model.tflite", format="float32", representative_data=image)
    assert_equal(file.predict(image), model.predict_on_batch(image))
