"""The network of a removal order that a budget allows: by its price, and by measuring it where the budget is of latency."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hrnet_tf.spec.network import HRNetSpec, Unit
from training.pruning.budget import Budget, UnreachableError, within_latency, within_share
from training.pruning.cost_model import CostModel
from training.pruning.removal_order import Price, restore_units
from training.pruning.removal_steps import counted

PRICED = ("keep_latency", "keep_macs")
FILLINGS = 3  # times that giving back is tried


@dataclass(frozen=True)
class BudgetSearch:
    """Looks for what `budget` allows. `measured` is a candidate's latency over the full network's, None where it is not measured.

    With `closest`, where nothing keeps to the budget, what comes closest is taken; without, that is an UnreachableError.
    """

    budget: Budget
    table: CostModel
    measured: Callable[[HRNetSpec], float] | None
    say: Callable[[str], None]
    closest: bool = False

    def first(self, order: list[HRNetSpec]) -> tuple[int, float | None]:
        """Index of the first network of the removal order within the budget, and its latency ratio where that was measured."""
        try:
            return self._first(order)
        except UnreachableError as error:
            if not self.closest:
                raise
            self.say(f"{error}; that is taken")
            return error.index, error.ratio if self._measures else None

    @property
    def _measures(self) -> bool:
        return self.budget.name == "keep_latency" and self.measured is not None

    def _first(self, order: list[HRNetSpec]) -> tuple[int, float | None]:
        budget, full_cost = self.budget, self.table.price(order[0].full())
        if budget.name == "max_drop":
            return len(order) - 1, None
        if budget.name == "keep_links":
            possible = len(order[0].possible_links)
            return within_share(order, budget.value, lambda spec: len(spec.links) / possible, "links"), None

        def predicted(spec: HRNetSpec) -> float:
            return self.table.price(spec) / full_cost

        if self._measures and self.measured:
            return within_latency(order, budget.value, predicted, self.measured, self.say)
        return within_share(order, budget.value, predicted, budget.name.removeprefix("keep_")), None

    def filled_up(
        self, chosen: HRNetSpec, ratio: float | None, whole: HRNetSpec, importance: dict[Unit, float], worth: Price
    ) -> tuple[HRNetSpec, float | None]:
        """`chosen` with what of `whole` still fits into the budget given back, the most important for its `worth` first.

        `ratio` is the measured one of `chosen`, if there is one; the second value is that of what is returned.
        """
        if self.budget.name not in PRICED:
            return chosen, ratio
        share, table = self.budget.value, self.table

        def cheaper(most: float) -> Callable[[HRNetSpec], bool]:
            return lambda spec: table.price(spec) <= most

        most = share * (table.price(chosen) / ratio if ratio else table.price(whole.full()))  # predictions, as they were measured
        for _ in range(FILLINGS):
            larger = restore_units(chosen, whole, importance, worth, cheaper(most))
            if larger == chosen or ratio is None or self.measured is None:
                return larger, ratio
            found = self.measured(larger)
            fits = found <= share
            verdict = "kept" if fits else f"over the budget of {share:g}, not kept"
            self.say(f"{counted(larger)} with some given back: {found:.3f} of full's latency, {verdict}")
            if fits:
                return larger, found
            most = share * table.price(larger) / found
        return chosen, ratio
