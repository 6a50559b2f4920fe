"""The output tensors of a `.tflite` as its description lists them: names, shapes, numbers, and what they hold."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class OutputTensor:
    """One output of a file, which lists them in the order of the file.

    `name` is the output's name in the file's signature, `holds` a sentence on what its values are. Real value = `scale` *
    (stored - `zero_point`); both None where numbers are stored as they are.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    holds: str
    scale: float | None = None
    zero_point: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {**dataclasses.asdict(self), "shape": list(self.shape)}
