"""Keras models in the form that is converted: BatchNorm folded, with normalization, decoding or softmax in the graph."""

from __future__ import annotations

import numpy as np

from conversion.checks.verify import check_finite
from conversion.model_info import BYTE, Color, ModelInfo
from conversion.options import ConvertOptions
from conversion.outputs import output_name
from hrnet_tf.backend.graph import output_tensors
from hrnet_tf.backend.keras_module import keras, tf
from hrnet_tf.backend.types import KerasModel, Tensor
from hrnet_tf.models.build import build_model
from hrnet_tf.models.detection.two_stage import JoinedDetector, stages_of
from hrnet_tf.models.folding import fold_batch_norm
from hrnet_tf.models.quantization import without_fake_quantization
from hrnet_tf.models.rebuild import rebuild
from hrnet_tf.models.trunk import contains_network, detector_spec_of, is_quantized
from hrnet_tf.runs.run import Run
from hrnet_tf.runs.weights import load_weights, set_model_weights
from mobile_eval.keypoints.decode import QUARTERS
from mobile_eval.model.description import LOCATIONS, SCORES, TENSORS

INPUT_NAME = "image"  # in the signature of every file but the second of a detector


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


def as_detector(model: KerasModel) -> JoinedDetector:
    """Return a folded or quantized detector as its two stages."""
    return model if isinstance(model, JoinedDetector) else JoinedDetector(stages_of(model), detector_spec_of(model))


def prepared_models(model: KerasModel, options: ConvertOptions) -> tuple[KerasModel, KerasModel]:
    """Return a user's model in the form that is converted, and the float model of the same weights.

    Args:
        model: A float model or, from `quantize`, a quantization-aware one.
        options: Conversion options. Only int8 keeps fake quantization.
    """
    if is_quantized(model):
        float_model = without_fake_quantization(model)
        return (model if options.format == "int8" else float_model), float_model
    float_model = rebuild(model, folded=True) if contains_network(model) else model
    return float_model, float_model


def reference_model(model: KerasModel, info: ModelInfo, options: ConvertOptions) -> KerasModel:
    """Return the model that a file is compared with: one output, with softmax where the file has it, or several by name.

    Args:
        model: The model in the form that is converted.
        info: What is known of it.
        options: Conversion options.
    """
    outputs = output_tensors(model)
    if len(outputs) > 1:
        return keras.Model(model.input, dict(zip(tensor_names(model), outputs, strict=True)), name=model.name)
    single = keras.Model(model.input, outputs[0], name=model.name)
    return with_softmax(single) if options.softmax and not info.probabilities else single


def export_model(model: KerasModel, info: ModelInfo, options: ConvertOptions) -> KerasModel:
    """Add what the options put into the graph: normalization, decoding or softmax.

    Args:
        model: Takes normalized inputs (1, H, W, C).
        info: What is known of it.
        options: Conversion options.

    Returns:
        A model with the input "image", whose outputs are a dict by name.
    """
    exported = reference_model(model, info, options)
    if options.camera:
        exported = with_camera_input(exported, info.mean, info.std, integer=options.format == "int8")
    elif exported.input_names != [INPUT_NAME]:
        image = keras.Input(exported.input_shape[1:], name=INPUT_NAME)
        exported = keras.Model(image, exported(image), name=model.name)
    if options.decode:
        return with_decoding(exported)
    if isinstance(exported.output, dict):
        return exported
    probabilities = info.probabilities or options.softmax
    name = tensor_names(model)[0] if info.kind == TENSORS else output_name(info.kind, probabilities=probabilities)
    return keras.Model(exported.input, {name: exported.output}, name=model.name)


def tensor_names(model: KerasModel) -> list[str]:
    """Return names for the outputs of a model: its own where it returns a dictionary, else those of the layers."""
    outputs = model.output
    if isinstance(outputs, dict) and len(outputs) == len(output_tensors(model)):
        return sorted(outputs)  # as TensorFlow orders them
    names = [name.removeprefix("quant_") for name in model.output_names]
    return [name if names.count(name) == 1 else f"{name}_{index}" for index, name in enumerate(names)]


def with_camera_input(model: KerasModel, mean: Color, std: Color, *, integer: bool) -> KerasModel:
    """Put normalization in front of a model, so that it takes a camera's bytes.

    Normalization is a 1x1 depthwise convolution. It is not folded into the stem, whose zero padding is of normalized images.

    Args:
        model: Takes normalized images (1, H, W, 3).
        mean: Mean of RGB in 0..1.
        std: Standard deviation of RGB.
        integer: Whether the input is float32 with fake quantization to bytes, for int8 conversion, instead of uint8.
    """
    shape = model.input_shape[1:]
    if integer:
        image = keras.Input(shape, dtype=tf.float32, name=INPUT_NAME)
        pixels = tf.quantization.fake_quant_with_min_max_args(image, 0.0, BYTE)
    else:
        image = keras.Input(shape, dtype=tf.uint8, name=INPUT_NAME)
        pixels = tf.cast(image, tf.float32)
    means, stds = np.array(mean, np.float32), np.array(std, np.float32)
    normalization = keras.layers.DepthwiseConv2D(1, name="stem_camera")
    normalized = normalization(pixels)
    normalization.set_weights([(1 / (BYTE * stds)).reshape(1, 1, -1, 1), -means / stds])
    return keras.Model(image, model(normalized), name=model.name)


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
