"""Convert a Keras model, or a run, to a `.tflite`; the file is compared with the Keras model before it is written.

BatchNorm is folded into the convolutions. Integer formats take their ranges from quantization-aware training, or from calibration
on images that go through the preprocessing of the device.

Example:
    >>> file = convert(model, "model-int8.tflite", representative_data=train, labels=["inlet", "outlet"])  # doctest: +SKIP
    >>> file.predict(images)  # doctest: +SKIP
    >>> result = convert_run(Run.load("runs/full"), ConvertOptions("int8"), "full-int8.tflite")  # doctest: +SKIP
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from conversion.checks.layer_errors import LayerError, layer_errors
from conversion.checks.parity import output_parities
from conversion.checks.verify import check_finite
from conversion.description import describe
from conversion.detector import convert_detector
from conversion.draft import (
    ConversionResult,
    ConversionSettings,
    DescribedModel,
    make_draft,
    save_models,
    temporary_files,
)
from conversion.flatbuffer import calibration_inputs
from conversion.metadata import with_metadata
from conversion.model_info import Keypoint, ModelInfo, ModelLabels, info_of_model, info_of_run
from conversion.models import as_detector, export_model, load_folded_model, prepared_models, reference_model
from conversion.options import ConvertOptions
from conversion.quantization.quantization_recipe import QuantizationRecipe
from conversion.quantization.samples import (
    CALIBRATION_SAMPLES,
    PARITY_SAMPLES,
    Samples,
    representative_samples,
    sample_inputs,
)
from hrnet_tf.backend.choice import check_tf_keras
from hrnet_tf.backend.datasets import InputData
from hrnet_tf.backend.types import KerasModel
from hrnet_tf.models.detection.two_stage import JoinedDetector
from hrnet_tf.models.trunk import input_shape_of, is_quantized
from hrnet_tf.runs.run import Run
from hrnet_tf.spec.memory import MEMORY_BUDGET, batch_size_for
from mobile_eval.datasets.base import TaskDataset
from mobile_eval.errors import HRNetError
from mobile_eval.files import check_output_file
from mobile_eval.image.preprocess import IMAGENET_MEAN, IMAGENET_STD
from mobile_eval.model.description import CLASS_SCORES, DETECTOR_MAPS, HEATMAPS
from mobile_eval.runtime.tflite_model import TFLiteModel

TRACED_IMAGES = 4  # images for the errors of layers
CONVERSION = "conversion to TFLite"


class ConvertedModel(TFLiteModel):
    """A file that was just converted: it predicts, stands for its path, and knows how it was converted.

    As a `TFLiteModel` it goes wherever a file or a model is expected: `hr.evaluate(file, data)`, `hr.benchmark(file)`,
    `file.predict(images)`. `str(file)` says how far it is from the Keras model.

    Attributes:
        conversion: Errors of outputs and layers, sizes and paths of the files.
    """

    def __init__(self, conversion: ConversionResult):
        super().__init__(conversion.path)
        self.conversion = conversion

    def __str__(self) -> str:
        return str(self.conversion)


def convert(
    model: KerasModel,
    path: Path | str | os.PathLike[str],
    *,
    representative_data: InputData = None,
    format: str = "int8",  # noqa: A002  as the option of the command line
    input_type: str | None = None,
    output_type: str | None = None,
    max_error: float | None = None,
    decode: bool = False,
    softmax: bool = False,
    plain_resizes: bool = False,
    task: str | None = None,
    labels: Sequence[str] | None = None,
    skeleton: Sequence[tuple[Keypoint, Keypoint]] | None = None,
    flip_pairs: Sequence[tuple[Keypoint, Keypoint]] | None = None,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
    samples: int = CALIBRATION_SAMPLES,
    quantization_recipe: QuantizationRecipe | None = None,
    runtime: str = "auto",
    memory_budget: int = MEMORY_BUDGET,
) -> ConvertedModel:
    """Convert a Keras model to a `.tflite` that describes itself, and compare it with the model before it is written.

    The file then goes into `evaluate`, `compare`, `predict` and `benchmark` as one of a run does. Files whose outputs are of no
    task, such as several outputs, run in `TFLiteModel.predict` and in benchmarks.

    Args:
        model: A functional tf_keras model of images (N, H, W, 3): of the package, with a head or several outputs of the user's
            own, quantization-aware by `quantize`, or without any network of the package. It is not changed.
        path: The file to write; of a detector, the first of two.
        representative_data: Images to calibrate integer formats on, and to compare the file on: any data set that `fit` takes
            (targets are ignored), images (N, H, W, 3), or batches of these. RGB bytes (uint8) are normalized by `mean` and `std`;
            floats are taken as the model takes them. int8 and int16x8 of a float model need them; without them, files are
            compared on random images.
        format: "int8", "int16x8", "float32", "float16" or "dynamic".
        input_type: "uint8-rgb" (a camera's bytes, normalized in the file), "int8", "uint8" or "float32"; None for int8 for the
            format int8, else float32.
        output_type: "int8", "uint8" or "float32"; None for int8 for the format int8, else float32.
        max_error: Largest accepted error of an output value. A file that is further off is kept as `path`.rejected. None for
            1e-4 of the largest value for float32, and any error for other formats.
        decode: Whether the file outputs keypoints instead of heatmaps.
        softmax: Whether the file outputs probabilities instead of logits (classification).
        plain_resizes: Whether bilinear resizes of an int8 file are replaced by operators that older Edge TPU compilers know.
        task: "pose", "landmarks", "segmentation", "classification", or "custom" for none of them. None for that of the network;
            of a head of the user's own, for classification if the output is (N, classes).
        labels: Names of the key points or classes, one for each channel of the output. None for those of COCO or MPII where a
            pose network of the package has as many, else for numbers.
        skeleton: Pairs of key points to draw lines between, by name or by index from 0.
        flip_pairs: Pairs of key points that change places in a mirrored image, by name or by index from 0; () for none. None for
            what the names say ("left_eye", "right_eye").
        mean: Mean of RGB, in 0..1, that images are normalized with for the model.
        std: Standard deviation of RGB, in 0..1. A model that takes values in 0..255 has `mean` (0, 0, 0) and `std` (1/255,) * 3.
        samples: Number of images to calibrate on, at most. 16 of them are compared.
        quantization_recipe: Per-layer settings of post-training int8.
        runtime: "tflite-runtime" refuses operators that its last version does not support.
        memory_budget: Memory for activations, in bytes.

    Returns:
        The written file, a `TFLiteModel`; its `conversion` has the errors.

    Raises:
        HRNetError: The model cannot be converted, has other inputs than one of images, or NaN in its weights; the data do not
            fit; the task, labels or pairs do not fit the outputs; or an error is over the limit.

    Example:
        >>> file = convert(model, "gearbox.tflite", representative_data=train, labels=["inlet", "outlet"])  # doctest: +SKIP
        >>> print(file)  # doctest: +SKIP
        gearbox.tflite: 1.52 MB (1.21 MB compressed); runs with and without XNNPACK
          heatmaps: error at most 0.05, 0.002 on average, SNR 31.0 dB, on 16 images
        >>> file.predict(images).shape  # doctest: +SKIP
        (8, 64, 48, 2)
    """
    check_tf_keras(CONVERSION)
    options = ConvertOptions(format, input_type, output_type, max_error, decode, softmax, plain_resizes)
    settings = ConversionSettings(options, quantization_recipe, runtime, memory_budget)
    model_labels = ModelLabels(task, labels, skeleton, flip_pairs, mean, std)
    path = Path(path)
    check_output_file(path)
    if not isinstance(model, JoinedDetector):
        input_shape_of(model)  # refuses other inputs than images
    check_finite(model, f"`model` {model.name}")
    network, float_network = prepared_models(model, options)
    info = info_of_model(network, float_network, model_labels)
    _check_options(options, info)
    has_ranges = is_quantized(network)
    images = representative_samples(representative_data, info.size, options, has_ranges=has_ranges, count=samples)
    if options.camera:
        images = Samples(images.images.map(info.as_bytes), images.kind)
    return ConvertedModel(_converted(network, float_network, info, path, images, settings))


def convert_run(
    run: Run,
    options: ConvertOptions,
    output: Path | str,
    data: TaskDataset | None = None,
    *,
    samples: int = CALIBRATION_SAMPLES,
    seed: int | None = None,
    quantization_recipe: QuantizationRecipe | None = None,
    runtime: str = "auto",
    memory_budget: int = MEMORY_BUDGET,
) -> ConversionResult:
    """Convert a run to a `.tflite` that describes itself (a detector: to two), compared with the Keras model before.

    Args:
        run: The run.
        options: Conversion options.
        output: The file to write; of a detector, the first.
        data: Dataset of the run's task, for calibration and comparison. None means the training data of the run; without
            it, a run that needs no calibration is compared on random images.
        samples: Number of calibration images.
        seed: Seed for random calibration images; None takes the first.
        quantization_recipe: Per-layer settings of post-training int8.
        runtime: "tflite-runtime" refuses operators that its last version does not support.
        memory_budget: Memory for images and activations, in bytes.

    Raises:
        HRNetError: If the options do not suit the run, there is no data for calibration, the model cannot be converted, or an
            error is over the limit in the options. The file is then kept as `output`.rejected.
    """
    check_tf_keras(CONVERSION)
    info = info_of_run(run)
    _check_options(options, info)
    settings = ConversionSettings(options, quantization_recipe, runtime, memory_budget)
    if quantization_recipe and (run.quantized or info.kind == DETECTOR_MAPS):
        reason = "already quantization-aware" if run.quantized else "a detector"
        raise HRNetError(f"`quantization_recipe` is not supported for {run.path}: it is {reason}")
    images = sample_inputs(run, options, data, samples, seed, memory_budget)
    fake_quantized = run.quantized and options.format == "int8"
    network = load_folded_model(run, fake_quantized=fake_quantized)
    float_network = load_folded_model(run, fake_quantized=False) if fake_quantized else network
    return _converted(network, float_network, info, Path(output), images, settings)


def _check_options(options: ConvertOptions, info: ModelInfo) -> None:
    """Check that the network has heatmaps if they are to be decoded, and class scores if softmax is to be applied."""
    if options.decode and info.kind != HEATMAPS:
        raise HRNetError(f"`decode` needs a network whose output is heatmaps; {info.name} is a {info.task} network")
    if options.softmax and info.kind != CLASS_SCORES:
        raise HRNetError(f"`softmax` needs a classifier; {info.name} is a {info.task} network")


def _converted(
    network: KerasModel,
    float_network: KerasModel,
    info: ModelInfo,
    output: Path,
    samples: Samples,
    settings: ConversionSettings,
) -> ConversionResult:
    """Convert a folded network, which is quantization-aware or the float network itself."""
    if info.kind == DETECTOR_MAPS:
        return convert_detector(as_detector(network), info, output, samples, settings)
    options, calibration = settings.options, None
    if network is float_network or not is_quantized(network):
        calibration = calibration_inputs(samples.images, info, options)
    draft = make_draft(export_model(network, info, options), calibration, settings)
    compared = samples.head(PARITY_SAMPLES)
    description = describe(info, options, draft, compared)
    described = DescribedModel(output, with_metadata(draft.flatbuffer, description), description)
    batch_size = batch_size_for(info.spec, settings.memory_budget, most=PARITY_SAMPLES) if info.spec else 1
    reference = reference_model(network, info, options)
    with temporary_files([described]) as [path]:
        parities = output_parities(reference, path, compared, info.prepare, batch_size)
        layers: list[LayerError] = []
        if options.format == "int8":
            traced = samples.images.head(TRACED_IMAGES)
            layers = layer_errors(float_network, path, traced, settings.memory_budget, info.prepare)
    return save_models([described], parities, options, layers)
