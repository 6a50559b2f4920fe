"""A Keras model as the bytes of a `.tflite` in any of the formats."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conversion.options import ConvertOptions
from conversion.outputs import LOCATIONS, SCORES
from conversion.quantization.calibration import with_ranges
from conversion.quantization.samples import Inputs
from hrnet_tf.backend.keras_module import keras, quiet, tf
from hrnet_tf.models.export import tflite_converter
from hrnet_tf.spec.memory import MEMORY_BUDGET
from mobile_eval.errors import HRNetError
from mobile_eval.image.preprocess import IMAGENET_MEAN, IMAGENET_STD
from mobile_eval.keypoints.decode import QUARTERS

BYTE = 255.0
INTEGER_FORMATS = ("int8", "int16x8")


def to_flatbuffer(
    model: Any,
    options: ConvertOptions,
    calibration: Iterable[NDArray[np.float32]] | None,
    batch: int = 1,
    memory_budget: int = MEMORY_BUDGET,
) -> bytes:
    """Convert `model`. `calibration` is what the model takes (H, W, 3), which is gone through several times where the tensors of
    one do not fit into `memory_budget` (bytes); None where fake quantization has the ranges.

    A file for a `batch` of more than one is calibrated on full batches (batch, H, W, C).

    Raises HRNetError, naming the operation, where the model holds one that TFLite has not.
    """
    from tensorflow.lite.python.convert_phase import ConverterError

    try:
        with quiet():
            if options.format in INTEGER_FORMATS and calibration is not None:
                return _quantized(bytes(tflite_converter(model, batch).convert()), options, calibration, memory_budget)
            return bytes(_converter(model, options, batch).convert())
    except ConverterError as error:
        found = re.search(r"'tf\.(\w+)' op", str(error))
        what = f"TFLite has no operator for {found[1]}" if found else str(error).splitlines()[0]
        raise HRNetError(f"{model.name} cannot be converted to {options.format}: {what}") from error


def _converter(model: Any, options: ConvertOptions, batch: int) -> Any:
    converter = tflite_converter(model, batch)
    if options.format != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if options.format == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if options.format == "int8":
        converter.inference_input_type = tf.as_dtype(options.input_dtype)
        converter.inference_output_type = tf.as_dtype(options.output_dtype)
    return converter


def _quantized(float32: bytes, options: ConvertOptions, calibration: Iterable[NDArray[np.float32]], memory_budget: int) -> bytes:
    """What TFLiteConverter does once it has a float32 file, but for where the ranges come from."""
    measured = with_ranges(float32, calibration, memory_budget)
    outside = tf.as_dtype(options.input_dtype), tf.as_dtype(options.output_dtype)
    if options.format == "int8":
        from tensorflow.lite.python.convert import mlir_quantize

        return bytes(mlir_quantize(measured, input_data_type=outside[0], output_data_type=outside[1]))
    from tensorflow.lite.python.optimize.calibrator import Calibrator

    quantizer = Calibrator(measured)._calibrator  # given no images, it quantizes by the ranges that are there
    numbers = [np.dtype(kind).num for kind in (*(one.as_numpy_dtype for one in outside), np.int16, np.int64)]
    float_operators = channel_by_channel_off = dense_channel_by_channel_off = False
    return bytes(
        quantizer.QuantizeModel(*numbers[:2], float_operators, *numbers[2:], channel_by_channel_off, dense_channel_by_channel_off)
    )


def all_bytes(images: Inputs) -> Inputs:
    """Images as a camera's bytes, of which the first has the least and the greatest: the range of the input is 0 to 255."""

    def as_bytes(index: int) -> NDArray[np.float32]:
        image = images[index].astype(np.float32)
        if index == 0:
            image[0, :2] = [[0.0], [BYTE]]
        return image

    return Inputs(len(images), as_bytes)


def with_camera_input(model: Any, *, integer: bool) -> Any:
    """`model` with normalization in front: it takes a camera's bytes, as uint8 or, if `integer`, as what quantizes to them.

    Normalization is a 1x1 depthwise convolution and not folded into the stem, whose zero padding is of normalized images.
    """
    shape = model.input_shape[1:]
    if integer:
        image = keras.Input(shape, dtype=tf.float32, name="image")
        bytes_ = tf.quantization.fake_quant_with_min_max_args(image, 0.0, BYTE)
    else:
        image = keras.Input(shape, dtype=tf.uint8, name="image")
        bytes_ = tf.cast(image, tf.float32)
    mean, std = np.array(IMAGENET_MEAN, np.float32), np.array(IMAGENET_STD, np.float32)
    normalization = keras.layers.DepthwiseConv2D(1, name="stem_camera")
    normalized = normalization(bytes_)
    normalization.set_weights([(1 / (BYTE * std)).reshape(1, 1, -1, 1), -mean / std])
    return keras.Model(image, model(normalized))


def with_decoding(model: Any) -> Any:
    """`model` with `decode_heatmaps` of `mobile_eval.keypoints.decode` behind it, in whole numbers.

    Its outputs are by name "locations" (1, K, 2), int32 as x and y in quarters of a heatmap pixel of heatmaps (1, H, W, K), and
    "scores" (1, K), their maxima.

    Locations stand also where the score is not positive, which decoding takes for no joint.
    """
    heatmaps = model.output
    _, height, width, joints = heatmaps.shape
    flat = tf.reshape(heatmaps, (height * width, joints))
    best = tf.argmax(flat, axis=0, output_type=tf.int32)
    y = best // width
    x = best - y * width
    inside = tf.cast((x > 1) & (x < width - 1) & (y > 1) & (y < height - 1), tf.int32)
    index = inside * best + (1 - inside) * (width + 1)  # any place with four neighbours, for those that are not used

    def later_is_larger(first: int, second: int) -> Any:
        """1 where the heatmap is larger at the second of two neighbours: by ARG_MAX, as TFLite's int8 GREATER rounds."""
        neighbours = tf.stack([(index + offset) * joints + tf.range(joints) for offset in (first, second)])
        return tf.argmax(tf.gather(tf.reshape(heatmaps, (-1,)), neighbours), axis=0, output_type=tf.int32)

    def quarters(place: Any, step: int) -> Any:
        return QUARTERS * place + inside * (later_is_larger(-step, step) - later_is_larger(step, -step))

    locations = tf.stack([quarters(x, 1), quarters(y, width)], axis=1)
    scores = tf.reduce_max(flat, axis=0)
    outputs = {LOCATIONS: tf.reshape(locations, (1, joints, 2)), SCORES: tf.reshape(scores, (1, joints))}
    return keras.Model(model.input, outputs)


def with_softmax(model: Any) -> Any:
    """`model`, whose output is logits (N, classes), with softmax behind it."""
    return keras.Model(model.input, keras.layers.Softmax(name="head_softmax")(model.output))


def with_output_name(model: Any, name: str) -> Any:
    """`model` with its one output called `name`, as which the file's signature knows it."""
    return keras.Model(model.input, {name: model.output}, name=model.name)
