"""The exchange unit: each branch of a module receives the other branches over its fusion links.

Nearest upsampling commutes with sums, so links from lower resolutions are summed in a tree: the feature maps of the lowest branch
are upsampled to the next higher branch that has a link, added there, and so on. These sums are fewer and smaller than at the
target.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import Tensor
from hrnet_tf.models.keras_layers import KerasLayers
from hrnet_tf.models.layers import UnitWrapper, Upsampling, add_all
from hrnet_tf.spec.units import FusionLink


def exchange_unit(
    branches: Mapping[int, Tensor],
    links: Mapping[FusionLink, tuple[int, ...]],
    targets: Iterable[int],
    *,
    name: str,
    interpolation: str = "nearest",
    folded: bool = False,
    gate: UnitWrapper | None = None,
) -> dict[int, Tensor]:
    """Build an exchange unit.

    Args:
        branches: Feature maps (N, H, W, C) by branch.
        links: The links to build, and the numbers of output channels of the convolutions of each: one upwards; downwards as many
            as the resolution is halved. The last is that of the target.
        targets: The branches to output.
        name: Prefix of the names of the sums.
        interpolation: How to upsample, "nearest" or "bilinear".
        folded: Whether BatchNorm is folded into the convolutions.
        gate: Applied to the feature maps of each link.

    Returns:
        Feature maps by target branch: the sum of the branch and its links, rectified. A target without links is unchanged.
    """
    by_target: dict[int, list[FusionLink]] = {}
    for link in sorted(links, key=lambda link: link.source):
        by_target.setdefault(link.target, []).append(link)
    fused = {}
    for target in targets:
        identity = branches[target]
        maps = {}
        for link in by_target.get(target, []):
            x = _apply_link(branches[link.source], link, links[link], folded=folded)
            maps[link] = gate(x, unit=link) if gate else x
        terms = [x for link, x in maps.items() if link.source < target] + [identity]
        terms += _upsampled_links({link: x for link, x in maps.items() if link.source > target}, interpolation)
        total = add_all(terms, name=f"{name}_fuse{target}")
        fused[target] = keras.layers.ReLU(name=f"{name}_fuse{target}_relu")(total) if len(terms) > 1 else identity
    return fused


def _apply_link(x: Tensor, link: FusionLink, widths: tuple[int, ...], *, folded: bool) -> Tensor:
    """The convolutions of a link: to the target's channels and, if that is lower, to its resolution."""
    *inner, channels = widths
    layers = KerasLayers(folded=folded)
    if link.source > link.target:
        return layers.conv(x, channels, 1, link.name, relu=False)
    for index, width in enumerate(inner, 1):
        x = layers.conv(x, width, 3, link.name, index=index, stride=2)
    return layers.conv(x, channels, 3, link.name, index=len(widths), stride=2, relu=False)


def _upsampled_links(maps: Mapping[FusionLink, Tensor], interpolation: str) -> list[Tensor]:
    """The links to one target from lower resolutions, upsampled to its size: one sum for "nearest", else one tensor per link.

    An addition in the tree is named after the link from the lower branch, without which it would not be needed.
    """
    if interpolation != "nearest" or not maps:
        return [_upsample(x, link, link.target, interpolation) for link, x in maps.items()]
    last, *higher = sorted(maps, key=lambda link: -link.source)
    total = maps[last]
    for link in higher:
        total = add_all([maps[link], _upsample(total, last, link.source, interpolation)], name=f"{last.name}_sum")
        last = link
    return [_upsample(total, last, last.target, interpolation)]


def _upsample(x: Tensor, link: FusionLink, branch: int, interpolation: str) -> Tensor:
    """Upsample `x` from the resolution of the link's source to that of `branch`."""
    return Upsampling(2 ** (link.source - branch), interpolation, name=f"{link.name}_up")(x)
