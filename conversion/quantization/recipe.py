"""Post-training int8 by a recipe: layers that stay float, and how ranges are chosen; done by litert-quantizer.

A recipe is JSON, for example

    {"float": ["stem_conv1", "head"], "activations": "percentile", "percentile": 99.99, "weights": "mse"}

`float` names layers by their whole name or its beginning, as `convert --debug-quantization` lists them. `activations` are
ranges from the smallest to the largest value met ("min-max"), or such that a share of an image's values lies inside
("percentile", both sides together), averaged over images. `weights` is "min-max", "mse" (the scale of least squared
error) or "octav" (Sakr et al., arXiv 2206.06501).
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conversion.quantization.calibration import Ranges, activation_ranges
from hrnet_tf.backend.keras_module import quiet
from hrnet_tf.spec.memory import MEMORY_BUDGET
from mobile_eval.errors import HRNetError
from mobile_eval.files import read_json
from mobile_eval.model.graph import TFLiteGraph
from mobile_eval.typed import brief, checked

ACTIVATIONS = ("min-max", "percentile")
WEIGHTS = {"min-max": "MIN_MAX_UNIFORM_QUANT", "mse": "MSE", "octav": "OCTAV"}
BITS = 8


@dataclass(frozen=True)
class Recipe:
    """What a recipe file says; `keep_float` is its entry "float"."""

    keep_float: tuple[str, ...] = ()
    activations: str = "min-max"
    percentile: float = 99.99
    weights: str = "min-max"

    def __post_init__(self) -> None:
        if self.activations not in ACTIVATIONS:
            raise HRNetError(f"a recipe's activations are one of {', '.join(ACTIVATIONS)}, got {self.activations!r}")
        if self.weights not in WEIGHTS:
            raise HRNetError(f"a recipe's weights are one of {', '.join(WEIGHTS)}, got {self.weights!r}")
        if not 50 < self.percentile <= 100:
            raise HRNetError(f"a recipe's percentile is above 50 and at most 100, got {self.percentile}")


def load_recipe(path: Path | str) -> Recipe:
    """Read a recipe; HRNetError names the entry that is unknown or wrong."""
    data = read_json(path, "recipe")
    names = {"float": "keep_float", **{f.name: f.name for f in dataclasses.fields(Recipe) if f.name != "keep_float"}}
    if not isinstance(data, dict):
        raise HRNetError(f"recipe {path} is not an object of {', '.join(names)}")
    for key in data:
        if key not in names:
            raise HRNetError(f"recipe {path} has an unknown entry {brief(key)}; there are {', '.join(names)}")
    layers: Any = data.get("float", [])
    if not isinstance(layers, list) or not all(isinstance(layer, str) and layer for layer in layers):
        raise HRNetError(f"recipe {path}: float is a list of layers' names, got {brief(layers)}")
    recipe: Recipe = checked({names[key]: value for key, value in data.items()}, Recipe, f"recipe {path}")
    return recipe


def quantize_by_recipe(
    flatbuffer: bytes, recipe: Recipe, calibration: Iterable[NDArray[np.float32]], memory_budget: int = MEMORY_BUDGET
) -> bytes:
    """Quantize a float32 `.tflite` with ranges from `calibration` (H, W, 3), inputs as the file takes them.

    Raises HRNetError where the recipe names a layer that is not there.
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
            for name in _tensors_of(graph, recipe.keep_float):
                scope, kept = f"^{re.escape(name)}", AlgorithmName.NO_QUANTIZE
                quantizer.update_quantization_recipe(scope, operations.ALL_SUPPORTED, algorithm_key=kept)
            percentile = recipe.percentile if recipe.activations == "percentile" else None
            measured = activation_ranges(flatbuffer, calibration, percentile, memory_budget)
            return bytes(quantizer.quantize(_by_name(graph, measured)).quantized_model)


def _by_name(graph: TFLiteGraph, measured: Ranges) -> dict[str, dict[str, NDArray[np.float32]]]:
    """Ranges as the quantizer takes them: by tensors' names, of as many axes as these have."""
    tensors = {t.index: t for t in (*graph.inputs, *(t for o in graph.operators for t in o.outputs))}
    ranges = {}
    for index, ends in measured.items():
        tensor = tensors[index]
        low, high = (np.full((1,) * len(tensor.shape), end, np.float32) for end in ends)
        ranges[tensor.name] = {"min": low, "max": high}
    return ranges


def _tensors_of(graph: TFLiteGraph, layers: tuple[str, ...]) -> list[str]:
    """Names of the tensors that the layers put out."""
    found = []
    for layer in layers:
        own = [o.outputs[0].name for o in graph.operators if o.layer is not None and (o.layer + "_").startswith(f"{layer}_")]
        if not own:
            raise HRNetError(f"the recipe keeps {layer!r} in float, but there is no such layer")
        found += own
    return found
