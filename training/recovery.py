"""What a network needs after units were taken from it, before it learns again."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnet_tf._keras import keras

BATCH = 64


def reestimate_batch_norm(model: Any, inputs: NDArray[np.float32]) -> None:
    """Give every BatchNorm the mean and variance that it now sees on `inputs` (N, H, W, 3), averaged over batches.

    Sums that lost a term have other statistics than those stored, and inference goes by the stored ones.
    """
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    kept = [layer.momentum for layer in norms]
    for number, start in enumerate(range(0, len(inputs), BATCH)):
        for layer in norms:
            layer.momentum = number / (number + 1)  # together: the mean of all batches
        model(inputs[start : start + BATCH], training=True)
    for layer, momentum in zip(norms, kept, strict=True):
        layer.momentum = momentum
