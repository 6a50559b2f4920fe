"""Delegates: their failures, and the operators that they run."""

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


def test_parse_delegate() -> None:
    assert parse_delegate(None) is None
    assert parse_delegate("edgetpu", ["device=usb:0"]) == Delegate("edgetpu", (("device", "usb:0"),))
    assert str(Delegate("x.so", (("a", "1"), ("b", "2")))) == "x.so (a=1, b=2)"
    with pytest.raises(HRNetError, match="'usb'"):
        parse_delegate("edgetpu", ["usb"])
    with pytest.raises(HRNetError, match="'device=usb'"):
        parse_delegate(None, ["device=usb"])


def test_reference_kernels_run_without_delegates(model_path: Callable[..., Path]) -> None:
    reference = Backend(reference=True)
    result = placement(make_interpreter(model_path("int8"), reference), reference)
    assert result.delegated == 0
    assert result.delegate == "XNNPACK, which is off"
    with pytest.raises(HRNetError, match="edgetpu"):
        Backend(delegate=Delegate("edgetpu"), reference=True)


def test_parse_threads() -> None:
    assert parse_threads("1,2,4") == (1, 2, 4)
    for wrong in ("", "1,x", "0", "2,2"):
        with pytest.raises(HRNetError, match=repr(wrong)):
            parse_threads(wrong)


def failing(error: Exception) -> Any:
    """A runtime whose delegates fail with the given error."""

    def load(library: str, options: dict[str, str]) -> Any:
        raise error

    return SimpleNamespace(load_delegate=load)


@pytest.mark.parametrize(
    ("delegate", "error", "named"),
    [
        ("edgetpu", OSError("libedgetpu.so.1: cannot open"), r"libedgetpu1-std|edgetpu"),
        (
            "/opt/libedgetpu.so.1",
            ValueError("Failed to load delegate from libedgetpu.so.1"),
            "/opt/libedgetpu.so.1",
        ),
        ("vx.so", OSError("vx.so: no such file"), "no such file"),
        ("vx.so", ValueError("no NPU"), "vx.so.*no NPU"),
        ("vx.so", AttributeError("undefined symbol: tflite_plugin_create_delegate"), "vx.so.*undefined symbol"),
    ],
)
def test_failing_delegates_are_named(delegate: str, error: Exception, named: str) -> None:
    with pytest.raises(HRNetError, match=named):
        Delegate(delegate).load(failing(error))


def test_missing_delegate_library(model_path: Callable[..., Path], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(HRNetError, match="edgetpu"):
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
def test_delegate_that_takes_no_operators(model_path: Callable[..., Path], tmp_path: Path) -> None:
    source, library = tmp_path / "idle.c", tmp_path / "idle.so"
    source.write_text(DELEGATE_SOURCE)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    backend = Backend(delegate=Delegate(str(library)))
    result = bench(model_path(), backend, effort=Effort(1))
    assert result.placement.delegated == 0
    assert result.placement.delegate == str(library)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_xnnpack_takes_most_operators(precision: str, model_path: Callable[..., Path]) -> None:
    path = model_path(precision)
    full = placement(make_interpreter(path), Backend())
    none = placement(make_interpreter(path, Backend(xnnpack=False)), Backend(xnnpack=False))
    assert full.operators == none.operators == full.delegated + sum(full.remaining.values())  # type: ignore[operator]
    assert full.delegated > 0.8 * full.operators  # type: ignore[operator]
    assert none.delegated == none.partitions == 0


def test_placement_traces_partitions_back_to_operators() -> None:
    def node(index: int, name: str, inputs: list[int], outputs: list[int]) -> dict[str, Any]:
        return {"index": index, "op_name": name, "inputs": inputs, "outputs": outputs}

    chain = [
        node(0, "CONV_2D", [0, 9], [1]),
        node(1, "RESIZE", [1], [2]),
        node(2, "ADD", [1, 2], [3]),
        node(3, "SOFTMAX", [3], [4]),
    ]
    partitions = [node(4, "DELEGATE", [0, 9], [1]), node(5, "DELEGATE", [1, 2], [3])]
    result = placement(SimpleNamespace(_get_ops_details=lambda: [*chain, *partitions]), Backend())
    assert result == Placement("XNNPACK", 4, 2, 2, {"RESIZE": 1, "SOFTMAX": 1})
    assert placement(SimpleNamespace(), Backend()).operators is None
