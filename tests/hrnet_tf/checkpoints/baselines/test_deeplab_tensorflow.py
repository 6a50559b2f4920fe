"""DeepLabv3+ from a TensorFlow checkpoint with the scopes of tensorflow/models, research/deeplab."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from hrnet_tf.backend.keras_module import tf
from hrnet_tf.backend.types import Weights
from hrnet_tf.checkpoints.from_torch import load_checkpoint
from hrnet_tf.models.build import build_model
from hrnet_tf.runs.weights import model_weights
from hrnet_tf.spec.baselines.segmentation.xception import XceptionTrunk
from mobile_eval.errors import HRNetError
from tests.support.baselines import deeplabv3plus

SPEC = deeplabv3plus(trunk=XceptionTrunk(stem=(4, 8), entry=(8, 8, 8, 8, 8), exit=(8, 16, 16, 24), output_stride=16))
FLOWS = (  # the last block, those before it, and the scope of a block
    (4, lambda block: f"entry_flow/block{block + 1}/unit_1"),
    (20, lambda block: f"middle_flow/block1/unit_{block - 4}"),
    (22, lambda block: f"exit_flow/block{block - 20}/unit_1"),
)
HEAD = {
    "aspp_branch0": "aspp0", "aspp_pool": "image_pooling", "aspp_merge": "concat_projection",
    "decoder_low": "decoder/feature_projection0", "head_logits": "logits/semantic",
}  # fmt: skip


def scope_of(layer: str) -> str:
    """The scope in TensorFlow of a convolution and its BatchNorm."""
    layer = layer.replace("_bn", "_conv")
    if stem := re.fullmatch(r"xception_stem_conv(\d)", layer):
        return f"xception_71/entry_flow/conv1_{stem[1]}"
    if block := re.fullmatch(r"xception_block(\d+)_(\w+)_conv(\d)", layer):
        flow = next(scope for last, scope in FLOWS if int(block[1]) <= last)
        part = "shortcut" if block[2] == "shortcut" else f"separable_conv{block[3]}_{block[2]}"
        return f"xception_71/{flow(int(block[1]))}/xception_module/{part}"
    if branch := re.fullmatch(r"aspp_branch([123])_(\w+)_conv1", layer):
        return f"aspp{branch[1]}_{branch[2]}"
    if unit := re.fullmatch(r"decoder_unit(\d)_(\w+)_conv1", layer):
        return f"decoder/decoder_conv{unit[1]}_{unit[2]}"
    return HEAD[layer.removesuffix("_conv1")]


def variable_of(name: str) -> str:
    layer, part = name.split("/")
    leaf = {"kernel": "weights", "depthwise_kernel": "depthwise_weights", "bias": "biases"}.get(part, f"BatchNorm/{part}")
    return f"{scope_of(layer)}/{leaf}"


def save(path: Path, arrays: Weights) -> Path:
    """Write a checkpoint as TensorFlow 1 does, with the state of its training."""
    names = [variable_of(name) for name in arrays]
    assert len(set(names)) == len(names)
    first = next(iter(arrays.values()))
    tensors = [*arrays.values(), np.zeros_like(first), np.int64(90000)]
    names += [f"{names[0]}/Momentum", "global_step"]
    tf.raw_ops.SaveV2(prefix=str(path), tensor_names=names, shape_and_slices=[""] * len(names), tensors=tensors)
    return path.with_name(f"{path.name}.index")


@pytest.fixture(scope="module")
def weights() -> Weights:
    rng = np.random.default_rng(0)
    return {name: rng.random(value.shape, np.float32) for name, value in model_weights(build_model(SPEC)).items()}


@pytest.mark.slow
def test_every_variable_is_read(weights: Weights, tmp_path: Path) -> None:
    path = save(tmp_path / "model.ckpt-90000", weights)
    assert variable_of("xception_block22_pointwise_bn3/gamma") == (
        "xception_71/exit_flow/block2/unit_1/xception_module/separable_conv3_pointwise/BatchNorm/gamma"
    )
    spec, loaded = load_checkpoint(path)
    assert (spec.trunk, spec.head, spec.classes, spec.width) == (SPEC.trunk, "tensorflow", 5, SPEC.width)  # type: ignore[union-attr]
    assert loaded.keys() == weights.keys()
    for name, value in weights.items():
        np.testing.assert_array_equal(loaded[name], value, err_msg=name)


@pytest.mark.slow
def test_an_imagenet_trunk_initializes_the_network(weights: Weights, tmp_path: Path) -> None:
    path = save(tmp_path / "model.ckpt", {name: value for name, value in weights.items() if name.startswith("xception")})
    with pytest.raises(HRNetError, match="Xception without a head"):
        load_checkpoint(path)
    _, loaded = load_checkpoint(path, SPEC)
    changed = {name for name, value in weights.items() if not np.array_equal(loaded[name], value)}
    assert changed == {name for name in weights if not name.startswith("xception")}


def test_damaged_checkpoints(tmp_path: Path) -> None:
    path = save(tmp_path / "model.ckpt", {"aspp_pool_conv1/kernel": np.ones((1, 1, 2, 2), np.float32)})
    data = tmp_path / "model.ckpt.data-00000-of-00001"
    data.rename(tmp_path / "elsewhere")
    with pytest.raises(HRNetError, match=r"model\.ckpt\.index is damaged, its data file is missing"):
        load_checkpoint(path)
    path.write_bytes(b"no index")
    with pytest.raises(HRNetError, match=r"model\.ckpt\.index is damaged"):
        load_checkpoint(path)
