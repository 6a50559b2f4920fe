"""A micro network with random weights and random examples, for the importance of channels."""

from __future__ import annotations

import re

import numpy as np
import pytest

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import KerasModel
from hrnet_tf.models.build import build_model
from hrnet_tf.runs.weights import model_weights, set_model_weights
from hrnet_tf.spec.network import HRNetSpec, StageSpec
from training.ranking.gated_network import GatedNetwork
from training.ranking.keras_data import KerasRankingData

COUNT = 6
UNUSED = ("branch1", 3)  # a channel whose weights are zero
INTO_BRANCH1 = re.compile(r"transition1_branch1|stage\d_module\d_(link\dto1|branch1_block0_(conv|bn)2)")


@pytest.fixture(scope="module")
def micro() -> HRNetSpec:
    """Two modules in stage 3 with three branches; the last one leads to branch 0 only."""
    stages = (StageSpec(1, 1), StageSpec(2, 1))
    return HRNetSpec("micro", 4, (32, 32), 5, stages, stem_width=8, stage1_blocks=1, stage1_width=4).full()


@pytest.fixture(scope="module")
def micro_examples() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    images = rng.standard_normal((COUNT, 32, 32, 3)).astype(np.float32)
    return images, rng.uniform(0, 1, (COUNT, 8, 8, 5)).astype(np.float32)


@pytest.fixture(scope="module")
def micro_model(micro: HRNetSpec) -> KerasModel:
    """A network that uses all channels but one."""
    rng = np.random.default_rng(0)
    keras.utils.set_random_seed(0)
    model, weights = build_model(micro), {}
    for name, array in model_weights(model).items():
        if name.endswith(("gamma", "moving_variance")):
            array = rng.uniform(0.5, 1.5, array.shape).astype(np.float32)
        elif name.endswith(("beta", "head_heatmaps/kernel")):
            array = rng.normal(0.1, 0.1, array.shape).astype(np.float32)
        if name.endswith(("gamma", "beta")) and INTO_BRANCH1.match(name):
            array[..., UNUSED[1]] = 0
        weights[name] = array
    set_model_weights(model, weights)
    model.compile("adam", "mse")
    return model


@pytest.fixture(scope="module")
def micro_network(micro_model: KerasModel) -> GatedNetwork:
    return GatedNetwork.of(micro_model, include_blocks=True)


@pytest.fixture(scope="module")
def micro_data(micro_model: KerasModel, micro_examples: tuple[np.ndarray, np.ndarray]) -> KerasRankingData:
    return KerasRankingData.prepare(micro_examples, micro_model)
