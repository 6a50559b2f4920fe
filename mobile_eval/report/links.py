"""Are the same fusion links redundant in several networks, such as those of different tasks? Their pictures side by side.

Importance is what each file's description says of the full network's links; it is compared by rank, as losses of different tasks
have no common unit, and over the links that both networks have.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from mobile_eval.errors import HRNetError
from mobile_eval.files import check_output_folder, write_json, write_text
from mobile_eval.messages import number_of
from mobile_eval.metrics.metric import format_score
from mobile_eval.metrics.rank_correlation import ranks, spearman
from mobile_eval.model.archive import read_description
from mobile_eval.model.description import ModelDescription
from mobile_eval.model.network import LINK
from mobile_eval.report.comparison import labels
from mobile_eval.report.html import template
from mobile_eval.viz.charts import importance_by_kind
from mobile_eval.viz.link_diagram import link_diagram_svg

LEAST = 0.25  # the share of links that are called the least needed


@dataclass(frozen=True)
class RankedNetwork:
    """One file: its task, which of the full network's links it has, and how much each is needed (None where never ranked)."""

    label: str
    task: str
    kept: tuple[str, ...]
    removed: tuple[str, ...]
    importance: dict[str, float] | None
    network: dict[str, Any] = dataclasses.field(repr=False)


@dataclass(frozen=True)
class Pair:
    """Two networks: the links that both have, the rank correlation of what these are worth, and how many of the least needed
    quarter they share (`same_least`), where chance alone shares `by_chance`. None where one was never ranked."""

    first: str
    second: str
    links: int
    correlation: float | None
    same_least: int | None
    by_chance: float | None

    def __str__(self) -> str:
        links = number_of(self.links, "links")
        text = f"{self.first} and {self.second}: rank correlation {format_score(self.correlation)} over {links}"
        if self.same_least is None:
            return text
        return f"{text}, {self.same_least} of the least needed in common ({self.by_chance:.1f} by chance)"


@dataclass(frozen=True)
class LinksResult:
    """All networks, every pair of them, and mean ranks by kind of link: rows of (group, kind, one share for each network)."""

    networks: tuple[RankedNetwork, ...]
    pairs: tuple[Pair, ...]
    kinds: tuple[tuple[str, str, tuple[float | None, ...]], ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        networks = [{k: v for k, v in dataclasses.asdict(one).items() if k != "network"} for one in self.networks]
        return {"networks": networks, "pairs": [dataclasses.asdict(pair) for pair in self.pairs], "kinds": self.kinds}

    def __str__(self) -> str:
        return "\n".join(map(str, self.pairs))


def compare_links(paths: Sequence[Path | str], output: Path | str) -> LinksResult:
    """Lay the links of the files' networks side by side; write `index.html` and `links.json` into the folder `output`."""
    if len(paths) < 2:
        raise HRNetError(f"expected at least two models to compare, got {len(paths)}")
    networks = tuple(_ranked(label, path, read_description(path)) for label, path in zip(labels(paths), paths, strict=True))
    folder = check_output_folder(output)
    pairs = tuple(_pair(*two) for two in itertools.combinations(networks, 2))
    result = LinksResult(networks, pairs, _kinds(networks))
    diagrams = [
        (one, Markup(link_diagram_svg(one.network, dict(one.importance) if one.importance else None))) for one in networks
    ]
    write_json(folder / "links.json", result.to_json())
    write_text(folder / "index.html", template("links.html.j2").render(result=result, diagrams=diagrams))
    return result


def _ranked(label: str, path: Path | str, description: ModelDescription) -> RankedNetwork:
    network = description.network
    if not network.get("links"):
        raise HRNetError(f"{path} is of a network without fusion links")
    importance = {name: value for name, value in (description.importance or {}).items() if LINK.fullmatch(name)}
    kept, removed = tuple(network["links"]), tuple(network["removed_links"])
    return RankedNetwork(label, description.task, kept, removed, importance or None, network)


def _pair(first: RankedNetwork, second: RankedNetwork) -> Pair:
    if not first.importance or not second.importance:
        shared = {*first.kept, *first.removed} & {*second.kept, *second.removed}
        return Pair(first.label, second.label, len(shared), None, None, None)
    names = sorted(set(first.importance) & set(second.importance))
    values = [[one.importance[name] for name in names] for one in (first, second) if one.importance]
    count = round(LEAST * len(names))
    least = [set(np.argsort(column, kind="stable")[:count].tolist()) for column in values]
    chance = count * count / len(names) if names else 0.0
    return Pair(first.label, second.label, len(names), spearman(*values) if names else None, len(least[0] & least[1]), chance)


def _kinds(networks: Sequence[RankedNetwork]) -> tuple[tuple[str, str, tuple[float | None, ...]], ...]:
    """The mean rank of each kind of link, as a share: 0 the least needed of all, 1 the most."""
    columns = []
    for one in networks:
        place = dict(zip(one.importance, ranks(list(one.importance.values())), strict=True)) if one.importance else {}
        shares = {name: (rank - 1) / max(len(place) - 1, 1) for name, rank in place.items()}
        columns.append({(kind.group, kind.name): kind.mean for kind in importance_by_kind(shares)})
    keys = dict.fromkeys(key for column in columns for key in column)
    return tuple((*key, tuple(column.get(key) for column in columns)) for key in keys)
