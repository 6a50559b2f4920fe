"""torchvision's names of ResNets, which most code bases share."""

from __future__ import annotations

import dataclasses

from hrnet_tf.checkpoints.baselines.layout import Layout, Rule, prefixed
from hrnet_tf.checkpoints.shapes import count, rows
from hrnet_tf.checkpoints.torch_reader import Arrays
from hrnet_tf.spec.baselines.base import BaselineSpec, named
from hrnet_tf.spec.baselines.resnet import IMAGENET_SIZE, ResNetSpec
from hrnet_tf.spec.baselines.resnet_trunk import ResNetTrunk
from hrnet_tf.spec.widths import BOTTLENECK_EXPANSION
from mobile_eval.errors import HRNetError

TRUNK_RULES = (
    Rule(r"stem_conv(\d)", r"conv\1", r"bn\1"),
    Rule(r"stage(\d)_block(\d+)_conv(\d)", r"layer\1.\2.conv\3", r"layer\1.\2.bn\3"),
    Rule(r"stage(\d)_block(\d+)_shortcut_conv1", r"layer\1.\2.downsample.0", r"layer\1.\2.downsample.1"),
)
LAST_LAYER = "layer4.0.conv1.weight"
CLASSIFIER = "fc.weight"


def trunk_rules(prefix: str, stem: str = "") -> tuple[Rule, ...]:
    """Return the rules of a trunk inside of another network.

    Args:
        prefix: What precedes the names of its entries, such as "backbone.".
        stem: Name of the Sequential of a stem of three convolutions, such as "stem"; "" if they are conv1, conv2 ...
    """
    rules = prefixed(prefix, TRUNK_RULES)
    deep = (Rule(f"stem_conv{i + 1}", f"{prefix}{stem}.{3 * i}", f"{prefix}{stem}.{3 * i + 1}") for i in range(3))
    return (*deep, *rules) if stem else rules


def trunk_inside(arrays: Arrays, prefix: str, stem: str = "", **changes: object) -> ResNetTrunk:
    """Return the trunk inside of another network, see `trunk_rules`; `changes` are fields that arrays do not show."""
    names = {f"{stem}.{3 * i + j}.": f"{layer}{i + 1}." for i in range(3) for j, layer in enumerate(("conv", "bn"))}
    trunk: Arrays = {}
    for name, array in arrays.items():
        if name.startswith(prefix):
            inner = name.removeprefix(prefix)
            start = next((start for start in names if stem and inner.startswith(start)), "")
            trunk[names.get(start, "") + inner.removeprefix(start)] = array
    return dataclasses.replace(trunk_of(trunk), **({"stem": "deep"} if stem else {}), **changes)  # type: ignore[arg-type]


def trunk_of(arrays: Arrays) -> ResNetTrunk:
    """Return the ResNet of arrays by torchvision's names; the style is PyTorch's, as it cannot be seen.

    Raises:
        HRNetError: If an entry is missing, or the sizes are of no ResNet.
    """
    kinds = tuple("bottleneck" if f"layer{stage}.0.conv3.weight" in arrays else "basic" for stage in (1, 2, 3, 4))
    inner = rows(arrays, "layer1.0.conv1.weight")
    width = rows(arrays, "layer1.0.conv3.weight") // BOTTLENECK_EXPANSION if kinds[0] == "bottleneck" else inner
    per_group = _columns(arrays, "layer1.0.conv2.weight")
    blocks = tuple(count(arrays, rf"layer{stage}\.(\d+)\.") for stage in (1, 2, 3, 4))
    return ResNetTrunk(
        blocks=blocks,  # type: ignore[arg-type]
        kinds=kinds,  # type: ignore[arg-type]
        stem="3x3" if "conv2.weight" in arrays else "7x7",
        stem_width=rows(arrays, "conv1.weight"),
        width=width,
        inner_factor=max(inner // max(width, 1), 1),
        groups=max(inner // per_group, 1),
        extra_bottleneck="layer5.0.conv1.weight" in arrays,
    )


def _columns(arrays: Arrays, name: str) -> int:
    """The number of input channels per group of a convolution."""
    rows(arrays, name)
    shape = arrays[name].shape
    if len(shape) != 4:
        raise HRNetError(f"{name} has shape {tuple(shape)}, expected the kernel of a convolution")
    return int(shape[1])


def _network(arrays: Arrays) -> BaselineSpec:
    if CLASSIFIER not in arrays:
        raise HRNetError("the checkpoint is a ResNet without a head: give the network to initialize as `model`")
    classes = rows(arrays, CLASSIFIER)
    return named(ResNetSpec(name="resnet", input_size=IMAGENET_SIZE, classes=classes, trunk=trunk_of(arrays)))


RESNET = Layout(
    name="torchvision",
    kind=ResNetSpec,
    matches=lambda arrays: "conv1.weight" in arrays and LAST_LAYER in arrays,
    infer=_network,
    classes=CLASSIFIER,
    rules=(*TRUNK_RULES, Rule("head_logits", "fc")),
    renames=((r"backbone\.", ""), (r"head\.fc\.", "fc.")),  # OpenMMLab's
    ignored=r"fc\.(weight|bias)",  # by networks whose trunk is initialized
    initializes=lambda spec: not isinstance(spec, ResNetSpec),
)
