"""A run made into a `.tflite`, checked before it is written.

The graph is that of the folded network, so BatchNorm costs nothing on the device and little time here. Integer formats
take their ranges from quantization-aware tuning, or from real images through the device's own preprocessing.
"""

from __future__ import annotations

import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from conversion.describe import describe
from conversion.detector import DetectorConversion, convert_detector
from conversion.flatbuffer import to_flatbuffer, with_camera_input, with_decoding
from conversion.layer_errors import LayerError, jumps, layer_errors
from conversion.metadata import with_metadata
from conversion.options import ConvertOptions
from conversion.recipe import Recipe, quantize_by_recipe
from conversion.samples import CHECKED, SAMPLES, inputs_of, own_data, random_inputs, run_geometry
from conversion.verify import Parity, check_finite, check_fully_int8, check_loads, check_versions, parity
from hrnet_tf.folding import fold_batch_norm
from hrnet_tf.keras_choice import check_tf_keras
from hrnet_tf.networks import build_model
from hrnet_tf.quantization import build_quantized_model
from hrnet_tf.runs import Run
from hrnet_tf.weights import load_weights, set_model_weights
from mobile_eval.files import write_bytes
from mobile_eval.model_file import ModelDescription, save_model_file
from mobile_eval.preprocess import normalize
from mobile_eval.runtime import make_interpreter
from mobile_eval.tasks.asked import TaskData, given_by
from mobile_eval.tasks.registry import TASKS

REJECTED = ".rejected"
TRACED = 4  # images that are followed layer by layer


@dataclass(frozen=True)
class ConversionResult:
    """The file written, its size by itself and as DEFLATE makes it, and how far it is from the Keras model.

    `layers` is that layer by layer, for int8.
    """

    path: Path
    size_bytes: int
    compressed_bytes: int
    parity: Parity
    layers: tuple[LayerError, ...]
    description: ModelDescription

    def __str__(self) -> str:
        size = f"{self.size_bytes / 1e6:.2f} MB ({self.compressed_bytes / 1e6:.2f} MB compressed)"
        lines = [f"{self.path}: {size}; loads with and without XNNPACK", f"  {self.parity}"]
        for layer in jumps(self.layers):
            lines.append(f"  {layer.layer} ({layer.kind}) loses {layer.loss_db:.0f} dB: SNR {layer.snr_db:.1f} dB behind it")
        return "\n".join(lines)


def convert_run(
    run: Run,
    options: ConvertOptions,
    output: Path | str,
    data: TaskData | None = None,
    *,
    samples: int = SAMPLES,
    seed: int | None = None,
    recipe: Recipe | None = None,
    runtime: str = "auto",
) -> ConversionResult | DetectorConversion:
    """Convert `run` and check the file against the Keras model before it is written to `output`.

    Ranges of an integer format, unless tuned quantization-aware, are taken on `samples` of `data` (the first, or with
    `seed` drawn at random), the checks on the first of them; None means the data that the run was trained on. A file
    that is further from the Keras model than the options allow is kept as `output`.rejected, and ValueError raised. With
    tflite-runtime as `runtime` an operator version that it does not know is refused. A `recipe` makes int8 of a run that
    was not tuned, with int8 numbers in.
    """
    check_tf_keras("conversion to TFLite")
    check_decodable(run, options)
    if run.spec.task == "detection":
        if recipe:
            raise ValueError("a recipe is for networks of one file, not for detectors")
        return convert_detector(run, options, output, data, samples=samples, seed=seed, runtime=runtime)
    if recipe and (run.quantized or options != ConvertOptions("int8", max_error=options.max_error)):
        raise ValueError("a recipe is for int8 of a run that was not tuned, without --input, --output-type and --decode")
    tuned = run.quantized and options.format == "int8"
    data = data or own_data(run)
    if options.format in ("int8", "int16x8") and not tuned and data is None:
        raise ValueError(
            f"{run.path} was not tuned quantization-aware and the data it was trained on are not there: "
            f"{options.format} needs calibration, give {given_by(TASKS[run.spec.task])}"
        )
    if data:
        images = inputs_of(data, run.spec, CHECKED if tuned else samples, None if tuned else seed, run_geometry(run))
    else:
        images = random_inputs(run.spec.input_size)
    model = load_folded_model(run, tuned=tuned)
    check_finite(model, run)
    whole = with_camera_input(model, integer=options.format == "int8") if options.camera else model
    whole = with_decoding(whole) if options.decode else whole
    inputs = images.astype(np.float32) if options.camera else normalize(images)
    if recipe:
        flatbuffer = quantize_by_recipe(to_flatbuffer(model, ConvertOptions("float32"), None), recipe, inputs)
    else:
        flatbuffer = to_flatbuffer(whole, options, None if tuned else inputs)
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder, "draft.tflite")
        draft.write_bytes(flatbuffer)
        description = describe(run, options, _checked(draft, options, recipe, runtime))
        flatbuffer = with_metadata(flatbuffer, description)
        save_model_file(draft, flatbuffer, description)
        found = parity(model, draft, images[:CHECKED])
        errors = layer_errors(load_folded_model(run, tuned=False), draft, images[:TRACED]) if options.format == "int8" else []
    limit = options.limit(found.largest)
    if limit is not None and not found.max_error <= limit:
        rejected = Path(f"{output}{REJECTED}")
        write_bytes(rejected, flatbuffer)
        raise ValueError(f"{found}: over the limit of {limit:g}, kept as {rejected}")
    save_model_file(output, flatbuffer, description)
    compressed = len(zlib.compress(flatbuffer, 9))
    return ConversionResult(Path(output), Path(output).stat().st_size, compressed, found, tuple(errors), description)


def check_decodable(run: Run, options: ConvertOptions) -> None:
    """Raise ValueError where keypoints are to come out of a network that answers with something else."""
    if options.decode and run.spec.task not in ("pose", "landmarks"):
        raise ValueError(f"--decode finds keypoints in heatmaps; {run.spec.name} is a {run.spec.task} network")


def load_folded_model(run: Run, *, tuned: bool | None = None) -> Any:
    """The trained network of a run in the form that is converted, with BatchNorm folded.

    With fake quantization if `tuned` (None: if the run is); else of a tuned run its weights alone.
    """
    weights = load_weights(run.weights_path)
    tuned = run.quantized if tuned is None else tuned
    model = build_quantized_model(run.spec) if tuned else build_model(run.spec, folded=True)
    set_model_weights(model, weights if run.quantized else fold_batch_norm(weights))
    return model


def _checked(draft: Path, options: ConvertOptions, recipe: Recipe | None, runtime: str) -> Any:
    check_loads(draft)
    check_versions(draft, runtime)
    interpreter = make_interpreter(draft)
    wholly = not (recipe and recipe.keep_float) and "float32" not in (options.input_type, options.output_type)
    if options.format == "int8" and wholly:
        check_fully_int8(interpreter)
    return interpreter
