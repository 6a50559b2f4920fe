"""The fusion links of a network as SVG: rows are branches, columns are modules, lines are links."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from mobile_eval.model.network import BRANCH, FIRST_STAGE, LINK, DescribedNetwork
from mobile_eval.typed import JsonObject
from mobile_eval.viz.svg import BLUE, FAINT, FILL, GRID, INK, MUTED, ORANGE, PAPER, element, line, picture, text

STEM_STRIDE = 4
LEFT, TOP, ROW, BLOCK, EXCHANGE, GAP, STAGE_GAP, TAIL = 176, 74, 62, 30, 74, 20, 12, 84
BLOCK_HEIGHT, NODE, LEGEND_WIDTH, HEAD = 24, 5, 740, 60
TO_LOWER, TO_HIGHER = ORANGE, BLUE
MIN_WIDTH, MAX_WIDTH, UNRANKED_WIDTH = 1.0, 6.5, 2.0  # of links
BRANCH_WIDTH, NARROWEST, LOWEST = 2.5, 0.75, 5  # of the line of a full branch, and of the thinnest; height of the lowest box
DASHED = "3 3"
HEADING, DIAGRAM_GAP = 30, 24  # of diagrams below each other


@dataclass(frozen=True)
class _Link:
    """A link of the full network, and whether the network still has it."""

    stage: int
    module: int
    source: int
    target: int
    name: str
    kept: bool


@dataclass(frozen=True)
class _Network:
    """What is drawn: stages as (number, modules), all links of the full network, and the branch modules that are built."""

    width: int
    stages: tuple[tuple[int, int], ...]
    outputs: tuple[int, ...]
    links: tuple[_Link, ...]
    live: frozenset[tuple[int, int, int]]
    streams: Mapping[str, int]
    inner_shares: Mapping[str, float]

    def channels(self, branch: int) -> tuple[int, int]:
        """Return the channels of a branch, now and in the full network."""
        full = self.width * 2**branch
        return self.streams.get(str(branch), full), full

    def line_width(self, branch: int) -> float:
        """Return the width of a branch's line, in proportion to its channels."""
        channels, full = self.channels(branch)
        return max(BRANCH_WIDTH * channels / full, NARROWEST)

    @property
    def modules(self) -> list[tuple[int, int]]:
        """Each (stage, module) from left to right."""
        return [(stage, module) for stage, count in self.stages for module in range(count)]

    def used_targets(self, stage: int, module: int) -> set[int]:
        """Return the targets of a module's exchange unit that a later module or an output uses."""
        index = self.modules.index((stage, module))
        if index == len(self.modules) - 1:
            return set(self.outputs)
        next_stage, next_module = self.modules[index + 1]
        used = {branch for branch in range(next_stage) if (next_stage, next_module, branch) in self.live}
        if next_stage > stage and next_stage - 1 in used:  # the new branch starts from the lowest one
            used.add(next_stage - 2)
        return used & set(range(stage))


def link_diagrams_svg(networks: Mapping[str, tuple[JsonObject, Mapping[str, float] | None]]) -> str:
    """Draw the links of several networks below each other.

    Args:
        networks: Network and importance (see `link_diagram_svg`) by heading.

    Returns:
        SVG text.
    """
    parts, width, y = [], 0.0, 0.0
    for heading, (network, importance) in networks.items():
        diagram = _diagram(_parse(network), importance)
        parts.append(text(0, y + 14, heading, size=15, weight=600))
        parts.append(element("g", {"transform": f"translate(0 {y + HEADING:g})"}, "\n".join(diagram.parts)))
        width, y = max(width, diagram.width), y + HEADING + diagram.height + DIAGRAM_GAP
    return picture(width, y - DIAGRAM_GAP, parts, f"fusion links of {', '.join(networks)}")


def link_diagram_svg(network: JsonObject, importance: Mapping[str, float] | None = None) -> str:
    """Draw the links of a network, kept and removed.

    Args:
        network: The network of a model's description: "width", "stages" ([{"stage", "modules"}, ...]), "outputs",
            "live_branches", "links" and "removed_links" by name.
        importance: Importance by link name; it sets the width of the lines.

    Returns:
        SVG text.
    """
    parsed = _parse(network)
    diagram = _diagram(parsed, importance)
    kept = sum(link.kept for link in parsed.links)
    return picture(diagram.width, diagram.height, diagram.parts, f"{kept} of {len(parsed.links)} fusion links kept")


