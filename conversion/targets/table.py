"""One table of targets for a file: which take it, how that is known, and what it takes there."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mobile_eval.report.html import template
from mobile_eval.tables import text_table
from mobile_eval.typed import JsonObject

RAN, COMPILED, RULES, NOT_TRIED = "ran here", "compiled here", "documented rules", "not tried"
UNKNOWN = "-"
NOTE_WIDTH = 110  # characters


@dataclass(frozen=True)
class TargetRow:
    """A target.

    Attributes:
        target: Its name.
        known_by: RAN, COMPILED, RULES or NOT_TRIED.
        operators: Number of operators of the file; None where it was not tried.
        taken: Number of those that the target takes; 0 if it refuses the file.
        size_bytes: Size of the file for that target, or of its part on the target.
        latency_ms: Latency, in milliseconds, as `cost` says.
        memory_bytes: Memory that the file needs there.
        cost: What latency or memory is: "measured", "estimated", or of which threads; "" where there is none.
        note: Why it does not take all, how to install what is missing, or what else is to be known.
    """

    target: str
    known_by: str = NOT_TRIED
    operators: int | None = None
    taken: int | None = None
    size_bytes: int | None = None
    latency_ms: float | None = None
    memory_bytes: int | None = None
    cost: str = ""
    note: str = ""

    @property
    def verdict(self) -> str:
        """Whether the target takes the file: "all", "some" or "none" of its operators, or NOT_TRIED."""
        if self.known_by == NOT_TRIED or self.operators is None:
            return NOT_TRIED
        return "none" if not self.taken else "all" if self.taken == self.operators else "some"

    @property
    def cells(self) -> tuple[str, ...]:
        """The row as text."""
        takes = {"all": f"all {self.operators}", "some": f"{self.taken} of {self.operators}", "none": "no"}
        size = UNKNOWN if self.size_bytes is None else f"{self.size_bytes / 1e6:.3f} MB"
        figures = [] if self.latency_ms is None else [f"{self.latency_ms:.2f} ms"]
        figures += [] if self.memory_bytes is None else [f"{self.memory_bytes / 1e3:.0f} kB memory"]
        cost = f"{', '.join(figures)} ({self.cost})" if figures else UNKNOWN
        return self.target, takes.get(self.verdict, UNKNOWN), self.known_by, size, cost

    def to_json(self) -> JsonObject:
        """Convert to plain data."""
        return {"target": self.target, "takes_it": self.verdict, **dataclasses.asdict(self)}


@dataclass(frozen=True)
class TargetTable:
    """The targets of a file.

    Attributes:
        path: The file.
        sha256: Its checksum.
        rows: The targets.
    """

    path: Path
    sha256: str
    rows: tuple[TargetRow, ...]

    def __getitem__(self, target: str) -> TargetRow:
        """The row of that target."""
        return next(row for row in self.rows if row.target == target)

    def to_json(self) -> JsonObject:
        """Convert to plain data, without the folder of the file."""
        return {"model": self.path.name, "sha256": self.sha256, "targets": [row.to_json() for row in self.rows]}

    def to_html(self, spell: Callable[[str], str] = str) -> str:
        """Render the table as an HTML page that needs nothing beside it.

        Args:
            spell: Spells the parameters in a note.
        """
        tried = [row for row in self.rows if row.verdict != NOT_TRIED]
        taking = sum(row.verdict == "all" for row in tried)
        title = f"{self.path.name}: {taking} of {len(tried)} targets take every operator"
        notes = {spell(note): targets for note, targets in self.notes.items()}
        return template("targets.html.j2").render(table=self, title=title, notes=notes)

    def __str__(self) -> str:
        header = ("target", "takes it", "how it is known", "size there", "cost there")
        lines = [str(self.path), text_table(header, [row.cells for row in self.rows], left=3)]
        for note, names in self.notes.items():
            text = textwrap.TextWrapper(NOTE_WIDTH, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)
            lines.append(text.fill(f"{', '.join(names)}: {note}"))
        return "\n".join(lines)

    @property
    def notes(self) -> dict[str, list[str]]:
        """The targets of each note."""
        notes: dict[str, list[str]] = {}
        for row in self.rows:
            if row.note:
                notes.setdefault(row.note, []).append(row.target)
        return notes
