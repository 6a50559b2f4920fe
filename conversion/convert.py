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

from conversion.checks.layer_errors import LayerError, jumps, layer_errors
from conversion.checks.verify import Parity, check_finite, check_fully_int8, check_loads, check_versions, parity
from conversion.description import ANSWERS, describe
from conversion.detector import DetectorConversion, convert_detector
from conversion.flatbuffer import (
    all_bytes,
    to_flatbuffer,
    with_camera_input,
    with_decoding,
    with_output_name,
    with_softmax,
)
from conversion.metadata import with_metadata
from conversion.options import ConvertOptions
from conversion.outputs import output_name
from conversion.quantization.quantization_recipe import QuantizationRecipe, quantize_with_recipe
from conversion.quantization.samples import CHECKED, CHECKED_ON_RANDOM, SAMPLES, sample_inputs
from hrnet_tf.backend.choice import check_tf_keras
from hrnet_tf.models.build import build_model
from hrnet_tf.models.folding import fold_batch_norm
from hrnet_tf.models.quantization import build_quantized_model
from hrnet_tf.runs.run import Run
from hrnet_tf.runs.weights import load_weights, set_model_weights
from hrnet_tf.spec.memory import MEMORY_BUDGET, batch_size_for
from hrnet_tf.spec.network import HEATMAP_HEADS
from mobile_eval.datasets.base import TaskDataset
from mobile_eval.errors import HRNetError
from mobile_eval.files import write_bytes
from mobile_eval.image.preprocess import normalize
from mobile_eval.model.archive import save_model_file
from mobile_eval.model.description import RANDOM_IMAGES, ModelDescription
from mobile_eval.runtime.interpreter import make_interpreter

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
        if self.parity.of == RANDOM_IMAGES:
            lines.append(f"  {CHECKED_ON_RANDOM}")
        for layer in jumps(self.layers):
            lines.append(f"  {layer.layer} ({layer.kind}) loses {layer.loss_db:.0f} dB: SNR {layer.snr_db:.1f} dB behind it")
        return "\n".join(lines)


def convert_run(
    run: Run,
    options: ConvertOptions,
    output: Path | str,
    data: TaskDataset | None = None,
    *,
    samples: int = SAMPLES,
    seed: int | None = None,
    recipe: QuantizationRecipe | None = None,
    runtime: str = "auto",
    memory_budget: int = MEMORY_BUDGET,
) -> ConversionResult | DetectorConversion:
    """Convert `run` and check the file against the Keras model before it is written to `output`.

    Ranges of an integer format, unless tuned quantization-aware, are taken on `samples` of `data` (the first, or with
    `seed` drawn at random), the checks on the first of them; None means the data that the run was trained on. A file
    that is further from the Keras model than the options allow is kept as `output`.rejected, and HRNetError raised. With
    tflite-runtime as `runtime` an operator version that it does not know is refused. A `recipe` makes int8 of a run that
    was not tuned, with int8 numbers in. `memory_budget` is how many bytes images, and the activations that are looked at, may
    take at a time.
    """
    check_tf_keras("conversion to TFLite")
    if run.spec.head_kind == "detection":
        if recipe:
            raise HRNetError("`quantization_recipe` is not for detectors, got a detection run")
        return convert_detector(
            run, options, output, data, samples=samples, seed=seed, runtime=runtime, memory_budget=memory_budget
        )
    check_endings(run, options)
    if recipe and (run.quantized or options != ConvertOptions("int8", max_error=options.max_error)):
        raise HRNetError(
            "`quantization_recipe` is for int8 of a run without QAT, without `input_type`, `output_type`, `decode` and `softmax`"
        )
    tuned = run.quantized and options.format == "int8"
    drawn = sample_inputs(run, options, data, samples, seed, memory_budget)
    images, checked = drawn.images, drawn.head(CHECKED)
    model = load_folded_model(run, tuned=tuned)
    check_finite(model, run)
    exported = export_model(model, options, ANSWERS[run.spec.head_kind][0])
    inputs = all_bytes(images) if options.camera else images.map(normalize)
    if recipe:
        flatbuffer = quantize_with_recipe(to_flatbuffer(exported, ConvertOptions("float32"), None), recipe, inputs, memory_budget)
    else:
        flatbuffer = to_flatbuffer(exported, options, None if tuned else inputs, memory_budget=memory_budget)
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder, "draft.tflite")
        draft.write_bytes(flatbuffer)
        description = describe(run, options, _checked(draft, options, recipe, runtime), checked)
        flatbuffer = with_metadata(flatbuffer, description)
        save_model_file(draft, flatbuffer, description)
        found = parity(model, draft, checked, batch_size_for(run.spec, memory_budget, most=CHECKED))
        traced, floating = images.head(TRACED), load_folded_model(run, tuned=False) if options.format == "int8" else None
        errors = layer_errors(floating, draft, traced, memory_budget) if floating else []
    limit = options.error_limit(found.largest)
    if limit is not None and not found.max_error <= limit:
        rejected = Path(f"{output}{REJECTED}")
        write_bytes(rejected, flatbuffer)
        raise HRNetError(f"{found}: over the limit of {limit:g}, kept as {rejected}")
    save_model_file(output, flatbuffer, description)
    compressed = len(zlib.compress(flatbuffer, 9))
    return ConversionResult(Path(output), Path(output).stat().st_size, compressed, found, tuple(errors), description)


def check_endings(run: Run, options: ConvertOptions) -> None:
    """Raise HRNetError where the network's task has no keypoints to decode, or no class scores for softmax."""
    if options.decode and run.spec.head_kind not in HEATMAP_HEADS:
        raise HRNetError(f"`decode` finds keypoints in heatmaps; {run.spec.name} is a {run.spec.task} network")
    if options.softmax and run.spec.head_kind != "classification":
        raise HRNetError(f"`softmax` is for classification; {run.spec.name} is a {run.spec.task} network")


def export_model(model: Any, options: ConvertOptions, kind: str) -> Any:
    """`model`, whose output is of that `kind`, with all that the file holds before and behind it, and its outputs named."""
    exported = with_camera_input(model, integer=options.format == "int8") if options.camera else model
    if options.decode:
        return with_decoding(exported)
    exported = with_softmax(exported) if options.softmax else exported
    return with_output_name(exported, output_name(kind, softmax=options.softmax))


def load_folded_model(run: Run, *, tuned: bool | None = None) -> Any:
    """The trained network of a run in the form that is converted, with BatchNorm folded.

    With fake quantization if `tuned` (None: if the run is); else of a tuned run its weights alone.
    """
    weights = load_weights(run.weights_path)
    tuned = run.quantized if tuned is None else tuned
    model = build_quantized_model(run.spec) if tuned else build_model(run.spec, folded=True)
    set_model_weights(model, weights if run.quantized else fold_batch_norm(weights))
    return model


def _checked(draft: Path, options: ConvertOptions, recipe: QuantizationRecipe | None, runtime: str) -> Any:
    check_loads(draft)
    check_versions(draft, runtime)
    interpreter = make_interpreter(draft)
    wholly = not (recipe and recipe.float_layers) and "float32" not in (options.input_dtype, options.output_dtype)
    if options.format == "int8" and wholly:
        check_fully_int8(interpreter)
    return interpreter
