"""The assignment problem: pairs of rows and columns with the lowest sum of costs.

A device has numpy, but not scipy; the numbers of people are small.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mobile_eval.errors import HRNetError

Array = NDArray[np.float64]


def assign(costs: Array) -> list[tuple[int, int]]:
    """Pair rows with columns by the Hungarian method (shortest augmenting paths, Jonker and Volgenant, 1987).

    Args:
        costs: Finite costs (N, M).

    Returns:
        min(N, M) pairs (row, column), by row.

    Raises:
        HRNetError: A cost is not finite.

    Example:
        >>> assign(np.array([[4.0, 1.0], [2.0, 8.0], [9.0, 9.0]]))
        [(0, 1), (1, 0)]
    """
    costs = np.asarray(costs, np.float64)
    if not np.isfinite(costs).all():
        raise HRNetError("`costs` must be finite")
    if costs.shape[0] > costs.shape[1]:
        return sorted((row, column) for column, row in assign(costs.T))
    rows, columns = costs.shape
    row_potential, column_potential = np.zeros(rows), np.zeros(columns)
    row_of = np.full(columns, -1)
    for row in range(rows):
        _augment(costs, row, row_of, row_potential, column_potential)
    return sorted((int(row_of[column]), int(column)) for column in np.flatnonzero(row_of >= 0))


def _augment(costs: Array, row: int, row_of: NDArray[np.int64], row_potential: Array, column_potential: Array) -> None:
    """Assign one more row along the shortest path to a free column; updates the last three arguments."""
    columns = costs.shape[1]
    distance, previous = np.full(columns, np.inf), np.full(columns, -1)
    visited, visited_rows, column, current, shortest = np.zeros(columns, bool), [row], -1, row, 0.0
    while True:
        reduced = shortest + costs[current] - row_potential[current] - column_potential
        better = ~visited & (reduced < distance)
        distance[better], previous[better] = reduced[better], column
        column = int(np.argmin(np.where(visited, np.inf, distance)))
        shortest = float(distance[column])
        if row_of[column] < 0:
            break
        visited[column] = True
        current = int(row_of[column])
        visited_rows.append(current)
    row_potential[row] += shortest
    for reached in visited_rows[1:]:
        row_potential[reached] += shortest - distance[np.flatnonzero(row_of == reached)[0]]
    column_potential[visited] -= shortest - distance[visited]
    while column >= 0:
        before = int(previous[column])
        row_of[column] = row if before < 0 else row_of[before]
        column = before
