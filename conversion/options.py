"""What a file is to be: its format, and what goes in and comes out."""

from __future__ import annotations

from dataclasses import dataclass

from mobile_eval.errors import HRNetError

FORMATS = {
    "float32": "as trained",
    "float16": "weights halved; computes in float32 where there is no float16",
    "dynamic": "weights int8, activations float32, quantized as they come where the runtime can",
    "int8": "weights and activations int8, for every integer accelerator",
    "int16x8": "activations int16, weights int8: between int8 and float32 in accuracy; few runtimes are fast with it",
}
CAMERA = "uint8-rgb"  # the camera's bytes: normalization is part of the model
NUMBERS = ("float32", "int8", "uint8")
FLOAT_TOLERANCE = 1e-4  # of the largest value, or of 1, the peak of a heatmap, where none is larger


@dataclass(frozen=True)
class ConvertOptions:
    """`format` is one of FORMATS. `input` and `output` are the numbers (or CAMERA) that an app exchanges with the file.

    None means int8 for the format int8, else float32. With `decode` keypoints come out, not heatmaps, with `softmax`
    probabilities of classes, not logits. `max_error` is the largest error of any output value that is accepted; None means
    FLOAT_TOLERANCE for float32 and no limit otherwise: `hrnet evaluate` measures what a format costs in accuracy.
    """

    format: str = "int8"
    input: str | None = None
    output: str | None = None
    max_error: float | None = None
    decode: bool = False
    softmax: bool = False

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise HRNetError(f"unknown format {self.format!r}; there are {', '.join(FORMATS)}")
        for name, given, known in (("input", self.input, (*NUMBERS, CAMERA)), ("output", self.output, NUMBERS)):
            if given is not None and given not in known:
                raise HRNetError(f"unknown {name} {given!r}; there are {', '.join(known)}")
            if self.format != "int8" and given not in (None, "float32", CAMERA):
                raise HRNetError(f"{given} as {name} goes with the format int8, not {self.format}")
        if self.format == "int16x8" and self.input == CAMERA:
            raise HRNetError(f"{CAMERA} as input goes with float formats and int8, not int16x8")
        if self.format == "int16x8" and self.decode:
            raise HRNetError("decoding keypoints in the graph goes with float formats and int8, not int16x8")
        if self.max_error is not None and not self.max_error > 0:
            raise HRNetError(f"the largest error must be above 0, got {self.max_error}")

    @property
    def camera(self) -> bool:
        """Whether the model takes the camera's bytes."""
        return self.input == CAMERA

    @property
    def input_type(self) -> str:
        """The dtype of the input tensor."""
        return "uint8" if self.camera else self.input or self._own

    @property
    def output_type(self) -> str:
        """The dtype of the output tensor."""
        return self.output or self._own

    def limit(self, largest: float) -> float | None:
        """The largest error that is let pass where the output's largest value is `largest`; None where any is."""
        if self.max_error is None and self.format == "float32":
            return FLOAT_TOLERANCE * max(largest, 1.0)
        return self.max_error

    @property
    def _own(self) -> str:
        return "int8" if self.format == "int8" else "float32"
