"""Run a model on a GPU or NPU by LiteRT's CompiledModel, behind the interface of an interpreter.

LiteRT compiles for an accelerator alone: what it cannot take is an error here, as LiteRT does not report which operators would
run on the CPU instead, and takes the CPU for all of them where there is no NPU.
"""

from __future__ import annotations

import atexit
import importlib
import os
import sys
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_eval.errors import HRNetError
from mobile_eval.files import read_bytes
from mobile_eval.runtime.backend import CPU_ACCELERATOR
from mobile_eval.runtime.native_output import STDERR, STDOUT, captured_lines

PACKAGE = "ai_edge_litert"
MODULES = ("compiled_model", "options", "interpreter")
MODULE = f"{PACKAGE}.{MODULES[0]}"
SCREEN = (STDOUT, STDERR)
MISSING = "`accelerator` needs ai-edge-litert 2.3 or newer: `pip install -U ai-edge-litert`"
NO_ACCELERATOR = {
    "gpu": "no GPU was found: it needs a Vulkan driver (Debian: libvulkan1 and mesa-vulkan-drivers, Mesa 25 or newer)",
    "npu": "no NPU was found that LiteRT has a library for",
}
ABSENT = (b"No adapters found", b"NPU accelerator could not be loaded")  # what LiteRT prints without a GPU or NPU


class CompiledInterpreter:
    """A model that LiteRT compiled for an accelerator.

    Args:
        path: The file.
        accelerator: "cpu", "gpu" or "npu".
        threads: Number of CPU threads.

    Raises:
        HRNetError: LiteRT is too old, there is no such accelerator, or it does not take all operators.
    """

    def __init__(self, path: Path | str, accelerator: str, threads: int = 1):
        data = read_bytes(path, "model")
        with captured_lines(SCREEN) as lines:
            try:
                compiled, options, interpreters = (importlib.import_module(f"{PACKAGE}.{name}") for name in MODULES)
                interpreter = interpreters.Interpreter(model_content=data)
                chosen = options.Options(
                    hardware_accelerators=getattr(options.HardwareAccelerator, accelerator.upper()),
                    cpu_options=options.CpuOptions(num_threads=threads),
                )
                model = compiled.CompiledModel.from_buffer(data, options=chosen)
                buffers = model.create_input_buffers(0), model.create_output_buffers(0)
                signature = model.get_signature_by_index(0)
                inputs, outputs = (
                    model.get_input_tensor_details(signature["key"]),
                    model.get_output_tensor_details(signature["key"]),
                )
                for buffer, name in zip(buffers[0], signature["inputs"], strict=True):
                    buffer.write(np.zeros(inputs[name]["shape"], inputs[name]["dtype"]))  # the first one prints
                failed: Exception | None = None
            except (ImportError, RuntimeError) as error:
                failed = error
        if isinstance(failed, ImportError):
            raise HRNetError(MISSING) from failed
        if failed is not None:
            raise HRNetError(_reason(path, accelerator, failed, lines)) from failed
        self._inputs: Sequence[Any] = interpreter.get_input_details()
        self._outputs: Sequence[Any] = interpreter.get_output_details()
        self._tensors: Sequence[Any] = interpreter.get_tensor_details()
        self.operators = len(interpreter._get_ops_details())
        self._native = [model, *buffers]
        weakref.finalize(self, _release, self._native)
        self.is_fully_accelerated = bool(model.is_fully_accelerated())
        if accelerator != CPU_ACCELERATOR and not self.is_fully_accelerated:
            raise HRNetError(_not_all(path, accelerator))
        self._input_order = [inputs[name]["index"] for name in signature["inputs"]]
        self._output_order = [outputs[name]["index"] for name in signature["outputs"]]
        self._values: dict[int, NDArray[np.generic]] = {}

    def get_input_details(self) -> Sequence[Any]:
        return self._inputs

    def get_output_details(self) -> Sequence[Any]:
        return self._outputs

    def get_tensor_details(self) -> Sequence[Any]:
        return self._tensors

    def get_signature_runner(self) -> Any:
        raise HRNetError("a model on an accelerator has no signature runner")

    def set_tensor(self, tensor_index: int, value: NDArray[np.generic], /) -> None:
        _, inputs, _ = self._native
        inputs[self._input_order.index(tensor_index)].write(np.ascontiguousarray(value))

    def get_tensor(self, tensor_index: int, /) -> NDArray[np.generic]:
        return self._values[tensor_index]

    def invoke(self) -> None:
        """Run the model and fetch its outputs, which waits for the accelerator."""
        model, inputs, outputs = self._native
        model.run_by_index(0, inputs, outputs)
        details = {entry["index"]: entry for entry in self._outputs}
        for index, buffer in zip(self._output_order, outputs, strict=True):
            shape = tuple(map(int, details[index]["shape"]))
            self._values[index] = buffer.read(int(np.prod(shape)), details[index]["dtype"]).reshape(shape)


@atexit.register
def _silence_exit() -> None:
    """LiteRT prints what it destroys after Python has ended."""
    if MODULE in sys.modules:
        os.dup2(os.open(os.devnull, os.O_WRONLY), STDERR)


def _release(native: list[Any]) -> None:
    """Destroy a model and its buffers, which prints what it does."""
    with captured_lines(SCREEN):
        native.clear()


def _reason(path: Path | str, accelerator: str, error: Exception, lines: Sequence[bytes]) -> str:
    """Why LiteRT did not compile a model, in one line."""
    if accelerator in NO_ACCELERATOR and any(sign in line for sign in ABSENT for line in lines):
        return f"`accelerator` {accelerator}: {NO_ACCELERATOR[accelerator]}"
    if "not accelerated" in str(error):
        return _not_all(path, accelerator)
    return f"LiteRT cannot compile {path} for the {accelerator}: {(str(error).splitlines() or ['no reason given'])[-1].strip()}"


def _not_all(path: Path | str, accelerator: str) -> str:
    return (
        f"the {accelerator} does not take all operators of {path}, and LiteRT does not report which: run it without `accelerator`"
    )
