"""Files that were compiled for an accelerator: one operator holds the program, by whose name they are known."""

from __future__ import annotations

from pathlib import Path

from mobile_eval.errors import HRNetError
from mobile_eval.files import read_bytes

EDGETPU_OPERATOR, ETHOSU_OPERATOR = "edgetpu-custom-op", "ethos-u"
DEVICES = {EDGETPU_OPERATOR: "the Edge TPU", ETHOSU_OPERATOR: "an Ethos-U"}
COMPILED_ENDS = ("_edgetpu", "_vela")  # what the compilers add to a file's name


def compiled_for(data: bytes) -> str | None:
    """The accelerator that the `.tflite` with these bytes was compiled for; None for none."""
    return next((device for operator, device in DEVICES.items() if operator.encode() in data), None)


def check_not_compiled(path: Path | str) -> None:
    """Raise HRNetError where the file at `path` was compiled for an accelerator already."""
    device = compiled_for(read_bytes(path, "model"))
    if device:
        raise HRNetError(f"{path} was compiled for {device} already: give the int8 file that it was made of")
