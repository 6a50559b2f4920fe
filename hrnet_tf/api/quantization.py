"""From a network to a quantized file: quantize and convert."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from hrnet_tf.api.arguments import check_data, execution_of, find_run, fine_tuning, folder_of
from mobile_eval.errors import HRNetError

if TYPE_CHECKING:
    from conversion.convert import ConvertedModel
    from conversion.quantization.quantization_recipe import QuantizationRecipe
    from hrnet_tf.api.arguments import RunOrPath
    from hrnet_tf.backend.types import Dataset as FitData
    from hrnet_tf.backend.types import KerasCallback, KerasModel
    from hrnet_tf.runs.run import Run
    from mobile_eval.datasets.base import TaskDataset
    from mobile_eval.files import AnyPath
    from training.data.datasets import Dataset
    from training.execution import Execution


@overload
def quantize(
    model: RunOrPath,
    data: Dataset | None = None,
    output: AnyPath = ...,
    *,
    execution: Execution | None = None,
    callbacks: Sequence[KerasCallback] = (),
    resume: bool = False,
    **settings: Any,
) -> Run: ...
@overload
def quantize(model: KerasModel, calibration: FitData, *, keep_zeros: bool = False) -> KerasModel: ...


def quantize(  # type: ignore[misc]  # the second argument of a run is called data
    model: RunOrPath | KerasModel,
    calibration: FitData | Dataset | None = None,
    output: AnyPath | None = None,
    *,
    data: Dataset | None = None,
    keep_zeros: bool = False,
    **options: Any,
) -> Run | KerasModel:
    """Return a network for quantization-aware training: it rounds weights and activations as int8 does. A run is fine-tuned.

    BatchNorm is folded into the convolutions, so that training rounds the weights that the device holds. Needs tf_keras.

    Args:
        model: A functional Keras model that contains a network of the package, which is not changed; or a trained or pruned run
            or its folder.
        calibration: For a model, inputs on which the initial ranges of activations are measured: any data set that `fit` takes,
            or an array (N, H, W, 3) as the model takes it.
        output: For a run, the folder of the new run.
        data: For a run, its second argument: a data set such as `CocoKeypoints`; None for the one that it was trained on.
        keep_zeros: For a model, whether kernel weights that are zero stay zero in training, as in a sparse network.
        options: For a run, `execution`, `callbacks` and `resume` as of `train`, and settings of the fine-tuning such as `epochs`
            (3) and `learning_rate` (2e-5).

    Returns:
        For a model, one with its inputs and outputs, not compiled: train it by the same loss, with a tenth of the learning rate
        or less. For a run, the fine-tuned run.

    Raises:
        HRNetError: The model contains no network of the package or is quantized already, a layer cannot be quantized (the message
            names it), there is no input for calibration, or a setting or the folder cannot be used.

    Example:
        >>> quantized = quantize(smaller, train.take(8))  # doctest: +SKIP
        >>> run = quantize("runs/pruned", data, "runs/pruned-qat", epochs=3)  # doctest: +SKIP
    """
    from training import quantize as quantization

    run = find_run(model)
    if run is not None:
        return _quantize_run(run, calibration if data is None else data, output, **options)
    for name, value in {"output": output, "data": data, **options}.items():
        if value is not None:
            raise HRNetError(f"`{name}` is for runs; a Keras model is quantized on `calibration`, and fine-tuned by `fit`")
    return quantization.quantize(model, calibration, keep_zeros=keep_zeros)


def _quantize_run(
    run: Run,
    data: Dataset | None,
    output: AnyPath | None,
    *,
    execution: Execution | None = None,
    callbacks: Sequence[KerasCallback] = (),
    resume: bool = False,
    **settings: object,
) -> Run:
    from training.fine_tuning import QuantizeTuningOptions
    from training.quantize import quantize_run

    how = execution_of(execution, callbacks)
    config = fine_tuning(run, data, how, {**QuantizeTuningOptions().values(), **settings})
    return quantize_run(run, config, folder_of(output), execution=how, resume=resume)


def convert(
    model: RunOrPath | KerasModel,
    path: AnyPath,
    *,
    representative_data: Dataset | FitData | None = None,
    format: str = "int8",  # noqa: A002  as the option of the command line
    input_type: str | None = None,
    output_type: str | None = None,
    max_error: float | None = None,
    decode: bool = False,
    softmax: bool = False,
    plain_resizes: bool = False,
    samples: int = 200,
    quantization_recipe: QuantizationRecipe | AnyPath | None = None,
    runtime: str = "auto",
    memory_budget: str | int = "1GiB",
    **description: Any,
) -> ConvertedModel:
    """Convert a network to a `.tflite` that describes itself, and compare it with the Keras model before it is written.

    The file goes into `evaluate`, `compare`, `benchmark` and `TFLiteModel.predict`. Needs tf_keras.

    Args:
        model: A functional Keras model of images: of the package, with a head or several outputs of your own, or without any
            network of the package. Or a run or its folder. It is not changed.
        path: The file to write; of a detector, the first of two.
        representative_data: Images to calibrate integer formats on, and to compare the file on. For a model, any data set that
            `fit` takes (targets are ignored), or images (N, H, W, 3): bytes (uint8) are normalized, floats are taken as the model
            takes them. For a run, a data set such as `CocoKeypoints`; None for the one that the run was trained on. A
            quantization-aware network needs none, nor do float formats.
        format: "int8", "int16x8", "float32", "float16" or "dynamic".
        input_type: "uint8-rgb" (a camera's bytes, normalized in the file), "int8", "uint8" or "float32"; None for int8 for the
            format int8, else float32.
        output_type: "int8", "uint8" or "float32"; None for int8 for the format int8, else float32.
        max_error: Largest accepted error of an output value. A file that is further off is kept as `path`.rejected. None for
            1e-4 of the largest value for float32, and any error for other formats.
        decode: Whether the file outputs key points instead of heatmaps.
        softmax: Whether the file outputs probabilities instead of logits (classification).
        plain_resizes: Whether bilinear resizes of an int8 file are replaced by operators that older Edge TPU compilers know.
        samples: Number of images to calibrate on, at most. 16 of them are compared.
        quantization_recipe: Per-layer settings of post-training int8, or their JSON file.
        runtime: "tflite-runtime" refuses operators that its last version does not support.
        memory_budget: Memory for images and activations, such as "1GiB" or a number of bytes.
        description: For a model, what the file says of it: `task`, `labels`, `skeleton`, `flip_pairs`, and the `mean` and `std`
            of its normalization, see `conversion.convert.convert`. A run knows these itself.

    Returns:
        The written file, a `TFLiteModel`; its `conversion` has the errors.

    Raises:
        HRNetError: The network cannot be converted, the data do not fit, something said of the model does not fit its outputs, or
            an error is over the limit.

    Example:
        >>> file = convert(model, "gearbox.tflite", representative_data=train, labels=["inlet", "outlet"])  # doctest: +SKIP
        >>> convert("runs/pruned-qat", "pruned-int8.tflite")  # doctest: +SKIP
    """
    from conversion.convert import ConvertedModel, convert_run
    from conversion.convert import convert as convert_model
    from conversion.options import ConvertOptions
    from conversion.quantization.quantization_recipe import load_quantization_recipe
    from hrnet_tf.spec.memory import parse_memory

    run = find_run(model)
    if isinstance(quantization_recipe, str | os.PathLike):
        quantization_recipe = load_quantization_recipe(Path(quantization_recipe))
    common: dict[str, Any] = {"samples": samples, "quantization_recipe": quantization_recipe, "runtime": runtime}
    common["memory_budget"] = parse_memory(str(memory_budget))
    options = ConvertOptions(format, input_type, output_type, max_error, decode, softmax, plain_resizes)
    if run is None:
        return convert_model(model, path, representative_data=representative_data, **vars(options), **common, **description)
    if description:
        raise HRNetError(f"`{min(description)}` is for Keras models; {run.path} has its own")
    images = None if representative_data is None else _calibration_images(run, representative_data)
    return ConvertedModel(convert_run(run, options, Path(path), images, **common))


def _calibration_images(run: Run, data: Dataset) -> TaskDataset:
    """The training set of a data set, or else its validation set, read as the run was trained."""
    from mobile_eval.datasets.base import log_skipped
    from mobile_eval.tasks.registry import TASKS

    check_data(data, run.spec.task, str(run.path))
    source = dataclasses.replace(data.source("train" if data.has("train") else "val"), expected=run.category["name"])
    images: TaskDataset = TASKS[run.spec.task].load(source.read_as(run.config))
    log_skipped(source, images)
    return images
