"""Models are built again with another trunk, whatever their head is."""

from __future__ import annotations

import numpy as np
import pytest

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import KerasModel
from hrnet_tf.models.rebuild import rebuild
from hrnet_tf.models.trunk import spec_of
from hrnet_tf.networks import HRNet, HRNetBackbone
from mobile_eval.errors import HRNetError

SIZES = {"input_size": 64, "width": 4, "modules": (1, 1, 1), "stem_width": 8, "stage1_width": 4, "blocks": 1}
IMAGES = np.random.default_rng(0).standard_normal((2, 64, 64, 3)).astype(np.float32)


def randomized(model: KerasModel) -> KerasModel:
    """The model with random BatchNorm statistics and scales, so that folding shows."""
    rng = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    return model


def two_headed(*, nested: bool) -> KerasModel:
    """Key points from P2 and classes from P3, with every kind of layer that BatchNorm is folded into."""
    backbone = HRNetBackbone("pose-small-v1", **SIZES)
    if nested:
        image = keras.Input((64, 64, 3), name="photo")
        pyramid = backbone(keras.layers.Rescaling(0.5)(image))
    else:
        image, pyramid = backbone.input, backbone.pyramid_outputs
    layers = keras.layers
    x = layers.BatchNormalization()(layers.Conv2D(6, 3, padding="same", use_bias=False, name="own_conv")(pyramid["P2"]))
    x = layers.Conv2DTranspose(4, 4, 2, "same", name="own_up")(layers.ReLU()(x))
    maps = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.BatchNormalization(scale=False)(layers.DepthwiseConv2D(3, depth_multiplier=2)(pyramid["P3"]))
    x = layers.Dense(3)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, {"maps": maps, "classes": layers.BatchNormalization(center=False)(x)}, name="two_headed")


def assert_same_outputs(first: KerasModel, second: KerasModel, tolerance: float) -> None:
    expected, outputs = first.predict(IMAGES, verbose=0), second.predict(IMAGES, verbose=0)
    names = expected if isinstance(expected, dict) else [...]
    for name in names:
        np.testing.assert_allclose(outputs[name], expected[name], rtol=0, atol=tolerance * np.abs(expected[name]).max())


def norms(model: KerasModel) -> int:
    return sum(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers)


@pytest.mark.slow
@pytest.mark.parametrize("nested", [False, True])
def test_custom_heads_compute_the_same_after_rebuilding_and_folding(nested: bool) -> None:
    model = randomized(two_headed(nested=nested))
    if nested:
        randomized(model.get_layer("pose-small-v1"))
    assert_same_outputs(model, rebuild(model), 0.0)
    folded = rebuild(model, folded=True)
    assert_same_outputs(model, folded, 1e-5)
    assert norms(folded) == 0
    assert folded.name == "two_headed"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pose-small-v1", "segment-small-v1", "classify-small-v1", "landmarks-small-v1"])
def test_heads_of_the_package_compute_the_same_after_folding(name: str) -> None:
    model = randomized(HRNet(name, outputs=3, **SIZES))
    folded = rebuild(model, folded=True)
    assert_same_outputs(model, folded, 1e-5)
    assert norms(folded) == 0
    assert folded.spec == model.spec


@pytest.mark.slow
def test_spec_of_a_custom_head_has_the_branches_that_the_head_reads() -> None:
    spec = spec_of(two_headed(nested=False))
    assert spec.outputs == (0, 1)
    assert {link.target for link in spec.links if link.stage == 4} == {0, 1}
    assert spec == spec_of(two_headed(nested=True))


@pytest.mark.slow
def test_removed_unit_is_not_built_and_all_other_weights_are_kept() -> None:
    model = randomized(two_headed(nested=False))
    link = max(spec_of(model).links)
    smaller = rebuild(model, spec_of(model).without({link}))
    kept = {layer.name: layer for layer in smaller.layers}
    assert not any(name.startswith(link.name) for name in kept)
    for layer in model.layers:
        if layer.weights and layer.name in kept:
            for before, after in zip(layer.get_weights(), kept[layer.name].get_weights(), strict=True):
                np.testing.assert_array_equal(before, after)


