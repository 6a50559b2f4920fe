"""Find the first network of a removal order within a budget, by its cost or by measuring its latency."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hrnet_tf.runs.pruning import units_kept
from hrnet_tf.spec.complexity import complexity
from hrnet_tf.spec.network import HRNetSpec
from hrnet_tf.spec.units import Unit
from mobile_eval.errors import HRNetError
from training.pruning.budget import Budget
from training.pruning.cost_model import CostModel
from training.pruning.removal_order import Cost, restore_units

logger = logging.getLogger(__name__)

QUANTITIES = {"keep_latency": "latency", "keep_macs": "multiply-adds", "keep_links": "links"}
COST_BUDGETS = ("keep_latency", "keep_macs")
MEASUREMENTS = 8  # at most
CLOSE_ENOUGH = 0.98  # of the budget: a network at least this large is not improved by another measurement
RESTORE_ATTEMPTS = 3

Ratio = Callable[[HRNetSpec], float]  # cost of a network over that of the full network


class UnreachableError(HRNetError):
    """No network of a removal order is within the budget.

    Attributes:
        index: Index of the network that comes closest.
        ratio: Its share of the full network.
    """

    def __init__(self, index: int, ratio: float, share: float, budget: str, order: Sequence[HRNetSpec]):
        advice = "" if order[-1].removed_blocks else "; with `include_blocks`, residual blocks can be removed too"
        super().__init__(
            f"`{budget}`: pruning can reach {ratio:.3f} of the full network's {QUANTITIES[budget]}, not {share:g}: "
            f"one link must stay{advice}"
        )
        self.index = index
        self.ratio = ratio


def first_within_share(order: Sequence[HRNetSpec], share: float, ratio: Ratio, budget: str) -> int:
    """Return the index of the first network whose ratio is at most `share`.

    Args:
        order: Ever smaller networks.
        share: The largest ratio.
        ratio: Ratio of a network.
        budget: Name of the budget, for messages.

    Raises:
        UnreachableError: No network is within the share.
    """
    for index, spec in enumerate(order):
        if ratio(spec) <= share:
            return index
    closest = min(range(len(order)), key=lambda index: ratio(order[index]))
    raise UnreachableError(closest, ratio(order[closest]), share, budget, order)


def first_within_latency(order: Sequence[HRNetSpec], share: float, predicted: Ratio, measured: Ratio) -> tuple[int, float]:
    """Return a network whose measured latency is within the share, and as close to it as possible.

    The predicted ratios suggest a network. Measuring it corrects the predictions, in both directions, until a network is close to
    the budget or its neighbor exceeds it.

    Args:
        order: Ever smaller networks.
        share: The largest latency, over that of the full network.
        predicted: Predicted ratio of a network.
        measured: Measured ratio of a network.

    Returns:
        The index of the network and its measured ratio.

    Raises:
        UnreachableError: The smallest network exceeds the share.
    """
    over, within, within_ratio, limit = -1, len(order), 1.0, share
    for _ in range(MEASUREMENTS):
        suggested = next((index for index, spec in enumerate(order) if predicted(spec) <= limit), len(order) - 1)
        index = min(max(suggested, over + 1), within - 1)
        ratio = _measure(order[index], predicted, measured)
        if ratio <= share:
            within, within_ratio = index, ratio
        else:
            over = index
        if within - over <= 1 or share * CLOSE_ENOUGH <= ratio <= share:
            break
        limit = predicted(order[index]) * share / ratio
    if within < len(order):
        return within, within_ratio
    last = len(order) - 1
    ratio = ratio if over == last else _measure(order[last], predicted, measured)
    if ratio > share:
        raise UnreachableError(last, ratio, share, "keep_latency", order)
    return last, ratio


def _measure(spec: HRNetSpec, predicted: Ratio, measured: Ratio) -> float:
    ratio = measured(spec)
    giga = complexity(spec).multiply_adds / 1e9
    logger.info(
        "%s, %.3f G multiply-adds: %.3f of the full network's latency (predicted %.3f)",
        units_kept(spec), giga, ratio, predicted(spec),
    )  # fmt: skip
    return ratio


def steps_within_drop(drops: Sequence[float | None], max_drop: float) -> int:
    """Return the number of steps before the metric first drops by more than `max_drop`.

    Args:
        drops: Drop of the metric after each step, None if it is undefined.
        max_drop: The largest drop.
    """
    for count, drop in enumerate(drops):
        if drop is None or drop > max_drop:
            return count
    return len(drops)


@dataclass(frozen=True)
class BudgetSearch:
    """Searches a removal order for a network within a budget.

    Attributes:
        budget: The budget.
        cost_model: Predicts the cost of a network.
        latency_ratio: Measures the latency of a network over that of the full one; None to trust the prediction.
        accept_closest: Whether to take the closest network if none is within the budget, instead of raising UnreachableError.
    """

    budget: Budget
    cost_model: CostModel
    latency_ratio: Ratio | None
    accept_closest: bool = False

    def find(self, order: Sequence[HRNetSpec]) -> tuple[int, float | None]:
        """Return the index of the first network within the budget, and its latency ratio if it was measured."""
        try:
            return self._find(order)
        except UnreachableError as error:
            if not self.accept_closest:
                raise
            logger.info("%s; the closest network is used", error)
            return error.index, error.ratio if self._measured_ratio else None

    def restore(
        self, pruned: HRNetSpec, ratio: float | None, larger: HRNetSpec, importance: Mapping[Unit, float], cost: Cost
    ) -> tuple[HRNetSpec, float | None]:
        """Restore removed units that still fit into the budget, the most important per cost first.

        Args:
            pruned: The pruned network.
            ratio: Its measured latency ratio; None if it was not measured.
            larger: The network that it was pruned from.
            importance: Importance of each unit that may be restored.
            cost: Cost of a network, by which the importance of units is weighed.

        Returns:
            The network and its measured latency ratio (None if it was not measured).
        """
        if self.budget.name not in COST_BUDGETS:
            return pruned, ratio
        share, predicted = self.budget.value, self.cost_model.cost
        largest_cost = share * (predicted(pruned) / ratio if ratio else predicted(larger.full()))
        for _ in range(RESTORE_ATTEMPTS):
            restored = restore_units(pruned, larger, importance, cost, self._cheaper_than(largest_cost))
            if restored == pruned or ratio is None or self.latency_ratio is None:
                return restored, ratio
            restored_ratio = self.latency_ratio(restored)
            fits = restored_ratio <= share
            verdict = "used" if fits else f"not used, it exceeds {share:g}"
            logger.info(
                "%s after restoring some: %.3f of the full network's latency; %s", units_kept(restored), restored_ratio, verdict
            )
            if fits:
                return restored, restored_ratio
            largest_cost = share * predicted(restored) / restored_ratio
        return pruned, ratio

    @property
    def _measured_ratio(self) -> Ratio | None:
        return self.latency_ratio if self.budget.name == "keep_latency" else None

    def _find(self, order: Sequence[HRNetSpec]) -> tuple[int, float | None]:
        budget, full = self.budget, order[0].full()
        if budget.name == "max_drop":
            return len(order) - 1, None
        if budget.name == "keep_links":
            possible = len(full.possible_links)
            return first_within_share(order, budget.value, lambda spec: len(spec.links) / possible, budget.name), None
        full_cost = self.cost_model.cost(full)

        def predicted(spec: HRNetSpec) -> float:
            return self.cost_model.cost(spec) / full_cost

        if self._measured_ratio:
            return first_within_latency(order, budget.value, predicted, self._measured_ratio)
        return first_within_share(order, budget.value, predicted, budget.name), None

    def _cheaper_than(self, largest_cost: float) -> Callable[[HRNetSpec], bool]:
        return lambda spec: self.cost_model.cost(spec) <= largest_cost
