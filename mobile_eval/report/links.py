"""Comparison of the fusion links of several networks: are the same links redundant in each, for example for different tasks?

The importance of links comes from the description of each file. It is compared by rank over the links that two networks share,
since losses of different tasks have no common unit.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np

from mobile_eval.errors import HRNetError
from mobile_eval.files import check_output_folder, write_json, write_text
from mobile_eval.messages import number_of
from mobile_eval.metrics.metric import format_score
from mobile_eval.metrics.rank_correlation import ranks, spearman
from mobile_eval.model.archive import read_description
from mobile_eval.model.description import ModelDescription
from mobile_eval.model.network import LINK
from mobile_eval.report.comparison import labels
from mobile_eval.report.figures import Figure, links_figure
from mobile_eval.report.html import template
from mobile_eval.viz.charts import importance_by_kind

LEAST_IMPORTANT = 0.25  # share of links that count as least important
KindRow = tuple[str, str, tuple[float | None, ...]]


class NetworkJson(TypedDict):
    """A network in `links.json`."""

    label: str
    task: str
    kept: list[str]
    removed: list[str]
    importance: dict[str, float] | None


class LinksJson(TypedDict):
    """The content of `links.json`."""

    networks: list[NetworkJson]
    pairs: list[dict[str, object]]
    kinds: list[KindRow]


@dataclass(frozen=True)
class RankedNetwork:
    """The links of one network.

    Attributes:
        label: Name of the network in the report.
        task: Its task.
        kept: Names of its links.
        removed: Names of the links of the full network that it lacks.
        importance: Importance of the full network's links by name; None if they were never ranked.
        diagram: Picture of the links.
    """

    label: str
    task: str
    kept: tuple[str, ...]
    removed: tuple[str, ...]
    importance: dict[str, float] | None
    diagram: Figure

    def to_json(self) -> NetworkJson:
        """Plain data without the picture."""
        kept, removed = list(self.kept), list(self.removed)
        return {"label": self.label, "task": self.task, "kept": kept, "removed": removed, "importance": self.importance}


@dataclass(frozen=True)
class Pair:
    """Comparison of two networks. The last three are None if one of the networks was never ranked.

    Attributes:
        first: Label of the first network.
        second: Label of the second network.
        links: Number of links that both networks have.
        correlation: Rank correlation (Spearman) of their importance.
        same_least: Number of links that are among the least important quarter in both.
        by_chance: Expected `same_least` of independent rankings.
    """

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
        return f"{text}, {self.same_least} of the least important in common ({self.by_chance:.1f} by chance)"


@dataclass(frozen=True)
class LinksResult:
    """All networks, all pairs of them, and mean ranks by kind of link: rows of (group, kind, share for each network)."""

    networks: tuple[RankedNetwork, ...]
    pairs: tuple[Pair, ...]
    kinds: tuple[KindRow, ...]

    def to_json(self) -> LinksJson:
        """Plain data, as in `links.json`."""
        networks = [network.to_json() for network in self.networks]
        return {"networks": networks, "pairs": [asdict(pair) for pair in self.pairs], "kinds": list(self.kinds)}

    def __str__(self) -> str:
        return "\n".join(map(str, self.pairs))


def compare_links(paths: Sequence[Path | str], output: Path | str) -> LinksResult:
    """Compare the links of networks, and write a report.

    Args:
        paths: Model files of ranked networks.
        output: Folder for `index.html` and `links.json`.

    Raises:
        HRNetError: There are fewer than two files, or a network has no fusion links.
    """
    if len(paths) < 2:
        raise HRNetError(f"expected at least two models to compare, got {len(paths)}")
    networks = tuple(_ranked(label, path, read_description(path)) for label, path in zip(labels(paths), paths, strict=True))
    folder = check_output_folder(output)
    pairs = tuple(_pair(first, second) for first, second in itertools.combinations(networks, 2))
    result = LinksResult(networks, pairs, _mean_ranks_by_kind(networks))
    write_json(folder / "links.json", result.to_json())
    write_text(folder / "index.html", template("links.html.j2").render(result=result, title=page_title(result)))
    return result


def page_title(result: LinksResult) -> str:
    """Title of the page, with the range of the rank correlations."""
    title = f"Fusion links of {len(result.networks)} networks"
    correlations = [pair.correlation for pair in result.pairs if pair.correlation is not None]
    if not correlations:
        return title
    low, high = (f"{value:.2f}".replace("-", "−") for value in (min(correlations), max(correlations)))
    return f"{title}: rank correlation {low}" + (f" to {high}" if low != high else "")


def _ranked(label: str, path: Path | str, description: ModelDescription) -> RankedNetwork:
    network = description.network
    if not network.get("links"):
        raise HRNetError(f"{path} is of a network without fusion links")
    importance = {name: value for name, value in (description.importance or {}).items() if LINK.fullmatch(name)} or None
    kept, removed = tuple(network["links"]), tuple(network["removed_links"])
    diagram = links_figure(network, importance, f"Fusion links of {label}")
    return RankedNetwork(label, description.task, kept, removed, importance, diagram)


def _pair(first: RankedNetwork, second: RankedNetwork) -> Pair:
    if not first.importance or not second.importance:
        shared = {*first.kept, *first.removed} & {*second.kept, *second.removed}
        return Pair(first.label, second.label, len(shared), None, None, None)
    names = sorted(set(first.importance) & set(second.importance))
    columns = [[importance[name] for name in names] for importance in (first.importance, second.importance)]
    count = round(LEAST_IMPORTANT * len(names))
    least = [set(np.argsort(column, kind="stable")[:count].tolist()) for column in columns]
    by_chance = count * count / len(names) if names else 0.0
    correlation = spearman(*columns) if names else None
    return Pair(first.label, second.label, len(names), correlation, len(least[0] & least[1]), by_chance)


def _mean_ranks_by_kind(networks: Sequence[RankedNetwork]) -> tuple[KindRow, ...]:
    """Mean rank of each kind of link as a share: 0 is the least important link of all, 1 the most important."""
    columns = []
    for network in networks:
        importance = network.importance or {}
        rank_of = dict(zip(importance, ranks(list(importance.values())), strict=True)) if importance else {}
        shares = {name: (rank - 1) / max(len(rank_of) - 1, 1) for name, rank in rank_of.items()}
        columns.append({(kind.group, kind.name): kind.mean for kind in importance_by_kind(shares)})
    keys = dict.fromkeys(key for column in columns for key in column)
    return tuple((*key, tuple(column.get(key) for column in columns)) for key in keys)
