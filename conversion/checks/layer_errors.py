"""Errors of an int8 file layer by layer: signal-to-noise ratios against the float network of the same weights.

Noise comes from rounding, and from ranges that are too wide or too narrow. It accumulates along the network. A layer whose output
is much noisier than its inputs is where to look, and what a quantization recipe may keep in float.
"""

from __future__ import annotations

import csv
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from conversion.checks.parity import ErrorSums, Prepare
from conversion.quantization.calibration import with_outputs
from hrnet_tf.backend.graph import LayerCall, flat, input_tensors, layer_calls
from hrnet_tf.backend.types import KerasModel, Tensor
from hrnet_tf.spec.memory import MEMORY_BUDGET
from mobile_eval.errors import HRNetError
from mobile_eval.files import write_atomically, write_text
from mobile_eval.image.preprocess import normalize
from mobile_eval.model.graph import Operator, TFLiteGraph
from mobile_eval.runtime.backend import Backend
from mobile_eval.runtime.interpreter import Interpreter, make_interpreter, real_values
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.viz.svg import BLUE, GRID, MUTED, ORANGE, PAPER, RED, element, line, picture, text

JUMP_DB = 6.0  # a loss of half the amplitude
MAX_JUMPS = 3
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 900.0, 340.0, 56.0, 20.0, 16.0, 48.0
COLORS = {"CONV_2D": BLUE, "ADD": ORANGE}
OTHER_COLOR = MUTED
JUMP_COLOR = RED


@dataclass(frozen=True)
class LayerError:
    """The error of one operator's output.

    Attributes:
        index: Index of the operator in the file.
        layer: Name of the layer that it is part of.
        kind: Kind of the operator, such as CONV_2D.
        snr_db: Signal-to-noise ratio of its output in dB.
        loss_db: How far that is below the lowest ratio of its inputs; None if no input was compared.
    """

    index: int
    layer: str
    kind: str
    snr_db: float
    loss_db: float | None


def layer_errors(
    float_model: KerasModel,
    path: Path,
    crops: Iterable[NDArray[np.generic]],
    memory_budget: int = MEMORY_BUDGET,
    prepare: Prepare = normalize,
) -> list[LayerError]:
    """Measure the error of every operator whose layer a float model has.

    Args:
        float_model: The folded Keras model with the same weights.
        path: The int8 file, with a description.
        crops: RGB images (H, W, 3); iterated over several times.
        memory_budget: Memory for the file's tensors, in bytes. Of the Keras model, only outputs that a later layer reads are
            kept.
        prepare: Returns images (N, H, W, 3) as the Keras model takes them.

    Returns:
        The errors in the order of the operators.
    """
    layers = {call.layer.name for call in _compared_calls(layer_calls(float_model))}
    operators = [operator for operator in TFLiteGraph(path).operators if operator.layer in layers]
    sums = _error_sums(float_model, path, operators, crops, memory_budget, prepare)
    errors: list[LayerError] = []
    snr_of_tensor: dict[int, float] = {}
    for operator in operators:
        snr = sums[operator.index].snr_db
        before = [snr_of_tensor[tensor.index] for tensor in operator.inputs if tensor.index in snr_of_tensor]
        snr_of_tensor[operator.outputs[0].index] = snr
        loss = min(before) - snr if before else None
        errors.append(LayerError(operator.index, str(operator.layer), operator.kind, snr, loss))
    return errors


def _error_sums(
    float_model: KerasModel,
    path: Path,
    operators: Sequence[Operator],
    crops: Iterable[NDArray[np.generic]],
    memory_budget: int,
    prepare: Prepare,
) -> dict[int, ErrorSums]:
    """Errors of the outputs of operators, by the operators' indices."""
    of_layer: dict[str, list[Operator]] = {}
    for operator in operators:
        of_layer.setdefault(str(operator.layer), []).append(operator)
    sums = {operator.index: ErrorSums() for operator in operators}
    to_input, flatbuffer = TFLiteModel(path).to_input, path.read_bytes()
    tensors = dict.fromkeys(operator.outputs[0].index for operator in operators)
    for group, file in with_outputs(flatbuffer, tensors, memory_budget):
        interpreter = _interpreter(file)
        for crop in crops:
            interpreter.set_tensor(interpreter.get_input_details()[0]["index"], to_input(crop[None]))
            interpreter.invoke()
            quantization = {details["index"]: details["quantization"] for details in interpreter.get_output_details()}
            for name, expected in layer_outputs(float_model, prepare(crop[None])):
                for operator in of_layer.get(name, ()):
                    index = operator.outputs[0].index
                    if index in group:
                        values = real_values(interpreter.get_tensor(index), *quantization[index])
                        sums[operator.index].add(expected, values)
    return sums


