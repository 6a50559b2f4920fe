"""A Keras model whose parts can be missing from batch to batch.

Each convolution of the trunk is followed by a BatchNorm. A part is missing if the outputs of these are zero: a link or a block if
that of its last convolution is, channel c of a width group if channel c of all that write to the group is. So the masked model
computes what the smaller network does, at the cost of the full one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.keras_module import ops, tf
from hrnet_tf.backend.types import KerasModel, Tensor
from hrnet_tf.models.layers import UnbiasedBatchNormalization
from hrnet_tf.spec.convolutions import convolutions
from hrnet_tf.spec.network import HRNetSpec
from training.elastic.mask import Mask

CONVOLUTION = re.compile(r"(.+)_conv(\d+)")


def norm_name(convolution: str) -> str:
    """Return the name of the BatchNorm that follows a convolution of the trunk."""
    return CONVOLUTION.sub(r"\1_bn\2", convolution)


class ModelMasking:
    """Masks parts of a Keras model.

    Args:
        model: A model with BatchNorm that contains the network, of tf_keras. It is masked from now on.
        spec: The network.
        scores: Importance of each channel of the groups that masks narrow.
        batch_statistics: Whether BatchNorm always normalizes by the batch, as a smaller network has statistics of its own.

    Attributes:
        factors: What the channels of all masked convolutions are multiplied by; a tensor may take its place.
        slices: Which of the factors are those of a BatchNorm, by its name.
        groups: The width group that a BatchNorm's convolution writes to; None for outputs that cannot be narrowed.
        last_norms: The last BatchNorm of each part, by the part's name.
    """

    def __init__(
        self, model: KerasModel, spec: HRNetSpec, scores: Mapping[str, Sequence[float]], *, batch_statistics: bool = False
    ):
        self.batch_statistics = batch_statistics
        self._least_first = {group: np.argsort(values, kind="stable") for group, values in scores.items()}
        layers = {layer.name: layer for layer in model.layers if isinstance(layer, UnbiasedBatchNormalization)}
        masked = [convolution for convolution in convolutions(spec) if norm_name(convolution.name) in layers]
        ends = np.cumsum([0, *(convolution.target for convolution in masked)])
        names = [norm_name(convolution.name) for convolution in masked]
        self.slices = {name: slice(start, end) for name, start, end in zip(names, ends, ends[1:], strict=False)}
        self.groups = {name: convolution.writes for name, convolution in zip(names, masked, strict=True)}
        self.last_norms = _last_norms(names)
        self.factors = tf.Variable(np.ones(ends[-1], np.float32), trainable=False, name="masking_factors")
        self._is_full = tf.Variable(not batch_statistics, trainable=False, name="masking_is_full")
        for layer in layers.values():
            layer.masking = self

    def apply(self, mask: Mask) -> None:
        """Remove what a mask removes, and nothing else. Moving statistics stay as they are until `clear`."""
        kept = {group: _kept(order, mask.dropped.get(group, 0)) for group, order in self._least_first.items()}
        removed = {self.last_norms[unit.name] for unit in mask.removed}
        factors = np.ones(self.factors.shape, np.float32)
        for name, part in self.slices.items():
            factors[part] = 0.0 if name in removed else kept.get(self.groups[name] or "", 1.0)
        self.factors.assign(factors)
        self._is_full.assign(False)

    def clear(self) -> None:
        """Remove nothing."""
        self.factors.assign(np.ones(self.factors.shape, np.float32))
        self._is_full.assign(not self.batch_statistics)

    def masked(self, layer: UnbiasedBatchNormalization, inputs: Tensor, training: bool | None) -> Tensor:
        """Return the outputs of a BatchNorm (N, H, W, C). Only the full network updates its moving statistics."""
        training = training or self.batch_statistics
        statistics = (layer.moving_mean, layer.moving_variance) if training else ()
        before = [tf.identity(variable) for variable in statistics]
        outputs = layer.normalized(inputs, training)
        for variable, value in zip(statistics, before, strict=True):
            variable.assign(tf.where(self._is_full, variable, value))
        if layer.name not in self.slices:
            return outputs
        part = self.slices[layer.name]
        return outputs * ops.cast(self.factors[part.start : part.stop], outputs.dtype)


def _last_norms(names: Sequence[str]) -> dict[str, str]:
    """The BatchNorm of the last convolution of each part by the part's name; numbers grow in the order of the network."""
    return {re.sub(r"_bn\d+$", "", name): name for name in names}


def _kept(order: NDArray[np.intp], dropped: int) -> NDArray[np.float32]:
    factors = np.ones(len(order), np.float32)
    factors[order[:dropped]] = 0.0
    return factors
