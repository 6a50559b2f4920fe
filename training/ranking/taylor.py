"""First-order Taylor importance: gate times gradient, in one pass over the data.

With a gate g = 1 on a unit, the loss without the unit is, to first order, L - g dL/dg. Importance is the mean of
|g dL/dg| over small batches (Molchanov et al., Importance Estimation for Neural Network Pruning, arXiv
1906.10771, equation 8, with the absolute value in place of the square): at a minimum the gradients of different
images cancel out, their sizes do not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hrnet_tf.backend.keras_module import tf
from hrnet_tf.models.gates import gates_of
from training.ranking.data import GatedNetwork, RankingData, Scores


@dataclass(frozen=True)
class Taylor:
    """`batch` items make one gradient, or as many of them as memory allows."""

    batch: int = 8

    def __call__(self, network: GatedNetwork, data: RankingData) -> Scores:
        """Forward and backward once for each item."""
        model = network.gated()
        gates = gates_of(model)
        variables, loss_of = [gate.factor for gate in gates.values()], data.loss_of(model)

        def gradients(inputs: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor | None = None) -> tf.Tensor:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                for variable in variables:
                    tape.watch(variable)
                loss = loss_of(inputs, targets, model(inputs, training=False), weights)
            return tf.stack(tape.gradient(loss, variables, unconnected_gradients="zero"))

        batches = [tf.TensorSpec((None, *shape), tf.float32) for shape in data.example_builder().shapes]
        compiled = tf.function(gradients).get_concrete_function(*batches)  # once, for batches of any size
        total = np.zeros(len(variables))
        for batch in data.batches(self.batch, training=True):
            arrays = [tf.constant(part) for part in batch if part is not None]
            total += len(batch[0]) * np.abs(compiled(*arrays).numpy())
        means = total / len(data)
        found = dict(zip(gates, map(float, means), strict=True))
        return {unit: found[unit] for unit in network.units}
