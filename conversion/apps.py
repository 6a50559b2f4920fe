"""What kinds of apps want of a file: options of conversion that go with a runtime or an accelerator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from conversion.options import APPS, CAMERA, ConvertOptions
from mobile_eval.errors import HRNetError
from mobile_eval.model.description import CLASS_MAPS, CLASS_SCORES, HEATMAPS

FLOAT, BYTES = "float32", ("int8", "uint8")
OF_FLOAT_FORMATS = (FLOAT, CAMERA)  # inputs and outputs of files that are not int8


@dataclass(frozen=True)
class AppNeeds:
    """What a kind of app wants of a file: for each option the values that go with it, the recommended one first.

    Attributes:
        format: Values of `format`.
        input_type: Values of `input_type`.
        output_type: Values of `output_type`.
        decodes: Whether keypoints are decoded in the model; if not, the app does not go with `decode`.
        reason: The reason, for messages.
        kinds: Kinds of output that it knows; empty for all.
    """

    format: tuple[str, ...]
    input_type: tuple[str, ...]
    output_type: tuple[str, ...]
    decodes: bool
    reason: str
    kinds: tuple[str, ...] = ()


NEEDS = {
    "android": AppNeeds(
        format=("int8", "float16", "dynamic", FLOAT),
        input_type=(CAMERA, FLOAT, *BYTES),
        output_type=(FLOAT, *BYTES),
        decodes=True,
        reason="LiteRT takes the camera's bytes, and XNNPACK is fastest in int8",
    ),
    "mediapipe": AppNeeds(
        format=("int8", "float16", FLOAT),
        input_type=(CAMERA,),
        output_type=(FLOAT, "uint8"),
        decodes=False,
        reason="MediaPipe puts the camera's bytes in as they are, and refuses int8 outputs",
        kinds=(CLASS_SCORES, CLASS_MAPS),
    ),
    "browser": AppNeeds(
        format=("int8", FLOAT),
        input_type=(CAMERA, FLOAT),
        output_type=(FLOAT, "uint8"),
        decodes=True,
        reason="LiteRT.js has no int8 inputs and outputs, and float16 is slow there",
    ),
    "coral": AppNeeds(
        format=("int8",),
        input_type=(CAMERA, *BYTES),
        output_type=BYTES,
        decodes=False,
        reason="the Edge TPU computes in 8 bit, and decoding would run on the CPU",
    ),
    "gpu": AppNeeds(
        format=(FLOAT, "float16"),
        input_type=(FLOAT,),
        output_type=(FLOAT,),
        decodes=False,
        reason="GPUs compute in 16 or 32 bit, and LiteRT takes all operators or none, so that decoding stays outside",
    ),
    "npu": AppNeeds(
        format=("int8",),
        input_type=(*BYTES, CAMERA),
        output_type=BYTES,
        decodes=False,
        reason="NPUs compute in 8 bit, and decoding would run on the CPU",
    ),
}


def options_for(
    app: str, task: str, kind: str, requested: Mapping[str, object] | None = None, *, quarter_rule: bool = True
) -> ConvertOptions:
    """Choose conversion options for a kind of app.

    Args:
        app: One of APPS.
        task: The network's task, for messages.
        kind: Kind of its output, one of `mobile_eval.model.description.OUTPUTS`.
        requested: Options that the user gave, by name of the field of ConvertOptions; they have to go with the app.
        quarter_rule: Whether keypoints are decoded by the quarter rule, which a model can do; UDP's decoding it cannot.

    Raises:
        HRNetError: There is no such app, it has no use for such a network, or an option contradicts it.

    Example:
        >>> options = options_for("browser", "classification", CLASS_SCORES, {"output_type": "uint8"})
        >>> options.input_type, options.output_type, options.softmax
        ('uint8-rgb', 'uint8', True)
    """
    if app not in NEEDS:
        raise HRNetError(f"`app` must be one of {', '.join(APPS)}, got {app!r:.80}")
    needs, options = NEEDS[app], requested or {}
    if needs.kinds and kind not in needs.kinds:
        raise HRNetError(f"`app` {app}: it runs classifiers and segmenters, and has no task for {task} networks")
    if options.get("decode") and not needs.decodes:
        raise HRNetError(f"`app` {app} does not go with `decode`: {needs.reason}")
    chosen: dict[str, str] = {}
    for name in ("format", "input_type", "output_type"):
        allowed: tuple[str, ...] = getattr(needs, name)
        if chosen.get("format", "int8") != "int8":
            allowed = tuple(value for value in allowed if value in OF_FLOAT_FORMATS)
        value = str(options.get(name) or allowed[0])
        if value not in allowed:
            raise HRNetError(f"`app` {app} goes with `{name}` {' or '.join(allowed)}, got {value}: {needs.reason}")
        chosen[name] = value
    decode = bool(options.get("decode")) or (needs.decodes and kind == HEATMAPS and quarter_rule)
    softmax = bool(options.get("softmax")) or kind == CLASS_SCORES
    max_error = options.get("max_error")
    limit = float(max_error) if isinstance(max_error, int | float) else None
    plain_resizes = bool(options.get("plain_resizes"))
    return ConvertOptions(**chosen, max_error=limit, decode=decode, softmax=softmax, plain_resizes=plain_resizes)


def explanation(app: str, options: ConvertOptions) -> str:
    """Say in a line which options were chosen for an app, as they could be given, and why.

    Example:
        >>> explanation("npu", ConvertOptions("int8", "int8", "int8"))
        'for npu: `format` int8 `input_type` int8 `output_type` int8 (NPUs compute in 8 bit, and decoding would run on the CPU)'
    """
    words = [f"`{name}` {getattr(options, name)}" for name in ("format", "input_type", "output_type")]
    words += [f"`{name}`" for name in ("decode", "softmax") if getattr(options, name)]
    return f"for {app}: {' '.join(words)} ({NEEDS[app].reason})"
