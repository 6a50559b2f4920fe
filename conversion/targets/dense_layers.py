"""Dense layers of the second file of an int8 detector as convolutions, which accelerators run for all proposals at once.

The Edge TPU runs FULLY_CONNECTED for one row, and tensors of at most three dimensions above 1. The pooled features
(R, 7, 7, C) of R proposals have the memory layout of one image (1, 7R, 7, C). The first layer is a convolution of 7x7 with
stride 7 on it, and the others are convolutions of 1x1 on (1, R, 1, F). Weights, scales and sums stay the same.
"""

from __future__ import annotations

import numpy as np

from conversion.flatbuffer_editor import FlatbufferEditor
from mobile_eval.errors import HRNetError
from mobile_eval.model.archive import SchemaObject


def with_convolutions(flatbuffer: bytes) -> bytes:
    """Replace the dense layers of a detector's second file by convolutions.

    Args:
        flatbuffer: An int8 model from pooled features (R, S, S, C) through dense layers, without a description. Its input and
            outputs may be of other types.

    Returns:
        The model from (1, R * S, S, C) to outputs (1, R, 1, F).

    Raises:
        HRNetError: The model cannot be read, or has other operators.
    """
    layers = _DenseLayers(flatbuffer)
    layers.graph.operators = [layer for operator in layers.graph.operators for layer in layers.replaced(operator)]
    return layers.to_bytes()


class _DenseLayers(FlatbufferEditor):
    """The dense layers of a model."""

    def __init__(self, flatbuffer: bytes):
        super().__init__(flatbuffer)
        [pooled] = self.graph.inputs
        self.rows, self.size, _, self.channels = map(int, self.tensor(pooled).shape)
        self._image = (1, self.rows * self.size, self.size, self.channels)
        self.set_shape(pooled, self._image)
        self._flattened: dict[int, int] = {}  # the image that a RESHAPE made vectors of, by its output

    def replaced(self, operator: SchemaObject) -> list[SchemaObject]:
        """What takes the place of an operator; shapes of tensors change on the way."""
        source, output = int(operator.inputs[0]), int(operator.outputs[0])
        if self.is_kind(operator, "RESHAPE"):
            self._flattened[output] = source
            return []
        if self.is_kind(operator, "FULLY_CONNECTED"):
            return [self._convolution(operator, source, output)]
        if self.is_kind(operator, "QUANTIZE") or self.is_kind(operator, "DEQUANTIZE"):
            self.set_shape(output, self.tensor(source).shape)
            return [operator]
        raise HRNetError("the model has other operators than the second file of a detector")

    def _convolution(self, operator: SchemaObject, source: int, output: int) -> SchemaObject:
        _, kernel, bias = map(int, operator.inputs)
        size, channels = (self.size, self.channels) if source in self._flattened else (1, int(self.tensor(kernel).shape[1]))
        features = int(self.tensor(kernel).shape[0])
        self.set_shape(kernel, (features, size, size, channels))
        self.set_shape(output, (1, self.rows, 1, features))
        if bias < 0:  # the converter drops a bias of zeros, which an int8 convolution needs
            bias = self._no_bias(source, kernel, features)
        options = self.convolution_options("CONV_2D", size, operator.builtinOptions.fusedActivationFunction)
        return self.operator("CONV_2D", [self._flattened.get(source, source), kernel, bias], output, options)

    def _no_bias(self, source: int, kernel: int, features: int) -> int:
        inputs, weights = (np.asarray(self.tensor(index).quantization.scale, np.float32) for index in (source, kernel))
        zeros, name = np.zeros(features, np.int32), f"{self.name(kernel)}/no_bias"
        return self.add_constant(zeros, name, self.quantization(inputs[0] * weights, 0))
