"""How a model is run: the TFLite runtime, its threads, XNNPACK and delegates; and which operators a delegate took.

Delegates are libraries of a device's maker. XNNPACK stays off beside a delegate, so that the operators that were delegated are
known to run on it.
"""

from __future__ import annotations

import contextlib
import platform
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Protocol, TypeAlias, TypedDict, runtime_checkable

from mobile_eval.errors import HRNetError

LoadedDelegate: TypeAlias = Any  # a runtime's `Delegate`, which has no type hints

EDGETPU = "edgetpu"
EDGETPU_LIBRARIES = {"Linux": "libedgetpu.so.1", "Darwin": "libedgetpu.1.dylib", "Windows": "edgetpu.dll"}
XNNPACK, XNNPACK_OFF = "XNNPACK", "XNNPACK, which is off"
CPU_ACCELERATOR = "cpu"
ACCELERATORS = (CPU_ACCELERATOR, "gpu", "npu")  # of LiteRT's CompiledModel
DELEGATE_NODE = "DELEGATE"  # the runtimes' name for a node that replaces operators
NO_LIBRARY = (
    "{library} was not found: install the Edge TPU runtime (Debian: libedgetpu1-std from Coral's package source), "
    "or give its path to `delegate`"
)
NO_DEVICE = (
    "{library} found no Edge TPU: is it plugged in (lsusb: 1a6e:089a, later 18d1:9302; PCIe: /dev/apex_0), may this user "
    "open it (group plugdev or apex), and is no other process using it?"
)
NOT_TAKEN = "tflite-runtime gives it no int8 operators; ai-edge-litert does, and is several times as fast"
NOT_DELEGATED = "{path} was compiled for the Edge TPU (it has the operator edgetpu-custom-op): run it with `delegate` edgetpu"


@dataclass(frozen=True)
class Delegate:
    """A delegate library.

    Attributes:
        library: EDGETPU, or a path.
        options: The library's options, as (name, value).
    """

    library: str
    options: tuple[tuple[str, str], ...] = ()

    @property
    def is_edgetpu(self) -> bool:
        """Whether it is the Edge TPU's library, by name or by path."""
        return self.library == EDGETPU or "edgetpu" in self.library.rsplit("/", 1)[-1]

    @property
    def path(self) -> str:
        """The path or name of the library to load."""
        return EDGETPU_LIBRARIES.get(platform.system(), EDGETPU_LIBRARIES["Linux"]) if self.library == EDGETPU else self.library

    def load(self, module: ModuleType) -> LoadedDelegate:
        """Load the library with a runtime's interpreter module.

        Raises:
            HRNetError: The library is missing, or finds no device. The message says what to do.
        """
        with _without_unraisable_errors():
            try:
                return module.load_delegate(self.path, dict(self.options))
            except OSError as error:
                message = NO_LIBRARY if self.is_edgetpu else f"cannot load the delegate {{library}}: {error}"
            except ValueError as error:  # raised by the runtimes where the library fails to start
                message = NO_DEVICE if self.is_edgetpu else f"the delegate {{library}} does not start: {error}"
            except AttributeError as error:  # the library has no tflite_plugin_create_delegate
                message = f"{{library}} is not a TFLite delegate: {error}"
        raise HRNetError(message.replace("{library}", self.path))  # here the failed delegate has been destroyed already

    def __str__(self) -> str:
        options = ", ".join(f"{name}={value}" for name, value in self.options)
        return f"{self.library} ({options})" if options else self.library


@contextlib.contextmanager
def _without_unraisable_errors() -> Iterator[None]:
    """Runtimes destroy a delegate that did not load, which fails again in a destructor and would be printed."""
    hook, sys.unraisablehook = sys.unraisablehook, lambda unraisable: None
    try:
        yield
    finally:
        sys.unraisablehook = hook


@dataclass(frozen=True)
class Backend:
    """How a model is run.

    Attributes:
        runtime: "auto", "ai-edge-litert" or "tflite-runtime".
        threads: Number of CPU threads.
        xnnpack: Whether XNNPACK may take operators; without it the runtime's own kernels run all of them.
        delegate: A delegate; with one XNNPACK is off.
        reference: Use the runtime's reference kernels. They are slow, and round int8 the same way on every processor.
        accelerator: "cpu", "gpu" or "npu", to run the model by LiteRT's CompiledModel; None for its interpreter.
    """

    runtime: str = "auto"
    threads: int = 1
    xnnpack: bool = True
    delegate: Delegate | None = None
    reference: bool = False
    accelerator: str | None = None

    def __post_init__(self) -> None:
        if self.accelerator is not None:
            self._check_accelerator()
        if self.reference and self.delegate:
            raise HRNetError(f"`reference` kernels do not go with a delegate, got {self.delegate}")
        if self.threads < 1:
            raise HRNetError(f"`threads` must be at least 1, got {self.threads}")

    def _check_accelerator(self) -> None:
        if self.accelerator not in ACCELERATORS:
            raise HRNetError(f"`accelerator` must be one of {', '.join(ACCELERATORS)}, got {self.accelerator!r:.80}")
        if self.runtime == "tflite-runtime":
            raise HRNetError(f"`accelerator` {self.accelerator} needs `runtime` ai-edge-litert, got {self.runtime}")
        others = {"delegate": self.delegate, "reference": self.reference, "xnnpack": not self.xnnpack}
        if conflicts := [name for name, is_set in others.items() if is_set]:
            raise HRNetError(f"`accelerator` {self.accelerator} does not go with `{conflicts[0]}`: give one of them")

    @property
    def uses_xnnpack(self) -> bool:
        """Whether XNNPACK may take operators."""
        return self.xnnpack and self.delegate is None and not self.reference and self.accelerator is None


