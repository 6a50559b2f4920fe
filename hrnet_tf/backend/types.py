"""Names for the types of Keras and TensorFlow.

The package runs on tf_keras and on Keras 3, whose classes share no base class and carry no type hints. Each name here is
an alias of `Any`: it documents what a value is, and a type checker accepts the object of either Keras.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

KerasModule: TypeAlias = Any  # `tf_keras` or `keras`
KerasModel: TypeAlias = Any
KerasLayer: TypeAlias = Any
KerasOptimizer: TypeAlias = Any
KerasSchedule: TypeAlias = Any  # of the learning rate
KerasLoss: TypeAlias = Any
KerasMetric: TypeAlias = Any
KerasCallback: TypeAlias = Any
KerasHistory: TypeAlias = Any  # what `model.fit` returns
KerasDType: TypeAlias = Any  # a dtype's name, or a dtype policy

Tensor: TypeAlias = Any  # a symbolic tensor, a tensor of TensorFlow, or an array of JAX
Variable: TypeAlias = Any
Shape: TypeAlias = Any  # a sequence of sizes, None where a size is not known

TensorFlowModule: TypeAlias = Any
TFDataset: TypeAlias = Any  # `tf.data.Dataset`
TFStrategy: TypeAlias = Any  # `tf.distribute.Strategy`
TFSummaryWriter: TypeAlias = Any
TFFunction: TypeAlias = Any  # what `tf.function` returns
TFLiteConverter: TypeAlias = Any
QuantizeConfig: TypeAlias = Any  # of tensorflow-model-optimization

Arrays: TypeAlias = Any  # an array, or arrays in lists, tuples and dictionaries, as models take and return them
Dataset: TypeAlias = Any  # what `fit` takes: `tf.data.Dataset`, `Sequence` or `PyDataset`, `(x, y[, sample_weight])`
Images: TypeAlias = NDArray[np.float32]  # (N, H, W, C)
Weights: TypeAlias = dict[str, NDArray[np.float32]]  # arrays by "layer/variable"
