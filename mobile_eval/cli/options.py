"""Options that several commands have. The module imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mobile_eval.datasets.base import DATA
from mobile_eval.image.image_size import MAX_PIXELS, set_max_pixels
from mobile_eval.options import option

if TYPE_CHECKING:
    from mobile_eval.runtime.backend import Backend

RUNTIME = "Runtime"  # heading in --help
RUNTIMES = ("auto", "ai-edge-litert", "tflite-runtime")
MODES = ("full", "quick", "rapid")  # of `mobile_eval.benchmark.latency`

Model = Annotated[Path, typer.Argument(metavar="M.tflite", help="A model written by `hrnet convert`.", show_default=False)]
Threads = Annotated[int, typer.Option(min=1, help="Number of threads.")]
Exif = Annotated[
    str | None,
    typer.Option(
        metavar="upright|stored",
        help="Whether annotations are of images as EXIF turns them (upright) or as stored. Default: decided by the image sizes.",
        show_default=False,
    ),
]
Limit = Annotated[int | None, typer.Option(min=1, help="Number of people or images to use.", show_default=False)]
MaxPixels = Annotated[
    int | None,
    typer.Option(
        callback=set_max_pixels,
        help="Largest number of pixels of an image or mask that is decoded.",
        show_default=f"{MAX_PIXELS // 1_000_000} million",
        rich_help_panel=DATA,
    ),
]


@dataclass(frozen=True)
class RuntimeOptions:
    """What runs a model: the TFLite runtime and its kernels, or a delegate."""

    runtime: str = option("auto", "TFLite runtime: auto, ai-edge-litert or tflite-runtime.", panel=RUNTIME, choices=RUNTIMES)
    xnnpack: bool = option(True, "Let XNNPACK run the operators that it supports.", panel=RUNTIME)
    delegate: str | None = option(None, "Delegate: edgetpu, or the path of a delegate library.", panel=RUNTIME)
    delegate_option: list[str] | None = option(None, "Option of the delegate, as NAME=VALUE; may be repeated.", panel=RUNTIME)
    reference_kernels: bool = option(
        False, "Use the runtime's reference kernels: slow, but int8 results are the same on every processor.", panel=RUNTIME
    )
    accelerator: str | None = option(
        None, "Run by LiteRT's CompiledModel on cpu, gpu (Vulkan, Metal) or npu, all operators or none.", panel=RUNTIME
    )

    def backend(self, threads: int) -> Backend:
        """The backend with that number of threads."""
        from mobile_eval.runtime.backend import parse_backend

        return parse_backend(
            self.runtime,
            threads,
            self.xnnpack,
            self.delegate,
            self.delegate_option,
            reference=self.reference_kernels,
            accelerator=self.accelerator,
        )
