"""Keras models in the form that is converted: BatchNorm folded, with normalization, decoding or softmax in the graph."""

from __future__ import annotations

import numpy as np

from conversion.checks.verify import check_finite
from conversion.options import ConvertOptions
from conversion.outputs import LOCATIONS, SCORES
from hrnet_tf.backend.keras_module import keras, tf
from hrnet_tf.backend.types import KerasModel, Tensor
from hrnet_tf.models.build import build_model
from hrnet_tf.models.detection.two_stage import JoinedDetector, stages_of
from hrnet_tf.models.folding import fold_batch_norm
from hrnet_tf.runs.run import Run
from hrnet_tf.runs.weights import load_weights, set_model_weights
from mobile_eval.image.preprocess import IMAGENET_MEAN, IMAGENET_STD
from mobile_eval.keypoints.decode import QUARTERS

BYTE = 255.0


def load_folded_model(run: Run, *, fake_quantized: bool | None = None) -> KerasModel:
    """Load the network of a run with BatchNorm folded.

    Args:
        run: The run.
        fake_quantized: Whether to build it with fake quantization. None means: if the run is quantization-aware. False loads
            only the weights of a quantization-aware run.

    Raises:
        HRNetError: If a weight is NaN or infinite.
    """
    if run.quantized and fake_quantized is not False:
        model = run.model()
    else:
        weights = load_weights(run.weights_path)
        model = build_model(run.spec, folded=True)
        set_model_weights(model, weights if run.quantized else fold_batch_norm(weights))
    check_finite(model, run.weights_path)
    return model


def load_detector(run: Run, *, fake_quantized: bool | None = None) -> JoinedDetector:
    """Load the detector of a run with BatchNorm folded, as two stages; see `load_folded_model`."""
    model = load_folded_model(run, fake_quantized=fake_quantized)
    return model if isinstance(model, JoinedDetector) else JoinedDetector(stages_of(model), run.hrnet_spec)


def export_model(model: KerasModel, options: ConvertOptions, output_name: str) -> KerasModel:
    """Add what the options put into the graph: normalization, decoding or softmax.

    Args:
        model: Takes normalized inputs (1, H, W, C); has one output.
        options: Conversion options.
        output_name: Name of the output in the file's signature; decoding has two outputs with names of their own.

    Returns:
        A model whose outputs are a dict by name.
    """
    exported = with_camera_input(model, integer=options.format == "int8") if options.camera else model
    if options.decode:
        return with_decoding(exported)
    return with_output_name(with_softmax(exported) if options.softmax else exported, output_name)


def with_camera_input(model: KerasModel, *, integer: bool) -> KerasModel:
    """Put normalization in front of a model, so that it takes a camera's bytes.

    Normalization is a 1x1 depthwise convolution. It is not folded into the stem, whose zero padding is of normalized images.

    Args:
        model: Takes normalized images (1, H, W, 3).
        integer: Whether the input is float32 with fake quantization to bytes, for int8 conversion, instead of uint8.
    """
    shape = model.input_shape[1:]
    if integer:
        image = keras.Input(shape, dtype=tf.float32, name="image")
        pixels = tf.quantization.fake_quant_with_min_max_args(image, 0.0, BYTE)
    else:
        image = keras.Input(shape, dtype=tf.uint8, name="image")
        pixels = tf.cast(image, tf.float32)
    mean, std = np.array(IMAGENET_MEAN, np.float32), np.array(IMAGENET_STD, np.float32)
    normalization = keras.layers.DepthwiseConv2D(1, name="stem_camera")
    normalized = normalization(pixels)
    normalization.set_weights([(1 / (BYTE * std)).reshape(1, 1, -1, 1), -mean / std])
    return keras.Model(image, model(normalized))


def with_decoding(model: KerasModel) -> KerasModel:
    """Decode heatmaps in the graph, as `mobile_eval.keypoints.decode.decode_heatmaps` does, in integers.

    Args:
        model: Its output is heatmaps (1, H, W, K).

    Returns:
        A model with the outputs "locations" (1, K, 2), int32, x and y in quarters of a heatmap pixel, and "scores" (1, K), the
        maxima of the heatmaps. Locations are also computed where the score is not positive, which decoding counts as not
        found.
    """
    heatmaps = model.output
    _, height, width, joints = heatmaps.shape
    flat = tf.reshape(heatmaps, (height * width, joints))
    best = tf.argmax(flat, axis=0, output_type=tf.int32)
    y = best // width
    x = best - y * width
    inside = tf.cast((x > 1) & (x < width - 1) & (y > 1) & (y < height - 1), tf.int32)
    index = inside * best + (1 - inside) * (width + 1)  # maxima at the border are not shifted: any place with four neighbors

    def second_is_larger(first: int, second: int) -> Tensor:
        """1 where the heatmap is larger at the second of two neighbors: by ARG_MAX, as TFLite's int8 GREATER rounds."""
        neighbors = tf.stack([(index + offset) * joints + tf.range(joints) for offset in (first, second)])
        return tf.argmax(tf.gather(tf.reshape(heatmaps, (-1,)), neighbors), axis=0, output_type=tf.int32)

    def in_quarters(position: Tensor, step: int) -> Tensor:
        return QUARTERS * position + inside * (second_is_larger(-step, step) - second_is_larger(step, -step))

    locations = tf.stack([in_quarters(x, 1), in_quarters(y, width)], axis=1)
    scores = tf.reduce_max(flat, axis=0)
    outputs = {LOCATIONS: tf.reshape(locations, (1, joints, 2)), SCORES: tf.reshape(scores, (1, joints))}
    return keras.Model(model.input, outputs)


def with_softmax(model: KerasModel) -> KerasModel:
    """Put softmax behind a model whose output is logits (N, classes)."""
    return keras.Model(model.input, keras.layers.Softmax(name="head_softmax")(model.output))


def with_output_name(model: KerasModel, name: str) -> KerasModel:
    """Name the only output of a model; the file's signature takes the name over."""
    return keras.Model(model.input, {name: model.output}, name=model.name)
