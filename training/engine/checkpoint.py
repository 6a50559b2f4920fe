"""The complete state of a training in one file, from which it resumes exactly, with every Keras."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hrnet_tf.backend.choice import active_keras
from hrnet_tf.backend.keras_module import NAME
from hrnet_tf.backend.types import KerasModel, KerasOptimizer, Variable, Weights
from hrnet_tf.runs.weights import load_weights, save_weights
from mobile_eval.errors import HRNetError
from training.optim.optimizers import optimizer_state

EPOCH = "epoch"


@dataclass(frozen=True)
class Checkpoint:
    """The variables of a model and its optimizer in their order, and the number of completed epochs.

    The two backends of Keras 3 can read each other's checkpoints; those of tf_keras need tf_keras.

    Args:
        path: The file.
        model: The Keras model.
        optimizer: Its optimizer, built.
    """

    path: Path
    model: KerasModel
    optimizer: KerasOptimizer

    def save(self, epochs: int) -> None:
        """Write the state after a number of epochs; the file is replaced as a whole."""
        save_weights(self.path, self.state(epochs))

    def state(self, epochs: int) -> Weights:
        """Return the arrays that `save` writes."""
        return {EPOCH: np.array(epochs), **{name: variable.numpy() for name, variable in self._variables().items()}}

    def restore(self) -> int:
        """Assign the saved state to all variables.

        Returns:
            Number of completed epochs; 0 where nothing was saved.

        Raises:
            HRNetError: The file is damaged, or of another Keras, model or optimizer.
        """
        if not self.path.exists():
            return 0
        saved, variables = load_weights(self.path), self._variables()
        if EPOCH not in saved or not any(name.startswith(f"{NAME}/") for name in saved):
            raise HRNetError(f"{self.path} was not written by {active_keras()}: resume with the Keras that began this run")
        shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
        if shapes != {name: array.shape for name, array in saved.items() if name != EPOCH}:
            raise HRNetError(f"{self.path} is of another model or optimizer: give another `output`")
        epochs = saved[EPOCH]
        if epochs.shape or not np.issubdtype(epochs.dtype, np.integer) or epochs < 0:
            raise HRNetError(f"{self.path} is damaged: {EPOCH} is {epochs}, expected a whole number: give another `output`")
        for name, variable in variables.items():
            variable.assign(saved[name])
        return int(epochs)

    def _variables(self) -> dict[str, Variable]:
        """Return everything that changes in training by name, the seeds of dropped links included."""
        model = [variable for layer in self.model.layers for variable in layer.variables]
        groups = {"model": model, "optimizer": optimizer_state(self.optimizer)}
        return {
            f"{NAME}/{group}/{index}": variable for group, variables in groups.items() for index, variable in enumerate(variables)
        }
