"""Direct quantization of image bytes, against normalizing first and quantizing then."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mobile_eval.image.preprocess import IMAGENET_MEAN, IMAGENET_STD, normalize
from mobile_eval.model.description import ModelInput, TensorFormat
from mobile_eval.runtime.quantization import InputQuantizer, quantize

CAMERA = ((0.0, 0.0, 0.0), (1 / 255,) * 3)


@pytest.mark.parametrize(
    ("tensor", "constants", "linear"),
    [
        (TensorFormat("int8", 0.018658446, -14), (IMAGENET_MEAN, IMAGENET_STD), True),
        (TensorFormat("uint8", 0.0187, 114), (IMAGENET_MEAN, IMAGENET_STD), True),
        (TensorFormat("int8", 0.005, 3), (IMAGENET_MEAN, IMAGENET_STD), None),  # many values are clipped
        (TensorFormat("int8", 0.04, 0), ((0.5,) * 3, (0.25,) * 3), None),  # many bytes share a value
        (TensorFormat("uint8", 1.0, 0), CAMERA, False),
        (TensorFormat("int8", 1.0, -128), CAMERA, None),
    ],
)
def test_input_quantizer_is_exact_for_every_byte(
    tensor: TensorFormat, constants: tuple[tuple[float, ...], tuple[float, ...]], linear: bool | None
) -> None:
    size = (32, 27)
    quantizer = InputQuantizer(ModelInput(size, *constants, tensor))
    crops = np.random.default_rng(0).integers(0, 256, (40, *size, 3), dtype=np.uint8)
    stored = quantizer(crops)
    assert stored.dtype == tensor.dtype
    np.testing.assert_array_equal(stored, quantize(normalize(crops, *constants), tensor))
    assert linear is None or (quantizer._linear is not None) == linear


def test_table_replaces_an_inexact_linear_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "transform", lambda values, matrix: values)  # simulates an opencv that rounds differently
    source = ModelInput((32, 32), IMAGENET_MEAN, IMAGENET_STD, TensorFormat("int8", 0.018658446, -14))
    crops = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    np.testing.assert_array_equal(InputQuantizer(source)(crops), quantize(normalize(crops), source.tensor))
