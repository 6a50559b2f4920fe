"""The one place that chooses a TFLite runtime."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
import logging
import os
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobile_eval.errors import HRNetError
from mobile_eval.files import read_bytes
from mobile_eval.image.geometry import UDP
from mobile_eval.image.preprocess import normalize
from mobile_eval.keypoints.decode import decode_heatmaps, decode_udp, decoded_in_graph
from mobile_eval.model.compiled import EDGETPU_OPERATOR
from mobile_eval.model.description import (
    CLASS_MAPS,
    CLASS_SCORES,
    HEATMAPS,
    OF_DETECTORS,
    REMEDY,
    ModelDescription,
    TensorFormat,
    check_is_tflite,
    read_description,
)
from mobile_eval.runtime.backend import NOT_DELEGATED, Backend, Placement, placement
from mobile_eval.runtime.native_output import without_info_lines
from mobile_eval.runtime.quantization import StoredBytes, dequantize, quantize
from mobile_eval.runtime.trial import check_sound
from mobile_eval.tasks.detection.tensor_shapes import tensor_shapes

RUNTIMES = {"ai-edge-litert": "ai_edge_litert.interpreter", "tflite-runtime": "tflite_runtime.interpreter"}
CPU = Backend()
REWRITTEN = "{path} was written anew by another tool: its description is the one beside it"
LONGEST_REASON = 240  # characters
NUMPY_2_NEEDS = "tflite-runtime 2.14 needs numpy below 2: `pip install 'numpy<2'`, or install ai-edge-litert"


@dataclass(frozen=True)
class Runtime:
    """A TFLite runtime that is installed."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def find_runtime(name: str = "auto") -> Runtime:
    """The runtime of that name, or for "auto" the first that is installed."""
    if name != "auto" and name not in RUNTIMES:
        raise HRNetError(f"no runtime named {name!r}; there are auto, {', '.join(RUNTIMES)}")
    wanted = RUNTIMES if name == "auto" else {name: RUNTIMES[name]}
    for candidate, module in wanted.items():
        try:
            importlib.import_module(module)
            return Runtime(candidate, importlib.metadata.version(candidate))
        except ImportError:
            continue
    raise HRNetError(f"no TFLite runtime found ({' or '.join(wanted)}): `pip install {next(iter(wanted))}`")


def load_delegate(backend: Backend) -> list[Any]:
    """The delegate of `backend`, loaded by its runtime: one or none."""
    if backend.delegate is None:
        return []
    return [backend.delegate.load(importlib.import_module(RUNTIMES[find_runtime(backend.runtime).name]))]


def make_interpreter(path: Path | str, backend: Backend = CPU, *, keep_tensors: bool = False) -> Any:
    """An interpreter with its tensors allocated, for any `.tflite`, with or without a description.

    With `keep_tensors` all between input and output can be read after a run. The file is tried in a process of its own first
    (`check_sound`).
    """
    check_sound([path], backend)
    return open_interpreter(path, backend, keep_tensors=keep_tensors)


def open_interpreter(path: Path | str, backend: Backend = CPU, *, keep_tensors: bool = False) -> Any:
    """As `make_interpreter`, for a file that is known to be sound: runtimes may crash on others, and take this process along."""
    check_is_tflite(path, read_bytes(path, "model")[:8])
    chosen = find_runtime(backend.runtime)
    if chosen.name == "tflite-runtime" and int(np.__version__.split(".")[0]) >= 2:
        raise HRNetError(NUMPY_2_NEEDS)
    module = importlib.import_module(RUNTIMES[chosen.name])
    delegates = load_delegate(backend)
    try:
        resolvers = module.OpResolverType
        resolver = resolvers.AUTO if backend.uses_xnnpack else resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        resolver = resolvers.BUILTIN_REF if backend.reference else resolver
        with without_info_lines():
            interpreter = module.Interpreter(
                os.fsencode(path),  # a name need not be UTF-8, of which the runtime would make a str
                num_threads=backend.threads,
                experimental_delegates=delegates,
                experimental_op_resolver_type=resolver,
                experimental_preserve_all_tensors=keep_tensors,
            )
            interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        if EDGETPU_OPERATOR in str(error):
            raise HRNetError(NOT_DELEGATED.format(path=path)) from error
        raise HRNetError(f"{chosen} cannot run {path}: {_reason(error)}") from error
    return interpreter


