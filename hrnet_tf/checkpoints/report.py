"""What an import did with the entries of a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

MAX_LISTED = 5  # names in a line of the report


@dataclass(frozen=True)
class ImportReport:
    """What an import did with the entries of a checkpoint.

    Attributes:
        model: Name of the network.
        loaded: Official names of the entries that were loaded.
        missing: Entries that the network has but the checkpoint has not; they keep their initial weights.
        unexpected: Entries that the checkpoint has but the network has not; they are ignored.
        notes: Remarks.
    """

    model: str
    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.model}: {len(self.loaded)} entries loaded"]
        lines.append(_summary("missing, initial weights kept", self.missing))
        lines.append(_summary("unexpected, ignored", self.unexpected))
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def _summary(what: str, names: tuple[str, ...]) -> str:
    listed = ", ".join(names[:MAX_LISTED]) + (", ..." if len(names) > MAX_LISTED else "")
    return f"{len(names)} {what}" + (f": {listed}" if names else "")
