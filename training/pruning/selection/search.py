"""Exact selection within a budget: of multiply-adds and links at once, of latency by measuring and selecting again."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from hrnet_tf.runs.pruning import units_kept
from hrnet_tf.spec.network import HRNetSpec
from hrnet_tf.spec.units import FusionLink
from mobile_eval.errors import HRNetError
from training.pruning.budget import Budget
from training.pruning.budget_search import CLOSE_ENOUGH, QUANTITIES, Ratio
from training.pruning.cost_model import CostModel
from training.pruning.selection.candidates import Candidates
from training.pruning.selection.linear_program import InfeasibleError
from training.pruning.selection.select import Limit, Selection, Selector

logger = logging.getLogger(__name__)

MEASUREMENTS = 5  # at most
MARGIN = 0.995  # of a corrected limit, so that noise does not bring the next network above the budget

Calibration: TypeAlias = Callable[[HRNetSpec, float], CostModel]  # (network, measured ratio) -> cost model


class SearchResult(NamedTuple):
    """What a search found.

    Attributes:
        selection: The network.
        ratio: Its measured latency over that of the full network; None if it was not measured.
        cost_model: The cost model that selected it.
    """

    selection: Selection
    ratio: float | None
    cost_model: CostModel


@dataclass(frozen=True)
class ExactSearch:
    """Searches the network within a budget that loses the least importance.

    Attributes:
        budget: The budget.
        selector: What may be removed, and what it costs.
        latency_ratio: Measures the latency of a network over that of the full one; None to trust the prediction.
        accept_closest: Whether to take the smallest network if none is within the budget, instead of raising HRNetError.
        candidates: Measures the loss of candidates and fits importance to it; None to trust the importance of the selector.
        calibrate: Calibrates the cost model by a measured network too; None to keep that of the selector.
    """

    budget: Budget
    selector: Selector
    latency_ratio: Ratio | None
    accept_closest: bool = False
    candidates: Candidates | None = None
    calibrate: Calibration | None = None

    def find(self) -> SearchResult:
        """Return the network within the budget.

        Raises:
            HRNetError: The smallest network exceeds the budget, or the budget is one of the metric.
        """
        budget, selector = self.budget, self.selector
        if budget.name == "max_drop":
            raise HRNetError("`max_drop` needs `selection` greedy, which measures the metric step by step")
        if budget.name == "keep_links":
            links = math.floor(budget.value * len(selector.spec.possible_links))
            if links < 1:
                raise self._unreachable(1 / len(selector.spec.possible_links))
            return SearchResult(self._select(selector, Limit(links=links)), None, selector.cost_model)
        try:
            if budget.name == "keep_latency" and self.latency_ratio:
                return self._measured(self.latency_ratio)
            limit = Limit(cost=budget.value * selector.full_cost)
            return SearchResult(self._select(selector, limit), None, selector.cost_model)
        except InfeasibleError:
            closest = selector.smallest
            measured = self.latency_ratio(closest.spec) if self.latency_ratio and budget.name == "keep_latency" else None
            ratio = closest.cost / selector.full_cost if measured is None else measured
            if ratio > budget.value:
                if not self.accept_closest:
                    raise self._unreachable(ratio) from None
                logger.info("%s; the closest network is used", self._unreachable(ratio))
            return SearchResult(closest, measured, selector.cost_model)

    def _select(self, selector: Selector, limit: Limit) -> Selection:
        return selector.select(limit) if self.candidates is None else self.candidates.best(selector, limit)

    def _measured(self, latency_ratio: Ratio) -> SearchResult:
        """The selection of least loss whose measured latency is within the budget, after few measurements.

        Each measured network calibrates the cost model: a selection prefers what the model takes for too cheap, so that its
        errors add up in the selected networks.
        """
        share, selector = self.budget.value, self.selector
        best: SearchResult | None = None
        too_slow: list[HRNetSpec] = []
        limit = share
        for _ in range(MEASUREMENTS):
            try:
                selection = self._select(selector, Limit(cost=limit * selector.full_cost))
            except InfeasibleError:
                if best is None:
                    raise
                break
            predicted, ratio = selection.cost / selector.full_cost, latency_ratio(selection.spec)
            logger.info("%s: %.3f of the full network's latency (predicted %.3f)", units_kept(selection.spec), ratio, predicted)
            if ratio > share:
                too_slow.append(selection.spec)
            elif best is None or selection.lost < best.selection.lost:
                best = SearchResult(selection, ratio, selector.cost_model)
            if best and best.ratio and best.ratio >= share * CLOSE_ENOUGH:
                break
            if self.calibrate:
                selector = dataclasses.replace(selector, cost_model=self.calibrate(selection.spec, ratio))
            corrected = selector.cost_model.cost(selection.spec) / selector.full_cost * share / ratio
            exceeding = [selector.cost_model.cost(spec) / selector.full_cost for spec in too_slow]
            limit = min([corrected, *exceeding]) * MARGIN
        if best is None:
            raise InfeasibleError(f"none of {MEASUREMENTS} measured networks is within {share:g}")
        return best

    def _unreachable(self, ratio: float) -> HRNetError:
        importance = self.selector.importance
        kinds = {
            "include_blocks": all(isinstance(unit, FusionLink) for unit in importance.units),
            "include_widths": not importance.channels,
        }
        missing = " and ".join(f"`{name}`" for name, is_missing in kinds.items() if is_missing)
        advice = f"; more can be removed with {missing}" if missing else ""
        return HRNetError(
            f"`{self.budget.name}`: pruning can reach {ratio:.3f} of the full network's {QUANTITIES[self.budget.name]}, "
            f"not {self.budget.value:g}: one link must stay{advice}"
        )
