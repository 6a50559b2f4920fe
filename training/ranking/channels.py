"""How much a network needs each channel of its width groups.

The channels of a group can only be removed together: all convolutions that write to the group lose the same outputs, and what
reads the group loses the same inputs (`hrnet_tf.spec.convolutions`). A factor on channel c of all these outputs is a factor on
channel c of the group, as ReLU and upsampling commute with positive factors. So a gate g = 1 on each channel needs no layer:

    g dL/dg = sum over the group's convolutions of (sum of kernel[..., c] * dL/dkernel[..., c]) + bias[c] * dL/dbias[c]
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hrnet_tf.backend.keras_module import tf
from hrnet_tf.backend.types import Tensor
from hrnet_tf.spec.convolutions import group_writers
from hrnet_tf.spec.network import HRNetSpec
from training.ranking.data import RankingData
from training.ranking.first_order import mean_sizes
from training.ranking.gated_network import GatedNetwork

ChannelScores = dict[str, tuple[float, ...]]  # importance of each channel, by width group


def channel_importance(network: GatedNetwork, data: RankingData) -> ChannelScores:
    """Return the importance of each channel by first-order Taylor expansion, as `methods.Taylor` measures that of units.

    Takes one pass over the data with gradients, which needs TensorFlow.

    Args:
        network: The trained network.
        data: The ranking set.
    """
    model, writers = network.build(), group_writers(network.spec)
    layers = {name: model.get_layer(name) for names in writers.values() for name in names}
    variables = [variable for layer in layers.values() for variable in (layer.kernel, layer.bias)]

    def terms(gradients: Sequence[Tensor]) -> Tensor:
        pairs = zip(layers.items(), gradients[::2], gradients[1::2], strict=True)
        changes = {
            name: tf.reduce_sum(layer.kernel * kernel, axis=(0, 1, 2)) + layer.bias * bias
            for (name, layer), kernel, bias in pairs
        }
        return tf.concat([tf.add_n([changes[name] for name in names]) for names in writers.values()], axis=0)

    scores = mean_sizes(model, data, variables, terms)
    ends = np.cumsum([network.spec.width_of(group) for group in writers])
    parts = np.split(scores, ends[:-1])
    return {group: tuple(map(float, part)) for group, part in zip(writers, parts, strict=True)}


def mean_channels(parts: Sequence[ChannelScores]) -> ChannelScores:
    """Return the mean importance of each channel.

    Args:
        parts: Importance of the same groups on parts of the data.
    """
    return {group: tuple(map(float, np.mean([part[group] for part in parts], axis=0))) for group in parts[0]}


def random_channels(spec: HRNetSpec, seed: int = 0) -> ChannelScores:
    """Return a random number for each channel: the control. Those of a group add up to one unit's, about a half.

    Args:
        spec: The network.
        seed: Seed of the numbers.
    """
    rng = np.random.default_rng([seed, 1])  # not the numbers that units get
    widths = {group: spec.width_of(group) for group in group_writers(spec)}
    return {group: tuple(map(float, rng.random(width) / width)) for group, width in widths.items()}
