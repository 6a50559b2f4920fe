"""Images that turn out to be unreadable during training: skipped and counted, up to 1 % of an epoch."""

from __future__ import annotations

from threading import Lock

from mobile_eval.datasets.coco.invalid_labels import MAX_INVALID_SHARE
from mobile_eval.errors import HRNetError


class SkippedImages:
    """Records which items of each epoch were skipped because of an unreadable image, and why.

    Args:
        items: Number of items per epoch.
    """

    def __init__(self, items: int):
        self.items = items
        self.error: HRNetError | None = None  # of the first item whose image could be read, but not its labels
        self._reasons: dict[int, dict[int, str]] = {}
        self._lock = Lock()

    def add(self, epoch: int, item: int, reason: str) -> None:
        """Record a skipped item; HRNetError where the epoch has lost more than 1 % of its items."""
        with self._lock:
            self._reasons.setdefault(epoch, {})[item] = reason
        self.check()

    def check(self) -> None:
        """Raise `error`, if any, and HRNetError, naming the first image, where an epoch has lost more than 1 % of its items."""
        if self.error:
            raise self.error
        for epoch, reasons in sorted(self._reasons.items()):
            if len(reasons) > MAX_INVALID_SHARE * self.items:
                raise HRNetError(
                    f"epoch {epoch + 1}: the images of {len(reasons)} of {self.items} examples cannot be read, more than "
                    f"{MAX_INVALID_SHARE:.0%}; the first: {reasons[min(reasons)]}"
                )

    def summary(self, epoch: int) -> str | None:
        """Return a line on the skipped items of a completed epoch; None where there are none."""
        reasons = self._reasons.get(epoch)
        if not reasons:
            return None
        return f"epoch {epoch + 1}: {len(reasons)} of {self.items} examples skipped, the first: {reasons[min(reasons)]}"
