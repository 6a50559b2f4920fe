"""Train smaller networks inside a network: in a share of the batches, random parts of it are missing.

So the weights of one network suit many smaller ones, as in once-for-all training (Cai et al., arXiv 1908.09791), with nested
widths as in slimmable networks (Yu and Huang, arXiv 1903.05134). What is removed afterwards was often missing before.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import KerasModel
from hrnet_tf.spec.convolutions import group_writers
from hrnet_tf.spec.network import HRNetSpec
from hrnet_tf.spec.units import Unit
from training.elastic.mask import random_mask
from training.elastic.masking import ModelMasking, norm_name

SEVERITY = 0.7  # largest share that is missing


class RandomNetworks(keras.callbacks.Callback):  # type: ignore[misc]
    """Masks the model in a share of the batches of each epoch, and never in the validation.

    Args:
        masking: Masks the trained model.
        spec: Its network.
        share: Share of the batches.
        seed: Seed of the masks.
    """

    def __init__(self, masking: ModelMasking, spec: HRNetSpec, share: float, seed: int):
        super().__init__()
        self.masking = masking
        self.share = share
        self.seed = seed
        self._units: Sequence[Unit] = (*sorted(spec.links), *sorted(spec.live_blocks))
        self._widths = {group: spec.width_of(group) for group in group_writers(spec)}
        self._rng = np.random.default_rng([seed, 0])

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._rng = np.random.default_rng([self.seed, epoch])  # a resumed training draws the same masks

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if self._rng.random() < self.share:
            self.masking.apply(random_mask(self._units, self._widths, SEVERITY, self._rng))
        else:
            self.masking.clear()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.masking.clear()


def random_networks(model: KerasModel, spec: HRNetSpec, share: float, seed: int) -> RandomNetworks:
    """Return the callback that trains random smaller networks inside a Keras model.

    The least important channels are missing first: those whose scales in BatchNorm are smallest (Liu et al., Learning efficient
    convolutional networks through network slimming, arXiv 1708.06519).

    Args:
        model: The model, with its initial weights.
        spec: Its network.
        share: Share of the batches.
        seed: Seed of the masks.
    """
    scales = {
        group: np.sum([np.abs(model.get_layer(norm_name(name)).gamma.numpy()) for name in names], axis=0)
        for group, names in group_writers(spec).items()
    }
    return RandomNetworks(ModelMasking(model, spec, scales), spec, share, seed)
