"""The network as the papers draw it and as a Keras user would write it: what other ways of converting start from."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import Weights
from hrnet_tf.models import fusion
from hrnet_tf.models.build import build_model
from hrnet_tf.runs.weights import set_model_weights
from hrnet_tf.spec.architectures import Network


def plain_model(spec: Network, weights: Weights) -> Any:
    """BatchNorm and all; every link upsamples to its target by itself, by Keras's `UpSampling2D`."""
    with _without_tree():
        model = build_model(spec)
    set_model_weights(model, weights)
    return model


@contextlib.contextmanager
def _without_tree() -> Iterator[None]:
    ours = fusion._from_below, fusion.Upsampling
    fusion._from_below = lambda brought, how: [fusion._upsampled(x, link, link.target, how) for link, x in brought.items()]
    fusion.Upsampling = lambda factor, how, name: keras.layers.UpSampling2D(factor, interpolation=how, name=name)
    try:
        yield
    finally:
        fusion._from_below, fusion.Upsampling = ours
