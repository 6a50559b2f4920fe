"""Convert a Keras model to the bytes of a `.tflite`, in any of the formats."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from conversion.model_info import BYTE, ModelInfo
from conversion.options import ConvertOptions
from conversion.quantization.calibration import with_ranges
from conversion.quantization.samples import Inputs
from hrnet_tf.backend.keras_module import quiet, tf
from hrnet_tf.backend.tflite_export import tflite_converter
from hrnet_tf.backend.types import KerasModel, TFLiteConverter
from hrnet_tf.spec.memory import MEMORY_BUDGET
from mobile_eval.errors import HRNetError

INTEGER_FORMATS = ("int8", "int16x8")


def to_flatbuffer(
    model: KerasModel,
    options: ConvertOptions,
    calibration: Iterable[NDArray[np.float32]] | None,
    batch: int = 1,
    memory_budget: int = MEMORY_BUDGET,
) -> bytes:
    """Convert a Keras model to a `.tflite`, unchecked.

    Args:
        model: The model in the form that is converted (see `conversion.models`).
        options: Conversion options; `decode` and `softmax` are already in `model`.
        calibration: Inputs (H, W, C) of the model; with `batch` above 1, batches (batch, H, W, C). They are iterated over
            several times if the activations of one do not fit into `memory_budget`. None if the model has fake quantization,
            or the format needs no calibration.
        batch: Batch size of the file.
        memory_budget: Memory for activations, in bytes.

    Raises:
        HRNetError: If the model has an operation that TFLite lacks.
    """
    from tensorflow.lite.python.convert_phase import ConverterError

    try:
        with quiet():
            if options.format in INTEGER_FORMATS and calibration is not None:
                return _quantize(bytes(tflite_converter(model, batch).convert()), options, calibration, memory_budget)
            return bytes(_converter(model, options, batch).convert())
    except ConverterError as error:
        operation = re.search(r"'tf\.(\w+)' op", str(error))
        reason = f"TFLite has no operator for {operation[1]}" if operation else str(error).splitlines()[0]
        raise HRNetError(f"{model.name} cannot be converted to {options.format}: {reason}") from error


def _converter(model: KerasModel, options: ConvertOptions, batch: int) -> TFLiteConverter:
    converter = tflite_converter(model, batch)
    if options.format != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if options.format == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if options.format == "int8":
        converter.inference_input_type = tf.as_dtype(options.input_dtype)
        converter.inference_output_type = tf.as_dtype(options.output_dtype)
    return converter


def _quantize(float32: bytes, options: ConvertOptions, calibration: Iterable[NDArray[np.float32]], memory_budget: int) -> bytes:
    """Quantize a float32 `.tflite` as TFLiteConverter does, except that `with_ranges` measures the ranges."""
    with_measured = with_ranges(float32, calibration, memory_budget)
    types = tf.as_dtype(options.input_dtype), tf.as_dtype(options.output_dtype)
    if options.format == "int8":
        from tensorflow.lite.python.convert import mlir_quantize

        return bytes(mlir_quantize(with_measured, input_data_type=types[0], output_data_type=types[1]))
    from tensorflow.lite.python.optimize.calibrator import Calibrator

    quantizer = Calibrator(with_measured)._calibrator  # without calibration it quantizes by the ranges in the file
    activations, biases = np.int16, np.int64
    numbers = [np.dtype(kind).num for kind in (*(kind.as_numpy_dtype for kind in types), activations, biases)]
    allow_float = disable_per_channel = disable_per_channel_dense = False
    return bytes(quantizer.QuantizeModel(*numbers[:2], allow_float, *numbers[2:], disable_per_channel, disable_per_channel_dense))


def calibration_inputs(images: Inputs[np.generic], info: ModelInfo, options: ConvertOptions) -> Inputs[np.float32]:
    """Prepare images (H, W, 3) for calibration: as the Keras model takes them, or as bytes for a model with a camera's input."""
    return camera_bytes(images.map(info.as_bytes)) if options.camera else images.map(info.prepare)


def camera_bytes(images: Inputs[np.uint8]) -> Inputs[np.float32]:
    """Convert images to float, with 0 and 255 put into the first, so that the input's range is measured as 0 to 255."""

    def to_float(index: int) -> NDArray[np.float32]:
        image = images[index].astype(np.float32)
        if index == 0:
            image[0, :2] = [[0.0], [BYTE]]
        return image

    return Inputs(len(images), to_float)
