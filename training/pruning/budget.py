"""How much of a network may stay, and the first network of a removal order that keeps to it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hrnet_tf.spec.complexity import complexity
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.errors import HRNetError

SHARES = ("keep_latency", "keep_macs", "keep_links")
MEASUREMENTS = 8
CLOSE = 0.98  # of the budget: nearer is not worth another measurement


@dataclass(frozen=True)
class Budget:
    """One of: the share of the full network's latency, multiply-adds or links that may stay, or the PCK that may be lost."""

    keep_latency: float | None = None
    keep_macs: float | None = None
    keep_links: float | None = None
    max_drop: float | None = None

    def __post_init__(self) -> None:
        given = [field.name for field in dataclasses.fields(self) if getattr(self, field.name) is not None]
        options = ", ".join(option(field.name) for field in dataclasses.fields(self))
        if len(given) != 1:
            what = " and ".join(map(option, given)) or "none"
            raise HRNetError(f"give one budget, of {options}; got {what}")
        value = getattr(self, given[0])
        if not 0 < value < 1:
            raise HRNetError(f"{option(given[0])} must be between 0 and 1, got {value}")

    @property
    def name(self) -> str:
        """Which one is given."""
        return next(field.name for field in dataclasses.fields(self) if getattr(self, field.name) is not None)

    @property
    def value(self) -> float:
        """Its value."""
        return float(getattr(self, self.name))

    def part(self, number: int, rounds: int) -> Budget:
        """The budget of round `number` of `rounds` (from 1), on the way from everything to this one."""
        if number == rounds or self.name not in SHARES:
            return self
        return Budget(**{self.name: 1 - (1 - self.value) * number / rounds})


class UnreachableError(HRNetError):
    """Nothing in a removal order keeps to a budget; the network at `index`, with the share `ratio`, comes closest."""

    def __init__(self, index: int, ratio: float, share: float, what: str, order: Sequence[HRNetSpec]):
        super().__init__(f"what may be removed reaches {ratio:.3f} of the full network's {what}, not {share:g}{_advice(order)}")
        self.index = index
        self.ratio = ratio


def option(name: str) -> str:
    """The command line's option of that name."""
    return f"`{name}`"


def within_share(order: Sequence[HRNetSpec], share: float, ratio: Callable[[HRNetSpec], float], what: str) -> int:
    """Index of the first network of the order whose `ratio` is at most `share`.

    Raises UnreachableError, with the least that can be reached, where there is none.
    """
    for index, spec in enumerate(order):
        if ratio(spec) <= share:
            return index
    closest = min(range(len(order)), key=lambda index: ratio(order[index]))
    raise UnreachableError(closest, ratio(order[closest]), share, what, order)


def within_latency(
    order: Sequence[HRNetSpec],
    share: float,
    predicted: Callable[[HRNetSpec], float],
    measured: Callable[[HRNetSpec], float],
    say: Callable[[str], None],
) -> tuple[int, float]:
    """Index of a network within `share` of the full one's latency as `measured`, and its measured ratio.

    Predicted ratios point at a network; measuring it corrects the predictions, in both directions, until one is
    found that is close to the budget or has a neighbour that is over it. Raises UnreachableError, with the least that
    can be reached, where there is none.
    """

    def measure(index: int) -> float:
        spec = order[index]
        found = measured(spec)
        giga, guess = complexity(spec).multiply_adds / 1e9, predicted(spec)
        links = f"{len(spec.links)} of {len(spec.possible_links)} links"
        say(f"{links}, {giga:.3f} G multiply-adds: {found:.3f} of full's latency (predicted {guess:.3f})")
        return found

    over, within, ratio, limit = -1, len(order), 1.0, share
    for _ in range(MEASUREMENTS):
        pointed = next((index for index, spec in enumerate(order) if predicted(spec) <= limit), len(order) - 1)
        index = min(max(pointed, over + 1), within - 1)
        found = measure(index)
        if found <= share:
            within, ratio = index, found
        else:
            over = index
        if within - over <= 1 or share * CLOSE <= found <= share:
            break
        limit = predicted(order[index]) * share / found
    if within == len(order):
        least = measure(len(order) - 1) if over < len(order) - 1 else found
        if least > share:
            raise UnreachableError(len(order) - 1, least, share, "latency", order)
        within, ratio = len(order) - 1, least
    return within, ratio


def within_drop(drops: Sequence[float | None], most: float) -> int:
    """Number of steps before the metric is first worse by more than `most`; `drops` are by how much it is, after each step."""
    for count, drop in enumerate(drops):
        if drop is None or drop > most:
            return count
    return len(drops)


def _advice(order: Sequence[HRNetSpec]) -> str:
    if order[-1].removed_blocks:
        return "; one link at least stays"
    return "; one link at least stays, and `blocks` lets residual blocks go too"
