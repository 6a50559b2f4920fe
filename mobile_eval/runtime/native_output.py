"""What native code prints to stderr past Python."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

INFO = b"INFO:"


@contextlib.contextmanager
def without_info_lines() -> Iterator[None]:
    """Keep lines such as "INFO: Created TensorFlow Lite XNNPACK delegate for CPU." off the screen; others follow at the end."""
    try:
        sys.stderr.flush()
        screen = os.dup(2)
    except (AttributeError, OSError, ValueError):  # there is no stderr, or it is closed
        yield
        return
    with tempfile.TemporaryFile() as written:
        os.dup2(written.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(screen, 2)
            os.close(screen)
            written.seek(0)
            rest = b"".join(line for line in written if not line.startswith(INFO))
            if rest:
                os.write(2, rest)
