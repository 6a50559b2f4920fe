"""Converted models before they are written: checked, described, compared with the Keras model, then kept or rejected."""

from __future__ import annotations

import contextlib
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from conversion.checks.layer_errors import LayerError, jumps
from conversion.checks.parity import Parity
from conversion.checks.verify import check_fully_int8, check_loads, check_versions
from conversion.flatbuffer import to_flatbuffer
from conversion.options import ConvertOptions
from conversion.quantization.quantization_recipe import QuantizationRecipe, quantize_with_recipe
from conversion.quantization.samples import RANDOM_IMAGES_NOTE
from conversion.targets.plain_resizes import with_plain_resizes
from hrnet_tf.backend.types import KerasModel
from hrnet_tf.models.quantization import check_fits_8_bits
from hrnet_tf.spec.memory import MEMORY_BUDGET
from mobile_eval.errors import HRNetError
from mobile_eval.files import write_bytes
from mobile_eval.model.archive import save_model_file
from mobile_eval.model.description import RANDOM_IMAGES, ModelDescription
from mobile_eval.runtime.interpreter import TensorDetails, make_interpreter

REJECTED = ".rejected"


@dataclass(frozen=True)
class ConversionSettings:
    """How to convert: the options, and what does not show in the file.

    Attributes:
        options: Conversion options.
        quantization_recipe: Per-layer settings of post-training int8.
        runtime: "tflite-runtime" refuses operators that it does not support.
        memory_budget: Memory for images and activations, in bytes.

    Raises:
        HRNetError: If the options and the quantization recipe do not go together.
    """

    options: ConvertOptions
    quantization_recipe: QuantizationRecipe | None = None
    runtime: str = "auto"
    memory_budget: int = MEMORY_BUDGET

    def __post_init__(self) -> None:
        plain = ConvertOptions("int8", max_error=self.options.max_error)
        if self.quantization_recipe and self.options != plain:
            raise HRNetError(
                "`quantization_recipe` needs `format` int8, without `input_type`, `output_type`, `decode` and `softmax`, "
                f"got {self.options}"
            )


@dataclass(frozen=True)
class Draft:
    """A converted model that runs.

    Attributes:
        flatbuffer: The model.
        input: Its input tensor.
        outputs: Its output tensors, in the file's order.
        output_names: Names of the output tensors in the signature, in the same order.
    """

    flatbuffer: bytes
    input: TensorDetails
    outputs: tuple[TensorDetails, ...]
    output_names: tuple[str, ...]


def make_draft(
    model: KerasModel,
    calibration: Iterable[NDArray[np.float32]] | None,
    settings: ConversionSettings,
    batch: int = 1,
    rewrite: Callable[[bytes], bytes] | None = None,
) -> Draft:
    """Convert a Keras model and check that it runs.

    Args:
        model: The model in the form that is converted (see `conversion.models`).
        calibration: As in `to_flatbuffer`.
        settings: How to convert.
        batch: Batch size of the file.
        rewrite: Changes the operators of the file.

    Raises:
        HRNetError: If the model cannot be converted, or the converted model does not run as it should.
    """
    options, recipe = settings.options, settings.quantization_recipe
    if options.format == "int8":
        check_fits_8_bits(model)
    if recipe:
        if calibration is None:
            raise HRNetError(f"`quantization_recipe` needs a model without fake quantization, got {model.name}")
        float32 = to_flatbuffer(model, ConvertOptions("float32"), None)
        flatbuffer = quantize_with_recipe(float32, recipe, calibration, settings.memory_budget)
    else:
        flatbuffer = to_flatbuffer(model, options, calibration, batch, settings.memory_budget)
    if options.plain_resizes:
        flatbuffer = with_plain_resizes(flatbuffer).flatbuffer
    if rewrite:
        flatbuffer = rewrite(flatbuffer)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "draft.tflite")
        path.write_bytes(flatbuffer)
        check_loads(path)
        check_versions(path, settings.runtime)
        interpreter = make_interpreter(path)
        if options.format == "int8" and not (recipe and recipe.float_layers):
            check_fully_int8(interpreter, float_ends="float32" in (options.input_dtype, options.output_dtype))
        [source], outputs = interpreter.get_input_details(), tuple(interpreter.get_output_details())
        signature = interpreter.get_signature_runner().get_output_details()
    names = {details["index"]: name for name, details in signature.items()}
    return Draft(flatbuffer, source, outputs, tuple(names[details["index"]] for details in outputs))


