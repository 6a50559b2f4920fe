"""The TFLite converter of a Keras model, without the detour that takes most of its time.

Given a Keras model, TFLiteConverter first saves it with a traced function for each layer and loads that again: for a
network of hundreds of layers, minutes. Given one function and the bare variables it converts in seconds, to the same file.
"""

from __future__ import annotations

from typing import Any

from hrnet_tf.backend.choice import check_tf_keras
from hrnet_tf.backend.keras_module import tf


def tflite_converter(model: Any, batch: int = 1) -> Any:
    """A `TFLiteConverter` of `model` for one image (1, H, W, C), or so many: all sizes are known, as accelerators want."""
    check_tf_keras("conversion to TFLite")
    image = tf.TensorSpec((batch, *model.input_shape[1:]), model.input.dtype, name=model.input_names[0])
    variables = tf.Module()  # what the function reads, and no layer of the model
    variables.held = model.variables
    converter = tf.lite.TFLiteConverter.from_concrete_functions([tf.function(model).get_concrete_function(image)], variables)
    converter.exclude_conversion_metadata = True  # versions are in the description; adding them here unpacks and packs it all
    return converter
