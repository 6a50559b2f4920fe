"""Convert a Keras model, or a run, to a `.tflite`; the file is compared with the Keras model before it is written.

Runs are converted with BatchNorm folded into the convolutions. Integer formats take their ranges from quantization-aware
training, or from calibration on images that go through the preprocessing of the device.

Example:
    >>> parities = convert(model, "model-int8.tflite", images)  # doctest: +SKIP
    >>> result = convert_run(load_run("runs/full"), ConvertOptions("int8"), "full-int8.tflite")  # doctest: +SKIP
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from conversion.checks.layer_errors import LayerError, layer_errors
from conversion.checks.parity import Parity, output_parities, parity
from conversion.description import OUTPUT_KINDS, describe
from conversion.detector import convert_detector
from conversion.draft import (
    ConversionResult,
    ConversionSettings,
    DescribedModel,
    check_errors,
    make_draft,
    save_models,
    temporary_files,
)
from conversion.flatbuffer import calibration_inputs, camera_bytes
from conversion.metadata import with_metadata
from conversion.models import export_model, load_folded_model
from conversion.options import ConvertOptions
from conversion.outputs import output_name
from conversion.quantization.quantization_recipe import QuantizationRecipe
from conversion.quantization.samples import CALIBRATION_SAMPLES, PARITY_SAMPLES, Inputs, Samples, sample_inputs
from hrnet_tf.backend.choice import check_tf_keras
from hrnet_tf.backend.types import KerasModel
from hrnet_tf.models.trunk import is_quantized
from hrnet_tf.runs.run import Run
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.memory import MEMORY_BUDGET, batch_size_for
from hrnet_tf.spec.network import HEATMAP_HEADS
from mobile_eval.datasets.base import TaskDataset
from mobile_eval.errors import HRNetError
from mobile_eval.files import write_bytes

TRACED_IMAGES = 4  # images for the errors of layers
OUTPUT = "output"  # name of the output of a model that is not a run's


def convert(
    model: KerasModel,
    path: Path | str,
    representative_data: Sequence[NDArray[np.generic]] | NDArray[np.generic],
    options: ConvertOptions | None = None,
    *,
    quantization_recipe: QuantizationRecipe | None = None,
    memory_budget: int = MEMORY_BUDGET,
) -> tuple[Parity, ...]:
    """Convert a Keras model to a `.tflite` without a description, and compare it with the model before it is written.

    Args:
        model: A tf_keras model that takes inputs (N, H, W, C), float32, and has one output.
        path: The file to write.
        representative_data: Inputs (H, W, C), float32, as the model takes them; for a camera's input, images (H, W, 3), uint8
            RGB, which the file normalizes. Integer formats are calibrated on all of them; the first 16 are compared.
        options: Conversion options; None means int8.
        quantization_recipe: Per-layer settings of post-training int8.
        memory_budget: Memory for activations, in bytes.

    Returns:
        The errors of each output.

    Raises:
        HRNetError: If the model cannot be converted, or an error is over the limit in the options. The file is then kept as
            `path`.rejected.
    """
    check_tf_keras("conversion to TFLite")
    options, path = options or ConvertOptions(), Path(path)
    settings = ConversionSettings(options, quantization_recipe, memory_budget=memory_budget)
    inputs = Inputs.of(representative_data)
    if not len(inputs):
        raise HRNetError("`representative_data` must have at least one input, got none")
    calibration = None if options.format == "int8" and is_quantized(model) else _calibration(inputs, options)
    draft = make_draft(export_model(model, options, OUTPUT), calibration, settings)
    reference = export_model(model, dataclasses.replace(options, input_type=None), OUTPUT)
    parities = output_parities(reference, draft.flatbuffer, inputs.head(PARITY_SAMPLES), camera=options.camera)
    check_errors(parities, options, {path: draft.flatbuffer})
    write_bytes(path, draft.flatbuffer)
    return parities


def _calibration(inputs: Inputs[np.generic], options: ConvertOptions) -> Inputs[np.float32]:
    if options.camera:
        return camera_bytes(inputs.map(lambda values: values.astype(np.uint8)))
    return inputs.map(lambda values: values.astype(np.float32))


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
    check_tf_keras("conversion to TFLite")
    _check_network(options, run.spec)
    settings = ConversionSettings(options, quantization_recipe, runtime, memory_budget)
    if quantization_recipe and (run.quantized or run.spec.head_kind == "detection"):
        reason = "already quantization-aware" if run.quantized else "a detector"
        raise HRNetError(f"`quantization_recipe` is not supported for {run.path}: it is {reason}")
    images = sample_inputs(run, options, data, samples, seed, memory_budget)
    convert_files = convert_detector if run.spec.head_kind == "detection" else _convert_network
    return convert_files(run, Path(output), images, settings)


def _check_network(options: ConvertOptions, spec: Network) -> None:
    """Check that the network has heatmaps if they are to be decoded, and class scores if softmax is to be applied."""
    if options.decode and spec.head_kind not in HEATMAP_HEADS:
        raise HRNetError(f"`decode` needs a network whose output is heatmaps; {spec.name} is a {spec.task} network")
    if options.softmax and spec.head_kind != "classification":
        raise HRNetError(f"`softmax` needs a classifier; {spec.name} is a {spec.task} network")


def _convert_network(run: Run, output: Path, samples: Samples, settings: ConversionSettings) -> ConversionResult:
    options = settings.options
    fake_quantized = run.quantized and options.format == "int8"
    model = load_folded_model(run, fake_quantized=fake_quantized)
    exported = export_model(model, options, output_name(OUTPUT_KINDS[run.spec.head_kind][0], softmax=options.softmax))
    draft = make_draft(exported, None if fake_quantized else calibration_inputs(samples.images, options), settings)
    compared = samples.head(PARITY_SAMPLES)
    description = describe(run, options, draft, compared)
    described = DescribedModel(output, with_metadata(draft.flatbuffer, description), description)
    batch_size = batch_size_for(run.spec, settings.memory_budget, most=PARITY_SAMPLES)
    with temporary_files([described]) as [path]:
        result = parity(model, path, compared, batch_size)
        layers: list[LayerError] = []
        if options.format == "int8":
            float_model = load_folded_model(run, fake_quantized=False)
            layers = layer_errors(float_model, path, samples.images.head(TRACED_IMAGES), settings.memory_budget)
    return save_models([described], [result], options, layers)