@dataclass(frozen=True)
class DescribedModel:
    """A converted model with its description, and the path that it will be written to."""

    path: Path
    flatbuffer: bytes
    description: ModelDescription


@contextlib.contextmanager
def temporary_files(models: Sequence[DescribedModel]) -> Iterator[list[Path]]:
    """Write models to a temporary folder, under their names."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, model.path.name) for model in models]
        for path, model in zip(paths, models, strict=True):
            save_model_file(path, model.flatbuffer, model.description)
        yield paths


@dataclass(frozen=True)
class ConversionResult:
    """The written files and their errors; `str` gives them for people.

    Attributes:
        paths: The `.tflite` files: one, or the two of a detector.
        size_bytes: Their size together.
        compressed_bytes: Size of their flatbuffers after DEFLATE compression.
        parities: Errors of the outputs.
        layers: Errors of the layers, of an int8 file.
        description: The description of the first file.
    """

    paths: tuple[Path, ...]
    size_bytes: int
    compressed_bytes: int
    parities: tuple[Parity, ...]
    layers: tuple[LayerError, ...]
    description: ModelDescription

    @property
    def path(self) -> Path:
        """The `.tflite`, or the first of a detector's two: the one that other commands take."""
        return self.paths[0]

    @property
    def parity(self) -> Parity:
        """Errors of the first output, which is the only one of all networks but detectors."""
        return self.parities[0]

    def __str__(self) -> str:
        size = f"{self.size_bytes / 1e6:.2f} MB ({self.compressed_bytes / 1e6:.2f} MB compressed)"
        second = "".join(f" and {path.name}, to be kept in the same folder" for path in self.paths[1:])
        lines = [f"{self.path}{second}: {size}; runs with and without XNNPACK", *(f"  {parity}" for parity in self.parities)]
        if self.parity.image_kind == RANDOM_IMAGES:
            lines.append(f"  {RANDOM_IMAGES_NOTE}")
        for layer in jumps(self.layers):
            lines.append(f"  {layer.layer} ({layer.kind}) loses {layer.loss_db:.0f} dB: SNR of its output {layer.snr_db:.1f} dB")
        return "\n".join(lines)


def save_models(
    models: Sequence[DescribedModel],
    parities: Sequence[Parity],
    options: ConvertOptions,
    layers: Sequence[LayerError] = (),
) -> ConversionResult:
    """Write models whose errors are within the limit.

    Args:
        models: The models. The last is written first: where the first file exists, all exist.
        parities: Errors of the outputs.
        options: Conversion options, with the limit.
        layers: Errors of the layers.

    Raises:
        HRNetError: If an error is over the limit; the files are then kept as `.rejected`.
    """
    check_errors(parities, options, {model.path: model.flatbuffer for model in models})
    for model in reversed(models):
        save_model_file(model.path, model.flatbuffer, model.description)
    paths = tuple(model.path for model in models)
    size = sum(path.stat().st_size for path in paths)
    compressed = sum(len(zlib.compress(model.flatbuffer, 9)) for model in models)
    return ConversionResult(paths, size, compressed, tuple(parities), tuple(layers), models[0].description)


def check_errors(parities: Iterable[Parity], options: ConvertOptions, files: Mapping[Path, bytes]) -> None:
    """Check errors against the limit of the options.

    Args:
        parities: Errors of the outputs.
        options: Conversion options, with the limit.
        files: Contents of the files that are to be written, by path.

    Raises:
        HRNetError: If an error is over the limit. The files are then written with the suffix `.rejected`.
    """
    for parity in parities:
        limit = options.error_limit(parity.largest)
        if limit is not None and not parity.max_error <= limit:
            rejected = [Path(f"{path}{REJECTED}") for path in files]
            for path, flatbuffer in zip(rejected, files.values(), strict=True):
                write_bytes(path, flatbuffer)
            kept = " and ".join([str(rejected[0]), *(path.name for path in rejected[1:])])
            raise HRNetError(f"{parity}: over the limit of {limit:g}; kept as {kept}")
