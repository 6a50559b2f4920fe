"""Replace bilinear resizes of an int8 `.tflite` by operators that older compilers of the Edge TPU know.

These answer "Operation version not supported" for RESIZE_BILINEAR with half-pixel centers (version 3). Upsampling by an even
factor f in that way is the same as, along the columns and then along the rows,

1. nearest upsampling by f, without half-pixel centers (version 2),
2. repeating the edges f / 2 times, by SLICE and CONCATENATION,
3. a depthwise convolution with the f + 1 weights (1/2, 1, ..., 1, 1/2) / f.

The weights are exact in int8. Values are rounded twice, and RESIZE_BILINEAR rounds otherwise, so that they differ by a step or
two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from conversion.flatbuffer_editor import FlatbufferEditor
from mobile_eval.model.archive import SchemaObject

UNIT = 120  # the stored weight in the middle of a kernel; its half is a whole number too
ROWS, COLUMNS = 1, 2  # axes


@dataclass(frozen=True)
class PlainResizes:
    """A model without the resizes that could be replaced.

    Attributes:
        flatbuffer: The model.
        replaced: Number of resizes that were replaced.
        remaining: Number of those with half-pixel centers that were not: by another factor than an even one.
    """

    flatbuffer: bytes
    replaced: int
    remaining: int


def with_plain_resizes(flatbuffer: bytes) -> PlainResizes:
    """Replace the int8 bilinear upsampling with half-pixel centers by an even factor.

    Args:
        flatbuffer: An int8 model, without a description.

    Raises:
        HRNetError: The model cannot be read.
    """
    resizes = _Resizes(flatbuffer)
    operators: list[SchemaObject] = []
    replaced = remaining = 0
    for operator in resizes.graph.operators:
        factor = resizes.factor_of(operator)
        if factor:
            operators += resizes.plain(operator, factor)
            replaced += 1
        else:
            operators.append(operator)
            remaining += factor is not None
    if not replaced:
        return PlainResizes(flatbuffer, 0, remaining)
    resizes.graph.operators = operators
    return PlainResizes(resizes.to_bytes(), replaced, remaining)


class _Resizes(FlatbufferEditor):
    """The resizes of a model."""

    def factor_of(self, operator: SchemaObject) -> int | None:
        """The factor of a resize that can be replaced; 0 for one that cannot, None for other operators."""
        if not self.is_kind(operator, "RESIZE_BILINEAR") or not operator.builtinOptions.halfPixelCenters:
            return None
        before, after = (self.tensor(index) for index in (operator.inputs[0], operator.outputs[0]))
        (height, width), (rows, columns) = before.shape[1:3], after.shape[1:3]
        factor = int(rows // height)
        is_multiple = (rows, columns) == (factor * height, factor * width)
        return factor if is_multiple and factor > 0 and factor % 2 == 0 and before.type == self.schema.TensorType.INT8 else 0

    def plain(self, operator: SchemaObject, factor: int) -> list[SchemaObject]:
        """The operators in place of a resize."""
        source, target = int(operator.inputs[0]), int(operator.outputs[0])
        added: list[SchemaObject] = []
        columns = self._along(source, COLUMNS, factor, None, added)
        self._along(columns, ROWS, factor, target, added)
        return added

    def _along(self, source: int, axis: int, factor: int, target: int | None, added: list[SchemaObject]) -> int:
        """Upsample along one axis, to the tensor `target` or else a new one."""
        before = self.tensor(source)
        shape = list(map(int, before.shape))
        shape[axis] *= factor
        name = f"{self.name(source)}/up{axis}"
        options = self.schema.ResizeNearestNeighborOptionsT()
        options.alignCorners = options.halfPixelCenters = False
        size = self.add_constant(np.array(shape[1:3], np.int32), f"{name}/size")
        nearest = self.add_activation(source, shape, f"{name}/nearest")
        added.append(self.operator("RESIZE_NEAREST_NEIGHBOR", [source, size], nearest, options))
        padded = self._with_edges(nearest, axis, factor // 2, added)
        kernel, bias = self._kernel(float(before.quantization.scale[0]), shape[3], axis, factor, name)
        output = self.add_activation(source, shape, f"{name}/bilinear") if target is None else target
        options = self.convolution_options("DEPTHWISE_CONV_2D")
        added.append(self.operator("DEPTHWISE_CONV_2D", [padded, kernel, bias], output, options))
        return output

    def _with_edges(self, tensor: int, axis: int, border: int, added: list[SchemaObject]) -> int:
        """Repeat the first and last rows or columns, of which `border` are equal already."""
        shape = list(map(int, self.tensor(tensor).shape))
        name, parts = self.name(tensor), []
        edge = [*shape[:axis], border, *shape[axis + 1 :]]
        for side, start in (("before", 0), ("after", shape[axis] - border)):
            begin = [start if index == axis else 0 for index in range(len(shape))]
            places = [self.add_constant(np.array(values, np.int32), f"{name}/{side}{axis}") for values in (begin, edge)]
            parts.append(self.add_activation(tensor, edge, f"{name}/{side}{axis}"))
            added.append(self.operator("SLICE", [tensor, *places], parts[-1], self.schema.SliceOptionsT()))
        padded = [*shape[:axis], shape[axis] + 2 * border, *shape[axis + 1 :]]
        output = self.add_activation(tensor, padded, f"{name}/padded{axis}")
        options = self.schema.ConcatenationOptionsT()
        options.axis, options.fusedActivationFunction = axis, self.schema.ActivationFunctionType.NONE
        added.append(self.operator("CONCATENATION", [parts[0], tensor, parts[1]], output, options))
        return output

    def _kernel(self, input_scale: float, channels: int, axis: int, factor: int, name: str) -> tuple[int, int]:
        """Kernel (1, f + 1, 1, C) or (1, 1, f + 1, C), and bias of a convolution along an axis."""
        line = np.array([UNIT // 2, *[UNIT] * (factor - 1), UNIT // 2], np.int8)
        shape = [1, 1, 1, channels]
        shape[axis] = factor + 1
        along = [1, 1, 1, 1]
        along[axis] = factor + 1
        kernel = np.ascontiguousarray(np.broadcast_to(line.reshape(along), shape))
        scale = np.full(channels, 1 / (UNIT * factor), np.float32)
        biases = self.quantization(scale * np.float32(input_scale), 0)
        return (
            self.add_constant(kernel, f"{name}/weights", self.quantization(scale, 3)),
            self.add_constant(np.zeros(channels, np.int32), f"{name}/no_bias", biases),
        )
