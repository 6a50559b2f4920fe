"""Invalid labels in an annotation file: a few are skipped and counted, too many make the file unusable."""

from __future__ import annotations

from mobile_eval.errors import HRNetError

MAX_INVALID_SHARE = 0.01  # of the labels of a file


class InvalidLabels:
    """Counts the invalid labels of a file.

    Args:
        source: Name of the file in messages.
        noun: What the labels are, such as "annotations".
        treatment: What happens to invalid ones, such as "skipped".
        strict: Refuse the file at the first invalid label.
    """

    def __init__(self, source: str, noun: str, treatment: str, *, strict: bool = False):
        self.source = source
        self.noun = noun
        self.treatment = treatment
        self.strict = strict
        self.total = 0  # valid and invalid labels; the caller counts them
        self.invalid = 0
        self.first = ""

    def add(self, reason: str) -> None:
        """Count an invalid label; HRNetError if `strict`.

        Args:
            reason: The name of the label, and what is wrong with it.
        """
        if self.strict:
            raise HRNetError(f"{self.source}, {reason}")
        self.first = self.first or reason
        self.invalid += 1

    def check(self) -> None:
        """Raise HRNetError, naming the first invalid label, if more than 1 % are invalid."""
        if self.invalid > MAX_INVALID_SHARE * self.total:
            count = f"{self.invalid:,} of {self.total:,} {self.noun}"
            raise HRNetError(f"{self.source}: {count} are invalid, more than {MAX_INVALID_SHARE:.0%}; first: {self.first}")

    def summary(self) -> str:
        """The number of invalid labels, their treatment, and the first of them; "" if there are none."""
        if not self.invalid:
            return ""
        return f"{self.invalid:,} of {self.total:,} {self.noun} {self.treatment}; first: {self.first}"
