"""Heads of all tasks: output shapes, liveness and int8 conversion."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from conversion.checks.verify import check_fully_int8
from hrnet_tf.backend.keras_module import tf
from hrnet_tf.models.build import build_model
from hrnet_tf.models.folding import fold_batch_norm
from hrnet_tf.models.heads import full_size
from hrnet_tf.models.layers import Upsampling
from hrnet_tf.runs.weights import model_weights, set_model_weights
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.complexity import parts
from hrnet_tf.spec.cost import Cost
from hrnet_tf.spec.network import HRNetSpec, StageSpec
from hrnet_tf.spec.units import FusionLink
from mobile_eval.runtime.interpreter import make_interpreter
from training.pruning.candidate_latency import untrained_tflite

OUTPUT_SHAPES = {
    "landmarks": (None, 16, 16, 5),
    "segmentation": (None, 16, 16, 5),
    "classification": (None, 5),
}
REMOVED = (FusionLink(3, 0, 2, 0), FusionLink(3, 0, 0, 2), FusionLink(2, 0, 0, 1))


def micro(
    task: str, interpolation: str = "nearest", *, classes: int = 5, head: str | None = None, branches: int = 3
) -> HRNetSpec:
    stages = (StageSpec(1, 1),) * (branches - 1)
    spec = HRNetSpec("micro", 4, (64, 64), classes, stages, 8, 1, 4, task=task, interpolation=interpolation, head=head)
    return spec.full()


@pytest.mark.slow
@pytest.mark.parametrize(("task", "shape"), OUTPUT_SHAPES.items())
def test_output_shapes(task: str, shape: tuple[int | None, ...]) -> None:
    assert build_model(micro(task)).output_shape == shape
    assert build_model(micro(task).without(REMOVED)).output_shape == shape


@pytest.mark.slow
@pytest.mark.parametrize(
    ("head", "layer", "shape"),
    [
        ("heatmap", "head_heatmaps", (None, 16, 16, 1)),
        ("multiscale_heatmap", "head_heatmaps", (None, 16, 16, 1)),
        ("dense", "head_logits", (None, 16, 16, 1)),
        ("classification", "head_logits", (None, 1)),
    ],
)
def test_head_of_a_custom_task(
    head: str, layer: str, shape: tuple[int | None, ...], counted_parts: Callable[[Network], dict[str, Cost]]
) -> None:
    spec = micro("depth", classes=1, head=head)
    model = build_model(spec)
    assert model.output_shape == shape
    assert model.layers[-1].name == layer
    assert counted_parts(spec) == parts(spec)


@pytest.mark.slow
def test_full_size_interpolates_the_logits() -> None:
    model = build_model(micro("segmentation"))
    image = np.random.default_rng(0).standard_normal((1, 64, 64, 3)).astype(np.float32)
    expected = tf.image.resize(model(image, training=False).numpy(), (64, 64)).numpy()
    np.testing.assert_allclose(full_size(model)(image, training=False).numpy(), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("task", ["landmarks", "segmentation", "classification", "detection"])
def test_all_branches_are_live_if_the_head_reads_them(task: str) -> None:
    spec = micro(task, branches=4)
    assert spec.outputs == (0, 1, 2, 3)
    assert len(spec.links) == 2 + 6 + 12
    bare = spec.without(spec.links)
    assert bare.liveness().branches == spec.liveness().branches
    assert bare.liveness().links == frozenset()


def test_bilinear_upsampling_has_half_pixel_centers() -> None:
    maps = np.array([0, 4], np.float32).reshape(1, 1, 2, 1)
    upsampled = Upsampling(2, "bilinear")(maps).numpy()[0, 0, :, 0]
    assert upsampled.tolist() == [0, 1, 3, 4]


@pytest.mark.slow
@pytest.mark.parametrize("task", ["segmentation", "classification"])
def test_folding_batch_norm_after_a_bias_preserves_the_outputs(task: str) -> None:
    spec = micro(task, "bilinear")
    model, folded = build_model(spec), build_model(spec, folded=True)
    rng = np.random.default_rng(0)
    weights = {}
    for name, array in model_weights(model).items():
        low, high = (0.5, 1.5) if name.endswith(("gamma", "variance")) else (-0.5, 0.5)
        weights[name] = rng.uniform(low, high, array.shape).astype(np.float32)
    set_model_weights(model, weights)
    set_model_weights(folded, fold_batch_norm(weights))
    image = rng.standard_normal((1, 64, 64, 3)).astype(np.float32)
    expected = model(image, training=False).numpy()
    np.testing.assert_allclose(folded(image, training=False).numpy(), expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "interpolation", "operator"),
    [
        ("segmentation", "bilinear", "RESIZE_BILINEAR"),
        ("landmarks", "nearest", "RESIZE_NEAREST_NEIGHBOR"),
        ("classification", "nearest", "RESIZE_NEAREST_NEIGHBOR"),
    ],
)
def test_int8_conversion_has_no_float_tensors(task: str, interpolation: str, operator: str, tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(untrained_tflite(micro(task, interpolation).without(REMOVED)))
    interpreter = make_interpreter(tmp_path / "model.tflite")
    check_fully_int8(interpreter)
    assert operator in {details["op_name"] for details in interpreter._get_ops_details()}
