"""Rules for the operators that the Edge TPU compiler maps.

Source: coral.ai, "TensorFlow models on the Edge TPU", table of supported operations. The compiler is closed and applies more
rules than are documented: an operator whose documented condition cannot be checked "maps if".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mobile_eval.model.graph import Operator

MAPS, MAPS_IF, CPU = "maps", "maps if", "cpu"
EIGHT_BIT = ("int8", "uint8")
INNER_DIMENSIONS = 3
MAX_SOFTMAX_SIZE = 16_000
RESIZE_VERSION = 2  # version 3 has half_pixel_centers, which compilers have refused
CONV_VERSION = 5
UNCONDITIONAL = {
    *("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM", "QUANTIZE", "EXPAND_DIMS", "SLICE", "SPACE_TO_DEPTH"),
    *("LOGISTIC", "TANH", "RELU", "RELU6", "RELU_N1_TO_1", "L2_NORMALIZATION", "AVERAGE_POOL_2D", "MAX_POOL_2D"),
}
UNDOCUMENTED = ("RSQRT", "SQUARED_DIFFERENCE", "TRANSPOSE", "TRANSPOSE_CONV")  # supported on a condition that is not documented
STRUCTURE = {  # number of inputs, and least number of dimensions of these and of the output
    "CONV_2D": (2, 1),
    "DEPTHWISE_CONV_2D": (2, 1),
    "TRANSPOSE_CONV": (3, 1),
    "FULLY_CONNECTED": (2, 0),
    "MEAN": (1, 1),
    "SOFTMAX": (1, 1),
    "PRELU": (2, 0),
    "PAD": (1, 0),
    "SUM": (1, 0),
    "REDUCE_MAX": (1, 0),
    "REDUCE_MIN": (1, 0),
    "PACK": (1, 0),
    "SPLIT": (1, 0),
}


@dataclass(frozen=True)
class Verdict:
    """Where an operator runs.

    Attributes:
        placement: MAPS, MAPS_IF or CPU.
        reason: The condition of MAPS_IF, or why it runs on the CPU.
    """

    placement: str
    reason: str = ""


def is_well_formed(operator: Operator) -> bool:
    """Check that an operator has the inputs, outputs and dimensions that the rules and its multiply-adds read."""
    if operator.kind not in STRUCTURE:
        return True
    count, rank = STRUCTURE[operator.kind]
    tensors = (*operator.inputs[:count], *operator.outputs[:1])
    return len(tensors) == count + 1 and bool(operator.outputs) and all(len(tensor.shape) >= rank for tensor in tensors)


def judge(operator: Operator) -> Verdict:
    """Decide whether the Edge TPU runs a well-formed operator, provided that it runs all before it."""
    for role, tensors in (("input", operator.inputs), ("output", operator.outputs)):
        for tensor in tensors:
            if not tensor.static:
                return Verdict(CPU, f"its {role} has no fixed shape")
            if not tensor.constant and any(size > 1 for size in tensor.shape[:-INNER_DIMENSIONS]):
                return Verdict(CPU, f"its {role} has more than {INNER_DIMENSIONS} dimensions above 1: {list(tensor.shape)}")
            if tensor.dtype not in EIGHT_BIT and not (tensor.constant and tensor.dtype in ("int32", "int64")):
                return Verdict(CPU, f"its {role} is {tensor.dtype}, not 8-bit")
    if operator.kind in UNCONDITIONAL:
        return Verdict(MAPS)
    if operator.kind in UNDOCUMENTED:
        return Verdict(MAPS_IF, "the condition is not documented")
    if operator.kind not in RULES:
        return Verdict(CPU, f"{operator.kind} is not supported")
    return RULES[operator.kind](operator)


def _convolution(operator: Operator) -> Verdict:
    if not operator.inputs[1].constant:
        return Verdict(CPU, "its kernel is not constant")
    width, height = operator.options.get("dilationWFactor", 1), operator.options.get("dilationHFactor", 1)
    if width != height:
        return Verdict(CPU, f"dilation differs in x and y ({width} and {height})")
    if operator.kind == "CONV_2D" and operator.inputs[1].shape[-1] != operator.inputs[0].shape[-1]:
        return Verdict(CPU, "grouped convolutions are not supported")
    if operator.version > CONV_VERSION:
        return Verdict(MAPS_IF, f"the compiler supports {operator.kind} version {operator.version}")
    return Verdict(MAPS)


def _resize(operator: Operator) -> Verdict:
    if operator.options.get("halfPixelCenters") or operator.version > RESIZE_VERSION:
        return Verdict(MAPS_IF, f"the compiler supports {operator.kind} version {operator.version} (half_pixel_centers)")
    return Verdict(MAPS)


def _concatenation(operator: Operator) -> Verdict:
    if operator.options.get("fusedActivationFunction"):
        return Verdict(CPU, "it has a fused activation")
    if any(tensor.constant for tensor in operator.inputs):
        return Verdict(MAPS_IF, "its constant is zero, and one of two inputs")
    return Verdict(MAPS)


def _fully_connected(operator: Operator) -> Verdict:
    if operator.options.get("weightsFormat"):
        return Verdict(CPU, "its weights are shuffled")
    if sum(size > 1 for size in operator.outputs[0].shape) > 1:
        return Verdict(CPU, f"its output has more than one dimension: {list(operator.outputs[0].shape)}")
    return Verdict(MAPS) if operator.inputs[1].constant else Verdict(CPU, "its weights are not constant")


def _mean(operator: Operator) -> Verdict:
    before, after = operator.inputs[0].shape, operator.outputs[0].shape
    if before[0] != after[0] and before[0] > 1:
        return Verdict(CPU, "it averages over the batch")
    if after[-1] != before[-1] and before[-1] % 4:
        return Verdict(CPU, f"it averages over {before[-1]} channels, which is not a multiple of 4")
    return Verdict(MAPS)


def _softmax(operator: Operator) -> Verdict:
    shape = operator.inputs[0].shape
    if sum(size > 1 for size in shape) > 1 or max(shape) > MAX_SOFTMAX_SIZE:
        return Verdict(CPU, f"it takes one dimension of at most {MAX_SOFTMAX_SIZE}, got {list(shape)}")
    return Verdict(MAPS)


def _depends_on_size(operator: Operator) -> Verdict:
    return Verdict(MAPS_IF, "it is not too large")


def _strided_slice(operator: Operator) -> Verdict:
    if operator.options.get("ellipsisMask") or operator.options.get("newAxisMask"):
        return Verdict(CPU, "it has an ellipsis or new-axis mask")
    return Verdict(MAPS_IF, "its strides are 1")


def _prelu(operator: Operator) -> Verdict:
    if sum(size > 1 for size in operator.inputs[1].shape) > 1:
        return Verdict(CPU, "its alpha has more than one dimension")
    return Verdict(MAPS)


def _keeps_batch(operator: Operator) -> Verdict:
    if operator.inputs[0].shape[:1] != operator.outputs[0].shape[:1]:
        return Verdict(CPU, "it works on the batch dimension")
    return Verdict(MAPS)


def _split(operator: Operator) -> Verdict:
    before, after = operator.inputs[-1].shape, operator.outputs[0].shape
    return Verdict(CPU, "it splits the batch") if before[:1] != after[:1] else Verdict(MAPS)


RULES: dict[str, Callable[[Operator], Verdict]] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _convolution,
    "RESIZE_NEAREST_NEIGHBOR": _resize,
    "RESIZE_BILINEAR": _resize,
    "CONCATENATION": _concatenation,
    "FULLY_CONNECTED": _fully_connected,
    "MEAN": _mean,
    "SOFTMAX": _softmax,
    "RESHAPE": _depends_on_size,
    "SQUEEZE": _depends_on_size,
    "STRIDED_SLICE": _strided_slice,
    "PRELU": _prelu,
    "PAD": _keeps_batch,
    "SUM": _keeps_batch,
    "REDUCE_MAX": _keeps_batch,
    "REDUCE_MIN": _keeps_batch,
    "PACK": _keeps_batch,
    "SPLIT": _split,
}
