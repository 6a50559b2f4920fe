"""The widest full network of another one's latency: the fair opponent of a pruned network.

All its widths, stem and stage 1 too, shrink in proportion. Latency falls in steps, at multiples of what a vector
holds, so that equal latency cannot be met exactly: the doubt goes to the narrow network.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from hrnet_tf.runs.run import Run, load_run
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.errors import HRNetError
from training.pruning.candidate_latency import LatencyRatio

SLOWER = 1.05  # how much longer it may take


def scaled(spec: HRNetSpec, width: int) -> HRNetSpec:
    """`spec` with `width` channels in its first branch, and all its other widths in proportion (at least 1)."""
    names = ("stem_width", "stage1_width", *(["head_width"] if spec.head_width else []))
    sizes = {name: max(1, round(getattr(spec, name) * width / spec.width)) for name in names}
    return dataclasses.replace(spec, width=width, **sizes)


def widest_within(width: int, slower: Callable[[int], bool]) -> int:
    """The largest width below `width` that is not `slower`, by bisection. Raises HRNetError where not even 1 is."""
    low, high = 0, width  # low is known (or taken) to be fast enough, high not to be
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if slower(middle) else (middle, high)
    if low == 0:
        raise HRNetError("not even a network of width 1 is as fast")
    return low


def narrowed(spec: Network, like: Run, output: Path, threads: int = 1) -> Network:
    """`spec` so narrow that as int8 it takes hardly longer on this machine than the network of `like`, at its input size.

    A run that lies in `output` already has made that choice.
    """
    if not isinstance(spec, HRNetSpec):
        raise HRNetError(f"{spec.name} has no width to choose")
    if (output / "run.json").is_file():
        return scaled(spec, load_run(output).hrnet_spec.width)
    target = dataclasses.replace(like.hrnet_spec, classes=spec.classes)
    if target.input_size != spec.input_size:
        raise HRNetError(f"{like.path} has input size {target.input_size}, not {spec.input_size}: nothing to compare")
    ratio, say = LatencyRatio(target, threads), Console(stderr=True).print

    def slower(width: int) -> bool:
        found = ratio(scaled(spec, width))
        say(f"width {width}: {found:.3f} of the latency of {like.path}")
        return found > SLOWER

    return scaled(spec, widest_within(spec.width, slower))
