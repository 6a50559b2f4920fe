"""Files as an accelerator's compiler makes them, which drop what the file they were made of says of itself."""

from __future__ import annotations

from pathlib import Path

from mobile_eval.files import write_bytes
from mobile_eval.model.archive import embed_description, is_described, read_description


def save_compiled(data: bytes, path: Path, source: Path | str) -> None:
    """Write the compiled file `data` to `path`, with the description of the file `source` that it was made of."""
    write_bytes(path, data)
    if is_described(source):
        embed_description(path, read_description(source))
