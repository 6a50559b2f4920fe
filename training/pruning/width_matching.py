"""Latency-matched baselines: the widest full network that is as fast as a pruned one.

All widths, including those of the stem and of stage 1, shrink in proportion. Latency rises in steps, at multiples of the vector
size, so it cannot be matched exactly. The tolerance favors the baseline.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path

from hrnet_tf.runs.run import RUN_FILE, Run
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.errors import HRNetError
from training.pruning.candidate_latency import LatencyRatio

logger = logging.getLogger(__name__)

LARGEST_RATIO = 1.05  # latency of the baseline over that of the pruned network


def with_width(spec: HRNetSpec, width: int) -> HRNetSpec:
    """Return `spec` with `width` channels in its first branch, and all other widths in proportion (at least 1)."""
    names = ("stem_width", "stage1_width", *(["head_width"] if spec.head_width else []))
    sizes = {name: max(1, round(getattr(spec, name) * width / spec.width)) for name in names}
    return dataclasses.replace(spec, width=width, **sizes)


def widest_within(width: int, too_slow: Callable[[int], bool]) -> int:
    """Return the largest width below `width` that is not too slow, by bisection.

    Raises:
        HRNetError: Even a width of 1 is too slow.
    """
    fast, slow = 0, width
    while slow - fast > 1:
        middle = (fast + slow) // 2
        fast, slow = (fast, middle) if too_slow(middle) else (middle, slow)
    if fast == 0:
        raise HRNetError("`width_like`: even a network of width 1 is slower")
    return fast


def latency_matched(spec: Network, like: Run, output: Path, threads: int = 1) -> Network:
    """Return `spec` with a width that makes its int8 model as fast on this machine as the network of another run.

    Args:
        spec: A full network.
        like: The run whose latency is matched, at the same input size.
        output: The folder of the baseline. If it contains a run already, the width of that run is used.
        threads: Number of threads.
    """
    if not isinstance(spec, HRNetSpec):
        raise HRNetError(f"`width_like`: {spec.name} has no width to choose")
    if (output / RUN_FILE).is_file():
        return with_width(spec, Run.load(output).hrnet_spec.width)
    target = dataclasses.replace(like.hrnet_spec, classes=spec.classes)
    if target.input_size != spec.input_size:
        raise HRNetError(f"`width_like`: {like.path} has input size {target.input_size}, expected {spec.input_size}")
    latency_ratio = LatencyRatio(target, threads=threads)

    def too_slow(width: int) -> bool:
        ratio = latency_ratio(with_width(spec, width))
        logger.info("width %d: %.3f of the latency of %s", width, ratio, like.path)
        return ratio > LARGEST_RATIO

    return with_width(spec, widest_within(spec.width, too_slow))