CPU = Backend()


@dataclass(frozen=True)
class Placement:
    """Which operators of a model its delegate took. None stands for what the runtime does not report.

    Attributes:
        delegate: The delegate, or XNNPACK.
        operators: Number of operators of the model.
        delegated: Number of operators that the delegate took.
        partitions: Number of pieces that the delegate runs them in.
        remaining: Number of the other operators by kind; the runtime's own kernels run them.
    """

    delegate: str
    operators: int | None
    delegated: int | None
    partitions: int | None
    remaining: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        if self.operators is None:
            return "the runtime does not report which operators the delegate took"
        if not self.delegated:
            summary = f"all {self.operators} operators ran on the runtime's own kernels, none on {self.delegate}"
            return f"{summary} ({NOT_TAKEN})" if self.delegate == XNNPACK else summary
        partitions = f"{self.partitions} partition{'s' if self.partitions != 1 else ''}"
        summary = f"{self.delegated} of {self.operators} operators ran on {self.delegate}, in {partitions}"
        remaining = ", ".join(f"{count} {kind}" for kind, count in self.remaining.items())
        return f"{summary}; on the runtime's own kernels: {remaining}" if remaining else summary


@runtime_checkable
class AcceleratedInterpreter(Protocol):
    """What is known of a model that LiteRT compiled: its number of operators, and whether an accelerator took all of them."""

    operators: int
    is_fully_accelerated: bool


class _Node(TypedDict):
    """A node of the graph as the runtimes describe it; tensors by index."""

    index: int
    op_name: str
    inputs: Sequence[int]
    outputs: Sequence[int]


def placement(interpreter: object, backend: Backend) -> Placement:
    """Which operators the delegate took, by the graph as it will run.

    Args:
        interpreter: A runtime's interpreter, with its tensors allocated.
        backend: The backend that it was made with.
    """
    if isinstance(interpreter, AcceleratedInterpreter):
        name, count = f"the {backend.accelerator} by LiteRT", interpreter.operators
        return Placement(name, count, count, 1) if interpreter.is_fully_accelerated else Placement(name, None, None, None)
    delegate = str(backend.delegate or (XNNPACK if backend.uses_xnnpack else XNNPACK_OFF))
    list_nodes = getattr(interpreter, "_get_ops_details", None)  # not public, and not in every version
    if list_nodes is None:
        return Placement(delegate, None, None, None)
    nodes: list[_Node] = list_nodes()
    operators = [node for node in nodes if node["op_name"] != DELEGATE_NODE]
    partitions = [node for node in nodes if node["op_name"] == DELEGATE_NODE]
    delegated = _operators_inside(partitions, operators)
    remaining = Counter(node["op_name"] for node in operators if node["index"] not in delegated)
    return Placement(delegate, len(operators), len(delegated), len(partitions), dict(remaining))


def _operators_inside(partitions: Sequence[_Node], operators: Sequence[_Node]) -> set[int]:
    """Indices of the operators that the partitions compute: from each one's outputs back to its inputs."""
    producers = {int(tensor): node for node in operators for tensor in node["outputs"]}
    inside: set[int] = set()
    for partition in partitions:
        inputs, pending = set(map(int, partition["inputs"])), list(map(int, partition["outputs"]))
        while pending:
            producer = producers.get(pending.pop())
            if producer is None or producer["index"] in inside:
                continue
            inside.add(producer["index"])
            pending += [int(tensor) for tensor in producer["inputs"] if int(tensor) not in inputs]
    return inside


def parse_backend(
    runtime: str,
    threads: int,
    xnnpack: bool,
    delegate: str | None,
    delegate_options: Sequence[str] | None,
    reference: bool = False,
    accelerator: str | None = None,
) -> Backend:
    """Make a backend of command-line options; see `Backend` and `parse_delegate`."""
    return Backend(runtime, threads, xnnpack, parse_delegate(delegate, delegate_options or ()), reference, accelerator)


def parse_delegate(library: str | None, options: Sequence[str] = ()) -> Delegate | None:
    """Make a delegate of command-line options.

    Args:
        library: EDGETPU, a path, or None for no delegate.
        options: Options of the library, such as "device=usb".

    Raises:
        HRNetError: An option is not NAME=VALUE, or there are options without a library.

    Example:
        >>> parse_delegate("libdelegate.so", ["device=usb"])
        Delegate(library='libdelegate.so', options=(('device', 'usb'),))
    """
    pairs = []
    for option in options:
        name, equals, value = option.partition("=")
        if not (name and equals):
            raise HRNetError(f"`delegate_option` takes NAME=VALUE, got {option!r}")
        pairs.append((name, value))
    if library is None:
        if options:
            raise HRNetError(f"`delegate_option` needs `delegate`, got {options[0]!r} without one")
        return None
    return Delegate(library, tuple(pairs))


def parse_threads(text: str) -> tuple[int, ...]:
    """Read the numbers of threads to measure, one or several.

    Raises:
        HRNetError: The text is not a list of different whole numbers from 1 on.

    Example:
        >>> parse_threads("1,2,4")
        (1, 2, 4)
    """
    try:
        counts = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise HRNetError(f"`threads` takes whole numbers separated by commas, such as 1,2,4; got {text!r}") from None
    if min(counts) < 1 or len(set(counts)) != len(counts):
        raise HRNetError(f"`threads` takes different whole numbers from 1 on, got {text!r}")
    return counts
