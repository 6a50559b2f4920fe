"""The exchange unit: every branch of a module receives the others over its fusion links."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hrnet_tf._keras import keras
from hrnet_tf.layers import OnUnit, Upsampling, add_all, conv_unit
from hrnet_tf.spec import FusionLink


def apply_link(x: Any, link: FusionLink, target_channels: int, *, interpolation: str = "nearest", folded: bool = False) -> Any:
    """What `link` adds to its target: (N, H, W, C) of the source to the target's resolution and channels."""
    if link.source > link.target:
        x = conv_unit(x, target_channels, 1, name=link.name, relu=False, folded=folded)
        return Upsampling(2 ** (link.source - link.target), interpolation, name=f"{link.name}_up")(x)
    steps = link.target - link.source
    for index in range(1, steps):
        x = conv_unit(x, x.shape[-1], 3, name=link.name, index=index, stride=2, folded=folded)
    return conv_unit(x, target_channels, 3, name=link.name, index=steps, stride=2, relu=False, folded=folded)


def exchange_unit(
    branches: dict[int, Any],
    links: Iterable[FusionLink],
    targets: Iterable[int],
    *,
    name: str,
    interpolation: str = "nearest",
    folded: bool = False,
    gate: OnUnit | None = None,
) -> dict[int, Any]:
    """Each target branch plus what its links bring, summed in order of source; ReLU after the sum.

    `branches` maps branch number to its feature maps; a target without links keeps its own, which are
    already rectified. `gate`, where given, is applied to what each link brings.
    """
    by_ends = {(link.source, link.target): link for link in links}
    fused = {}
    for target in targets:
        own = branches[target]
        terms = []
        for source in sorted(branches):
            if source == target:
                terms.append(own)
            elif (source, target) in by_ends:
                link = by_ends[source, target]
                brought = apply_link(branches[source], link, own.shape[-1], interpolation=interpolation, folded=folded)
                terms.append(gate(brought, unit=link) if gate else brought)
        total = add_all(terms, name=f"{name}_fuse{target}")
        fused[target] = keras.layers.ReLU(name=f"{name}_fuse{target}_relu")(total) if len(terms) > 1 else own
    return fused
