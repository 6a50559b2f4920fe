"""Lines that native code of the runtimes prints to the screen, past Python."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence

STDOUT, STDERR = 1, 2
INFO = b"INFO:"


@contextlib.contextmanager
def captured_lines(descriptors: Sequence[int] = (STDERR,)) -> Iterator[list[bytes]]:
    """Capture what is printed. The list that this yields has the lines when the block has ended.

    Args:
        descriptors: The file descriptors to capture.
    """
    lines: list[bytes] = []
    _flush_native_output()
    with tempfile.TemporaryFile() as captured, contextlib.ExitStack() as restoring:
        for descriptor in descriptors:
            try:
                (sys.stderr if descriptor == STDERR else sys.stdout).flush()
                screen = os.dup(descriptor)
            except (AttributeError, OSError, ValueError):  # it does not exist, or is closed
                continue
            os.dup2(captured.fileno(), descriptor)
            restoring.callback(_restore, descriptor, screen)
        try:
            yield lines
        finally:
            _flush_native_output()
            restoring.close()
            captured.seek(0)
            lines += captured


def _flush_native_output() -> None:
    """Let C write what it holds back for files and pipes."""
    with contextlib.suppress(OSError, TypeError, AttributeError):  # where the C library is not in the process
        ctypes.CDLL(None).fflush(None)


def _restore(descriptor: int, screen: int) -> None:
    os.dup2(screen, descriptor)
    os.close(screen)


@contextlib.contextmanager
def without_info_lines() -> Iterator[None]:
    """Hide lines such as "INFO: Created TensorFlow Lite XNNPACK delegate for CPU."; other lines are printed at the end."""
    lines: list[bytes] = []
    try:
        with captured_lines() as lines:
            yield
    finally:
        if others := b"".join(line for line in lines if not line.startswith(INFO)):
            os.write(STDERR, others)
