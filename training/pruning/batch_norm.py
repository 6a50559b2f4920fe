"""What a network needs after units were taken from it, before it learns again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.keras_module import keras

LARGEST_BATCH = 64


def reestimate_batch_norm(model: Any, batches: Iterable[NDArray[np.float32]]) -> None:
    """Give every BatchNorm the mean and variance that it now sees on `batches` (N, H, W, 3): their means, weighted by N.

    Sums that lost a term have other statistics than those stored, and inference goes by the stored ones.
    """
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    kept = [layer.momentum for layer in norms]
    seen = 0
    for batch in batches:
        for layer in norms:
            layer.momentum = seen / (seen + len(batch))  # together: the mean of all images
        model(batch, training=True)
        seen += len(batch)
    for layer, momentum in zip(norms, kept, strict=True):
        layer.momentum = momentum
