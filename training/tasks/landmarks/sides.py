"""Which landmarks change places in a mirrored face: by their names, or by how many there are.

The pairs are those of the markups (300W's 68, WFLW's 98, COFW's 29, AFLW's 19), as the official code mirrors them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.coco import KeypointCategory

Pairs = tuple[tuple[int, int], ...]


def _facing(first: int, last: int, count: int) -> Pairs:
    """Pairs from both ends of a row of landmarks towards its middle."""
    return tuple((first + step, last - step) for step in range(count))


PAIRS: dict[int, Pairs] = {
    68: (
        *_facing(0, 16, 8), *_facing(17, 26, 5), *_facing(36, 45, 4), (40, 47), (41, 46), (31, 35), (32, 34),
        *_facing(48, 54, 3), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67),
    ),
    98: (
        *_facing(0, 32, 16), *_facing(33, 46, 5), *_facing(38, 50, 4), *_facing(60, 72, 5), (65, 75), (66, 74), (67, 73),
        (55, 59), (56, 58), *_facing(76, 82, 3), (83, 87), (84, 86), (88, 92), (89, 91), (93, 95), (96, 97),
    ),
    29: ((0, 1), (4, 6), (2, 3), (5, 7), (8, 9), (10, 11), (12, 14), (16, 17), (13, 15), (18, 19), (22, 23)),
    19: ((0, 5), (1, 4), (2, 3), (6, 11), (7, 10), (8, 9), (12, 14), (15, 17)),
}  # fmt: skip


def mirrored_landmarks(category: KeypointCategory) -> NDArray[np.intp] | None:
    """Index (K,) that reorders landmarks into those of the mirrored face; None where neither names nor number tell."""
    if category.flip_pairs:
        return category.mirrored
    count = len(category.joints)
    if count not in PAIRS:
        return None
    order = np.arange(count)
    for one, other in PAIRS[count]:
        order[[one, other]] = other, one
    return order
