"""Convert with this package, from the same weights and with the same calibration images.

    python by_this_package.py FOLDER

Reads FOLDER/run and FOLDER/images.npy; writes FOLDER/hrnet_tf-{float32,int8}.tflite.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from conversion.flatbuffer import to_flatbuffer
from conversion.models import load_folded_model
from conversion.options import ConvertOptions
from hrnet_tf.runs.run import Run


def main() -> None:
    folder = Path(sys.argv[1])
    run, images = Run.load(folder / "run"), np.load(folder / "images.npy")
    for precision in ("float32", "int8"):
        begun = time.perf_counter()
        content = to_flatbuffer(load_folded_model(run), ConvertOptions(precision), images)
        (folder / f"hrnet_tf-{precision}.tflite").write_bytes(content)
        print(f"hrnet_tf: {precision} {time.perf_counter() - begun:.1f} s")


if __name__ == "__main__":
    main()
