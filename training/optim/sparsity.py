"""Magnitude pruning of single weights (tensorflow-model-optimization), beside the removal of links and blocks.

Zeros make a compressed file smaller. They do not make a dense kernel faster.
"""

from __future__ import annotations

from hrnet_tf.backend.choice import check_tf_keras
from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import KerasCallback, KerasLayer, KerasModel

SPARSITY = "--sparsity (tensorflow-model-optimization)"
RAMP = 0.5  # fraction of the steps after which the final sparsity is reached; the others recover
UPDATES = 20  # of the masks during the ramp


def sparsified(model: KerasModel, sparsity: float, steps: int) -> KerasModel:
    """Return a model that shares the layers of another one and sets their smallest weights to zero while it trains.

    The sparsity rises along a cubic curve over the first half of the steps (Zhu and Gupta, arXiv 1710.01878). Fit the model with
    `sparsity_callbacks`; the original model has the zeros at the end of each epoch.

    Args:
        model: A Keras model.
        sparsity: Final fraction of zeros in each convolution, from 0 to 1.
        steps: Number of training steps.
    """
    check_tf_keras(SPARSITY)
    import tensorflow_model_optimization as tfmot

    end = max(int(steps * RAMP), 1)
    schedule = tfmot.sparsity.keras.PolynomialDecay(0.0, sparsity, 0, end, power=3, frequency=max(end // UPDATES, 1))

    def wrapped(layer: KerasLayer) -> KerasLayer:
        if isinstance(layer, keras.layers.Conv2D):
            return tfmot.sparsity.keras.prune_low_magnitude(layer, schedule)
        return layer

    return keras.models.clone_model(model, clone_function=wrapped)


def sparsity_callbacks() -> list[KerasCallback]:
    """Return the callbacks that update the masks."""
    import tensorflow_model_optimization as tfmot

    return [tfmot.sparsity.keras.UpdatePruningStep()]
