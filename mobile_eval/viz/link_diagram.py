"""The fusion links of a network as a picture: branches are rows, modules columns, links lines between them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from mobile_eval.model.network import BRANCH, FIRST_STAGE, LINK, DescribedNetwork
from mobile_eval.viz.svg import FAINT, GRID, INK, MUTED, PAPER, element, line, picture, text

STEM_STRIDE = 4
LEFT, TOP, ROW, BLOCK, EXCHANGE, GAP, STAGE_GAP, TAIL = 150, 74, 62, 30, 74, 20, 12, 84
BLOCK_HEIGHT, NODE, LEGEND_WIDTH, HEAD = 24, 5, 740, 60
TO_LOWER, TO_HIGHER, BUILT = "#c2570c", "#2458d3", "#dfe5ee"
THINNEST, THICKEST, UNRANKED = 1.0, 6.5, 2.0


@dataclass(frozen=True)
class _Link:
    """A link of the full network and what became of it."""

    stage: int
    module: int
    source: int
    target: int
    name: str
    kept: bool


@dataclass(frozen=True)
class _Network:
    """What is drawn: stages as (number, modules), every link of the full network, the branch modules that are built."""

    width: int
    stages: tuple[tuple[int, int], ...]
    outputs: tuple[int, ...]
    links: tuple[_Link, ...]
    live: frozenset[tuple[int, int, int]]

    @property
    def modules(self) -> list[tuple[int, int]]:
        """(stage, module) from left to right."""
        return [(stage, module) for stage, count in self.stages for module in range(count)]

    def read(self, stage: int, module: int) -> set[int]:
        """The targets of a module's exchange unit that something reads afterwards."""
        place = self.modules.index((stage, module))
        if place == len(self.modules) - 1:
            return set(self.outputs)
        later, next_module = self.modules[place + 1]
        used = {branch for branch in range(later) if (later, next_module, branch) in self.live}
        if later > stage and later - 1 in used:
            used.add(later - 2)
        return used & set(range(stage))


def link_diagram_svg(network: dict[str, Any], importance: dict[str, float] | None = None) -> str:
    """The picture as SVG text.

    `network` is that of a model's description: "width", "stages" ([{"stage", "modules"}, ...]), "outputs",
    "live_branches", "links" (kept) and "removed_links" by name. `importance` maps link names to a number, which
    becomes the weight of the line.
    """
    parsed = _parse(network)
    columns = _columns(parsed)
    branches = max(stage for stage, _ in parsed.stages)
    width = max(max(columns.values()) + BLOCK + EXCHANGE + TAIL, LEFT + LEGEND_WIDTH)
    height = TOP + ROW * branches + 54
    parts = [*_rows(parsed, branches), *_headings(parsed, columns), *_identities(parsed, columns)]
    drawn = sorted(parsed.links, key=lambda link: link.kept)  # what is kept lies over what is removed
    parts += [_link(link, columns, _weight(link.name, importance), (importance or {}).get(link.name)) for link in drawn]
    parts += [*_blocks(parsed, columns), *_counts(parsed, columns, TOP + ROW * branches - 8)]
    parts.append(_legend(LEFT, height - 12, importance is not None))
    kept = sum(link.kept for link in parsed.links)
    return picture(width, height, parts, f"{kept} of {len(parsed.links)} fusion links kept")


def _parse(network: dict[str, Any]) -> _Network:
    described = DescribedNetwork.from_json(network, "the network")
    links = [_link_of(name, True) for name in described.links] + [_link_of(name, False) for name in described.removed_links]
    live: frozenset[Any] = frozenset(tuple(_numbers(BRANCH, name)) for name in described.live_branches)
    stages = tuple((stage.stage, stage.modules) for stage in described.stages)
    return _Network(described.width, stages, described.outputs, tuple(links), live)


def _link_of(name: str, kept: bool) -> _Link:
    stage, module, source, target = _numbers(LINK, name)
    return _Link(stage, module, source, target, name, kept)


def _numbers(pattern: re.Pattern[str], name: str) -> list[int]:
    """The numbers in a name that `DescribedNetwork` has checked."""
    return [int(number) for number in pattern.findall(name)[0]]


def _columns(network: _Network) -> dict[tuple[int, int], float]:
    """Left edge of each module's blocks."""
    columns, x, before = {}, float(LEFT + 58), FIRST_STAGE
    for stage, module in network.modules:
        x += STAGE_GAP if stage != before else 0
        columns[stage, module] = x
        x, before = x + BLOCK + EXCHANGE + GAP, stage
    return columns


def _y(branch: int) -> float:
    return TOP + ROW * branch


def _fuse_x(column: float) -> float:
    return column + BLOCK + EXCHANGE - NODE


def _weight(name: str, importance: dict[str, float] | None) -> float:
    """Width of a link's line: area-true (square root) in its importance."""
    if not importance or name not in importance:
        return UNRANKED
    most = max(importance.values())
    share = max(importance[name], 0.0) / most if most > 0 else 0.0
    return THINNEST + (THICKEST - THINNEST) * math.sqrt(share)


def _rows(network: _Network, branches: int) -> list[str]:
    parts = []
    for branch in range(branches):
        parts.append(text(0, _y(branch) - 2, f"branch {branch}", size=12, weight=600))
        stride, channels = STEM_STRIDE * 2**branch, network.width * 2**branch
        parts.append(text(0, _y(branch) + 13, f"1/{stride} size · {channels} channels", size=11, color=MUTED))
    return parts


def _headings(network: _Network, columns: dict[tuple[int, int], float]) -> list[str]:
    parts = []
    for stage, modules in network.stages:
        left, right = columns[stage, 0], columns[stage, modules - 1] + BLOCK + EXCHANGE
        parts.append(text(left, 16, f"Stage {stage}", size=13, weight=600))
        parts.append(line(left, 24, right, 24, FAINT))
        for module in range(modules):
            parts.append(text(columns[stage, module], 41, f"module {module}", size=11, color=MUTED))
    return parts


