"""Mixed-integer linear programs, built row by row and solved by HiGHS (Huangfu and Hall, 2018)."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from mobile_eval.errors import HRNetError
from mobile_eval.runtime.native_output import STDOUT, captured_lines

logger = logging.getLogger(__name__)

INFEASIBLE = 2  # status of scipy.optimize.milp
ONE = 0  # the variable that is always 1

Terms = Iterable[tuple[int, float]]  # pairs of a variable and its coefficient


@dataclass(frozen=True)
class Solution:
    """The best solution that was found.

    Attributes:
        values: Value of each variable.
        objective: Value of the objective.
        bound: Lower bound of the objective: no solution is better.
    """

    values: NDArray[np.float64]
    objective: float
    bound: float


class InfeasibleError(HRNetError):
    """No solution meets all rows."""


class LinearProgram:
    """Variables between 0 and 1, an objective to minimize, and rows of linear constraints."""

    def __init__(self) -> None:
        self._objective: list[float] = [0.0]
        self._integer: list[bool] = [False]
        self._low: list[float] = []
        self._high: list[float] = []
        self._entries: tuple[list[int], list[int], list[float]] = ([], [], [])  # row, variable, coefficient

    def variable(self, *, integer: bool = False) -> int:
        """Add a variable between 0 and 1, and return its number."""
        self._objective.append(0.0)
        self._integer.append(integer)
        return len(self._objective) - 1

    def minimize(self, variable: int, coefficient: float) -> None:
        """Add a term to the objective."""
        self._objective[variable] += coefficient

    def row(self, terms: Terms, low: float = -math.inf, high: float = math.inf) -> None:
        """Add the constraint that the sum of `terms` is between `low` and `high`."""
        number = len(self._low)
        rows, variables, coefficients = self._entries
        for variable, coefficient in terms:
            rows.append(number)
            variables.append(variable)
            coefficients.append(coefficient)
        self._low.append(low)
        self._high.append(high)

    def at_most(self, smaller: int, larger: Iterable[int]) -> None:
        """Add the constraint that a variable is at most the sum of others."""
        self.row([(smaller, 1.0), *((variable, -1.0) for variable in larger)], high=0.0)

    def equal(self, variables: Iterable[int], total: int) -> None:
        """Add the constraint that the sum of variables is another variable."""
        self.row([*((variable, 1.0) for variable in variables), (total, -1.0)], low=0.0, high=0.0)

    def solve(self, *, time_limit: float, gap: float) -> Solution:
        """Return the best solution.

        Args:
            time_limit: Time limit in seconds.
            gap: Relative difference between the solution and the bound that is small enough.

        Raises:
            InfeasibleError: There is no solution.
            HRNetError: None was found within the time limit.
        """
        count = len(self._objective)
        rows, variables, coefficients = self._entries
        matrix = coo_array((coefficients, (rows, variables)), shape=(len(self._low), count)).tocsr()
        low = np.zeros(count)
        low[ONE] = 1.0
        with captured_lines((STDOUT,)):  # HiGHS prints the names of its functions
            result = milp(
                np.asarray(self._objective),
                integrality=np.asarray(self._integer, np.int64),
                bounds=Bounds(low, np.ones(count)),
                constraints=LinearConstraint(matrix, np.asarray(self._low), np.asarray(self._high)),
                options={"time_limit": time_limit, "mip_rel_gap": gap},
            )
        if result.status == INFEASIBLE:
            raise InfeasibleError("no solution is within the constraints")
        if result.x is None:
            raise HRNetError(f"no selection was found within {time_limit:g} s: give a larger `width_multiple`, for fewer widths")
        logger.debug("%d variables, %d rows: %s", count, len(self._low), result.message)
        return Solution(np.asarray(result.x), float(result.fun), float(result.mip_dual_bound))
