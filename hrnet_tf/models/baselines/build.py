"""Build the Keras model of a network that HRNet is compared with."""

from __future__ import annotations

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import KerasModel
from hrnet_tf.models.baselines.keras_layers import KerasLayers
from hrnet_tf.models.functional import HRNetModel
from hrnet_tf.spec.architectures import network_to_json
from hrnet_tf.spec.baselines.base import BaselineSpec


def build_baseline(spec: BaselineSpec, *, folded: bool = False, auxiliary: bool = False) -> KerasModel:
    """Build the Keras model of a spec.

    Args:
        spec: The network.
        folded: Whether to build the network with BatchNorm folded into the convolutions, see `folding.fold_batch_norm`.
        auxiliary: Whether to build the outputs that only training needs, too.

    Returns:
        A functional model from normalized float32 images (N, H, W, 3) to the output of the spec's `head_kind`, see
        `hrnet.build_hrnet`, or with auxiliary outputs to the list of all.
    """
    image = keras.Input((*spec.input_size, 3), name="image")
    output, *further = spec.forward(KerasLayers(network_to_json(spec), folded=folded), image, auxiliary=auxiliary)
    return HRNetModel(image, [output, *further] if further else output, name=spec.name)
