"""Bilinear resizes that were replaced: equal within rounding, and operators that the Edge TPU's rules know without conditions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from conversion.options import ConvertOptions
from conversion.targets.edgetpu import check_edgetpu
from conversion.targets.edgetpu_rules import MAPS
from conversion.targets.plain_resizes import with_plain_resizes
from hrnet_tf.backend.keras_module import keras
from hrnet_tf.models.layers import Upsampling
from hrnet_tf.spec.presets import customized, preset
from mobile_eval.errors import HRNetError
from mobile_eval.model.graph import TFLiteGraph
from mobile_eval.runtime.backend import Backend
from mobile_eval.runtime.interpreter import feed_random, make_interpreter, real_values
from training.pruning.candidate_latency import int8_with_random_calibration, untrained_tflite

SMALL = {"input_size": (64, 64), "width": 8, "modules": (1, 1), "blocks": 1, "stem_width": 8, "stage1_width": 4}


def outputs(path: Path, *, reference: bool) -> tuple[np.ndarray, float]:
    """The stored values of the first output on random input, and the scale."""
    interpreter = make_interpreter(path, Backend(reference=reference))
    feed_random(interpreter)
    interpreter.invoke()
    details = interpreter.get_output_details()[0]
    return np.asarray(interpreter.get_tensor(details["index"]), np.int64), details["quantization"][0]


@pytest.mark.slow
@pytest.mark.parametrize("reference", [True, False])
@pytest.mark.parametrize("factor", [2, 4, 8])
def test_one_resize(factor: int, reference: bool, tmp_path: Path) -> None:
    """Against the exact values by numpy, also at the edges."""
    image = keras.Input((5, 3, 4))
    data = int8_with_random_calibration(keras.Model(image, Upsampling(factor, "bilinear")(image)), 1)
    plain = with_plain_resizes(data)
    assert (plain.replaced, plain.remaining) == (1, 0)
    path = tmp_path / "m.tflite"
    path.write_bytes(plain.flatbuffer)
    kinds = [operator.kind for operator in TFLiteGraph(path).operators]
    assert kinds == ["RESIZE_NEAREST_NEIGHBOR", "SLICE", "SLICE", "CONCATENATION", "DEPTHWISE_CONV_2D"] * 2
    interpreter = make_interpreter(path, Backend(reference=reference))
    feed_random(interpreter)
    [source], [target] = interpreter.get_input_details(), interpreter.get_output_details()
    pixels = real_values(interpreter.get_tensor(source["index"]), *source["quantization"])[0].astype(np.float64)
    interpreter.invoke()
    actual = real_values(interpreter.get_tensor(target["index"]), *target["quantization"])[0]
    weights = [matrix(side, factor) for side in pixels.shape[:2]]
    expected = np.einsum("yh,xw,hwc->yxc", *weights, pixels)
    assert np.abs(actual - expected).max() <= 1.02 * target["quantization"][0]  # rounded twice


def matrix(side: int, factor: int) -> np.ndarray:
    """Weight (factor * side, side) of each pixel in each pixel of the larger side, with half-pixel centers."""
    places = np.clip((np.arange(side * factor) + 0.5) / factor - 0.5, 0, side - 1)
    return np.maximum(1 - np.abs(places[:, None] - np.arange(side)), 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["segment-small-v1", "landmarks-small-v1"])
def test_network(name: str, tmp_path: Path) -> None:
    before, after = tmp_path / "before.tflite", tmp_path / "after.tflite"
    before.write_bytes(untrained_tflite(customized(preset(name), **SMALL)))  # type: ignore[arg-type]
    plain = with_plain_resizes(before.read_bytes())
    after.write_bytes(plain.flatbuffer)
    kinds = [operator.kind for operator in TFLiteGraph(before).operators]
    assert plain.replaced == kinds.count("RESIZE_BILINEAR") > 3
    assert "RESIZE_BILINEAR" not in [operator.kind for operator in TFLiteGraph(after).operators]
    check = check_edgetpu(after)
    assert check.break_at is None
    assert {row.kind for row in check.operators if row.verdict != MAPS} <= {"RESIZE_NEAREST_NEIGHBOR"}  # by size only
    expected, actual = (outputs(path, reference=True)[0] for path in (before, after))
    assert np.abs(expected - actual).mean() < 2
    assert np.corrcoef(expected.ravel(), actual.ravel())[0, 1] > 0.99


@pytest.mark.slow
def test_nothing_to_replace(int8_file: Path) -> None:
    data = int8_file.read_bytes()
    plain = with_plain_resizes(data)  # its upsampling is nearest
    assert (plain.flatbuffer, plain.replaced, plain.remaining) == (data, 0, 0)


def test_bad_input() -> None:
    with pytest.raises(HRNetError, match=r"`plain_resizes` needs `format` int8, got float32"):
        ConvertOptions("float32", plain_resizes=True)
    with pytest.raises(HRNetError, match="damaged"):
        with_plain_resizes(b"\x1c\x00\x00\x00TFL3 and no more")
