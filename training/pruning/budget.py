"""How much of a network to keep."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from mobile_eval.errors import HRNetError

SHARES = ("keep_latency", "keep_macs", "keep_links")


@dataclass(frozen=True)
class Budget:
    """A limit for the pruned network. Exactly one is given.

    Attributes:
        keep_latency: Share of the full network's latency to keep, between 0 and 1.
        keep_macs: Share of the full network's multiply-adds to keep, between 0 and 1.
        keep_links: Share of the full network's fusion links to keep, between 0 and 1.
        max_drop: Largest drop of the task's metric before fine-tuning, between 0 and 1.

    Example:
        >>> Budget(keep_latency=0.75).name
        'keep_latency'
    """

    keep_latency: float | None = None
    keep_macs: float | None = None
    keep_links: float | None = None
    max_drop: float | None = None

    def __post_init__(self) -> None:
        values = self._given()
        if len(values) != 1:
            names = ", ".join(f"`{field.name}`" for field in dataclasses.fields(self))
            got = " and ".join(f"`{name}`" for name in values) or "none"
            raise HRNetError(f"give exactly one budget of {names}; got {got}")
        if not 0 < self.value < 1:
            raise HRNetError(f"`{self.name}` must be between 0 and 1, got {values[self.name]}")

    @property
    def name(self) -> str:
        """Name of the limit that is given."""
        return next(iter(self._given()))

    @property
    def value(self) -> float:
        """Value of that limit."""
        return float(self._given()[self.name])

    def for_round(self, number: int, rounds: int) -> Budget:
        """Return the budget of one of several rounds, which approach this budget in equal steps.

        Args:
            number: The round, from 1.
            rounds: Number of rounds.
        """
        if number == rounds or self.name not in SHARES:
            return self
        return Budget(**{self.name: 1 - (1 - self.value) * number / rounds})

    def _given(self) -> dict[str, float]:
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if value is not None}