@pytest.mark.slow
def test_branch_that_no_link_is_added_to_is_an_output() -> None:
    model = randomized(HRNet("segment-small-v1", outputs=3, **SIZES))
    last = {link for link in model.spec.links if link.stage == 4 and link.target > 0}
    smaller = rebuild(model, model.spec.without({*last, *(block for block in model.spec.live_blocks if block.stage == 4)}))
    assert_same_outputs(smaller, rebuild(smaller, folded=True), 1e-5)
    backbone = HRNetBackbone("pose-small-v1", **SIZES)
    custom = keras.Model(backbone.input, [keras.layers.Conv2D(2, 1)(x) for x in backbone.pyramid_outputs.values()])
    narrowed = rebuild(
        custom, spec_of(custom).without({link for link in spec_of(custom).links if link.stage == 4 and link.target})
    )
    assert spec_of(narrowed).outputs == (0, 1, 2, 3)
    assert len(spec_of(narrowed).links) == len(spec_of(custom).links) - 9


@pytest.mark.slow
def test_spec_survives_saving_loading_and_cloning(tmp_path: object) -> None:
    model = HRNet("pose-small-v1", outputs=5, **SIZES)
    smaller = rebuild(model, model.spec.without({min(model.spec.links)}))
    for suffix in ("keras", "h5"):
        smaller.save(f"{tmp_path}/model.{suffix}")
        assert keras.models.load_model(f"{tmp_path}/model.{suffix}").spec == smaller.spec
    assert spec_of(keras.models.clone_model(smaller)) == smaller.spec
    assert smaller.spec != model.spec


@pytest.mark.slow
def test_shared_layer_outside_of_the_trunk_stays_shared() -> None:
    backbone = HRNetBackbone("pose-small-v1", **SIZES)
    shared = keras.layers.Conv2D(3, 1, name="shared")
    pooled = keras.layers.MaxPooling2D(2)(backbone.pyramid_outputs["P2"])
    model = keras.Model(backbone.input, [shared(backbone.pyramid_outputs["P2"]), shared(pooled)])
    rebuilt = rebuild(model)
    assert len([layer for layer in rebuilt.layers if layer.name == "shared"]) == 1
    assert len(rebuilt.outputs) == 2


def test_foreign_models_are_refused() -> None:
    image = keras.Input((8, 8, 3))
    foreign = keras.Model(image, keras.layers.Conv2D(2, 3)(image), name="foreign")
    with pytest.raises(HRNetError, match="foreign"):
        rebuild(foreign)
    with pytest.raises(HRNetError, match="int"):
        spec_of(3)


def test_head_that_reads_inside_of_the_trunk_is_refused() -> None:
    backbone = HRNetBackbone("pose-small-v1", **SIZES)
    inner = backbone.get_layer("stage2_module0_fuse0_relu").output
    outputs = [keras.layers.Conv2D(2, 1)(x) for x in (backbone.pyramid_outputs["P2"], inner)]
    with pytest.raises(HRNetError, match="inside of the trunk"):
        rebuild(keras.Model(backbone.input, outputs))


def test_spec_of_other_sizes_is_refused() -> None:
    model = HRNet("pose-small-v1", outputs=5, **SIZES)
    with pytest.raises(HRNetError, match="spec"):
        rebuild(model, HRNet.preset("pose-small-v1", outputs=5))


@pytest.mark.parametrize(
    "sizes", [{"input_size": "64x"}, {"input_size": (64,)}, {"modules": "1,a"}, {"modules": ()}, {"depth": 3}]
)
def test_wrong_sizes_are_refused(sizes: dict[str, object]) -> None:
    with pytest.raises(HRNetError, match=next(iter(sizes))):
        HRNet("pose-small-v1", **sizes)


def test_sizes_as_people_type_them() -> None:
    by_number = HRNet.preset("pose-small-v1", 96, 5, modules=[1, 2, 2])
    assert by_number == HRNet.preset("pose-small-v1", "96x96", outputs=5, modules="1,2,2")
    assert by_number.input_size == (96, 96)
    assert by_number.classes == 5


@pytest.mark.slow
def test_layer_without_config_is_named() -> None:
    class Scaled(keras.layers.Layer):  # type: ignore[misc]
        def call(self, inputs: object) -> object:
            return inputs

        def get_config(self) -> dict[str, object]:
            raise NotImplementedError

    backbone = HRNetBackbone("pose-small-v1", **SIZES)
    with pytest.raises(HRNetError, match="scaled"):
        rebuild(keras.Model(backbone.input, Scaled(name="scaled")(backbone.pyramid_outputs["P2"])))