@cache
def _note_rewritten(path: Path) -> None:
    """Say once that a description is not known to be of the file as it is."""
    logging.getLogger(__name__).warning(REWRITTEN.format(path=path))


def invoke(interpreter: Any, path: Path | str) -> None:
    """Run the interpreter on the inputs that it was given; HRNetError names the file where an operator fails."""
    try:
        interpreter.invoke()
    except (RuntimeError, ValueError) as error:
        raise HRNetError(f"the TFLite runtime failed to run {path}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """A runtime's message in one line; it repeats itself for every tensor that is wrong."""
    return textwrap.shorten(str(error), LONGEST_REASON, placeholder=" ...")


def real_values(stored: NDArray[Any], scale: float, zero_point: int) -> NDArray[np.float32]:
    """What numbers of a tensor stand for; a `scale` of 0 is that of a tensor that is not quantized."""
    values = stored.astype(np.float32)
    return (values - np.float32(zero_point)) * np.float32(scale) if scale else values


class TFLiteModel:
    """A `.tflite` of this package, ready to run: images in; heatmaps, keypoints or logits of classes out."""

    def __init__(self, path: Path | str, backend: Backend = CPU, *, keep_tensors: bool = False):
        self.path = Path(path)
        self.backend = dataclasses.replace(backend, xnnpack=backend.xnnpack and not keep_tensors)
        self.description: ModelDescription = read_description(path)
        if self.description.flatbuffer is None:
            _note_rewritten(self.path)
        self.runtime: Runtime = find_runtime(backend.runtime)
        self._interpreter = make_interpreter(path, self.backend, keep_tensors=keep_tensors)
        self._input, self._outputs = _checked_tensors(self._interpreter, self.description, self.path)

    @property
    def input_size(self) -> tuple[int, int]:
        """(height, width) of the crops it takes, in pixels."""
        return self.description.input.size

    @property
    def placement(self) -> Placement:
        """What ran where."""
        return placement(self._interpreter, self.backend)

    def keypoints(self, crops: NDArray[Any]) -> NDArray[np.float64]:
        """Crops (N, H, W, 3), uint8 RGB or already normalized float32, to keypoints (N, K, 3), one by one.

        A keypoint is x and y in heatmap pixels and its score, decoded in the model's graph or as its geometry is.
        """
        return np.concatenate([self.decoded(self.run(image[None])) for image in self.stored(crops)])

    def heatmaps(self, crops: NDArray[Any]) -> NDArray[np.float32]:
        """Crops as `keypoints` takes them, to heatmaps (N, H/stride, W/stride, K); HRNetError of a model that gives none out."""
        if self.description.output.kind != HEATMAPS:
            raise HRNetError(f"{self.path} gives out {self.description.output.kind}, not heatmaps: it decodes in its graph")
        return self.answers(crops)

    def answers(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Images (N, H, W, 3), as `keypoints` takes crops, to the one output's real values (N, ...): heatmaps or logits."""
        return np.concatenate([self.answer(image[None]) for image in self.stored(images)])

    def tensors(self, crops: NDArray[Any], indices: Sequence[int]) -> list[NDArray[np.float32]]:
        """Real values (N, ...) of the tensors of these indices, for crops as `keypoints` takes them; needs `keep_tensors`."""
        found: list[list[NDArray[np.float32]]] = [[] for _ in indices]
        for image in self.stored(crops):
            self.run(image[None])
            for values, index in zip(found, indices, strict=True):
                values.append(real_values(self._interpreter.get_tensor(index), *self._quantization[index]))
        return [np.concatenate(values) for values in found]

    @cached_property
    def _quantization(self) -> dict[int, tuple[float, int]]:
        return {details["index"]: details["quantization"] for details in self._interpreter.get_tensor_details()}

    def stored(self, crops: NDArray[Any]) -> NDArray[Any]:
        """Crops (N, H, W, 3) as the input tensor holds them."""
        if crops.ndim != 4 or crops.shape[1:] != (*self.input_size, 3):
            height, width = self.input_size
            raise HRNetError(f"{self.path.name} takes crops (N, {height}, {width}, 3), got {crops.shape}")
        source = self.description.input
        if crops.dtype != np.uint8:
            return quantize(crops, source.tensor)
        if source.tensor.dtype == "float32":
            return normalize(crops, source.mean, source.std)
        return self._stored_bytes(crops)

    @cached_property
    def _stored_bytes(self) -> StoredBytes:
        return StoredBytes(self.description.input)

    def run(self, stored: NDArray[Any]) -> list[NDArray[Any]]:
        """The output tensors for one image (1, H, W, 3) of `stored`, or for what a detector's boxes cover (R, 7, 7, C)."""
        self._interpreter.set_tensor(self._input, stored)
        invoke(self._interpreter, self.path)
        return [np.asarray(self._interpreter.get_tensor(index)) for index in self._outputs]

    def answer(self, stored: NDArray[Any]) -> NDArray[np.float32]:
        """Real values of the one output for one image (1, H, W, 3) of `stored`: heatmaps or logits."""
        [answer] = self.run(stored)
        return dequantize(answer, self.description.output.tensor)

    def outputs(self, stored: NDArray[Any]) -> list[NDArray[np.float32]]:
        """Real values of all outputs for what the input tensor holds, each as the file itself says it is quantized."""
        details = {entry["index"]: entry for entry in self._interpreter.get_output_details()}
        values = zip(self.run(stored), self._outputs, strict=True)
        return [real_values(value, *details[index]["quantization"]) for value, index in values]

    def decoded(self, answer: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
        """What `run` gave out, as keypoints (1, K, 3)."""
        tensor = self.description.output.tensor
        if self.description.output.kind == HEATMAPS:
            [heatmaps] = answer
            if self.description.input.geometry == UDP:
                return decode_udp(dequantize(heatmaps, tensor))
            return decode_heatmaps(heatmaps, lambda peaks: dequantize(peaks, tensor))
        locations, scores = answer
        return decoded_in_graph(locations, dequantize(scores, tensor))


class _Expected(NamedTuple):
    """What the description says of a tensor; without `tensor` it is of that `dtype`, however quantized."""

    name: str
    shape: tuple[int, ...]
    tensor: TensorFormat | None
    dtype: str = "int32"


def _checked_tensors(interpreter: Any, description: ModelDescription, path: Path) -> tuple[int, list[int]]:
    """Index of the input and of the outputs in the description's order, after comparing them with it."""
    height, width = description.input.size
    target, channels = description.output, len(description.answers)
    image = _Expected("input", (1, height, width, 3), description.input.tensor)
    if target.kind in OF_DETECTORS:
        taken, shapes = tensor_shapes(description)
        image = image._replace(shape=taken)
        answers = [_Expected("output", shape, None, target.tensor.dtype) for shape in shapes]
    elif target.kind in (HEATMAPS, CLASS_MAPS):
        answers = [_Expected("output", (1, height // target.stride, width // target.stride, channels), target.tensor)]
    elif target.kind == CLASS_SCORES:
        answers = [_Expected("output", (1, channels), target.tensor)]
    else:
        answers = [_Expected("locations", (1, channels, 2), None), _Expected("scores", (1, channels), target.tensor)]
    [source] = _checked(interpreter.get_input_details(), [image], path)
    return source, _checked(interpreter.get_output_details(), answers, path)


def _checked(details: list[dict[str, Any]], expected: list[_Expected], path: Path) -> list[int]:
    """Indices of the tensors that are expected, which the graph may have in another order."""
    by_shape = {tuple(map(int, entry["shape"])): entry for entry in details}
    for one in expected:
        name, shape, tensor, _ = one
        entry, dtype = by_shape.get(shape), tensor.dtype if tensor else one.dtype
        if entry is None or len(details) != len(expected) or np.dtype(entry["dtype"]).name != dtype:
            found = ", ".join(f"{tuple(map(int, d['shape']))} {np.dtype(d['dtype']).name}" for d in details)
            raise HRNetError(f"{path}: its {name} is {found}, but its description says {shape} {dtype}; {REMEDY}")
        scale, zero_point = entry["quantization"]
        scale = scale or 1.0  # plain bytes have no quantization: they are numbers as they stand
        if tensor and tensor.scale and not (np.isclose(scale, tensor.scale, rtol=1e-5) and zero_point == tensor.zero_point):
            raise HRNetError(
                f"{path}: its {name} is quantized with scale {scale:g} and zero point {zero_point}, but its description "
                f"says {tensor.scale:g} and {tensor.zero_point}; {REMEDY}"
            )
    return [by_shape[wanted.shape]["index"] for wanted in expected]
