"""Trials: networks within the budget that are trained for a few epochs, of which the best is kept.

Importance comes from a trained network. It cannot tell how well a network with a narrower stem does once that is trained: nothing
measured without training finds one, though small networks are better off with it (docs/results/study). A few epochs do tell:
which of several networks is better shows early. So the selection is repeated with ever fewer channels in stem and stage 1, which
leaves more links and blocks within the budget, and each network is trained briefly, in the same way as the final one.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

from hrnet_tf.runs.pruning import Plan

STEP = 2**-0.5  # from one largest share of the channels of stem and stage 1 to the next


def early_shares(count: int) -> tuple[float, ...]:
    """Return the largest shares of the channels of stem and stage 1, in the order of the trials.

    Example:
        >>> [round(share, 2) for share in early_shares(5)]
        [1.0, 0.71, 0.5, 0.35, 0.25]
    """
    return tuple(STEP**number for number in range(count))


def different_plans(begun: Sequence[Plan], plans: Callable[[], Iterator[Plan]], count: int) -> Iterator[Plan]:
    """Return the plans of the trials that were begun, and further ones of other networks.

    Args:
        begun: Plans of the trials that were begun before.
        plans: Plans anew; only called if more are needed.
        count: Number of trials at most.
    """
    return itertools.islice(_different(begun, plans, count), count)


def _different(begun: Sequence[Plan], plans: Callable[[], Iterator[Plan]], count: int) -> Iterator[Plan]:
    yield from begun
    if len(begun) < count:
        seen = {plan.spec for plan in begun}
        for plan in plans():
            if plan.spec not in seen:
                seen.add(plan.spec)
                yield plan
