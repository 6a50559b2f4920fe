"""Where an int8 file loses accuracy: signal-to-noise ratio layer by layer, against the float network of the same weights.

Noise comes from rounding and from ranges that are too wide or cut off; it adds up along the network. A layer whose own
loss is large compared with what its inputs brought is where to look, and what a recipe may keep in float.
"""

from __future__ import annotations

import csv
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conversion.checks.parity import ErrorSums
from conversion.quantization.calibration import files_keeping
from hrnet_tf.backend.keras_module import keras
from hrnet_tf.spec.memory import MEMORY_BUDGET
from mobile_eval.errors import HRNetError
from mobile_eval.files import write_atomically, write_text
from mobile_eval.image.preprocess import normalize
from mobile_eval.model.graph import Operator, TFLiteGraph
from mobile_eval.runtime.backend import Backend
from mobile_eval.runtime.interpreter import make_interpreter, real_values
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.viz.svg import GRID, MUTED, PAPER, element, line, picture, text

JUMP_DB = 6.0  # half of the amplitude
SHOWN = 3
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 900.0, 340.0, 56.0, 20.0, 16.0, 48.0
COLORS = {"CONV_2D": "#2458d3", "ADD": "#c2570c"}
OTHER = "#667085"


@dataclass(frozen=True)
class LayerError:
    """One operator: SNR of its output, and how far that lies below the worst of its inputs (None at the beginning)."""

    index: int
    layer: str
    kind: str
    snr_db: float
    loss_db: float | None


def layer_errors(
    floating: Any, path: Path, crops: Iterable[NDArray[np.uint8]], memory_budget: int = MEMORY_BUDGET
) -> list[LayerError]:
    """Every operator of the int8 file at `path` whose layer the folded Keras model `floating` has, in order.

    `crops` are RGB (H, W, 3). They are compared layer by layer: memory holds as many of the file's tensors as `memory_budget`
    (bytes) has room for, and of the Keras model the layers that are still read.
    """
    names = {layer.name for layer in floating.layers}
    compared = [operator for operator in TFLiteGraph(path).operators if operator.layer in names]
    of_layer: dict[str, list[Operator]] = {}
    for operator in compared:
        of_layer.setdefault(str(operator.layer), []).append(operator)
    sums = {operator.index: ErrorSums() for operator in compared}
    stored, flatbuffer = TFLiteModel(path).to_input, path.read_bytes()
    tensors = dict.fromkeys(operator.outputs[0].index for operator in compared)
    for group, keeping in files_keeping(flatbuffer, tensors, memory_budget):
        interpreter = _interpreter_of(keeping)
        for crop in crops:
            interpreter.set_tensor(interpreter.get_input_details()[0]["index"], stored(crop[None]))
            interpreter.invoke()
            formats = {details["index"]: details["quantization"] for details in interpreter.get_output_details()}
            for name, expected in outputs_in_turn(floating, normalize(crop[None])):
                for operator in of_layer.get(name, ()):
                    index = operator.outputs[0].index
                    if index in group:
                        sums[operator.index].add(expected, real_values(interpreter.get_tensor(index), *formats[index]))
    errors: list[LayerError] = []
    at_tensor: dict[int, float] = {}
    for operator in compared:
        own = sums[operator.index].snr_db
        before = [at_tensor[tensor.index] for tensor in operator.inputs if tensor.index in at_tensor]
        at_tensor[operator.outputs[0].index] = own
        errors.append(LayerError(operator.index, str(operator.layer), operator.kind, own, min(before) - own if before else None))
    return errors


def _interpreter_of(flatbuffer: bytes) -> Any:
    """One that runs every operator by itself: XNNPACK has some of them computed together."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "kept.tflite")
        path.write_bytes(flatbuffer)
        return make_interpreter(path, Backend(xnnpack=False, threads=os.cpu_count() or 1))


def outputs_in_turn(model: Any, images: NDArray[np.float32]) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Name and output (N, ...) of each layer of a functional Keras model, whose layers have one output and are called once.

    An output is dropped as soon as no layer is left that reads it.
    """
    readers = Counter(id(tensor) for layer in model.layers for tensor in _read_by(layer))
    values: dict[int, Any] = {id(model.input): images}
    for layer in model.layers:
        read = _read_by(layer)
        if read:
            given = [values[id(tensor)] for tensor in read]
            values[id(layer.output)] = layer(given if isinstance(layer.input, list) else given[0])
            yield layer.name, values[id(layer.output)].numpy()
        for tensor in read:
            readers[id(tensor)] -= 1
            if not readers[id(tensor)]:
                del values[id(tensor)]


def _read_by(layer: Any) -> list[Any]:
    """The tensors that a layer reads: none where it is the input."""
    if isinstance(layer, keras.layers.InputLayer):
        return []
    return layer.input if isinstance(layer.input, list) else [layer.input]


def jumps(errors: Sequence[LayerError]) -> list[LayerError]:
    """The first layers that lose much by themselves."""
    return [error for error in errors if error.loss_db is not None and error.loss_db > JUMP_DB][:SHOWN]


def write_layer_errors(errors: Sequence[LayerError], output: Path) -> tuple[Path, Path]:
    """Write `output`'s table (.layers.csv) and plot (.layers.svg) beside it, and return their paths."""
    table, plot = output.with_suffix(".layers.csv"), output.with_suffix(".layers.svg")

    def write(path: Path) -> None:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(LayerError)])
            writer.writeheader()
            writer.writerows(asdict(error) for error in errors)

    write_atomically(table, write)
    write_text(plot, layer_errors_svg(errors))
    return table, plot


def layer_errors_svg(errors: Sequence[LayerError]) -> str:
    """SNR in dB of every layer, in the order they run; those that jump have a ring."""
    if not errors:
        raise HRNetError("expected at least one layer to draw, got none")
    finite = [error.snr_db for error in errors if np.isfinite(error.snr_db)] or [0.0]
    low, high = 10 * np.floor(min(finite) / 10), 10 * np.ceil(max(max(finite), min(finite) + 10) / 10)

    def x(position: int) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * position / max(len(errors) - 1, 1)

    def y(value: float) -> float:
        return float(TOP + (HEIGHT - TOP - BOTTOM) * (high - min(value, high)) / (high - low))

    parts = []
    for value in np.arange(low, high + 1, 10):
        parts += [line(LEFT, y(value), WIDTH - RIGHT, y(value), GRID)]
        parts += [text(LEFT - 8, y(value) + 4, f"{value:g}", anchor="end", color=MUTED)]
    told = jumps(errors)
    for position, error in enumerate(errors):
        color = COLORS.get(error.kind, OTHER)
        ring = {"stroke": "#c02652", "stroke-width": 2} if error in told else {"stroke": PAPER}
        dot = {"cx": x(position), "cy": y(error.snr_db), "r": 4 if error in told else 3, "fill": color, **ring}
        parts.append(element("circle", dot, title=f"{error.layer} ({error.kind}): {error.snr_db:.1f} dB"))
    for number, (kind, color) in enumerate({**COLORS, "other": OTHER}.items()):
        parts.append(element("circle", {"cx": LEFT + 6 + number * 90, "cy": HEIGHT - 14, "r": 4, "fill": color}))
        parts.append(text(LEFT + 16 + number * 90, HEIGHT - 10, kind, color=MUTED))
    parts.append(text(WIDTH - RIGHT, HEIGHT - 10, "layers in the order they run; SNR in dB", anchor="end", color=MUTED))
    return picture(WIDTH, HEIGHT, parts, "signal-to-noise ratio of every layer")
