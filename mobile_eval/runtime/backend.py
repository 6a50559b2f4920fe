"""What runs a model: the TFLite runtime, its threads, XNNPACK, a delegate; and what of the model each of them took.

Delegates are libraries of the device's maker. With one, XNNPACK stays off, so that what was delegated is known to be
that library's.
"""

from __future__ import annotations

import contextlib
import platform
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from mobile_eval.errors import HRNetError

EDGETPU = "edgetpu"
EDGETPU_LIBRARIES = {"Linux": "libedgetpu.so.1", "Darwin": "libedgetpu.1.dylib", "Windows": "edgetpu.dll"}
DELEGATE_NODE = "DELEGATE"  # how the runtime calls what took the place of operators
NO_LIBRARY = (
    "{library} is not there: install the Edge TPU runtime (Debian: libedgetpu1-std from Coral's package source), "
    "or give its path to `delegate`"
)
NO_DEVICE = (
    "{library} found no Edge TPU: is it plugged in (lsusb: 1a6e:089a, later 18d1:9302; PCIe: /dev/apex_0), may this user "
    "open it (group plugdev or apex), and is no other process using it?"
)
XNNPACK = "XNNPACK"
NOT_TAKEN = "of int8 operators tflite-runtime gives it none; ai-edge-litert does, and is several times as fast"
NOT_DELEGATED = "{path} was compiled for the Edge TPU (it holds edgetpu-custom-op): run it with `delegate` edgetpu"


@dataclass(frozen=True)
class Delegate:
    """A delegate library: EDGETPU, or a path; and its options by name."""

    library: str
    options: tuple[tuple[str, str], ...] = ()

    @property
    def is_edgetpu(self) -> bool:
        """Whether it is the Edge TPU's, by name or as a path."""
        return self.library == EDGETPU or "edgetpu" in self.library.rsplit("/", 1)[-1]

    @property
    def path(self) -> str:
        """What is loaded."""
        return EDGETPU_LIBRARIES.get(platform.system(), EDGETPU_LIBRARIES["Linux"]) if self.library == EDGETPU else self.library

    def load(self, module: Any) -> Any:
        """The delegate, loaded by a runtime's `module`; HRNetError, with what to do, where that fails."""
        with _without_complaints():
            try:
                return module.load_delegate(self.path, dict(self.options))
            except OSError as error:
                what = NO_LIBRARY if self.is_edgetpu else f"cannot load the delegate {{library}}: {error}"
            except ValueError as error:
                what = NO_DEVICE if self.is_edgetpu else f"the delegate {{library}} does not start: {error}"
            except AttributeError as error:  # the library has no tflite_plugin_create_delegate
                what = f"{{library}} is no TFLite delegate: {error}"
        raise HRNetError(what.replace("{library}", self.path))  # out here, where what failed is gone already

    def __str__(self) -> str:
        options = ", ".join(f"{name}={value}" for name, value in self.options)
        return f"{self.library} ({options})" if options else self.library


@contextlib.contextmanager
def _without_complaints() -> Iterator[None]:
    """Runtimes destroy a delegate that did not load, which fails again, past any handler, onto the screen."""
    kept, sys.unraisablehook = sys.unraisablehook, lambda unraisable: None
    try:
        yield
    finally:
        sys.unraisablehook = kept


def parse_delegate(library: str | None, options: Sequence[str] = ()) -> Delegate | None:
    """A delegate as given on a command line, with options such as "device=usb"; None for none."""
    pairs = [tuple(option.split("=", 1)) for option in options]
    wrong = [option for option, pair in zip(options, pairs, strict=True) if len(pair) != len(("name", "value")) or not pair[0]]
    if wrong:
        raise HRNetError(f"`delegate_option` takes NAME=VALUE, got {wrong[0]!r}")
    if library is None:
        if options:
            raise HRNetError("`delegate_option` goes with `delegate`")
        return None
    return Delegate(library, tuple(pairs))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Backend:
    """`runtime` is auto, ai-edge-litert or tflite-runtime. Without `xnnpack` the runtime's own kernels do everything.

    With `reference` its plain ones do, which are slow, and round int8 the same on every processor.
    """

    runtime: str = "auto"
    threads: int = 1
    xnnpack: bool = True
    delegate: Delegate | None = None
    reference: bool = False

    def __post_init__(self) -> None:
        if self.reference and self.delegate:
            raise HRNetError(f"reference kernels are the runtime's own: leave the delegate {self.delegate} out")
        if self.threads < 1:
            raise HRNetError(f"the number of threads must be at least 1, got {self.threads}")

    @property
    def uses_xnnpack(self) -> bool:
        """Whether XNNPACK may take operators."""
        return self.xnnpack and self.delegate is None and not self.reference


def parse_backend(
    runtime: str,
    threads: int,
    xnnpack: bool,
    delegate: str | None,
    delegate_options: Sequence[str] | None,
    reference: bool = False,
) -> Backend:
    """A backend as given on a command line; delegates as `parse_delegate` takes them."""
    return Backend(runtime, threads, xnnpack, parse_delegate(delegate, delegate_options or ()), reference)


@dataclass(frozen=True)
class Placement:
    """Where a model's operators ran: `delegated` of `operators` in `parts` pieces by `by`, the rest by the runtime itself.

    `left` counts, by kind, those that the delegate did not take. None stands for what the runtime does not tell.
    """

    by: str
    operators: int | None
    delegated: int | None
    parts: int | None
    left: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        if self.operators is None:
            return "the runtime does not tell what ran where"
        if not self.delegated:
            own = f"all {self.operators} operators ran on the runtime's own kernels, none on {self.by}"
            return f"{own} ({NOT_TAKEN})" if self.by == XNNPACK else own
        parts = f"{self.parts} part{'s' if self.parts != 1 else ''}"
        said = f"{self.delegated} of {self.operators} operators ran on {self.by}, in {parts}"
        rest = ", ".join(f"{count} {kind}" for kind, count in self.left.items())
        return f"{said}; on the runtime's own kernels: {rest}" if rest else said


def placement(interpreter: Any, backend: Backend) -> Placement:
    """What the delegate took of the model that `interpreter` holds, tensors allocated, by the graph as it will run."""
    by = str(backend.delegate or (XNNPACK if backend.uses_xnnpack else "XNNPACK, which is off"))
    try:
        nodes = interpreter._get_ops_details()
    except AttributeError:
        return Placement(by, None, None, None)
    own = [node for node in nodes if node["op_name"] != DELEGATE_NODE]
    pieces = [node for node in nodes if node["op_name"] == DELEGATE_NODE]
    makers = {int(tensor): node for node in own for tensor in node["outputs"]}
    taken: set[int] = set()
    for piece in pieces:
        given, wanted = set(map(int, piece["inputs"])), list(map(int, piece["outputs"]))
        while wanted:  # what a piece computes: back from its outputs to its inputs
            maker = makers.get(wanted.pop())
            if maker is None or maker["index"] in taken:
                continue
            taken.add(maker["index"])
            wanted += [int(tensor) for tensor in maker["inputs"] if int(tensor) not in given]
    left = Counter(node["op_name"] for node in own if node["index"] not in taken)
    return Placement(by, len(own), len(taken), len(pieces), dict(left))


def parse_threads(text: str) -> tuple[int, ...]:
    """Numbers of threads as given on a command line: one, or several with commas between."""
    try:
        counts = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise HRNetError(f"`threads` takes numbers with commas between, such as 1,2,4; got {text!r}") from None
    if min(counts) < 1 or len(set(counts)) != len(counts):
        raise HRNetError(f"`threads` takes different numbers from 1 on, got {text!r}")
    return counts
