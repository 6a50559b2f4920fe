"""The exchange unit: every branch of a module receives the others over its fusion links.

Nearest upsampling commutes with sums, so what comes from below goes up in a tree: the lowest branch's part to the
next higher one that has a link, is added there, and so on: fewer and smaller sums than at the target.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.models.layers import UnitWrapper, Upsampling, add_all, conv_unit
from hrnet_tf.spec.network import FusionLink


def apply_link(x: Any, link: FusionLink, target_channels: int, *, folded: bool = False) -> Any:
    """What `link` makes of its source (N, H, W, C): the target's channels and, if that is lower, its resolution."""
    if link.source > link.target:
        return conv_unit(x, target_channels, 1, name=link.name, relu=False, folded=folded)
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
    gate: UnitWrapper | None = None,
) -> dict[int, Any]:
    """Each target branch plus what its links bring.

    `branches` maps branch number to its feature maps; a target without links keeps its own, which are
    already rectified. `gate`, where given, is applied to what each link brings.
    """
    by_target: dict[int, list[FusionLink]] = {}
    for link in sorted(links, key=lambda link: link.source):
        by_target.setdefault(link.target, []).append(link)
    fused = {}
    for target in targets:
        own = branches[target]
        brought = {}
        for link in by_target.get(target, []):
            x = apply_link(branches[link.source], link, own.shape[-1], folded=folded)
            brought[link] = gate(x, unit=link) if gate else x
        terms = [x for link, x in brought.items() if link.source < target] + [own]
        terms += _from_below({link: x for link, x in brought.items() if link.source > target}, interpolation)
        total = add_all(terms, name=f"{name}_fuse{target}")
        fused[target] = keras.layers.ReLU(name=f"{name}_fuse{target}_relu")(total) if len(terms) > 1 else own
    return fused


def _from_below(brought: dict[FusionLink, Any], interpolation: str) -> list[Any]:
    """What links to one target bring up from lower resolutions, at the target's: one sum if nearest, else one each.

    An addition on the way is named after the link that could be spared it.
    """
    if interpolation != "nearest" or not brought:
        return [_upsampled(x, link, link.target, interpolation) for link, x in brought.items()]
    last, *higher = sorted(brought, key=lambda link: -link.source)
    total = brought[last]
    for link in higher:
        total = add_all([brought[link], _upsampled(total, last, link.source, interpolation)], name=f"{last.name}_sum")
        last = link
    return [_upsampled(total, last, last.target, interpolation)]


def _upsampled(x: Any, link: FusionLink, level: int, interpolation: str) -> Any:
    """`x`, which `link` brings at its source's resolution, at that of branch `level`."""
    return Upsampling(2 ** (link.source - level), interpolation, name=f"{link.name}_up")(x)