def _identities(network: _Network, columns: dict[tuple[int, int], float]) -> list[str]:
    """Lines along the branches, and those that start a new branch."""
    parts = []
    places = network.modules
    start = LEFT + 30.0
    ends = {0: start}  # where the line of each branch comes from
    for place, (stage, module) in enumerate(places):
        column = columns[stage, module]
        for branch in range(stage):
            built = (stage, module, branch) in network.live
            if branch in ends:
                parts.append(_along(ends[branch], column, _y(branch), built))
            elif branch - 1 in ends:
                parts.append(_begin(ends[branch - 1], column, _y(branch - 1), _y(branch), built))
        last = place == len(places) - 1
        ends = {}
        for branch in network.outputs if last else range(stage):
            read = branch in network.read(stage, module)
            parts.append(_along(column + BLOCK, _fuse_x(column), _y(branch), read))
            ends[branch] = _fuse_x(column) + NODE
    final = _fuse_x(columns[places[-1]]) + NODE
    return parts + [_along(final, final + 16, _y(output), True) for output in network.outputs]


def _along(x1: float, x2: float, y: float, built: bool) -> str:
    return line(x1, y, x2, y, MUTED if built else GRID, 1.25, None if built else "3 3")


def _begin(x1: float, x2: float, y1: float, y2: float, built: bool) -> str:
    middle = (x1 + x2) / 2
    path = f"M{x1:g} {y1:g} C{middle:g} {y1:g} {middle - 4:g} {y2:g} {x2:g} {y2:g}"
    attributes = {"d": path, "fill": "none", "stroke": MUTED if built else GRID, "stroke-width": 1.25}
    return element("path", {**attributes, "stroke-dasharray": None if built else "3 3"})


def _link(link: _Link, columns: dict[tuple[int, int], float], weight: float, importance: float | None) -> str:
    column, apart = columns[link.stage, link.module], link.target - link.source
    x1, x2 = column + BLOCK, _fuse_x(column) - NODE
    y1, y2 = _y(link.source) + 2.5 * apart, _y(link.target) - 1.2 * apart
    bend = (x2 - x1) * 0.5
    color = FAINT if not link.kept else TO_LOWER if apart > 0 else TO_HIGHER
    attributes = {
        "d": f"M{x1:g} {y1:g} C{x1 + bend:g} {y1:g} {x2 - bend:g} {y2:g} {x2:g} {y2:g}",
        "fill": "none",
        "stroke": color,
        "stroke-width": weight,
        "stroke-dasharray": None if link.kept else "4 3",
        "stroke-opacity": 0.85 if link.kept else 1,
        "class": "link kept" if link.kept else "link removed",
    }
    ranked = "" if importance is None else f", importance {importance:.4g}"
    return element("path", attributes, title=f"{link.name}: {'kept' if link.kept else 'removed'}{ranked}")


def _blocks(network: _Network, columns: dict[tuple[int, int], float]) -> list[str]:
    parts = [_box(LEFT, _y(0), True, "stem and stage 1"), text(LEFT, _y(0) - 18, "stage 1", size=11, color=MUTED)]
    for stage, module in network.modules:
        column, read = columns[stage, module], network.read(stage, module)
        last = (stage, module) == network.modules[-1]
        for branch in range(stage):
            built = (stage, module, branch) in network.live
            state = "built" if built else "not built, no output feels it"
            parts.append(_box(column, _y(branch), built, f"stage{stage}_module{module}_branch{branch}: {state}"))
            if branch in network.outputs or not last:
                circle = {"cx": _fuse_x(column), "cy": _y(branch), "r": NODE, "fill": PAPER, "stroke-width": 1.5}
                parts.append(element("circle", {**circle, "stroke": INK if branch in read else FAINT}))
    end = _fuse_x(columns[network.modules[-1]]) + NODE + 16
    for output in network.outputs:
        parts.append(_box(end, _y(output), True, "what the head reads", HEAD))
        parts.append(text(end + HEAD / 2, _y(output) + 4, "head", size=11, anchor="middle"))
    return parts


def _box(x: float, y: float, built: bool, title: str, width: float = BLOCK) -> str:
    place = {"x": x, "y": y - BLOCK_HEIGHT / 2, "width": width, "height": BLOCK_HEIGHT, "rx": 4}
    fill, stroke = (BUILT, MUTED) if built else (PAPER, FAINT)
    return element("rect", {**place, "fill": fill, "stroke": stroke, "stroke-dasharray": None if built else "3 3"}, title=title)


def _counts(network: _Network, columns: dict[tuple[int, int], float], y: float) -> list[str]:
    parts = []
    for place, column in columns.items():
        links = [link for link in network.links if (link.stage, link.module) == place]
        parts.append(text(column, y, f"{sum(link.kept for link in links)} of {len(links)} links", size=11, color=MUTED))
    return parts


def _legend(x: float, y: float, ranked: bool) -> str:
    entries = (("to lower resolution", TO_LOWER, None), ("to higher resolution", TO_HIGHER, None), ("removed", FAINT, "4 3"))
    parts = []
    for label, color, dash in entries:
        parts += [line(x, y - 4, x + 26, y - 4, color, 3, dash), text(x + 32, y, label, size=11, color=MUTED)]
        x += 32 + 6.2 * len(label) + 24
    parts += [_box(x, y - 4, False, "branch not built", 26), text(x + 32, y, "branch not built", size=11, color=MUTED)]
    if ranked:
        parts.append(text(x + 148, y, "line weight: importance", size=11, color=MUTED))
    return "".join(parts)
