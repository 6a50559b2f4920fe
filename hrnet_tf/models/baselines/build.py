"""Build the Keras model of a network that HRNet is compared with."""

from __future__ import annotations

from collections.abc import Sequence

from hrnet_tf.backend.choice import check_tensorflow
from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import KerasModel, Tensor
from hrnet_tf.models.functional import HRNetModel
from hrnet_tf.models.keras_layers import KerasLayers
from hrnet_tf.spec.architectures import network_to_json
from hrnet_tf.spec.baselines.base import BaselineSpec
from hrnet_tf.spec.baselines.faster_rcnn import FasterRCNNSpec


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
    outputs = spec.forward(KerasLayers(network_to_json(spec), folded=folded), image, auxiliary=auxiliary)
    return HRNetModel(image, _outputs(spec, image, outputs), name=spec.name)


def _outputs(spec: BaselineSpec, image: Tensor, outputs: Sequence[Tensor]) -> Tensor | list[Tensor] | dict[str, Tensor]:
    """The outputs of the model from those of `BaselineSpec.forward`."""
    if isinstance(spec, FasterRCNNSpec):
        check_tensorflow("detection")
        from hrnet_tf.models.detection.faster_rcnn import detector_outputs  # its modules need TensorFlow

        return detector_outputs(image, {f"P{level}": maps for level, maps in enumerate(outputs, 2)}, spec)
    return list(outputs) if len(outputs) > 1 else outputs[0]
