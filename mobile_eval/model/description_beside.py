"""The copy of a model's description that lies beside it, for files that another tool wrote anew.

Compilers and converters (Google's for the Edge TPU, Arm's Vela, tools that write metadata) keep the flatbuffer alone, or change
it: the description at the end is gone. It is then read from `M.json` beside `M.tflite`; for `X_edgetpu.tflite` and
`X_vela.tflite` also from `X.json`, where they were compiled in the folder of `X.tflite`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mobile_eval.errors import HRNetError
from mobile_eval.files import read_json
from mobile_eval.model.compiled import COMPILED_ENDS, compiled_for

LOST = "the description at its end is gone"


def candidates(path: Path) -> list[Path]:
    """Where a description of the file at `path` may lie, the best place first."""
    stems = [path.stem, *(path.stem.removesuffix(end) for end in COMPILED_ENDS if path.stem.endswith(end))]
    return [path.with_name(f"{stem}.json") for stem in stems]


def description_beside(path: Path | str) -> tuple[Path, dict[str, Any]] | None:
    """The first description (as JSON) that lies beside the model at `path`, and where; None where there is none."""
    for place in candidates(Path(path)):
        try:
            data = read_json(place, "description")
        except HRNetError:
            continue  # not there, or nothing that was written with a model
        if isinstance(data, dict) and "format_version" in data:
            return place, data
    return None


def why_none(path: Path | str, data: bytes) -> str | None:
    """Why the model at `path` has no description, inside or beside, and what to do; None where its bytes do not tell."""
    device = compiled_for(data)
    if device is None:
        return None
    names = " or ".join(place.name for place in candidates(Path(path)))
    return f"was compiled for {device} and has no description: copy {names} of the file that was compiled beside it"


def check_whole(path: Path | str, data: bytes) -> None:
    """Raise HRNetError where a flatbuffer of which no checksum is known ends too soon.

    The graph is unpacked, which reads every part of it. Where the schema is not installed the runtime has to notice.
    """
    try:
        import ai_edge_litert.schema_py_generated as schema
    except ImportError:
        return
    try:
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
        if model.subgraphs and model.operatorCodes:
            return
    except Exception:  # whatever reading beyond the end comes to in the generated code
        pass
    raise HRNetError(f"model {path} is truncated or damaged: {LOST}, and its graph cannot be read; copy it again")
