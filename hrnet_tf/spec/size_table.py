"""The tables of `hrnet models`: sizes of the networks beside the published ones, and the parts of one network."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.complexity import parts
from hrnet_tf.spec.cost import Cost, total
from hrnet_tf.spec.network import TASKS
from hrnet_tf.spec.presets import PRESETS, customized, preset
from hrnet_tf.spec.reference_sizes import USUAL_RULES, Comparison, compare_figure, figures_of
from mobile_eval.errors import HRNetError
from mobile_eval.typed import JsonObject, Size

WIDE = 100  # columns of a terminal that has room for unabbreviated numbers
MIN_WIDTH = 80


@dataclass(frozen=True)
class Entry:
    """A network beside its published sizes.

    Attributes:
        spec: The network.
        parts: The cost of its parts, by name.
        published: Comparisons with the published numbers at this input size.
    """

    spec: Network
    parts: dict[str, Cost]
    published: tuple[Comparison, ...]

    @property
    def cost(self) -> Cost:
        """The cost of the network."""
        return total(self.parts.values())

    def printed(self, quantity: str) -> Comparison | None:
        """The usual published number of "parameters" or "multiply-adds", if there is one."""
        return next((comparison for comparison in self.published if comparison.figure.rule.quantity == quantity), None)

    def to_json(self, *, with_parts: bool = False) -> JsonObject:
        """Return plain data, with the cost of each part if `with_parts`; shares are between 0 and 1."""
        spec, cost = self.spec, self.cost
        data: JsonObject = {
            "name": spec.name,
            "task": spec.task,
            "input_size": list(spec.input_size),
            "classes": spec.classes,
            "parameters": cost.parameters,
            "norm_parameters": cost.norm_parameters,
            "multiply_adds": cost.multiply_adds,
            "deconvolution_multiply_adds": cost.deconvolution_multiply_adds,
            "links": len(spec.links),
            "published": [comparison.to_json() for comparison in self.published],
        }
        if with_parts:
            data["parts"] = [
                {
                    "name": name,
                    "parameters": part.parameters,
                    "parameters_share": part.parameters / cost.parameters,
                    "multiply_adds": part.multiply_adds,
                    "multiply_adds_share": part.multiply_adds / cost.multiply_adds,
                }
                for name, part in self.parts.items()
            ]
        return data


def entries(name: str | None = None, task: str | None = None, input_size: Size | None = None) -> list[Entry]:
    """Return the presets with their sizes.

    Args:
        name: Only the preset of this name.
        task: Only presets for this task.
        input_size: (height, width) in pixels, of the presets that can have it; None for that of each preset.

    Raises:
        HRNetError: If there is no such preset or task, the preset is for another task, or none can have the input size.
    """
    if task is not None and task not in TASKS:
        raise HRNetError(f"no task named {task!r}; choose one of {', '.join(TASKS)}")
    if name is not None:
        spec = customized(preset(name), input_size=input_size)
        if task not in (None, spec.task):
            raise HRNetError(f"{name} is for {spec.task}, not for {task}")
        return [_entry(spec)]
    specs = [spec for spec in PRESETS.values() if task in (None, spec.task)]
    sized = list(_with_size(specs, input_size)) or [customized(specs[0], input_size=input_size)]
    return [_entry(spec) for spec in sized]


def _with_size(specs: Sequence[Network], input_size: Size | None) -> Iterator[Network]:
    """The networks that can have an input size, with it."""
    for spec in specs:
        with contextlib.suppress(HRNetError):
            yield customized(spec, input_size=input_size)


def _entry(spec: Network) -> Entry:
    return Entry(spec, parts(spec), tuple(map(compare_figure, figures_of(spec.name, spec.input_size))))


def show(console: Console, *renderables: RenderableType) -> None:
    """Print tables and texts without truncating a number: lines may be wider than the console."""
    required = max(Measurement.get(console, console.options.update(width=1000), item).minimum for item in renderables)
    console.width = max(console.width, required, MIN_WIDTH)
    for index, item in enumerate(renderables):
        if index:
            console.print()
        console.print(item)


def models_table(networks: Sequence[Entry], *, wide: bool) -> RenderableType:
    """Return a table with one row per network, grouped by task and input size; in millions unless `wide`."""
    parameters, multiply_adds = ("parameters", "multiply-adds\n/ 1e9") if wide else ("param.\n/ 1e6", "mult.-\nadds\n/ 1e9")
    papers = ("paper\nparam.", "diff.\n%", "paper\nGFLOPs", "diff.\n%")
    table = _table(wide, "task, input\nand name", parameters, multiply_adds, "/ 2^30" if wide else "/2^30", "links", *papers)
    footnotes: dict[str, str] = {}
    group = None
    for entry in networks:
        spec, cost = entry.spec, entry.cost
        height, width = spec.input_size
        if group not in (None, (spec.task, spec.input_size)):
            table.add_row()
        if group != (spec.task, spec.input_size):
            table.add_row(Text(f"{spec.task} {height}x{width}", style="bold"))
        group = spec.task, spec.input_size
        table.add_row(
            f"  {spec.name}" if wide else spec.name,
            f"{cost.parameters:,}" if wide else f"{cost.parameters / 1e6:.2f}",
            *(_billions(cost.multiply_adds / divisor, wide=wide) for divisor in (1e9, 2**30)),
            str(len(spec.links) or "–"),
            *_published(entry.printed("parameters"), footnotes),
            *_published(entry.printed("multiply-adds"), footnotes),
        )
    notes = (Text(f"{mark}  {text}") for text, mark in footnotes.items())
    return Group(table, Text(), *notes, Text("GFLOPs are multiply-adds / 2^30 where no note says otherwise."))


def _billions(value: float, *, wide: bool) -> str:
    """A number of multiply-adds in billions; unless `wide`, in at most 5 characters below 100,000."""
    narrow_digits = 0 if value >= 1000 else 1 if value >= 100 else 2
    return f"{value:.{3 if wide else narrow_digits}f}"


def _published(comparison: Comparison | None, footnotes: dict[str, str]) -> tuple[str, Text]:
    """The published number, and the difference with the mark of its footnote."""
    if comparison is None:
        return "–", Text("– ")
    figure = comparison.figure
    rule = "" if figure.rule in USUAL_RULES else f"{figure.rule.quantity} counted {figure.rule.text}"
    text = "; ".join(filter(None, (rule, figure.note)))
    mark = footnotes.setdefault(text, chr(ord("a") + len(footnotes))) if text else " "
    return figure.printed, Text(f"{_percent(comparison)}{mark}", style="" if comparison.reproduced else "yellow")


def _percent(comparison: Comparison) -> str:
    """The difference with its sign, without one if it rounds to zero."""
    text = f"{comparison.difference_percent:+.{1 if abs(comparison.difference_percent) >= 10 else 2}f}"
    return "0.00" if float(text) == 0 else text


def figures_text(entry: Entry) -> RenderableType:
    """Return every published number of a network on a line, with its source and rule."""
    lines = []
    for comparison in entry.published:
        figure = comparison.figure
        classes = f" with {figure.classes} classes" if figure.classes else ""
        note = f"; {figure.note}" if figure.note else ""
        lines.append(
            f"{figure.rule.quantity} {figure.rule.text}: {figure.printed} in {figure.source}{classes}, "
            f"{comparison.ours:.{figure.digits + 1}f} here, {_percent(comparison)} %{note}"
        )
    return Text("\n".join(lines) or "no size is published for this network at this input size")


def parts_table(entry: Entry, *, wide: bool) -> RenderableType:
    """Return a table of all parts of a network with their shares, and the sums of branches, links and everything."""
    table = _table(wide, "part", "parameters", "%", "multiply-adds", "%")
    network_cost = entry.cost

    def add(name: str, cost: Cost, style: str | None = None) -> None:
        shares = cost.parameters / network_cost.parameters, cost.multiply_adds / network_cost.multiply_adds
        numbers = (f"{cost.parameters:,}", f"{shares[0]:.2%}"[:-1], f"{cost.multiply_adds:,}", f"{shares[1]:.2%}"[:-1])
        table.add_row(name, *numbers, style=style)

    for name, cost in entry.parts.items():
        add(name, cost)
    table.add_row()
    for kind, plural in (("_branch", "branches"), ("_link", "links")):
        costs = [cost for name, cost in entry.parts.items() if kind in name]
        if costs:
            add(f"{len(costs)} {plural}", total(costs))
    add("everything", network_cost, style="bold")
    return table


def _table(wide: bool, name_header: str, *number_headers: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1 if wide else 0))
    table.add_column(name_header, no_wrap=True, vertical="bottom")
    for header in number_headers:
        table.add_column(header, justify="right", no_wrap=True)
    return table
