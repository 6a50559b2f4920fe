"""Checks that a converted model runs where it is meant to run, and that its weights are finite."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hrnet_tf.backend.keras_module import quiet
from hrnet_tf.backend.types import KerasModel
from mobile_eval.errors import HRNetError
from mobile_eval.model.graph import TFLiteGraph
from mobile_eval.runtime.backend import Backend
from mobile_eval.runtime.interpreter import Interpreter, make_interpreter

TFLITE_RUNTIME = "tflite-runtime"
_VERSIONS = """
ABS:5 ADD:5 ADD_N:1 ARG_MAX:3 ARG_MIN:3 ASSIGN_VARIABLE:1 ATAN2:1 AVERAGE_POOL_2D:3 BATCH_MATMUL:4 BATCH_TO_SPACE_ND:4
BIDIRECTIONAL_SEQUENCE_LSTM:3 BIDIRECTIONAL_SEQUENCE_RNN:3 BITCAST:1 BITWISE_XOR:1 BROADCAST_ARGS:1 BROADCAST_TO:3 BUCKETIZE:1
CALL_ONCE:1 CAST:5 CEIL:1 COMPLEX_ABS:1 CONCATENATION:4 CONV_2D:7 CONV_3D:1 CONV_3D_TRANSPOSE:1 COS:1 CUMSUM:1 DENSIFY:1
DEPTHWISE_CONV_2D:7 DEPTH_TO_SPACE:2 DEQUANTIZE:5 DIV:2 DYNAMIC_UPDATE_SLICE:1 ELU:1 EMBEDDING_LOOKUP:3
EMBEDDING_LOOKUP_SPARSE:1 EQUAL:4 EXP:2 EXPAND_DIMS:1 FAKE_QUANT:2 FILL:4 FLOOR:1 FLOOR_DIV:3 FLOOR_MOD:2 FULLY_CONNECTED:10
GATHER:6 GATHER_ND:4 GELU:2 GREATER:2 GREATER_EQUAL:3 HARD_SWISH:1 HASHTABLE:1 HASHTABLE_FIND:1 HASHTABLE_IMPORT:1
HASHTABLE_LOOKUP:1 HASHTABLE_SIZE:1 IF:1 IMAG:1 L2_NORMALIZATION:2 L2_POOL_2D:1 LEAKY_RELU:2 LESS:3 LESS_EQUAL:2
LOCAL_RESPONSE_NORMALIZATION:1 LOG:1 LOGICAL_AND:1 LOGICAL_NOT:1 LOGICAL_OR:1 LOGISTIC:3 LOG_SOFTMAX:2 LSH_PROJECTION:1 LSTM:4
MATRIX_DIAG:1 MATRIX_SET_DIAG:1 MAXIMUM:4 MAX_POOL_2D:3 MEAN:3 MINIMUM:4 MIRROR_PAD:3 MUL:7 MULTINOMIAL:1 NEG:1
NON_MAX_SUPPRESSION_V4:1 NON_MAX_SUPPRESSION_V5:1 NOT_EQUAL:3 ONE_HOT:1 PACK:4 PAD:4 PADV2:4 POW:1 PRELU:1 QUANTIZE:3
RANDOM_STANDARD_NORMAL:1 RANDOM_UNIFORM:1 RANGE:2 RANK:1 READ_VARIABLE:1 REAL:1 REDUCE_ALL:1 REDUCE_ANY:1 REDUCE_MAX:3
REDUCE_MIN:3 REDUCE_PROD:2 RELU:3 RELU6:3 RELU_0_TO_1:1 RELU_N1_TO_1:1 RESHAPE:1 RESIZE_BILINEAR:4 RESIZE_NEAREST_NEIGHBOR:4
REVERSE_SEQUENCE:1 REVERSE_V2:3 RFFT2D:1 RIGHT_SHIFT:1 RNN:3 ROUND:1 RSQRT:2 SCATTER_ND:1 SEGMENT_SUM:1 SELECT:4 SELECT_V2:2
SHAPE:1 SIGN:2 SIN:1 SKIP_GRAM:1 SLICE:6 SOFTMAX:3 SPACE_TO_BATCH_ND:4 SPACE_TO_DEPTH:2 SPARSE_TO_DENSE:3 SPLIT:4 SPLIT_V:2
SQRT:1 SQUARE:1 SQUARED_DIFFERENCE:2 SQUEEZE:2 STRIDED_SLICE:8 SUB:5 SUM:2 SVDF:4 TANH:3 TILE:3 TOPK_V2:3 TRANSPOSE:6
TRANSPOSE_CONV:4 UNIDIRECTIONAL_SEQUENCE_LSTM:4 UNIDIRECTIONAL_SEQUENCE_RNN:3 UNIQUE:1 UNPACK:4 UNSORTED_SEGMENT_MAX:1
UNSORTED_SEGMENT_MIN:1 UNSORTED_SEGMENT_PROD:1 UNSORTED_SEGMENT_SUM:1 VAR_HANDLE:1 WHERE:2 WHILE:1 ZEROS_LIKE:1
"""
# The operators that tflite-runtime 2.14.0, its last release, supports, each with the highest supported version. The list was
# measured with models of one operator each; tests/conversion/checks/test_known_versions.py repeats that.
KNOWN_VERSIONS = {name: int(version) for name, version in (entry.split(":") for entry in _VERSIONS.split())}


def check_finite(model: KerasModel, origin: Path | str) -> None:
    """Check that no weight is NaN or infinite.

    Raises:
        HRNetError: If one is; the message names `origin`, where the weights came from, and the first such variable.
    """
    for variable in model.weights:
        if not np.all(np.isfinite(variable.numpy())):
            name = variable.name.removesuffix(":0")
            raise HRNetError(f"{origin}: {name} holds NaN or infinity; train the network again")


def check_fully_int8(interpreter: Interpreter, *, float_ends: bool = False) -> None:
    """Check that no tensor is floating point.

    Args:
        interpreter: The model.
        float_ends: Whether inputs and outputs of the model may be.

    Raises:
        HRNetError: If one is; the message names the first.
    """
    ends = {details["index"] for details in (*interpreter.get_input_details(), *interpreter.get_output_details())}
    for details in interpreter.get_tensor_details():
        if np.issubdtype(details["dtype"], np.floating) and not (float_ends and details["index"] in ends):
            raise HRNetError(
                f"the int8 model has a float tensor, {details['name']}: integer accelerators cannot run it; replace the layer "
                "that computes it, or compute it behind the exported model"
            )


def check_loads(path: Path) -> None:
    """Check that the installed runtime runs a file with XNNPACK and without.

    Raises:
        HRNetError: If it does not.
    """
    for xnnpack in (True, False):
        with quiet():  # the runtime prints that it uses the delegate
            interpreter = make_interpreter(path, Backend(xnnpack=xnnpack))
        try:
            interpreter.invoke()
        except (RuntimeError, ValueError) as error:  # what the runtimes raise where an operator fails
            condition, reason = "with" if xnnpack else "without", " ".join(str(error).split())
            raise HRNetError(f"the converted model does not run {condition} XNNPACK: {reason}") from error


def check_versions(path: Path, runtime: str, known_versions: Mapping[str, int] = KNOWN_VERSIONS) -> None:
    """Check that a runtime supports the operators of a file.

    Args:
        path: The file.
        runtime: Name of the runtime; only tflite-runtime is checked.
        known_versions: Highest supported version by operator.

    Raises:
        HRNetError: If an operator, or its version, is not supported.
    """
    if runtime != TFLITE_RUNTIME:
        return
    for operator in TFLiteGraph(path).operators:
        highest = known_versions.get(operator.kind)
        if highest is None or operator.version > highest:
            name = operator.layer or f"operator {operator.index}"
            support = f"supports it up to version {highest}" if highest else "does not support it"
            raise HRNetError(f"{name} is {operator.kind} version {operator.version}; {runtime} 2.14 {support}")
