"""The TFLite converter of a Keras model, in a form that converts fast.

Given a Keras model, TFLiteConverter saves it with a traced function for each layer and loads it again, which takes minutes for a
network of hundreds of layers. Given one function and the variables, it converts in seconds, to the same file.
"""

from __future__ import annotations

from hrnet_tf.backend.choice import check_tf_keras
from hrnet_tf.backend.keras_module import tf
from hrnet_tf.backend.types import KerasModel, TFLiteConverter


def tflite_converter(model: KerasModel, batch: int = 1) -> TFLiteConverter:
    """Return a TFLite converter of a model.

    Args:
        model: A model of images (N, H, W, C).
        batch: Number of images that the file takes at a time; accelerators need a fixed number.

    Returns:
        A `tf.lite.TFLiteConverter`.
    """
    check_tf_keras("conversion to TFLite")
    image = tf.TensorSpec((batch, *model.input_shape[1:]), model.input.dtype, name=model.input_names[0])
    variables = tf.Module()  # tracks the variables that the function reads, without the layers of the model
    variables.tracked = model.variables
    converter = tf.lite.TFLiteConverter.from_concrete_functions([tf.function(model).get_concrete_function(image)], variables)
    converter.exclude_conversion_metadata = True  # the description records the versions; adding them here takes long
    return converter