@dataclass(frozen=True)
class _Diagram:
    """The elements of a diagram and its size in pixels."""

    width: float
    height: float
    parts: list[str]


def _diagram(parsed: _Network, importance: Mapping[str, float] | None) -> _Diagram:
    columns = _columns(parsed)
    branches = max(stage for stage, _ in parsed.stages)
    width = max(max(columns.values()) + BLOCK + EXCHANGE + TAIL, LEGEND_WIDTH)
    height = TOP + ROW * branches + 54
    parts = [*_rows(parsed, branches), *_headings(parsed, columns), *_identities(parsed, columns)]
    drawn = sorted(parsed.links, key=lambda link: link.kept)  # kept links lie over removed ones
    parts += [_link(link, columns, importance or {}) for link in drawn]
    parts += [*_blocks(parsed, columns), *_counts(parsed, columns, TOP + ROW * branches - 8)]
    parts.append(_legend(0, height - 12, importance is not None))
    return _Diagram(width, height, parts)


def _parse(network: JsonObject) -> _Network:
    described = DescribedNetwork.from_json(network, "the network")
    links = [_parse_link(name, kept=True) for name in described.links]
    links += [_parse_link(name, kept=False) for name in described.removed_links]
    live = frozenset(
        (stage, module, branch) for stage, module, branch in (_numbers(BRANCH, name) for name in described.live_branches)
    )
    stages = tuple((stage.stage, stage.modules) for stage in described.stages)
    widths = described.streams, described.inner_shares
    return _Network(described.width, stages, described.outputs, tuple(links), live, *widths)


def _parse_link(name: str, *, kept: bool) -> _Link:
    stage, module, source, target = _numbers(LINK, name)
    return _Link(stage, module, source, target, name, kept)


def _numbers(pattern: re.Pattern[str], name: str) -> list[int]:
    """Return the numbers in a name, which `DescribedNetwork` has checked."""
    return [int(number) for number in pattern.findall(name)[0]]


def _columns(network: _Network) -> dict[tuple[int, int], float]:
    """Return the left edge of the blocks of each module."""
    columns, x, previous = {}, float(LEFT + 58), FIRST_STAGE
    for stage, module in network.modules:
        x += STAGE_GAP if stage != previous else 0
        columns[stage, module] = x
        x, previous = x + BLOCK + EXCHANGE + GAP, stage
    return columns


def _y(branch: int) -> float:
    return TOP + ROW * branch


def _fuse_x(column: float) -> float:
    return column + BLOCK + EXCHANGE - NODE


def _link_width(name: str, importance: Mapping[str, float]) -> float:
    """Return the width of a link's line: its square grows with the importance."""
    if name not in importance:
        return UNRANKED_WIDTH
    highest = max(importance.values())
    share = max(importance[name], 0.0) / highest if highest > 0 else 0.0
    return MIN_WIDTH + (MAX_WIDTH - MIN_WIDTH) * math.sqrt(share)


def _rows(network: _Network, branches: int) -> list[str]:
    parts = []
    for branch in range(branches):
        parts.append(text(0, _y(branch) - 2, f"branch {branch}", size=12, weight=600))
        channels, full = network.channels(branch)
        counted = f"{channels} channels" if channels == full else f"{channels} of {full} channels"
        parts.append(text(0, _y(branch) + 13, f"1/{STEM_STRIDE * 2**branch} size · {counted}", size=11, color=MUTED))
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
    """Draw the lines along the branches, and those that start new branches."""
    parts = []
    modules = network.modules
    ends = {0: LEFT + 30.0}  # where the line of each branch ends so far
    for index, (stage, module) in enumerate(modules):
        column = columns[stage, module]
        for branch in range(stage):
            built = (stage, module, branch) in network.live
            if branch in ends:
                parts.append(_branch_line(ends[branch], column, branch, network, built=built))
            elif branch - 1 in ends:
                parts.append(_branch_start(ends[branch - 1], column, branch, network, built=built))
        last = index == len(modules) - 1
        ends = {}
        for branch in network.outputs if last else range(stage):
            used = branch in network.used_targets(stage, module)
            parts.append(_branch_line(column + BLOCK, _fuse_x(column), branch, network, built=used))
            ends[branch] = _fuse_x(column) + NODE
    final = _fuse_x(columns[modules[-1]]) + NODE
    return parts + [_branch_line(final, final + 16, output, network, built=True) for output in network.outputs]


