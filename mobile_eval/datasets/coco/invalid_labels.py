"""Labels that cannot be used: a few are counted and left out, many refuse the file."""

from __future__ import annotations

from mobile_eval.errors import HRNetError

MAX_INVALID_SHARE = 0.01  # of the labels of a file


def how_many(count: int, noun: str) -> str:
    """Such as "1 annotation" and "1,234 annotations"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


class InvalidLabels:
    """Counts the bad ones among the labels of a file.

    Args:
        source: The file, for messages.
        noun: What the labels are, such as "annotations".
        treated: What becomes of bad ones, such as "left out".
        strict: Refuse the file at the first bad label.
    """

    def __init__(self, source: str, noun: str, treated: str, *, strict: bool = False):
        self.source = source
        self.noun = noun
        self.treated = treated
        self.strict = strict
        self.total = 0
        self.bad = 0
        self.first = ""

    def add(self, reason: str) -> None:
        """Count a bad label; `reason` names it. Raises HRNetError where bad labels are not accepted."""
        if self.strict:
            raise HRNetError(f"{self.source}, {reason}")
        self.first = self.first or reason
        self.bad += 1

    def check(self) -> None:
        """Raise HRNetError, naming the first, where more than 1 % are bad."""
        if self.bad > MAX_INVALID_SHARE * self.total:
            count = f"{self.bad:,} of {self.total:,} {self.noun}"
            raise HRNetError(f"{self.source}: {count} cannot be used, more than {MAX_INVALID_SHARE:.0%}; the first: {self.first}")

    def remark(self) -> str:
        """How many are bad, what becomes of them, and the first; "" where none is."""
        return f"{self.bad:,} of {self.total:,} {self.noun} {self.treated}, the first: {self.first}" if self.bad else ""
