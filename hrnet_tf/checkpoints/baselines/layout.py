"""How a code base names the weights of a network, and how its files are recognized."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from hrnet_tf.checkpoints.entry import Entry, norm_entries
from hrnet_tf.checkpoints.torch_reader import Arrays
from hrnet_tf.spec.baselines.base import BaselineSpec
from hrnet_tf.spec.baselines.trace import WeightedLayer, traced

HEAD = "head_"  # prefix of the names of layers that networks do not share


@dataclass(frozen=True)
class Rule:
    """The official names of some layers.

    Attributes:
        layers: Regular expression of the names of the layers, such as r"stage(\\d)_block(\\d+)_conv(\\d)".
        official: Official name of the convolution or dense layer, with the groups of the expression as \\1, \\2 ...
        norm: That of its BatchNorm.
    """

    layers: str
    official: str = ""
    norm: str = ""


def prefixed(prefix: str, rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Return rules whose official names have a prefix, such as "resnet."."""
    return tuple(Rule(rule.layers, prefix + rule.official, prefix + rule.norm) for rule in rules)


@dataclass(frozen=True)
class Layout:
    """The names that a code base gives to the weights of a network.

    Attributes:
        name: Name of the code base.
        kind: What network the files are of.
        matches: Whether arrays, by renamed names, are of this layout.
        infer: Returns the network of arrays by renamed names; its input size and name are those of a preset.
        classes: The entry whose rows are the classes.
        rules: The official names of all layers.
        renames: Other names of entries, as a regular expression and its replacement at the beginning of a name.
        ignored: Regular expression of entries that are never needed.
        covers: Whether a network of this kind can have this layout.
        initializes: Whether files of this layout initialize the trunk of a network, whose head keeps its initial weights.
        head: Entries of layers that a trace of the network does not have.
        background: Whether the background is one of the classes.
        note: What a user of the weights should know, for the report.
    """

    name: str
    kind: type[BaselineSpec]
    matches: Callable[[Arrays], bool]
    infer: Callable[[Arrays], BaselineSpec]
    classes: str
    rules: tuple[Rule, ...]
    renames: tuple[tuple[str, str], ...] = ()
    ignored: str = ""
    covers: Callable[[BaselineSpec], bool] = lambda _: True
    initializes: Callable[[BaselineSpec], bool] = lambda _: False
    head: tuple[Entry, ...] = ()
    background: bool = False
    note: str = ""

    def renamed(self, arrays: Arrays) -> Arrays:
        """Return the arrays by the names of `rules`."""
        return {self._renamed(name): array for name, array in arrays.items()}

    def _renamed(self, name: str) -> str:
        for pattern, replacement in self.renames:
            name = re.sub(f"^{pattern}", replacement, name)
        return name

    def entries(self, spec: BaselineSpec, *, auxiliary: bool = False) -> list[Entry]:
        """Return all entries of a network, in its order.

        Args:
            spec: The network.
            auxiliary: With those of outputs that only training needs.
        """
        layers = traced(spec, auxiliary=auxiliary).weighted
        return [*(entry for layer in layers for entry in _entries(layer, self.rules)), *self.head]

    def trunk_entries(self, spec: BaselineSpec) -> list[Entry]:
        """Return the entries of the layers that another network shares with those of this layout."""
        trunk = (layer for layer in traced(spec).weighted if not layer.name.startswith(HEAD))
        shared = (layer for layer in trunk if _rule_of(layer, self.rules) is not None)
        return [entry for layer in shared for entry in _entries(layer, self.rules)]


def _entries(layer: WeightedLayer, rules: tuple[Rule, ...]) -> Iterator[Entry]:
    match = _rule_of(layer, rules)
    if match is None:
        raise KeyError(f"no rule names {layer.name}")
    matched, rule = match
    if layer.kernel:
        official = matched.expand(rule.official)
        yield Entry(f"{official}.weight", f"{layer.name}/{layer.kernel}")
        if layer.bias:
            yield Entry(f"{official}.bias", f"{layer.name}/bias")
    if layer.norm:
        yield from norm_entries(matched.expand(rule.norm), layer.norm)


def _rule_of(layer: WeightedLayer, rules: tuple[Rule, ...]) -> tuple[re.Match[str], Rule] | None:
    matches = ((re.fullmatch(rule.layers, layer.name), rule) for rule in rules)
    return next(((match, rule) for match, rule in matches if match), None)
