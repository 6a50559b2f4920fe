"""Conversion options: format, input and output types."""

from __future__ import annotations

from dataclasses import dataclass

from mobile_eval.errors import HRNetError
from mobile_eval.options import option

FORMATS = {
    "float32": "weights and activations as trained",
    "float16": "float16 weights; computes in float32 where the device has no float16",
    "dynamic": "int8 weights, float32 activations; the runtime quantizes activations as it computes them, where it can",
    "int8": "int8 weights and activations, for every integer accelerator",
    "int16x8": "int16 activations, int8 weights: accuracy between int8 and float32; fast on few runtimes",
}
CAMERA = "uint8-rgb"  # RGB bytes as a camera gives them; the model normalizes them
DTYPES = ("float32", "int8", "uint8")
APPS = ("android", "mediapipe", "browser", "coral", "gpu", "npu")  # that `conversion.apps` chooses options for
FLOAT_TOLERANCE = 1e-4  # relative to the largest output value, or to 1, the peak of a heatmap, if that is larger


@dataclass(frozen=True)
class ConvertOptions:
    """What to convert to.

    Attributes:
        format: One of FORMATS.
        input_type: Data type of the input, or CAMERA; None means int8 for the format int8, else float32.
        output_type: Data type of the output; None means int8 for the format int8, else float32.
        max_error: Largest absolute error of an output value, compared with the Keras model; a larger one rejects the file.
            None means FLOAT_TOLERANCE for float32 and no limit for other formats, whose cost in accuracy `hrnet evaluate`
            measures.
        decode: Whether the file outputs keypoints, decoded in its graph, instead of heatmaps.
        softmax: Whether a classifier outputs probabilities instead of logits.
        plain_resizes: Whether bilinear resizes of an int8 file are replaced by operators that older Edge TPU compilers know.

    Raises:
        HRNetError: If a value is unknown, or two do not go together.
    """

    format: str = option("int8", "float32, float16, dynamic, int8 or int16x8.", choices=tuple(FORMATS))
    input_type: str | None = option(
        None, "uint8-rgb (camera bytes, normalized in the model), int8, uint8 or float32.", choices=(CAMERA, *DTYPES)
    )
    output_type: str | None = option(None, "int8, uint8 or float32.", choices=DTYPES)
    max_error: float | None = option(None, "Largest accepted error of an output value, compared with the Keras model.")
    decode: bool = option(False, "Output keypoints, decoded in the model, instead of heatmaps.")
    softmax: bool = option(False, "Output probabilities instead of logits (classification).")
    plain_resizes: bool = option(False, "Replace bilinear resizes of int8 files by operators that older Edge TPU compilers know.")

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise HRNetError(f"`format` must be one of {', '.join(FORMATS)}, got {self.format!r}")
        types = ("input_type", self.input_type, (*DTYPES, CAMERA)), ("output_type", self.output_type, DTYPES)
        for name, value, choices in types:
            if value is not None and value not in choices:
                raise HRNetError(f"`{name}` must be one of {', '.join(choices)}, got {value!r}")
            if self.format != "int8" and value not in (None, "float32", CAMERA):
                raise HRNetError(f"`{name}` {value} needs `format` int8, got {self.format}")
        if self.format == "int16x8" and self.camera:
            raise HRNetError(f"`input_type` {CAMERA} needs `format` int8 or a float format, got int16x8")
        if self.format == "int16x8" and self.decode:
            raise HRNetError("`decode` needs `format` int8 or a float format, got int16x8")
        if self.plain_resizes and self.format != "int8":
            raise HRNetError(f"`plain_resizes` needs `format` int8, got {self.format}")
        if self.max_error is not None and not self.max_error > 0:
            raise HRNetError(f"`max_error` must be above 0, got {self.max_error}")

    @property
    def camera(self) -> bool:
        """Whether the input is a camera's bytes, normalized in the model."""
        return self.input_type == CAMERA

    @property
    def input_dtype(self) -> str:
        """Data type of the input tensor."""
        return "uint8" if self.camera else self.input_type or self._default_dtype

    @property
    def output_dtype(self) -> str:
        """Data type of the output tensor."""
        return self.output_type or self._default_dtype

    def error_limit(self, largest: float) -> float | None:
        """The largest accepted error of an output whose largest absolute value is `largest`; None means any."""
        if self.max_error is None and self.format == "float32":
            return FLOAT_TOLERANCE * max(largest, 1.0)
        return self.max_error

    @property
    def _default_dtype(self) -> str:
        return "int8" if self.format == "int8" else "float32"
