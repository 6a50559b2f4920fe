"""Take over the weights of the channels that a narrower network keeps."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.types import Weights
from hrnet_tf.spec.convolutions import Convolution, convolutions
from hrnet_tf.spec.network import PYRAMID, HRNetSpec
from mobile_eval.errors import HRNetError

Channels = Mapping[str, Sequence[int]]  # indices of the kept channels, by width group
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Slicing:
    """How the weights of a network become those of the same network with other widths.

    Attributes:
        before: The network.
        after: The network with other widths, and perhaps fewer convolutions.
        kept: Indices of the kept channels by group; without the groups that become wider.
    """

    before: HRNetSpec
    after: HRNetSpec
    kept: Mapping[str, NDArray[np.intp]]

    @classmethod
    def of(cls, before: HRNetSpec, after: HRNetSpec, channels: Channels | None = None) -> Slicing:
        """Check the kept channels.

        Args:
            before: The network.
            after: The network with other widths.
            channels: The kept channels of the groups that become narrower, as indices into the channels of `before`, in order;
                None for the first ones of each.

        Raises:
            HRNetError: A group becomes narrower without its channels, or they are not as many, in order and of the group.
        """
        kept = {}
        for group in before.full_widths:
            old, new = before.width_of(group), after.width_of(group)
            if new == old or (new < old and channels is None):
                kept[group] = np.arange(new)
            elif new < old:
                indices = [int(index) for index in (channels or {}).get(group, ())]
                if len(indices) != new or indices != sorted(set(indices)) or not 0 <= indices[0] <= indices[-1] < old:
                    raise HRNetError(f"`channels` of {group} must be {new} of its {old} channels in order, got {indices!s:.60}")
                kept[group] = np.array(indices)
        return cls(before, after, kept)

    def weights(self, weights: Weights) -> Weights:
        """Return the weights of `after` by name, from those of the layers of `before`.

        Weights of convolutions that become wider, or are not in `before`, are left out.
        """
        sliced: Weights = {}
        for convolution in convolutions(self.after):
            old = self._convolutions.get(convolution.name)
            if old and old.reads == convolution.reads and self._knows(old):
                for name in _arrays_of(old.name):
                    if name in weights:
                        sliced[name] = self._slice(name, weights[name], old)
        return sliced

    def widened(self, weights: Weights, shapes: Weights) -> Weights:
        """Return the weights of `before`, in which the channels that are not kept are zero, from those of `after`.

        Args:
            weights: Weights of `after` by name.
            shapes: Weights of `before` by name, for their shapes.
        """
        wide = dict(weights)
        for convolution in self._convolutions.values():
            outputs = self.kept.get(convolution.writes or "", np.arange(convolution.target))
            inputs = self._inputs(convolution) if convolution.reads else np.arange(convolution.source)
            for name in _arrays_of(convolution.name):
                if name in weights:
                    wide[name] = np.full_like(shapes[name], float(name.endswith("moving_variance")))
                    index = (..., inputs[:, None], outputs) if name.endswith("kernel") else outputs
                    wide[name][index] = weights[name]
        return wide

    def head_arrays(self, layer: str, arrays: Sequence[Array], trunk: Weights) -> list[Array]:
        """Return the weights of a layer outside of the trunk.

        Args:
            layer: Its name.
            arrays: Its weights in `before`, the kernel first.
            trunk: The weights of the trunk of `before`, with folded BatchNorm.

        Returns:
            Its weights in `after`; an empty list if they are new, of another shape.
        """
        old = self._convolutions.get(layer)
        if self.before.head_kind == PYRAMID or old is None or not arrays:
            return list(arrays)
        if self.before.outputs != self.after.outputs:
            return self._moved(old, arrays, trunk)
        return [self._slice("kernel", arrays[0], old), *arrays[1:]] if self._knows(old) else []

    @functools.cached_property
    def _convolutions(self) -> Mapping[str, Convolution]:
        return {convolution.name: convolution for convolution in convolutions(self.before)}

    def _knows(self, convolution: Convolution) -> bool:
        """Whether none of its groups becomes wider."""
        groups = (*convolution.reads, *([convolution.writes] if convolution.writes else []))
        return all(group in self.kept for group in groups if group in self.before.full_widths)

    def _slice(self, name: str, array: Array, convolution: Convolution) -> Array:
        """The kept part of a kernel (height, width, in, out), or of values by output channel."""
        if (writes := convolution.writes) is not None and writes in self.kept:
            array = np.take(array, self.kept[writes], axis=-1)
        if name.endswith("kernel") and convolution.reads:
            array = np.take(array, self._inputs(convolution), axis=2)
        return array

    def _inputs(self, convolution: Convolution) -> NDArray[np.intp]:
        """The kept channels of the concatenated inputs of a convolution."""
        indices, offset = [], 0
        for group in convolution.reads:
            width = self.before.width_of(group)
            indices.append(offset + self.kept.get(group, np.arange(width)))
            offset += width
        return np.concatenate(indices)

    def _moved(self, head: Convolution, arrays: Sequence[Array], trunk: Weights) -> list[Array]:
        """The weights of a heatmap head that reads the source of the last link upwards instead of its target.

        The head then computes what it computed of this link alone: the product of both 1x1 convolutions.
        """
        (source,), (target,) = self.after.outputs, self.before.outputs
        last = self.before.last_stage
        link = f"stage{last}_module{self.before.stage(last).modules - 1}_link{source}to{target}_conv1"
        if source < target or f"{link}/kernel" not in trunk or f"branch{source}" not in self.kept:
            return []
        kernel, bias = arrays
        product = trunk[f"{link}/kernel"] @ kernel
        return [np.take(product, self.kept[f"branch{source}"], axis=2), bias + trunk[f"{link}/bias"] @ kernel[0, 0]]


def _arrays_of(convolution: str) -> list[str]:
    """The names of the arrays of a convolution and of its BatchNorm."""
    norm = re.sub(r"_conv(\d+)$", r"_bn\1", convolution)
    parts = ("gamma", "beta", "moving_mean", "moving_variance")
    return [f"{convolution}/{part}" for part in ("kernel", "bias")] + [f"{norm}/{part}" for part in parts]