def _branch_line(x1: float, x2: float, branch: int, network: _Network, *, built: bool) -> str:
    color, dashes = (MUTED, None) if built else (GRID, DASHED)
    return line(x1, _y(branch), x2, _y(branch), color, network.line_width(branch), dashes)


def _branch_start(x1: float, x2: float, branch: int, network: _Network, *, built: bool) -> str:
    middle, y1, y2 = (x1 + x2) / 2, _y(branch - 1), _y(branch)
    path = f"M{x1:g} {y1:g} C{middle:g} {y1:g} {middle - 4:g} {y2:g} {x2:g} {y2:g}"
    attributes = {"d": path, "fill": "none", "stroke": MUTED if built else GRID, "stroke-width": network.line_width(branch)}
    return element("path", {**attributes, "stroke-dasharray": None if built else DASHED})


def _link(link: _Link, columns: dict[tuple[int, int], float], importance: Mapping[str, float]) -> str:
    column, distance = columns[link.stage, link.module], link.target - link.source
    x1, x2 = column + BLOCK, _fuse_x(column) - NODE
    y1, y2 = _y(link.source) + 2.5 * distance, _y(link.target) - 1.2 * distance
    bend = (x2 - x1) * 0.5
    color = FAINT if not link.kept else TO_LOWER if distance > 0 else TO_HIGHER
    attributes = {
        "d": f"M{x1:g} {y1:g} C{x1 + bend:g} {y1:g} {x2 - bend:g} {y2:g} {x2:g} {y2:g}",
        "fill": "none",
        "stroke": color,
        "stroke-width": _link_width(link.name, importance),
        "stroke-dasharray": None if link.kept else "4 3",
        "stroke-opacity": 0.85 if link.kept else 1,
        "class": "link kept" if link.kept else "link removed",
    }
    rank = f", importance {importance[link.name]:.4g}" if link.name in importance else ""
    return element("path", attributes, title=f"{link.name}: {'kept' if link.kept else 'removed'}{rank}")


def _blocks(network: _Network, columns: dict[tuple[int, int], float]) -> list[str]:
    parts = [_box(LEFT, _y(0), True, "stem and stage 1"), text(LEFT, _y(0) - 18, "stage 1", size=11, color=MUTED)]
    for stage, module in network.modules:
        column, used = columns[stage, module], network.used_targets(stage, module)
        last = (stage, module) == network.modules[-1]
        for branch in range(stage):
            built = (stage, module, branch) in network.live
            name = f"stage{stage}_module{module}_branch{branch}"
            share = network.inner_shares.get(name, 1.0)
            state = "built" if built else "not built: it reaches no output"
            state += f", with {share:.0%} of the channels in its blocks" if share < 1 and built else ""
            parts.append(_box(column, _y(branch), built, f"{name}: {state}", height=max(share * BLOCK_HEIGHT, LOWEST)))
            if branch in network.outputs or not last:
                circle = {"cx": _fuse_x(column), "cy": _y(branch), "r": NODE, "fill": PAPER, "stroke-width": 1.5}
                parts.append(element("circle", {**circle, "stroke": INK if branch in used else FAINT}))
    end = _fuse_x(columns[network.modules[-1]]) + NODE + 16
    for output in network.outputs:
        parts.append(_box(end, _y(output), True, "input of the head", HEAD))
        parts.append(text(end + HEAD / 2, _y(output) + 4, "head", size=11, anchor="middle"))
    return parts


def _box(x: float, y: float, built: bool, title: str, width: float = BLOCK, height: float = BLOCK_HEIGHT) -> str:
    frame = {"x": x, "y": y - height / 2, "width": width, "height": height, "rx": min(4, height / 2)}
    fill, stroke = (FILL, MUTED) if built else (PAPER, FAINT)
    return element("rect", {**frame, "fill": fill, "stroke": stroke, "stroke-dasharray": None if built else DASHED}, title=title)


def _counts(network: _Network, columns: dict[tuple[int, int], float], y: float) -> list[str]:
    parts = []
    for module, column in columns.items():
        links = [link for link in network.links if (link.stage, link.module) == module]
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
