"""Micro models with heads of a user's own."""

from __future__ import annotations

import numpy as np

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import KerasModel
from hrnet_tf.networks import HRNetBackbone

SIZE = 64
SIZES = {"input_size": SIZE, "width": 4, "modules": (1, 1), "stem_width": 8, "stage1_width": 4, "blocks": 1}


def randomized(model: KerasModel) -> KerasModel:
    """The model with random BatchNorm statistics and scales, so that folding shows."""
    rng = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
        if hasattr(layer, "layers"):
            randomized(layer)
    return model


def keypoint_model(channels: int = 5) -> KerasModel:
    """Heatmaps (N, 32, 32, channels) at stride 2, from a head on P2 of a nested backbone."""
    keras.utils.set_random_seed(0)
    layers, image = keras.layers, keras.Input((SIZE, SIZE, 3), name="photo")
    x = HRNetBackbone("pose-small-v1", **SIZES)(image)["P2"]
    x = layers.Conv2DTranspose(8, 4, 2, "same", use_bias=False, name="own_up")(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    return randomized(keras.Model(image, layers.Conv2D(channels, 1, name="own_heatmaps")(x), name="own"))


def two_headed() -> KerasModel:
    """Maps and classes by name, from images in 0..255, with every kind of layer that is folded or replaced."""
    keras.utils.set_random_seed(0)
    layers, image = keras.layers, keras.Input((SIZE, SIZE, 3), name="photo")
    pyramid = HRNetBackbone("pose-small-v1", **SIZES)(layers.Rescaling(1 / 127.5, -1, name="rescaled")(image))
    x = layers.SeparableConv2D(6, 3, padding="same", use_bias=False, name="own_separable")(pyramid["P2"])
    x = layers.ReLU()(layers.BatchNormalization()(x))
    gate = layers.Conv2D(6, 1, activation="sigmoid", name="own_gate")(pyramid["P2"])
    x = layers.Multiply(name="own_gated")([x, gate])
    other = layers.ReLU(6.0)(layers.Conv2D(6, 1, name="own_conv")(pyramid["P2"]))
    up = layers.UpSampling2D(2, interpolation="bilinear")(layers.Conv2D(6, 1, activation="relu")(pyramid["P3"]))
    x = layers.BatchNormalization(name="own_norm")(layers.Add(name="own_sum")([x, other, up]))
    maps = layers.Conv2DTranspose(3, 2, 2, activation="relu", name="own_maps")(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2)(pyramid["P3"])
    x = layers.Dropout(0.1)(layers.Flatten()(layers.MaxPooling2D(2)(layers.LeakyReLU(0.1)(x))))
    classes = layers.Dense(4, activation="softmax", name="own_classes")(x)
    return randomized(keras.Model(image, {"maps": maps, "classes": classes}, name="two_headed"))
