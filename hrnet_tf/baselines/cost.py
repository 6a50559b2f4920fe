"""Parameters and multiply-adds of each part of a SimpleBaseline, in closed form from its spec."""

from __future__ import annotations

from hrnet_tf.baselines.spec import SimpleBaselineSpec
from hrnet_tf.complexity import Cost


def parts(spec: SimpleBaselineSpec) -> dict[str, Cost]:
    """The cost of everything that is built, by name, in the order of the network."""
    raise NotImplementedError(spec)
