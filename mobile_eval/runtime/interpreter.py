"""TFLite interpreters: find a runtime, open a file and run it. No other module chooses a runtime."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Protocol, TypedDict

import numpy as np
from numpy.typing import NDArray

from mobile_eval.errors import HRNetError
from mobile_eval.files import read_bytes
from mobile_eval.model.archive import EDGETPU_OPERATOR, check_is_tflite
from mobile_eval.runtime.backend import CPU, NOT_DELEGATED, Backend, LoadedDelegate
from mobile_eval.runtime.compiled import CompiledInterpreter
from mobile_eval.runtime.isolated import check_runs
from mobile_eval.runtime.native_output import without_info_lines

RUNTIMES = {"ai-edge-litert": "ai_edge_litert.interpreter", "tflite-runtime": "tflite_runtime.interpreter"}
NUMPY_2_NEEDS = "tflite-runtime 2.14 needs numpy below 2: `pip install 'numpy<2'`, or install ai-edge-litert"
MAX_REASON = 240  # characters of a runtime's message
INPUT_SEED = 0


class TensorDetails(TypedDict):
    """A tensor as the runtimes describe it."""

    name: str
    index: int
    shape: NDArray[np.int32]
    dtype: type[np.generic]
    quantization: tuple[float, int]  # scale (0 where the tensor is not quantized) and zero point


class SignatureRunner(Protocol):
    """A model's signature, which names its tensors. The input of this package's files is `image`."""

    def __call__(self, *, image: NDArray[np.generic]) -> dict[str, NDArray[np.generic]]: ...

    def get_output_details(self) -> Mapping[str, TensorDetails]: ...


class Interpreter(Protocol):
    """The part of the runtimes' `Interpreter` that the package uses; the runtimes have no type hints."""

    def get_input_details(self) -> Sequence[TensorDetails]: ...

    def get_output_details(self) -> Sequence[TensorDetails]: ...

    def get_tensor_details(self) -> Sequence[TensorDetails]: ...

    def get_signature_runner(self) -> SignatureRunner: ...

    def get_tensor(self, tensor_index: int, /) -> NDArray[np.generic]: ...

    def set_tensor(self, tensor_index: int, value: NDArray[np.generic], /) -> None: ...

    def invoke(self) -> None: ...


@dataclass(frozen=True)
class Runtime:
    """An installed TFLite runtime."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def find_runtime(name: str = "auto") -> Runtime:
    """Find an installed TFLite runtime.

    Args:
        name: "ai-edge-litert", "tflite-runtime", or "auto" for the first of these that is installed.

    Raises:
        HRNetError: The runtime is not installed, or there is none of that name.
    """
    if name != "auto" and name not in RUNTIMES:
        raise HRNetError(f"no runtime named {name!r}; expected auto, {', '.join(RUNTIMES)}")
    candidates = RUNTIMES if name == "auto" else {name: RUNTIMES[name]}
    for candidate, module in candidates.items():
        try:
            importlib.import_module(module)
            return Runtime(candidate, importlib.metadata.version(candidate))
        except ImportError:
            continue
    raise HRNetError(f"no TFLite runtime found ({' or '.join(candidates)}): `pip install {next(iter(candidates))}`")


def load_delegate(backend: Backend) -> list[LoadedDelegate]:
    """Load the delegate of `backend`: a list of one, or of none where it has no delegate."""
    if backend.delegate is None:
        return []
    return [backend.delegate.load(_module(find_runtime(backend.runtime)))]


def make_interpreter(path: Path | str, backend: Backend = CPU, *, keep_tensors: bool = False) -> Interpreter:
    """Open any `.tflite`, with or without a description, and allocate its tensors.

    The file is first run in another process (`isolated.check_runs`), because runtimes crash on some damaged files.

    Args:
        path: The file.
        backend: Runtime, threads and delegate.
        keep_tensors: Keep the values of all tensors after a run.

    Raises:
        HRNetError: The runtime cannot run the file.
    """
    check_runs([path], backend)
    return open_interpreter(path, backend, keep_tensors=keep_tensors)


def open_interpreter(path: Path | str, backend: Backend = CPU, *, keep_tensors: bool = False) -> Interpreter:
    """Do as `make_interpreter` does, for a file that `isolated.check_runs` has run already."""
    check_is_tflite(path, read_bytes(path, "model")[:8])
    runtime = find_runtime(backend.runtime)
    if runtime.name == "tflite-runtime" and int(np.__version__.split(".")[0]) >= 2:
        raise HRNetError(NUMPY_2_NEEDS)
    if backend.accelerator:
        if keep_tensors:
            raise HRNetError(f"`accelerator` {backend.accelerator} keeps no inner tensors")
        return CompiledInterpreter(path, backend.accelerator, backend.threads)
    module, delegates = _module(runtime), load_delegate(backend)
    resolvers = module.OpResolverType
    resolver = resolvers.AUTO if backend.uses_xnnpack else resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    resolver = resolvers.BUILTIN_REF if backend.reference else resolver
    try:
        with without_info_lines():
            interpreter = module.Interpreter(
                os.fsencode(path),  # a name that is not UTF-8 would fail as a str
                num_threads=backend.threads,
                experimental_delegates=delegates,
                experimental_op_resolver_type=resolver,
                experimental_preserve_all_tensors=keep_tensors,
            )
            interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:  # raised by the runtimes for files that they cannot run
        if EDGETPU_OPERATOR in str(error):
            raise HRNetError(NOT_DELEGATED.format(path=path)) from error
        raise HRNetError(f"{runtime} cannot run {path}: {_reason(error)}") from error
    checked: Interpreter = interpreter
    return checked


def invoke(interpreter: Interpreter, path: Path | str) -> None:
    """Run the interpreter on its inputs.

    Args:
        interpreter: The interpreter.
        path: The model's file, for the message.

    Raises:
        HRNetError: An operator failed.
    """
    try:
        interpreter.invoke()
    except (RuntimeError, ValueError) as error:  # raised by the runtimes where an operator fails
        raise HRNetError(f"the TFLite runtime failed to run {path}: {_reason(error)}") from error


def feed_random(interpreter: Interpreter) -> None:
    """Set every input to random values: 8 and 16 bit integers over their full range, floats from a normal distribution.

    Wider integers are indices and sizes, not images; they are set to 0, which is always valid.
    """
    random = np.random.default_rng(INPUT_SEED)
    for details in interpreter.get_input_details():
        shape, dtype = tuple(details["shape"]), np.dtype(details["dtype"])
        values: NDArray[np.generic]
        if np.issubdtype(dtype, np.integer) and dtype.itemsize > 2:
            values = np.zeros(shape, dtype)
        elif np.issubdtype(dtype, np.integer):
            limits = np.iinfo(dtype)
            values = random.integers(limits.min, limits.max, shape, dtype, endpoint=True)
        else:
            values = random.standard_normal(shape).astype(dtype)
        interpreter.set_tensor(details["index"], values)


def real_values(stored: NDArray[np.generic], scale: float, zero_point: int) -> NDArray[np.float32]:
    """Dequantize values of a tensor; a `scale` of 0 says that the tensor is not quantized."""
    values = stored.astype(np.float32)
    return (values - np.float32(zero_point)) * np.float32(scale) if scale else values


def _module(runtime: Runtime) -> ModuleType:
    return importlib.import_module(RUNTIMES[runtime.name])


def _reason(error: Exception) -> str:
    """A runtime's message in one line; it repeats itself for every wrong tensor."""
    return textwrap.shorten(str(error), MAX_REASON, placeholder=" ...")
