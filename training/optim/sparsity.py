"""Magnitude pruning of single weights (tensorflow-model-optimization), beside the removal of whole links and blocks.

Zeros make a file smaller once it is compressed. They do not make a dense kernel faster.
"""

from __future__ import annotations

from typing import Any

from hrnet_tf.backend.choice import check_tf_keras
from hrnet_tf.backend.keras_module import keras

SPARSITY = "--sparsity (tensorflow-model-optimization)"
RAMP = 0.5  # the zeros are all there after this share of the steps; the rest of the training recovers
UPDATES = 20  # of the masks, on the way there


def sparsified(model: Any, sparsity: float, steps: int) -> Any:
    """A model that shares the layers of `model` and sets the smallest weights of each convolution to zero as it trains.

    `sparsity` (0..1) is the share of zeros after half of `steps` (Zhu and Gupta, arXiv 1710.01878: cubic). Fit it
    with `sparsity_callbacks`; `model` holds the zeros at the end of each epoch.
    """
    check_tf_keras(SPARSITY)
    import tensorflow_model_optimization as tfmot

    end = max(int(steps * RAMP), 1)
    schedule = tfmot.sparsity.keras.PolynomialDecay(0.0, sparsity, 0, end, power=3, frequency=max(end // UPDATES, 1))

    def wrapped(layer: Any) -> Any:
        if isinstance(layer, keras.layers.Conv2D):
            return tfmot.sparsity.keras.prune_low_magnitude(layer, schedule)
        return layer

    return keras.models.clone_model(model, clone_function=wrapped)


def sparsity_callbacks() -> list[Any]:
    """What `model.fit` needs to move the masks."""
    import tensorflow_model_optimization as tfmot

    return [tfmot.sparsity.keras.UpdatePruningStep()]
