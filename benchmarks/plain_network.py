"""The network as a Keras user would write it from the papers' figures: the start of the other routes to a `.tflite`."""

from __future__ import annotations

from collections.abc import Mapping
from unittest import mock

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import KerasModel, Tensor, Weights
from hrnet_tf.models import fusion
from hrnet_tf.models.build import build_model
from hrnet_tf.runs.weights import set_model_weights
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.units import FusionLink


def plain_model(spec: Network, weights: Weights) -> KerasModel:
    """Build a network with BatchNorm, in which Keras's `UpSampling2D` brings each link to its target's resolution."""
    with mock.patch.object(fusion, "_upsampled_links", _upsample_each):
        model = build_model(spec)
    set_model_weights(model, weights)
    return model


def _upsample_each(maps: Mapping[FusionLink, Tensor], interpolation: str) -> list[Tensor]:
    return [
        keras.layers.UpSampling2D(2 ** (link.source - link.target), interpolation=interpolation, name=f"{link.name}_up")(x)
        for link, x in maps.items()
    ]
