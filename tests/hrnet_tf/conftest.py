"""Costs of built models, random weights, and a small SimpleBaseline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import Weights
from hrnet_tf.models.build import build_model
from hrnet_tf.runs.weights import model_weights
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.baselines.resnet_trunk import ResNetTrunk
from hrnet_tf.spec.baselines.simple_baseline import SimpleBaselineSpec
from hrnet_tf.spec.complexity import parts
from hrnet_tf.spec.cost import Cost

Counts = dict[str, Cost]


def cost_of(layer: Any) -> Cost:
    parameters = sum(int(np.prod(weight.shape)) for weight in layer.trainable_weights)
    if isinstance(layer, keras.layers.BatchNormalization):
        return Cost(parameters, norm_parameters=parameters)
    if isinstance(layer, keras.layers.Dense):
        return Cost(parameters, int(np.prod(layer.kernel.shape)))
    transposed = isinstance(layer, keras.layers.Conv2DTranspose)  # also a Conv2D in Keras
    shape = layer.input_shape if transposed else layer.output_shape
    kernel = layer.depthwise_kernel if isinstance(layer, keras.layers.DepthwiseConv2D) else layer.kernel
    multiply_adds = int(np.prod(kernel.shape)) * int(np.prod(shape[1:3]))
    return Cost(parameters, multiply_adds, deconvolution_multiply_adds=multiply_adds if transposed else 0)


@pytest.fixture(scope="session")
def counted_parts() -> Callable[[Network], Counts]:
    """A function that returns the costs of a built model by part: the longest part name that starts the name of a layer."""

    def count(spec: Network) -> Counts:
        names = sorted(parts(spec), key=len, reverse=True)
        counts = dict.fromkeys(names, Cost())
        for layer in build_model(spec).layers:
            if layer.weights:
                part = next(name for name in names if layer.name.startswith(name))
                counts[part] += cost_of(layer)
        return counts

    return count


@pytest.fixture(scope="session")
def random_weights() -> Callable[[Any], Weights]:
    """A function that returns random weights of a heatmap network, with BatchNorm far from the identity."""

    def make(model: Any) -> Weights:
        rng = np.random.default_rng(0)
        weights = {name: np.array(array) for name, array in model_weights(model).items()}
        for name, array in weights.items():
            if name.endswith(("gamma", "moving_variance")):
                weights[name] = rng.uniform(0.5, 1.5, array.shape).astype(np.float32)
            elif name.endswith(("beta", "moving_mean", "bias")):
                weights[name] = rng.uniform(-0.5, 0.5, array.shape).astype(np.float32)
            elif name.startswith(("head_heatmaps", "head_logits", "deconvolution")):  # initially near zero
                weights[name] = (rng.standard_normal(array.shape) / array.shape[-1] ** 0.5).astype(np.float32)
        return weights

    return make


@pytest.fixture(scope="session")
def small_baseline() -> SimpleBaselineSpec:
    """A SimpleBaseline with 6 blocks and an eighth of the width; the published ones take a minute to convert."""
    trunk = ResNetTrunk(blocks=(1, 2, 2, 1), stem_width=8, width=8)
    return SimpleBaselineSpec(name="small", input_size=(64, 64), classes=17, trunk=trunk, deconvolution_width=16)
