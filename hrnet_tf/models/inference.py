"""Run a Keras model on one batch after another, without training it."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.graph import flat
from hrnet_tf.backend.keras_module import BACKEND, keras, ops, tf
from hrnet_tf.backend.types import Images, KerasModel, Tensor, TFFunction

Outputs: TypeAlias = Any  # an array, or a dictionary of arrays by the names of the outputs


class Inference:
    """A model compiled once for batches of any size.

    `model.predict_on_batch` retraces for every batch size, and all models of a process share its limit of traces. Weights that
    change later are used. Layers are freed as soon as the graph has read them, so that a model that outputs a reduction (such as
    the mean) of every layer needs little memory; a direct call of the model keeps all layers.

    Args:
        model: The model.
        input_shape: Shape of one input, without the batch.

    Example:
        >>> inference = Inference(model, (256, 192, 3))  # doctest: +SKIP
        >>> heatmaps = inference(images)  # doctest: +SKIP
    """

    def __init__(self, model: KerasModel, input_shape: tuple[int, ...]):
        self.model = model
        self.input_shape = input_shape
        self._function: TFFunction = None
        self._largest = 0

    def __call__(self, inputs: NDArray[np.float32]) -> Outputs:
        """Return the outputs for inputs (N, ...)."""
        if BACKEND != "tensorflow":
            return self._run_padded(inputs)
        if self._function is None:
            signature = tf.TensorSpec((None, *self.input_shape), tf.float32)
            self._function = tf.function(lambda batch: self.model(batch, training=False)).get_concrete_function(signature)
        return as_arrays(self._function(tf.constant(inputs)))

    def _run_padded(self, inputs: Images) -> Outputs:
        """Pad batches to one size, because JAX compiles for each size."""
        self._largest = max(self._largest, len(inputs))
        outputs = self.model.predict_on_batch(np.resize(inputs, (self._largest, *inputs.shape[1:])))
        if isinstance(outputs, dict):
            return {name: array[: len(inputs)] for name, array in outputs.items()}
        return outputs[: len(inputs)]


def as_arrays(outputs: Tensor | dict[str, Tensor]) -> Outputs:
    """Return a model's outputs as numpy arrays."""
    if isinstance(outputs, dict):
        return {name: np.asarray(value) for name, value in outputs.items()}
    return np.asarray(outputs)


def extremes_model(model: KerasModel) -> KerasModel:
    """Return a model of the minimum and maximum (2,) of the output of each layer, by its name; over all calls, if it is shared.

    Args:
        model: A functional model that shares no layers with others.
    """
    extremes: dict[str, Tensor] = {}
    for layer in model.layers:
        outputs = [x for node in range(len(layer.inbound_nodes)) for x in flat(layer.get_output_at(node))]
        minima, maxima = ([ops.cast(reduce(x), "float32") for x in outputs] for reduce in (keras.backend.min, keras.backend.max))
        extremes[layer.name] = keras.backend.stack(
            [keras.backend.min(keras.backend.stack(minima)), keras.backend.max(keras.backend.stack(maxima))]
        )
    return keras.Model(model.input, extremes)