def _interpreter(flatbuffer: bytes) -> Interpreter:
    """An interpreter without XNNPACK, which would compute some operators together."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "outputs.tflite")
        path.write_bytes(flatbuffer)
        return make_interpreter(path, Backend(xnnpack=False, threads=os.cpu_count() or 1))


def layer_outputs(model: KerasModel, images: NDArray[np.float32]) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Run a Keras model layer by layer; an output is dropped when no later layer reads it.

    Args:
        model: A functional model.
        images: Inputs (N, ...).

    Yields:
        Name and output (N, ...) of each layer that is called once and has one output.
    """
    calls = layer_calls(model)
    compared = set(map(id, _compared_calls(calls)))
    readers = Counter(id(x) for call in calls for x in call.inputs)
    values: dict[int, Tensor] = {id(x): images for x in input_tensors(model)}
    for call in calls:
        args, kwargs = call.arguments(values)
        results = call.layer(*args, **kwargs) if call.layer is not None else args[0]
        values.update(zip(map(id, call.outputs), flat(results), strict=True))
        if id(call) in compared:
            yield call.layer.name, np.asarray(values[id(call.outputs[0])])
        for x in call.inputs:
            readers[id(x)] -= 1
            if not readers[id(x)]:
                values.pop(id(x), None)


def _compared_calls(calls: Sequence[LayerCall]) -> list[LayerCall]:
    """The calls of layers that are called once and have one output."""
    times_called = Counter(id(call.layer) for call in calls)
    return [call for call in calls if call.layer is not None and times_called[id(call.layer)] == len(call.outputs) == 1]


def jumps(errors: Sequence[LayerError]) -> list[LayerError]:
    """Return the first layers (at most MAX_JUMPS) that lose more than JUMP_DB."""
    return [error for error in errors if error.loss_db is not None and error.loss_db > JUMP_DB][:MAX_JUMPS]


def write_layer_errors(errors: Sequence[LayerError], output: Path) -> tuple[Path, Path]:
    """Write errors as a table and a plot.

    Args:
        errors: Errors from `layer_errors`.
        output: Path of the model. The table and the plot go beside it, with the suffixes .layers.csv and .layers.svg.

    Returns:
        Paths of the table and the plot.

    Raises:
        HRNetError: If there are no errors.
    """
    table, plot = output.with_suffix(".layers.csv"), output.with_suffix(".layers.svg")

    def write(path: Path) -> None:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(LayerError)])
            writer.writeheader()
            writer.writerows(asdict(error) for error in errors)

    picture_text = layer_errors_svg(errors)
    write_atomically(table, write)
    write_text(plot, picture_text)
    return table, plot


def layer_errors_svg(errors: Sequence[LayerError]) -> str:
    """Plot the signal-to-noise ratio of every layer, in the order of the operators; jumps have a ring.

    Raises:
        HRNetError: If there are no errors.
    """
    if not errors:
        raise HRNetError("expected the error of at least one layer, got none")
    finite = [error.snr_db for error in errors if np.isfinite(error.snr_db)] or [0.0]
    low, high = 10 * np.floor(min(finite) / 10), 10 * np.ceil(max(max(finite), min(finite) + 10) / 10)

    def y(value: float) -> float:
        return float(TOP + (HEIGHT - TOP - BOTTOM) * (high - min(value, high)) / (high - low))

    parts = []
    for value in np.arange(low, high + 1, 10):
        parts += [line(LEFT, y(value), WIDTH - RIGHT, y(value), GRID)]
        parts += [text(LEFT - 8, y(value) + 4, f"{value:g}", anchor="end", color=MUTED)]
    ringed = jumps(errors)
    for position, error in enumerate(errors):
        x = LEFT + (WIDTH - LEFT - RIGHT) * position / max(len(errors) - 1, 1)
        ring = {"stroke": JUMP_COLOR, "stroke-width": 2} if error in ringed else {"stroke": PAPER}
        color, radius = COLORS.get(error.kind, OTHER_COLOR), 4 if error in ringed else 3
        dot = {"cx": x, "cy": y(error.snr_db), "r": radius, "fill": color, **ring}
        parts.append(element("circle", dot, title=f"{error.layer} ({error.kind}): {error.snr_db:.1f} dB"))
    return picture(WIDTH, HEIGHT, [*parts, *_legend()], "signal-to-noise ratio of every layer")


def _legend() -> list[str]:
    parts = []
    for number, (kind, color) in enumerate({**COLORS, "other": OTHER_COLOR}.items()):
        parts.append(element("circle", {"cx": LEFT + 6 + number * 90, "cy": HEIGHT - 14, "r": 4, "fill": color}))
        parts.append(text(LEFT + 16 + number * 90, HEIGHT - 10, kind, color=MUTED))
    caption = "layers in the order in which they run; SNR in dB"
    return [*parts, text(WIDTH - RIGHT, HEIGHT - 10, caption, anchor="end", color=MUTED)]
