"""Delegates as they are asked for and as they fail, and what ran where."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mobile_eval.benchmark.latency import Effort, bench
from mobile_eval.errors import HRNetError
from mobile_eval.runtime.backend import Backend, Delegate, Placement, parse_delegate, parse_threads, placement
from mobile_eval.runtime.interpreter import make_interpreter


def test_a_delegate_as_it_is_typed() -> None:
    assert parse_delegate(None) is None
    assert parse_delegate("edgetpu", ["device=usb:0"]) == Delegate("edgetpu", (("device", "usb:0"),))
    assert str(Delegate("x.so", (("a", "1"), ("b", "2")))) == "x.so (a=1, b=2)"
    with pytest.raises(HRNetError, match="takes NAME=VALUE, got 'usb'"):
        parse_delegate("edgetpu", ["usb"])
    with pytest.raises(HRNetError, match="goes with `delegate`"):
        parse_delegate(None, ["device=usb"])


def test_reference_kernels_are_the_runtime_s_own(model_path: Callable[..., Path]) -> None:
    reference = Backend(reference=True)
    placed = placement(make_interpreter(model_path("int8"), reference), reference)
    assert placed.delegated == 0
    assert str(placed).endswith("ran on the runtime's own kernels, none on XNNPACK, which is off")
    with pytest.raises(HRNetError, match="leave the delegate edgetpu out"):
        Backend(delegate=Delegate("edgetpu"), reference=True)


def test_numbers_of_threads() -> None:
    assert parse_threads("1,2,4") == (1, 2, 4)
    for wrong in ("", "1,x", "0", "2,2"):
        with pytest.raises(HRNetError, match="`threads` takes"):
            parse_threads(wrong)


def failing(error: Exception) -> Any:
    """A runtime whose delegates fail like that."""

    def load(library: str, options: dict[str, str]) -> Any:
        raise error

    return SimpleNamespace(load_delegate=load)


@pytest.mark.parametrize(
    ("delegate", "error", "message"),
    [
        ("edgetpu", OSError("libedgetpu.so.1: cannot open"), "is not there: install the Edge TPU runtime"),
        (
            "/opt/libedgetpu.so.1",
            ValueError("Failed to load delegate from libedgetpu.so.1"),
            "found no Edge TPU: is it plugged in",
        ),
        ("vx.so", OSError("vx.so: no such file"), "cannot load the delegate vx.so: vx.so: no such file"),
        ("vx.so", ValueError("no NPU"), "the delegate vx.so does not start: no NPU"),
        ("vx.so", AttributeError("undefined symbol: tflite_plugin_create_delegate"), "vx.so is no TFLite delegate: undefined"),
    ],
)
def test_failing_delegates_say_what_to_do(delegate: str, error: Exception, message: str) -> None:
    with pytest.raises(HRNetError, match=message):
        Delegate(delegate).load(failing(error))


def test_a_real_runtime_without_the_library(model_path: Callable[..., Path], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(HRNetError, match="is not there: install the Edge TPU runtime"):
        bench(model_path(), Backend(delegate=Delegate("edgetpu")), effort=Effort(1))
    assert "Exception ignored" not in capfd.readouterr().err


DELEGATE_SOURCE = """
#include <stddef.h>
typedef struct { void* data; int (*Prepare)(void*, void*); void* rest[5]; long flags; void* more[4]; } Delegate;
static int prepare(void* context, void* delegate) { return 0; }
static Delegate made = { NULL, prepare };
void* tflite_plugin_create_delegate(char** keys, char** values, size_t count, void (*report)(const char*)) { return &made; }
void tflite_plugin_destroy_delegate(void* delegate) {}
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_a_delegate_that_takes_nothing_is_seen_through(model_path: Callable[..., Path], tmp_path: Path) -> None:
    source, library = tmp_path / "idle.c", tmp_path / "idle.so"
    source.write_text(DELEGATE_SOURCE)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    backend = Backend(delegate=Delegate(str(library)))
    result = bench(model_path(), backend, effort=Effort(1))
    assert result.placement.delegated == 0
    assert str(result.placement).endswith(f"own kernels, none on {library}")


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_xnnpack_takes_nearly_all(precision: str, model_path: Callable[..., Path]) -> None:
    path = model_path(precision)
    whole = placement(make_interpreter(path), Backend())
    none = placement(make_interpreter(path, Backend(xnnpack=False)), Backend(xnnpack=False))
    assert whole.operators == none.operators == whole.delegated + sum(whole.left.values())  # type: ignore[operator]
    assert whole.delegated > 0.8 * whole.operators  # type: ignore[operator]
    assert none.delegated == none.parts == 0
    assert "operators ran on XNNPACK, in" in str(whole)


def test_what_a_delegate_took_is_traced_back() -> None:
    def node(index: int, name: str, inputs: list[int], outputs: list[int]) -> dict[str, Any]:
        return {"index": index, "op_name": name, "inputs": inputs, "outputs": outputs}

    chain = [
        node(0, "CONV_2D", [0, 9], [1]),
        node(1, "RESIZE", [1], [2]),
        node(2, "ADD", [1, 2], [3]),
        node(3, "SOFTMAX", [3], [4]),
    ]
    parts = [node(4, "DELEGATE", [0, 9], [1]), node(5, "DELEGATE", [1, 2], [3])]
    found = placement(SimpleNamespace(_get_ops_details=lambda: [*chain, *parts]), Backend())
    assert found == Placement("XNNPACK", 4, 2, 2, {"RESIZE": 1, "SOFTMAX": 1})
    assert placement(SimpleNamespace(), Backend()).operators is None
