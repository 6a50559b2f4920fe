"""Run a `.tflite` of this package: images in, and heatmaps, keypoints, class logits or other tensors out."""

from __future__ import annotations

import dataclasses
import logging
import os
import time
from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import UDP
from mobile_eval.image.preprocess import normalize
from mobile_eval.keypoints.decode import decode_heatmaps, decode_udp, decoded_in_graph
from mobile_eval.model.archive import REMEDY, read_description
from mobile_eval.model.description import (
    CLASS_MAPS,
    CLASS_SCORES,
    DETECTOR_OUTPUTS,
    HEATMAPS,
    KEYPOINTS,
    LOCATIONS,
    OBJECT_CENTERS,
    SCORES,
    TENSORS,
    ModelDescription,
    TensorFormat,
)
from mobile_eval.runtime.backend import Backend, Placement, parse_delegate, placement
from mobile_eval.runtime.interpreter import (
    Interpreter,
    Runtime,
    TensorDetails,
    find_runtime,
    invoke,
    make_interpreter,
    real_values,
)
from mobile_eval.runtime.quantization import InputQuantizer, dequantize, quantize
from mobile_eval.tasks.detection.tensor_shapes import tensor_shapes

Pixels = NDArray[np.generic]  # RGB bytes (uint8), or normalized values (floats)
Stored = NDArray[np.generic]  # values as a tensor stores them
Prediction: TypeAlias = Any  # an array (N, ...) of float32 or, of several outputs, a dictionary of arrays by name

IN_ORDER = (OBJECT_CENTERS, TENSORS)  # outputs that are told apart by their order: their shapes may be equal
REWRITTEN = "{path} was rewritten by another tool; its description is read from the file beside it"


