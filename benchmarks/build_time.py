"""How long building a network takes, against building `pose-w32`: median of runs taken in turn, in one process.

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
    build_model(preset("pose-small-v1"))  # what only the first build costs
    for _ in range(ROUNDS):
        for name, taken in seconds.items():
            start = time.perf_counter()
            build_model(preset(name))
            taken.append(time.perf_counter() - start)
    reference = statistics.median(seconds[REFERENCE])
    for name, taken in seconds.items():
        median = statistics.median(taken)
        print(f"{name:24} {median:6.2f} s  {median / reference:5.2f} of {REFERENCE}")


if __name__ == "__main__":
    main(sys.argv[1:] or ["pose-w48", "segment-w48", "classify-w64"])
