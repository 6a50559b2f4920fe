"""What a task is measured by; training, pruning and comparing go by it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """What a task is measured by: its name ("PCK@0.1"), its short one ("pck", for `val_pck`), and whether more is better."""

    name: str
    key: str
    rises: bool = True

    @property
    def column(self) -> str:
        """Its name among the logs of `model.fit` and in history.csv."""
        return f"val_{self.key}"

    def loss_of(self, before: float, after: float) -> float:
        """How much worse `after` is; below 0 where it is better."""
        return before - after if self.rises else after - before
