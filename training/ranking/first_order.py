"""First-order changes of the loss: Taylor expansion around the trained weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.choice import TF_KERAS
from hrnet_tf.backend.keras_module import NAME, tf
from hrnet_tf.backend.types import KerasModel, Tensor, Variable
from training.ranking.data import RankingData

SMALL_BATCH = 8  # items per gradient

Terms = Callable[[Sequence[Tensor]], Tensor]  # from the gradients of variables to a vector of terms


def mean_sizes(
    model: KerasModel, data: RankingData, variables: Sequence[Variable], terms: Terms, batch: int = SMALL_BATCH
) -> NDArray[np.float64]:
    """Return the mean over small batches of the absolute values of some first-order terms of the loss.

    That is equation 8 of Molchanov et al., Importance Estimation for Neural Network Pruning (arXiv 1906.10771), with the absolute
    value instead of the square. At a minimum, the gradients of different images cancel out but their sizes do not.

    Args:
        model: The network. It runs as at inference.
        data: The ranking set.
        variables: What the gradients are taken of.
        terms: Maps the gradients of the variables, in their order, to a vector of T terms.
        batch: Items per gradient, or fewer if memory is short.

    Returns:
        The means, (T,).
    """
    loss_of = data.loss_of(model)
    watched = variables if NAME == TF_KERAS else [variable.value for variable in variables]  # TensorFlow's

    def first_order(inputs: Tensor, targets: Tensor, *weights: Tensor) -> Tensor:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            for variable in watched:
                tape.watch(variable)
            loss = loss_of(inputs, targets, model(inputs, training=False), *(weights or (None,)))
        return terms(tape.gradient(loss, watched, unconnected_gradients="zero"))

    signature = data.examples([0]).map(lambda array: tf.TensorSpec((None, *array.shape[1:]), array.dtype))
    compiled = tf.function(first_order).get_concrete_function(*signature.present)  # once, for batches of any size
    sums = [
        items.items * np.abs(compiled(*items.map(tf.constant).present).numpy()) for items in data.batches(batch, training=True)
    ]
    return np.asarray(np.sum(sums, axis=0, dtype=np.float64) / len(data))
