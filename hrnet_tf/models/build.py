"""Build the Keras model of a spec. TensorFlow is imported when a model is built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.baselines.base import BaselineSpec
from mobile_eval.errors import HRNetError

if TYPE_CHECKING:
    from hrnet_tf.backend.types import KerasModel
    from hrnet_tf.models.layers import UnitWrapper


def build_model(spec: Network, *, folded: bool = False, gate: UnitWrapper | None = None, auxiliary: bool = False) -> KerasModel:
    """Build the Keras model of a spec, with initial weights.

    Args:
        spec: The network.
        folded: Whether to build the network with BatchNorm folded into the convolutions; `folding.fold_batch_norm` makes its
            weights.
        gate: For HRNets only: applied to the output of each fusion link and residual block, see `gates.on_units`.
        auxiliary: Whether to build the outputs that only training needs, too, if the network has any.

    Returns:
        A functional model; `hrnet.build_hrnet` lists the inputs and outputs. With auxiliary outputs, its output is a list that
        begins with the network's.

    Raises:
        HRNetError: If `gate` is given for a network without fusion links.

    Example:
        >>> from hrnet_tf.spec.presets import preset
        >>> model = build_model(preset("pose-small-v1"))
        >>> model.output_shape
        (None, 64, 48, 17)
    """
    if isinstance(spec, BaselineSpec):
        if gate:
            raise HRNetError(f"{spec.name} has no fusion links to put gates on")
        from hrnet_tf.models.baselines.build import build_baseline

        return build_baseline(spec, folded=folded, auxiliary=auxiliary)
    from hrnet_tf.models.hrnet import build_hrnet

    return build_hrnet(spec, folded=folded, gate=gate, auxiliary=auxiliary)
