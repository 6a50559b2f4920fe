"""Run a Keras model on one batch after another, without training it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.graph import layer_calls
from hrnet_tf.backend.keras_module import BACKEND, keras, tf
from hrnet_tf.backend.types import Images, KerasModel, Tensor, TFFunction

Outputs: TypeAlias = Any  # an array, or a dictionary of arrays by the names of the outputs


class Inference:
    """A model compiled once for batches of any size.

    `model.predict_on_batch` retraces for every batch size, and all models of a process share its limit of traces. Weights that
    change later are used. Layers are freed as soon as the graph has read them, so that a model that outputs a reduction (such as
    the mean) of every layer needs little memory; a direct call of the model keeps all layers.

    Args:
        model: The model, or a function of inputs and `training` that calls models.
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


def layer_outputs(model: KerasModel) -> dict[str, list[Tensor]]:
    """Return the output tensors of each layer of a functional model by its name, one for each call, if it is shared."""
    outputs: dict[str, list[Tensor]] = {layer.name: [] for layer in model.layers}
    for call in layer_calls(model):
        outputs[call.layer.name].extend(call.outputs)
    return {name: tensors or [model.get_layer(name).output] for name, tensors in outputs.items()}  # input layers are not called


def extremes(outputs: Mapping[str, Sequence[Tensor]]) -> dict[str, Tensor]:
    """Return the minimum and maximum (2,) of tensors by layer, over all calls of a layer that is shared.

    Call it in a `tf.function`: as Keras layers, these operations would take longer to build than the model itself.
    """
    reduced = {}
    for name, tensors in outputs.items():
        values = [tf.cast(x, tf.float32) for x in tensors]
        minima, maxima = [tf.reduce_min(x) for x in values], [tf.reduce_max(x) for x in values]
        reduced[name] = tf.stack([tf.reduce_min(minima), tf.reduce_max(maxima)])
    return reduced


def layer_extremes(model: KerasModel) -> Inference:
    """Return a function from inputs (N, ...) to the minimum and maximum (2,) of each layer's output by its name."""
    every_layer = keras.Model(model.input, layer_outputs(model))
    return Inference(lambda batch, training: extremes(every_layer(batch, training=training)), model.input_shape[1:])
