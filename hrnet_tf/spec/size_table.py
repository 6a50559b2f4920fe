"""What `hrnet models` shows: the networks' sizes beside what is printed of them, and the parts of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.complexity import Cost, parts, total
from hrnet_tf.spec.network import TASKS
from hrnet_tf.spec.presets import PRESETS, customized, preset
from hrnet_tf.spec.reference_sizes import USUAL_RULES, Comparison, compared, figures_of
from mobile_eval.errors import HRNetError

WIDE = 100  # columns of a terminal from which on there is room for whole numbers
NARROWEST = 80


@dataclass(frozen=True)
class Entry:
    """A network, the cost of its parts, and what is printed of it at this input size."""

    spec: Network
    parts: dict[str, Cost]
    published: tuple[Comparison, ...]

    @property
    def cost(self) -> Cost:
        """The whole network."""
        return total(self.parts.values())

    def printed(self, quantity: str) -> Comparison | None:
        """The usual printed number of "parameters" or "multiply-adds", if there is one."""
        return next((comparison for comparison in self.published if comparison.figure.rule.quantity == quantity), None)

    def to_json(self, *, with_parts: bool = False) -> dict[str, Any]:
        """Plain data; shares are between 0 and 1."""
        spec, cost = self.spec, self.cost
        data: dict[str, Any] = {
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


def entries(name: str | None = None, task: str | None = None, input_size: tuple[int, int] | None = None) -> list[Entry]:
    """The presets of that name and task (all if not given), at their own input size or another (height, width)."""
    if task is not None and task not in TASKS:
        raise HRNetError(f"no task named {task!r}; there are {', '.join(TASKS)}")
    chosen = list(PRESETS.values()) if name is None else [preset(name)]
    if name is not None and task not in (None, chosen[0].task):
        raise HRNetError(f"{name} is for {chosen[0].task}, not for {task}")
    return [_entry(customized(spec, input_size=input_size)) for spec in chosen if task in (None, spec.task)]


def _entry(spec: Network) -> Entry:
    return Entry(spec, parts(spec), tuple(map(compared, figures_of(spec.name, spec.input_size))))


def show(console: Console, *renderables: RenderableType) -> None:
    """Print, never narrower than the widest needs: a line that wraps is better than a number cut short."""
    needed = max(Measurement.get(console, console.options.update(width=1000), item).minimum for item in renderables)
    console.width = max(console.width, needed, NARROWEST)
    for index, item in enumerate(renderables):
        if index:
            console.print()
        console.print(item)


def models_table(listed: Sequence[Entry], *, wide: bool) -> RenderableType:
    """One row a network, grouped by task and input; `wide` has room for whole numbers."""
    parameters, multiply_adds = ("parameters", "multiply-adds\n/ 1e9") if wide else ("param.\n/ 1e6", "mult.-\nadds\n/ 1e9")
    papers = ("paper's\nparam.", "diff.\n%", "paper's\nGFLOPs", "diff.\n%")
    table = _table(wide, "task, input\nand name", parameters, multiply_adds, "/ 2^30", "links", *papers)
    footnotes: dict[str, str] = {}
    digits = 3 if wide else 2
    group = None
    for entry in listed:
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
            f"{cost.multiply_adds / 1e9:.{digits}f}",
            f"{cost.multiply_adds / 2**30:.{digits}f}",
            str(len(spec.links) or "–"),
            *_printed(entry.printed("parameters"), footnotes),
            *_printed(entry.printed("multiply-adds"), footnotes),
        )
    notes = (Text(f"{mark}  {text}") for text, mark in footnotes.items())
    return Group(table, Text(), *notes, Text("GFLOPs are multiply-adds / 2^30 where no note says otherwise."))


def _printed(comparison: Comparison | None, footnotes: dict[str, str]) -> tuple[str, Text]:
    """The printed number and the difference, with the mark of its footnote."""
    if comparison is None:
        return "–", Text("– ")
    figure = comparison.figure
    rule = "" if figure.rule in USUAL_RULES else f"{figure.rule.quantity} counted {figure.rule.text}"
    text = "; ".join(filter(None, (rule, figure.note)))
    mark = footnotes.setdefault(text, chr(ord("a") + len(footnotes))) if text else " "
    return figure.printed, Text(f"{_percent(comparison)}{mark}", style="" if comparison.reproduced else "yellow")


def _percent(comparison: Comparison) -> str:
    """The difference with its sign, if it has one."""
    text = f"{comparison.difference_percent:+.2f}"
    return "0.00" if float(text) == 0 else text


def figures_text(entry: Entry) -> RenderableType:
    """Every printed number of a network in a line of its own, with source and rule."""
    lines = []
    for comparison in entry.published:
        figure = comparison.figure
        classes = f" with {figure.classes} classes" if figure.classes else ""
        note = f"; {figure.note}" if figure.note else ""
        lines.append(
            f"{figure.rule.quantity} {figure.rule.text}: {figure.printed} in {figure.source}{classes}, "
            f"{comparison.ours:.{figure.digits + 1}f} here, {_percent(comparison)} %{note}"
        )
    return Text("\n".join(lines) or "nothing is printed of it at this input size")


def parts_table(entry: Entry, *, wide: bool) -> RenderableType:
    """Every part of a network with its share of the whole; at the end all branches, all links, everything."""
    table = _table(wide, "part", "parameters", "%", "multiply-adds", "%")
    whole = entry.cost

    def add(name: str, cost: Cost, style: str | None = None) -> None:
        shares = cost.parameters / whole.parameters, cost.multiply_adds / whole.multiply_adds
        numbers = (f"{cost.parameters:,}", f"{shares[0]:.2%}"[:-1], f"{cost.multiply_adds:,}", f"{shares[1]:.2%}"[:-1])
        table.add_row(name, *numbers, style=style)

    for name, cost in entry.parts.items():
        add(name, cost)
    table.add_row()
    for kind, plural in (("_branch", "branches"), ("_link", "links")):
        of_kind = [cost for name, cost in entry.parts.items() if kind in name]
        if of_kind:
            add(f"{len(of_kind)} {plural}", total(of_kind))
    add("everything", whole, style="bold")
    return table


def _table(wide: bool, first: str, *numbers: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1 if wide else 0))
    table.add_column(first, no_wrap=True, vertical="bottom")
    for header in numbers:
        table.add_column(header, justify="right", no_wrap=True)
    return table
