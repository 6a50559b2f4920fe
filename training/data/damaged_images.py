"""Images that turn out to be damaged while training: skipped and counted, up to a share."""

from __future__ import annotations

from threading import Lock

from mobile_eval.datasets.coco.invalid_labels import MAX_INVALID_SHARE
from mobile_eval.errors import HRNetError


class SkippedImages:
    """The items of each epoch whose image could not be read, and why; `items` is how many an epoch reads."""

    def __init__(self, items: int):
        self.items = items
        self.failed: HRNetError | None = None  # the first item that nothing could be made of, though its image could be read
        self._reasons: dict[int, dict[int, str]] = {}
        self._lock = Lock()

    def add(self, epoch: int, item: int, reason: str) -> None:
        """Note it; HRNetError where the epoch has lost more than 1 % of its items by it."""
        with self._lock:
            self._reasons.setdefault(epoch, {})[item] = reason
        self.check()

    def check(self) -> None:
        """Raise HRNetError, naming the first, where an epoch has lost more than 1 % of its items; and where one has `failed`."""
        if self.failed:
            raise self.failed
        for epoch, reasons in sorted(self._reasons.items()):
            if len(reasons) > MAX_INVALID_SHARE * self.items:
                raise HRNetError(
                    f"epoch {epoch + 1}: the images of {len(reasons)} of {self.items} examples cannot be read, more than "
                    f"{MAX_INVALID_SHARE:.0%}; the first: {reasons[min(reasons)]}"
                )

    def report(self, epoch: int) -> str | None:
        """One line on an epoch that is over; None where all was well."""
        reasons = self._reasons.get(epoch)
        if not reasons:
            return None
        return f"epoch {epoch + 1}: {len(reasons)} of {self.items} examples skipped, the first: {reasons[min(reasons)]}"
