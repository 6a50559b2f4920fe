"""Time to build networks, relative to `pose-w32`: medians of three builds of each, in turn, in one process.

python benchmarks/build_time.py [NAME ...]
"""

from __future__ import annotations

import statistics
import sys
import time

from hrnet_tf.models.build import build_model
from hrnet_tf.spec.presets import preset

ROUNDS = 3
REFERENCE = "pose-w32"


def main(names: list[str]) -> None:
    seconds: dict[str, list[float]] = {name: [] for name in dict.fromkeys([REFERENCE, *names])}
    build_model(preset("pose-small-v1"))  # warm-up
    for _ in range(ROUNDS):
        for name, samples in seconds.items():
            begun = time.perf_counter()
            build_model(preset(name))
            samples.append(time.perf_counter() - begun)
    reference = statistics.median(seconds[REFERENCE])
    for name, samples in seconds.items():
        median = statistics.median(samples)
        print(f"{name:24} {median:6.2f} s  {median / reference:5.2f} of {REFERENCE}")


if __name__ == "__main__":
    main(sys.argv[1:] or ["pose-w48", "segment-w48", "classify-w64"])
