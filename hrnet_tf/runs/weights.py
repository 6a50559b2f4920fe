"""A model's variables as named arrays, stored as safetensors.

The names are those of the variables, such as `stem_conv1/kernel`, so a pruned network takes over the arrays of the layers that it
still has.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from hrnet_tf.backend.types import KerasModel, Variable, Weights
from mobile_eval.errors import HRNetError
from mobile_eval.files import write_atomically


def model_weights(model: KerasModel) -> Weights:
    """Return the values of all variables of a model by name."""
    return {_name(variable): variable.numpy() for variable in model.weights}


def set_model_weights(model: KerasModel, weights: Weights) -> None:
    """Assign its array to every variable of a model.

    Args:
        model: A Keras model.
        weights: Arrays by the name of their variable. Arrays of other models' variables are ignored.

    Raises:
        HRNetError: A variable has no array, or one of another shape. The message names the variable.
    """
    for variable in model.weights:
        name = _name(variable)
        if name not in weights:
            raise HRNetError(f"the weights have no {name}: they are of another model")
        if tuple(weights[name].shape) != tuple(variable.shape):
            raise HRNetError(
                f"{name} has shape {tuple(weights[name].shape)}, expected {tuple(variable.shape)}: weights of another model"
            )
        variable.assign(weights[name])


def save_weights(path: Path | str, weights: Weights) -> None:
    """Write arrays to a .safetensors file, completely or not at all."""
    content = save({name: np.array(array, order="C") for name, array in weights.items()})
    write_atomically(Path(path), lambda draft: draft.write_bytes(content))


def load_weights(path: Path | str) -> Weights:
    """Read a .safetensors file. Raises HRNetError if it does not exist or is damaged."""
    try:
        return dict(load_file(path))
    except FileNotFoundError:
        raise HRNetError(f"{path} does not exist: the run has no finished epoch") from None
    except (SafetensorError, TypeError, AttributeError) as error:  # the latter two for types that numpy does not have
        raise HRNetError(f"{path} is damaged: {error}") from error


def _name(variable: Variable) -> str:
    """The layer and the variable: the path of a variable in Keras 3, its name in tf_keras."""
    return str(getattr(variable, "path", variable.name)).removesuffix(":0")
