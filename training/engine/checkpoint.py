"""All the state of a training in one file, from which it goes on exactly: the same way on every Keras."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hrnet_tf.backend.choice import active_keras
from hrnet_tf.backend.keras_module import NAME
from hrnet_tf.backend.types import Weights
from hrnet_tf.runs.weights import load_weights, save_weights
from mobile_eval.errors import HRNetError
from training.optim.optimizers import optimizer_state

EPOCH = "epoch"


@dataclass(frozen=True)
class Checkpoint:
    """The variables of `model` and of its `optimizer` (built), by their order, and the number of epochs done, in `path`.

    The two backends of Keras 3 read each other's; what tf_keras began, tf_keras goes on with.
    """

    path: Path
    model: Any
    optimizer: Any

    def save(self, epochs: int) -> None:
        """Write the state after so many epochs, whole or not at all."""
        save_weights(self.path, self.state(epochs))

    def state(self, epochs: int) -> Weights:
        """What `save` writes."""
        return {EPOCH: np.array(epochs), **{name: variable.numpy() for name, variable in self._variables().items()}}

    def restore(self) -> int:
        """Give every variable what was saved; returns the number of epochs done, 0 where nothing was saved."""
        if not self.path.exists():
            return 0
        saved, variables = load_weights(self.path), self._variables()
        if EPOCH not in saved or not any(name.startswith(f"{NAME}/") for name in saved):
            raise HRNetError(f"{self.path} was not written by {active_keras()}: go on with the Keras that began this run")
        shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
        if shapes != {name: array.shape for name, array in saved.items() if name != EPOCH}:
            raise HRNetError(f"{self.path} is of another model or optimizer: give another `output`")
        epochs = saved[EPOCH]
        if epochs.shape or not np.issubdtype(epochs.dtype, np.integer) or epochs < 0:
            raise HRNetError(f"{self.path} is damaged: its {EPOCH} is {epochs}, expected a whole number: give another `output`")
        for name, variable in variables.items():
            variable.assign(saved[name])
        return int(epochs)

    def _variables(self) -> dict[str, Any]:
        """What changes in training, seeds of dropped links included."""
        learnt = [v for layer in self.model.layers for v in layer.variables]
        groups = {"model": learnt, "optimizer": optimizer_state(self.optimizer)}
        return {f"{NAME}/{group}/{index}": v for group, found in groups.items() for index, v in enumerate(found)}
