"""Post-training int8 quantization with per-layer settings, by litert-quantizer.

A quantization recipe is a JSON file, for example

    {"float_layers": ["stem_conv1", "head"], "activations": "percentile", "percentile": 99.99, "weights": "mse"}

All entries are optional:

- `float_layers`: names of the layers that stay in float, or the first words of their names: "stem" means "stem_conv1" and
  "stem_conv2". `hrnet convert --debug-quantization` lists the names.
- `activations`: "min-max", the range from the smallest to the largest value; or "percentile", the central range that holds
  `percentile` percent of the values of an image, averaged over images.
- `weights`: "min-max"; "mse", the scale with the least squared error; or "octav" (Sakr et al., arXiv:2206.06501).
"""

from __future__ import annotations

import contextlib
import io
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from conversion.quantization.calibration import Ranges, activation_ranges
from hrnet_tf.backend.keras_module import quiet
from mobile_eval.errors import HRNetError
from mobile_eval.files import read_json
from mobile_eval.model.graph import TFLiteGraph
from mobile_eval.typed import checked

ACTIVATIONS = ("min-max", "percentile")
WEIGHTS = {"min-max": "MIN_MAX_UNIFORM_QUANT", "mse": "MSE", "octav": "OCTAV"}  # names of litert-quantizer's algorithms
BITS = 8


@dataclass(frozen=True)
class QuantizationRecipe:
    """Per-layer settings of post-training int8 quantization; the module's docstring explains the entries.

    Raises:
        HRNetError: If a value is unknown or out of range.
    """

    float_layers: tuple[str, ...] = ()
    activations: str = "min-max"
    percentile: float = 99.99
    weights: str = "min-max"

    def __post_init__(self) -> None:
        if not all(self.float_layers):
            raise HRNetError(f"float_layers must be names of layers, got {list(self.float_layers)}")
        if self.activations not in ACTIVATIONS:
            raise HRNetError(f"activations must be one of {', '.join(ACTIVATIONS)}, got {self.activations!r}")
        if self.weights not in WEIGHTS:
            raise HRNetError(f"weights must be one of {', '.join(WEIGHTS)}, got {self.weights!r}")
        if not 50 < self.percentile <= 100:
            raise HRNetError(f"percentile must be above 50 and at most 100, got {self.percentile}")

    @property
    def range_percentile(self) -> float | None:
        """`percentile` where activations use it, else None."""
        return self.percentile if self.activations == "percentile" else None


def load_quantization_recipe(path: Path | str) -> QuantizationRecipe:
    """Read a quantization recipe from a JSON file.

    Raises:
        HRNetError: If the file is not a quantization recipe; the message names the entry.
    """
    recipe: QuantizationRecipe = checked(
        read_json(path, "quantization recipe"), QuantizationRecipe, f"quantization recipe {path}"
    )
    return recipe


def quantize_with_recipe(
    flatbuffer: bytes,
    recipe: QuantizationRecipe,
    calibration: Iterable[NDArray[np.float32]],
    memory_budget: int,
) -> bytes:
    """Quantize a float32 `.tflite` to int8.

    Args:
        flatbuffer: The float32 model.
        recipe: Layers that stay in float, and how ranges are chosen.
        calibration: Inputs (H, W, 3) as the float32 model takes them; iterated over several times.
        memory_budget: Memory for activations, in bytes.

    Returns:
        The quantized model. Input and output are int8, unless they belong to layers in float.

    Raises:
        HRNetError: If the model has no layer of a name in `recipe.float_layers`.
    """
    from litert_quantizer import qtyping
    from litert_quantizer.algorithm_manager import AlgorithmName
    from litert_quantizer.quantizer import Quantizer

    operations = qtyping.TFLOperationName
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "float32.tflite")
        path.write_bytes(flatbuffer)
        graph = TFLiteGraph(path)
        with quiet(), contextlib.redirect_stdout(io.StringIO()):
            quantizer = Quantizer(str(path))
            quantizer.add_static_config(".*", operations.ALL_SUPPORTED, BITS, BITS)
            if recipe.weights != "min-max":
                algorithm = getattr(AlgorithmName, WEIGHTS[recipe.weights])
                quantizer.add_static_config(".*", operations.CONV_2D, BITS, BITS, algorithm_key=algorithm)
            for name in _output_names(graph, recipe.float_layers):
                scope, algorithm = f"^{re.escape(name)}", AlgorithmName.NO_QUANTIZE
                quantizer.update_quantization_recipe(scope, operations.ALL_SUPPORTED, algorithm_key=algorithm)
            ranges = activation_ranges(flatbuffer, calibration, recipe.range_percentile, memory_budget)
            return bytes(quantizer.quantize(_calibration_result(graph, ranges)).quantized_model)


def _calibration_result(graph: TFLiteGraph, ranges: Ranges) -> dict[str, dict[str, NDArray[np.float32]]]:
    """Ranges in litert-quantizer's form: by tensor name, each end with as many axes as the tensor."""
    tensors = {tensor.index: tensor for tensor in graph.inputs}
    tensors |= {tensor.index: tensor for operator in graph.operators for tensor in operator.outputs}
    result = {}
    for index, ends in ranges.items():
        tensor = tensors[index]
        low, high = (np.full((1,) * len(tensor.shape), end, np.float32) for end in ends)
        result[tensor.name] = {"min": low, "max": high}
    return result


def _output_names(graph: TFLiteGraph, layers: tuple[str, ...]) -> list[str]:
    """Names of the output tensors of `layers`, given by their names or the first words of these."""
    names = []
    for layer in layers:
        matching = [
            operator.outputs[0].name
            for operator in graph.operators
            if operator.layer is not None and f"{operator.layer}_".startswith(f"{layer}_")
        ]
        if not matching:
            raise HRNetError(f"float_layers names {layer!r}, but the model has no such layer")
        names += matching
    return names
