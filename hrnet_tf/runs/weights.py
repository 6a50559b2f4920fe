"""A model's variables as named arrays, on disk as safetensors.

Names are those of the variables, `stem_conv1/kernel`, so that a network that lost links takes over the
arrays that still have a place.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save

from hrnet_tf.backend.types import KerasModel, Variable, Weights
from mobile_eval.errors import HRNetError
from mobile_eval.files import write_atomically


def model_weights(model: KerasModel) -> Weights:
    """All variables of a model by name."""
    return {_name(variable): variable.numpy() for variable in model.weights}


def set_model_weights(model: KerasModel, weights: Weights) -> None:
    """Give every variable of `model` its array; arrays without a place in it are left out.

    Raises HRNetError naming the first variable that is missing or of another shape.
    """
    for variable in model.weights:
        name = _name(variable)
        if name not in weights:
            raise HRNetError(f"the weights hold no {name}: they are of another model")
        if tuple(weights[name].shape) != tuple(variable.shape):
            raise HRNetError(
                f"{name} has shape {tuple(weights[name].shape)}, expected {tuple(variable.shape)}: weights of another model"
            )
        variable.assign(weights[name])


def save_weights(path: Path | str, weights: Weights) -> None:
    """Write arrays to a .safetensors file, whole or not at all."""
    content = save({name: np.array(array, order="C") for name, array in weights.items()})
    write_atomically(Path(path), lambda beside: beside.write_bytes(content))


def load_weights(path: Path | str) -> Weights:
    """Read a .safetensors file."""
    try:
        return dict(load_file(path))
    except FileNotFoundError:
        raise HRNetError(f"{path} does not exist: the run was not trained to its first epoch") from None
    except Exception as error:  # safetensors raises its own error for truncated and foreign files
        raise HRNetError(f"{path} is damaged: {error}") from error


def _name(variable: Variable) -> str:
    """Layer and variable, the same in every Keras: Keras 3 calls that a variable's path, tf_keras its name."""
    return str(getattr(variable, "path", variable.name)).removesuffix(":0")