class TFLiteModel(os.PathLike[str]):
    """A `.tflite` with a description, ready to run. It stands for its path where a function takes the path of a model.

    Args:
        path: The file.
        backend: Runtime, threads and delegate, where `threads` and `delegate` do not suffice.
        threads: Number of CPU threads.
        delegate: "edgetpu", or the path of a delegate library.
        keep_tensors: Keep the values of all tensors after a run, so that `tensors` can read them; this turns XNNPACK off.

    Attributes:
        network_s: Seconds that the network has run so far.

    Raises:
        HRNetError: The file cannot be read or run, or its tensors differ from its description.

    Example:
        >>> model = TFLiteModel("model.tflite", threads=4)  # doctest: +SKIP
        >>> model.predict(images).shape  # images (8, 256, 192, 3), uint8 RGB  # doctest: +SKIP
        (8, 64, 48, 17)
        >>> model.keypoints(images).shape  # doctest: +SKIP
        (8, 17, 3)
    """

    def __init__(
        self,
        path: Path | str | os.PathLike[str],
        backend: Backend | None = None,
        *,
        threads: int = 1,
        delegate: str | None = None,
        keep_tensors: bool = False,
    ):
        if backend is not None and (threads != 1 or delegate):
            raise HRNetError("`backend` has threads and delegate: give it, or `threads` and `delegate`")
        backend = backend or Backend(threads=threads, delegate=parse_delegate(delegate))
        self.path = Path(path)
        self.network_s = 0.0
        self.backend = dataclasses.replace(backend, xnnpack=backend.xnnpack and not keep_tensors)
        self.description: ModelDescription = read_description(self.path)
        if self.description.flatbuffer is None:
            _log_rewritten(self.path)
        self.runtime: Runtime = find_runtime(backend.runtime)
        self._interpreter = make_interpreter(self.path, self.backend, keep_tensors=keep_tensors)
        self._input, self._outputs = _find_tensors(self._interpreter, self.description, self.path)

    def __fspath__(self) -> str:
        return str(self.path)

    @property
    def input_size(self) -> tuple[int, int]:
        """(height, width) of the input images in pixels."""
        return self.description.input.size

    @property
    def placement(self) -> Placement:
        """Which operators the delegate took."""
        return placement(self._interpreter, self.backend)

    def predict(self, images: Pixels) -> Prediction:
        """Run images one by one and return the values of the outputs, such as heatmaps or logits.

        Args:
            images: (N, H, W, 3), uint8 RGB or normalized float32; see `to_input`.

        Returns:
            Of one output (N, ...), the output's shape without its batch axis; of several a dictionary of such arrays by
            `output_names`.

        Raises:
            HRNetError: There are no images, or they have another size than the input.

        Example:
            >>> TFLiteModel("two-headed.tflite").predict(images)["classes"].shape  # doctest: +SKIP
            (8, 4)
        """
        stored = self.to_input(images)
        if not len(stored):
            raise HRNetError("`images` must have at least one image, got none")
        if len(self._outputs) == 1:
            return np.concatenate([self.output(image[None]) for image in stored])
        values = zip(*(self.outputs(image[None]) for image in stored), strict=True)
        return {name: np.concatenate(arrays) for name, arrays in zip(self.output_names, values, strict=True)}

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs, in the order in which `run` and `outputs` return them."""
        tensors = self.description.outputs
        if self.description.output.kind == KEYPOINTS:
            return LOCATIONS, SCORES
        if self.description.output.kind in DETECTOR_OUTPUTS:  # no two have the same shape
            by_shape = {tensor.shape: tensor.name for tensor in tensors}
            return tuple(by_shape.get(shape, str(index)) for index, shape in enumerate(tensor_shapes(self.description)[1]))
        return tuple(tensor.name for tensor in tensors) or (self.description.output.kind,)

    def heatmaps(self, crops: Pixels) -> NDArray[np.float32]:
        """Run crops one by one and return their heatmaps.

        Args:
            crops: (N, H, W, 3), uint8 RGB or normalized float32.

        Returns:
            (N, H / stride, W / stride, K).

        Raises:
            HRNetError: The model has another output than heatmaps.
        """
        if self.description.output.kind != HEATMAPS:
            raise HRNetError(f"the output of {self.path} is {self.description.output.kind}, expected {HEATMAPS}")
        return np.asarray(self.predict(crops), np.float32)

    def keypoints(self, crops: Pixels) -> NDArray[np.float64]:
        """Run crops one by one and decode their keypoints, in the model's graph or by its geometry.

        Args:
            crops: (N, H, W, 3), uint8 RGB or normalized float32.

        Returns:
            (N, K, 3): x and y in heatmap pixels, and score.
        """
        return np.concatenate([self.decode(self.run(image[None])) for image in self.to_input(crops)])

    def tensors(self, crops: Pixels, indices: Sequence[int]) -> list[NDArray[np.float32]]:
        """Run crops one by one and return the values of inner tensors; the model needs `keep_tensors`.

        Args:
            crops: (N, H, W, 3), uint8 RGB or normalized float32.
            indices: Indices of tensors in the graph.

        Returns:
            For each index, the dequantized values (N, ...).
        """
        values: list[list[NDArray[np.float32]]] = [[] for _ in indices]
        for image in self.to_input(crops):
            self.run(image[None])
            for of_tensor, index in zip(values, indices, strict=True):
                of_tensor.append(real_values(self._interpreter.get_tensor(index), *self._quantization[index]))
        return [np.concatenate(of_tensor) for of_tensor in values]

    @cached_property
    def _quantization(self) -> dict[int, tuple[float, int]]:
        return {details["index"]: details["quantization"] for details in self._interpreter.get_tensor_details()}

    def to_input(self, images: Pixels) -> Stored:
        """Convert images to the values that the input tensor stores: normalized and, where it is quantized, quantized.

        Args:
            images: (N, H, W, 3): RGB in uint8, or floats that are normalized as the description says.

        Returns:
            (N, H, W, 3) in the tensor's type.

        Raises:
            HRNetError: The images have another size than the input, or integers of another type.
        """
        images = np.asarray(images)
        if images.shape[1:] != (*self.input_size, 3):
            height, width = self.input_size
            raise HRNetError(f"{self.path.name} takes images of shape (N, {height}, {width}, 3), got {images.shape}")
        source = self.description.input
        if images.dtype != np.uint8:
            if not np.issubdtype(images.dtype, np.floating):
                raise HRNetError(f"`images` must be RGB in uint8, or normalized float32; got {images.dtype}")
            return quantize(np.asarray(images, np.float32), source.tensor)
        if source.tensor.dtype == "float32":
            return normalize(np.asarray(images, np.uint8), source.mean, source.std)
        return self._quantizer(np.asarray(images, np.uint8))

    @cached_property
    def _quantizer(self) -> InputQuantizer:
        return InputQuantizer(self.description.input)

    def run(self, stored: Stored) -> list[Stored]:
        """Run one image and return the output tensors as they are stored, in the description's order.

        Args:
            stored: (1, H, W, 3), one image of `to_input`; for the second file of a detector, pooled features (R, 7, 7, C).
        """
        begun = time.perf_counter()
        self._interpreter.set_tensor(self._input, stored)
        invoke(self._interpreter, self.path)
        self.network_s += time.perf_counter() - begun
        return [np.asarray(self._interpreter.get_tensor(index)) for index in self._outputs]

    def output(self, stored: Stored) -> NDArray[np.float32]:
        """Run one image of `to_input` (1, H, W, 3) and return the dequantized values of the single output."""
        if self.description.output.kind == TENSORS:
            [values] = self.outputs(stored)
            return values
        [output] = self.run(stored)
        return dequantize(output, self.description.output.tensor)

    def outputs(self, stored: Stored) -> list[NDArray[np.float32]]:
        """Run one image of `to_input` and return the values of all outputs, each dequantized as the file says."""
        values = zip(self.run(stored), self._outputs, strict=True)
        return [real_values(value, *self._quantization[index]) for value, index in values]

    def decode(self, outputs: Sequence[Stored]) -> NDArray[np.float64]:
        """Decode what `run` returned to keypoints (1, K, 3): x and y in heatmap pixels, and score."""
        tensor = self.description.output.tensor
        if self.description.output.kind == HEATMAPS:
            [heatmaps] = outputs
            if self.description.input.geometry == UDP:
                return decode_udp(dequantize(heatmaps, tensor))
            return decode_heatmaps(heatmaps, lambda peaks: dequantize(peaks, tensor))
        locations, scores = outputs
        return decoded_in_graph(np.asarray(locations, np.int32), dequantize(scores, tensor))


@cache
def _log_rewritten(path: Path) -> None:
    """Warn once per file that the description may not belong to the file as it is."""
    logging.getLogger(__name__).warning(REWRITTEN.format(path=path))


class _Expected(NamedTuple):
    """A tensor by the description; without `tensor` it has that `dtype`, and any quantization."""

    name: str
    shape: tuple[int, ...]
    tensor: TensorFormat | None
    dtype: str = "int32"


def _find_tensors(interpreter: Interpreter, description: ModelDescription, path: Path) -> tuple[int, list[int]]:
    """The indices of the input and the outputs, in the description's order; HRNetError where they differ from it."""
    height, width = description.input.size
    target, channels = description.output, len(description.label_names)
    image = _Expected("input", (1, height, width, 3), description.input.tensor)
    if target.kind in DETECTOR_OUTPUTS:
        input_shape, output_shapes = tensor_shapes(description)
        image = image._replace(shape=input_shape)
        outputs = [_Expected("output", shape, None, target.tensor.dtype) for shape in output_shapes]
    elif target.kind in (HEATMAPS, CLASS_MAPS):
        outputs = [_Expected("output", (1, -(-height // target.stride), -(-width // target.stride), channels), target.tensor)]
    elif target.kind == CLASS_SCORES:
        outputs = [_Expected("output", (1, channels), target.tensor)]
    elif target.kind in IN_ORDER:
        outputs = [_Expected(tensor.name, tensor.shape, None, tensor.dtype) for tensor in description.outputs]
    else:
        outputs = [_Expected(LOCATIONS, (1, channels, 2), None), _Expected(SCORES, (1, channels), target.tensor)]
    [source] = _match_tensors(interpreter.get_input_details(), [image], path)
    in_order = target.kind in IN_ORDER
    return source, _match_tensors(interpreter.get_output_details(), outputs, path, in_order=in_order)


def _match_tensors(
    details: Sequence[TensorDetails], expected: Sequence[_Expected], path: Path, *, in_order: bool = False
) -> list[int]:
    """Indices of the expected tensors. Unless `in_order`, the graph may have them in another order: their shapes differ."""
    shapes = [tuple(map(int, entry["shape"])) for entry in details]
    by_shape = dict(zip(shapes, details, strict=True))
    indices = []
    for position, (name, shape, tensor, other_dtype) in enumerate(expected):
        entry, dtype = by_shape.get(shape), tensor.dtype if tensor else other_dtype
        if in_order:
            entry = details[position] if shapes[position : position + 1] == [shape] else None
        if entry is None or len(details) != len(expected) or np.dtype(entry["dtype"]).name != dtype:
            actual = ", ".join(f"{tuple(map(int, d['shape']))} {np.dtype(d['dtype']).name}" for d in details)
            raise HRNetError(f"{path}: its {name} is {actual}, but its description says {shape} {dtype}; {REMEDY}")
        _check_quantization(entry, tensor, f"{path}: its {name}")
        indices.append(entry["index"])
    return indices


def _check_quantization(entry: TensorDetails, tensor: TensorFormat | None, name: str) -> None:
    scale, zero_point = entry["quantization"]
    scale = scale or 1.0  # plain bytes are not quantized: each stands for itself
    if tensor and tensor.scale and not (np.isclose(scale, tensor.scale, rtol=1e-5) and zero_point == tensor.zero_point):
        raise HRNetError(
            f"{name} is quantized with scale {scale:g} and zero point {zero_point}, but its description "
            f"says {tensor.scale:g} and {tensor.zero_point}; {REMEDY}"
        )
